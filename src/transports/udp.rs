//! `udp://`: pictures in datagrams of which each stands for itself, so that a lost one costs some tiles and not the frame.
//! What crosses is `datagrams`'; here are the sockets, the tasks that wait at them, and the options.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use async_io::Timer;
use async_trait::async_trait;
use bytes::Bytes;
use smol::future::or;

use crate::clock;
use crate::datagrams::Wish;
use crate::datagrams::calling::{Calling, Outcome};
use crate::datagrams::connection::{Connection, Terms};
use crate::datagrams::door::{self, Call, Word};
use crate::datagrams::guard::Guard;
use crate::datagrams::packet::{MTU, is_word};
use crate::datagrams::parity::{self, Share};
use crate::endpoint::Endpoint;
use crate::fault::Fault;
use crate::key::Key;
use crate::link::Link;
use crate::seal;
use crate::tasks;
use crate::transports::{Listener, Transport, socket};
use crate::units;

mod batch;
mod link;
mod listen;

use batch::Socket;
use link::Shared;

pub struct Plug;

/// A call that takes longer is to a host that does not answer; retrying is the caller's business.
const CONNECT: Duration = Duration::from_secs(5);

#[async_trait]
impl Transport for Plug {
    fn scheme(&self) -> &'static str {
        "udp"
    }

    fn about(&self) -> &'static str {
        "datagrams; what is lost costs some tiles, is repaired in time, or healed by the next frames"
    }

    fn options(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("mtu", "bytes of a datagram at most, 576 to 65507 [default: 1200]"),
            ("latency", "wait so long for what was lost, so that frames are whole [default: 0, the newest wins]"),
            ("fec", "redundancy: auto follows the losses, 0% to 100% is fixed [default: auto]"),
        ]
    }

    fn is_lossy(&self) -> bool {
        true
    }

    async fn connect(&self, to: &Endpoint) -> Result<Link> {
        let wish = wish(to)?;
        let host = socket::host(to);
        let addresses = smol::net::resolve((host, to.port)).await;
        let addresses = addresses.with_context(|| format!("could not find the host {host}"))?;
        let mut failed = anyhow!("the host {host} has no address");
        for address in addresses {
            let late = async {
                Timer::after(CONNECT).await;
                bail!("nobody answered within {} s", CONNECT.as_secs())
            };
            match or(call(address, &wish, to.key.as_ref()), late).await {
                Ok(link) => return Ok(link),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn listen(&self, on: &Endpoint) -> Result<Box<dyn Listener>> {
        let wish = wish(on)?;
        let socket = bind(on).await.with_context(|| format!("could not listen on {on}"))?;
        Ok(Box::new(listen::open(socket, on, wish)?))
    }
}

/// What an address asks for.
fn wish(endpoint: &Endpoint) -> Result<Wish> {
    let mut wish = Wish::default();
    for (name, value) in &endpoint.options {
        let read: Result<(), String> = match name.as_str() {
            "mtu" => mtu(value).map(|mtu| wish.mtu = mtu),
            "latency" => latency(value).map(|latency| wish.latency = latency),
            "fec" => share(value).map(|share| wish.share = share),
            _ => Ok(()),
        };
        read.map_err(|why| Fault::usage(format!("{name}={value}: {why}")))?;
    }
    Ok(wish)
}

fn mtu(text: &str) -> Result<usize, String> {
    let mtu = text.parse().ok().filter(|mtu| (576..=*MTU.end()).contains(mtu));
    mtu.ok_or_else(|| format!("datagrams have 576 to {} bytes", MTU.end()))
}

fn latency(text: &str) -> Result<Duration, String> {
    let latency = units::duration(text)?;
    if latency > door::LATENCY_MAX { Err("that is longer than a minute".to_string()) } else { Ok(latency) }
}

fn share(text: &str) -> Result<Share, String> {
    match text {
        "auto" => Ok(Share::Auto),
        _ => units::percentage(text).map(|percent| Share::Fixed(percent / 100.0)),
    }
}

/// Calls a listener until it answers.
async fn call(address: SocketAddr, wish: &Wish, key: Option<&Key>) -> Result<Link> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let bound = UdpSocket::bind(any)?;
    bound.connect(address)?;
    let line = Arc::new(Socket::new(bound)?);
    parity::warm_up();
    let [ours, _] = random()?;
    let (shaking, proof) = key.map(|key| seal::call(key, &door::context(ours))).unzip();
    let proof = proof.map(|proof| Bytes::copy_from_slice(&proof)).unwrap_or_default();
    let call = Call { caller: ours, cookie: 0, mtu: wish.mtu, latency: wish.latency, proof };
    let mut calling = Calling::new(call, clock::now());
    let answer = loop {
        if let Some(datagram) = calling.transmit(clock::now()) {
            match line.send(address, None, &datagram, datagram.len()).await {
                Err(error) if batch::is_too_long(&error) => calling.narrow(),
                sent => sent.context("nobody listens there")?,
            }
        }
        let mut words = Vec::new();
        let wake = calling.wake();
        let heard = or(
            async {
                line.receive(|_, datagram| words.push(Word::decode(Bytes::copy_from_slice(datagram))), |_| ()).await
            },
            async {
                Timer::after(wake.since(clock::now())).await;
                Ok(())
            },
        );
        heard.await.context("nobody listens there")?;
        let outcomes = words.into_iter().flatten().map(|word| calling.receive(word, clock::now()));
        let mut outcomes = outcomes.filter(|outcome| !matches!(outcome, Outcome::Waiting));
        match outcomes.next() {
            Some(Outcome::Answered(answer)) => break answer,
            Some(Outcome::Version(theirs)) => {
                bail!(
                    "it speaks version {theirs} of the udp transport, this vstream {}: update the older one",
                    door::VERSION
                )
            }
            Some(Outcome::Refused(why)) => {
                let hint = "both sides take the same key: --key-file FILE or VSTREAM_KEY";
                bail!(Fault::refused(format!("refused: {}", why.words())).hint(hint))
            }
            Some(Outcome::Waiting) | None => {}
        }
    };
    let mtu = answer.mtu;
    if mtu < wish.mtu && calling.is_narrow() {
        log::warn!("datagrams of {} bytes do not reach {address}: they have {mtu} now", wish.mtu);
    } else if mtu < wish.mtu && wish.mtu != Wish::default().mtu {
        log::warn!("{address} takes datagrams of {mtu} bytes at most: mtu={} is for its address too", wish.mtu);
    }
    let theirs = answer.listener;
    let guard = match shaking {
        Some(shaking) => Guard::Key(Box::new(shaking.finish(&answer.proof).context("its answer is forged")?)),
        None => Guard::sum(ours, theirs),
    };
    let terms = Terms { ours, theirs, mtu: answer.mtu, latency: answer.latency, share: wish.share, guard };
    let shared = Shared::new(Connection::new(terms, address, clock::now()), line, None);
    tasks::spawn(caller(shared.clone(), theirs)).detach();
    Ok(shared.link())
}

/// A caller's own reader and driver, until the connection is over.
async fn caller(shared: Arc<Shared>, theirs: u64) {
    let read = async {
        loop {
            let each = |from, datagram: &[u8]| match is_word(datagram) {
                true if Word::decode(Bytes::copy_from_slice(datagram)).is_ok_and(|word| word == Word::Gone(theirs)) => {
                    shared.lose()
                }
                true => {}
                false => shared.receive(from, datagram),
            };
            if shared.socket.receive(each, |_| ()).await.is_err() {
                shared.lose(); // nobody listens there any more
                std::future::pending::<()>().await;
            }
            shared.stir();
        }
    };
    or(shared.drive(), read).await;
}

/// Every interface, IPv6 and IPv4, where no host is given; else the host's first address.
async fn bind(on: &Endpoint) -> Result<UdpSocket> {
    use socket2::{Domain, Protocol, Type};
    let open = |address: SocketAddr| {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        std::io::Result::Ok(socket.into())
    };
    if !on.host.is_empty() {
        let addresses = smol::net::resolve((on.host.as_str(), on.port)).await?;
        return Ok(open(*addresses.first().context("the host has no address")?)?);
    }
    // A machine without IPv6 refuses the first.
    Ok(open((Ipv6Addr::UNSPECIFIED, on.port).into()).or_else(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Err(error),
        _ => open((Ipv4Addr::UNSPECIFIED, on.port).into()),
    })?)
}

/// Numbers that nobody can guess.
fn random() -> Result<[u64; 2]> {
    let mut bytes = [0; 16];
    let (mut filled, flags) = (0, rustix::rand::GetRandomFlags::empty());
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], flags)?;
    }
    let [low, high] = [0, 8].map(|at| std::array::from_fn(|i| bytes[at + i]));
    Ok([u64::from_le_bytes(low), u64::from_le_bytes(high)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<Wish, String> {
        wish(&Endpoint::parse(text).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_read_and_explained() {
        let wish = asked("udp://h?mtu=1400&latency=160ms&fec=20%").unwrap();
        assert_eq!((wish.mtu, wish.latency, wish.share), (1400, Duration::from_millis(160), Share::Fixed(0.2)));
        assert_eq!(asked("udp://h?fec=auto").unwrap(), Wish::default());
        for (bad, why) in [("mtu=99", "576 to 65507"), ("latency=2h", "a minute"), ("fec=150%", "0% to 100%")] {
            let said = asked(&format!("udp://h?{bad}")).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
