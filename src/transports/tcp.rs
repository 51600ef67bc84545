//! `tcp://`: messages one after the other on a TCP connection. Nothing is lost on the way; what does not fit is
//! dropped before it is sent.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use async_io::{Async, Timer};
use async_trait::async_trait;
use smol::future::or;
use smol::io::BufReader;
use socket2::{Domain, Protocol, Socket, Type};

use crate::endpoint::Endpoint;
use crate::link::Link;
use crate::stream::{StreamRx, StreamTx};
use crate::transports::{Listener, Transport};

pub struct Plug;

/// A connection that takes longer is to a host that does not answer; retrying is the caller's business.
const CONNECT: Duration = Duration::from_secs(5);
/// Small messages are read together; a frame's bytes go past this buffer straight to their place.
const READ: usize = 16 << 10;
/// Callers that the kernel keeps while the program is busy.
const BACKLOG: i32 = 128;

#[async_trait]
impl Transport for Plug {
    fn scheme(&self) -> &'static str {
        "tcp"
    }

    fn about(&self) -> &'static str {
        "reliable; frames that do not fit are dropped before they are sent"
    }

    fn options(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    async fn connect(&self, to: &Endpoint) -> Result<Link> {
        let host = if to.host.is_empty() { "localhost" } else { &to.host };
        let addresses = smol::net::resolve((host, to.port)).await;
        let addresses = addresses.with_context(|| format!("could not find the host {host}"))?;
        let mut failed = anyhow!("the host {host} has no address");
        for address in addresses {
            let late = async {
                Timer::after(CONNECT).await;
                Err(std::io::ErrorKind::TimedOut.into())
            };
            match or(Async::<TcpStream>::connect(address), late).await {
                Ok(stream) => return link(stream),
                Err(error) => failed = anyhow!(error),
            }
        }
        Err(failed)
    }

    async fn listen(&self, on: &Endpoint) -> Result<Box<dyn Listener>> {
        let socket = bind(on).await.with_context(|| format!("could not listen on {on}"))?;
        let socket = Async::new(socket)?;
        let port = socket.get_ref().local_addr()?.port();
        let host = if on.host.is_empty() { own_address() } else { on.host.clone() };
        let local = Endpoint { host, port, ..on.clone() };
        Ok(Box::new(Tcp { socket, local }))
    }
}

struct Tcp {
    socket: Async<TcpListener>,
    local: Endpoint,
}

#[async_trait]
impl Listener for Tcp {
    async fn accept(&self) -> Result<Link> {
        let (stream, _) = self.socket.accept().await?;
        link(stream)
    }

    fn local(&self) -> Endpoint {
        self.local.clone()
    }
}

fn link(stream: Async<TcpStream>) -> Result<Link> {
    stream.get_ref().set_nodelay(true)?;
    let peer = stream.get_ref().peer_addr()?;
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port()).to_string();
    let stream = smol::net::TcpStream::from(stream);
    let rx = StreamRx(BufReader::with_capacity(READ, stream.clone()));
    Ok(Link { tx: Box::new(StreamTx::new(stream)), rx: Box::new(rx), peer })
}

/// Every interface, IPv6 and IPv4, where no host is given; else the host's first address.
pub async fn bind(on: &Endpoint) -> Result<TcpListener> {
    if !on.host.is_empty() {
        let addresses = smol::net::resolve((on.host.as_str(), on.port)).await?;
        let address = addresses.first().context("the host has no address")?;
        return Ok(open(*address)?);
    }
    // A machine without IPv6 refuses the first.
    Ok(open((Ipv6Addr::UNSPECIFIED, on.port).into()).or_else(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Err(error),
        _ => open((Ipv4Addr::UNSPECIFIED, on.port).into()),
    })?)
}

fn open(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The address of this machine on the interface that leads out: what a peer can dial. Nothing is sent; the kernel only
/// chooses a route to a documentation address (RFC 5737).
pub fn own_address() -> String {
    let route = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    route.map_or_else(|_| Ipv4Addr::LOCALHOST.to_string(), |address| address.ip().to_string())
}
