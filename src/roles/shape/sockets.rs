//! The sockets of a proxy: bound, connected, reset.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use async_io::{Async, Timer};
use rustix::process::{Resource, getrlimit};
use smol::future::or;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::endpoint::Endpoint;
use crate::tasks::Source;
use crate::transports::socket;

/// What Linux's own connect waits at least before it gives a host up (six SYNs take 127 s); nobody waits that long.
const CONNECT: Duration = Duration::from_secs(30);
/// Callers that the kernel keeps while the program is busy: what Linux allows by default (somaxconn).
const BACKLOG: i32 = 4096;
/// Asked for; the kernel gives what its limits allow.
const BUFFER: usize = 4 << 20;

/// The addresses of `host:port`; no host is every interface to listen on, this machine to call.
pub async fn resolve(at: &Endpoint, listen: bool) -> Result<Vec<SocketAddr>> {
    match (at.host.is_empty(), listen) {
        (true, true) => Ok(vec![(Ipv6Addr::UNSPECIFIED, at.port).into(), (Ipv4Addr::UNSPECIFIED, at.port).into()]),
        (true, false) => Ok(vec![(Ipv4Addr::LOCALHOST, at.port).into(), (Ipv6Addr::LOCALHOST, at.port).into()]),
        _ => {
            let found = smol::net::resolve((at.host.as_str(), at.port)).await;
            found.with_context(|| format!("could not find the host {}", at.host))
        }
    }
}

/// Whether a proxy that listens there and calls this would call itself.
pub async fn meet(listen: &Endpoint, to: &Endpoint) -> bool {
    if listen.port != to.port || listen.port == 0 {
        return false; // the usual case asks no name server
    }
    let ips = async |at: &Endpoint, listening: bool| -> Vec<IpAddr> {
        let found = resolve(at, listening).await.unwrap_or_default(); // what has no address yet is nowhere
        found.iter().map(|address| address.ip().to_canonical()).collect()
    };
    let (listened, called) = (ips(listen, true).await, ips(to, false).await);
    listened.iter().any(|on| called.iter().any(|to| reaches(*on, *to)))
}

/// Whether a call to one address reaches who listens on the other.
fn reaches(on: IpAddr, to: IpAddr) -> bool {
    let to = match to {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let everywhere = on.is_unspecified() && (on.is_ipv6() || to.is_ipv4());
    // An address is this machine's own where something can be bound to it.
    on == to || everywhere && UdpSocket::bind((to, 0)).is_ok()
}

/// Connections of a proxy at most, two files each: what the system allows, less some for everything else.
pub fn most_connections() -> usize {
    /// As many local ports as Linux gives out to one target, by default (ip_local_port_range).
    const PORTS: usize = 28_232;
    const OTHERS: u64 = 128;
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(OTHERS) / 2).unwrap_or(PORTS).clamp(1, PORTS)
}

pub async fn listen_tcp(on: &Endpoint) -> Result<Async<TcpListener>> {
    let bound = socket::bind(on).await.with_context(|| format!("could not listen on {on}"))?;
    SockRef::from(&bound).listen(BACKLOG)?;
    Ok(Async::new(bound)?)
}

pub async fn listen_udp(on: &Endpoint) -> Result<Source<UdpSocket>> {
    let open = |address: SocketAddr| {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        udp(socket)
    };
    let mut bound = Err(anyhow!("the host {} has no address", on.host));
    for address in resolve(on, true).await? {
        bound = open(address).map_err(anyhow::Error::from);
        if bound.is_ok() {
            break;
        }
    }
    bound.with_context(|| format!("could not listen on udp://{}:{}", on.host, on.port))
}

fn udp(socket: Socket) -> std::io::Result<Source<UdpSocket>> {
    socket.set_recv_buffer_size(BUFFER)?;
    socket.set_send_buffer_size(BUFFER)?;
    Source::new(socket.into())
}

/// A socket that talks to the target alone.
pub fn connect_udp(to: SocketAddr) -> std::io::Result<Source<UdpSocket>> {
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
    socket.connect(&to.into())?;
    udp(socket)
}

pub async fn connect_tcp(to: &Endpoint) -> Result<Source<TcpStream>> {
    let mut failed = anyhow!("the host {} has no address", to.host);
    for address in resolve(to, false).await? {
        let late = async {
            Timer::after(CONNECT).await;
            Err(std::io::ErrorKind::TimedOut.into())
        };
        match or(Async::<TcpStream>::connect(address), late).await {
            Ok(stream) => {
                stream.get_ref().set_nodelay(true)?;
                return Ok(Source::new(stream.into_inner()?)?);
            }
            Err(error) => failed = error.into(),
        }
    }
    Err(failed)
}

/// A connection that is closed next: the peer sees a reset.
pub fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO)); // a peer that is gone already needs no reset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_to_itself_is_seen_however_it_is_spelled() {
        let meet = |listen: &str, to: &str| {
            let parse = |text: &str| Endpoint::parse(text).unwrap();
            smol::block_on(super::meet(&parse(listen), &parse(to)))
        };
        for (listen, to) in [
            ("127.0.0.1:7", "127.0.0.1:7"),
            (":7", "127.0.0.1:7"),
            ("0.0.0.0:7", "localhost:7"),
            ("[::]:7", "127.0.0.1:7"),
            ("127.0.0.1:7", "0.0.0.0:7"),
            ("127.0.0.1:7", ":7"),
            ("localhost:7", "127.0.0.1:7"),
            ("127.0.0.1:7", "[::ffff:127.0.0.1]:7"),
        ] {
            assert!(meet(listen, to), "{listen} → {to}");
        }
        for (listen, to) in [("127.0.0.1:7", "127.0.0.1:8"), ("127.0.0.1:7", "127.0.0.2:7"), (":7", "192.0.2.1:7")] {
            assert!(!meet(listen, to), "{listen} → {to}");
        }
    }
}
