//! Sockets to listen on and to call with, for every transport and page. What crosses them is their users' business.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use async_io::{Async, Timer};
use smol::future::or;
use socket2::{Domain, Protocol, Socket, Type};

use crate::connected::Connected;
use crate::endpoint::Endpoint;

/// A connection that takes longer is to a host that does not answer; retrying is the caller's business.
const CONNECT: Duration = Duration::from_secs(5);
/// Callers that the kernel keeps while the program is busy.
const BACKLOG: i32 = 128;

/// The host that an address calls.
pub fn host(to: &Endpoint) -> &str {
    if to.host.is_empty() { "localhost" } else { &to.host }
}

/// Calls the first address of a host that answers.
pub async fn connect(to: &Endpoint) -> Result<Async<TcpStream>> {
    let host = host(to);
    let addresses = smol::net::resolve((host, to.port)).await;
    let addresses = addresses.with_context(|| format!("could not find the host {host}"))?;
    let mut failed = anyhow!("the host {host} has no address");
    for address in addresses {
        let late = async {
            Timer::after(CONNECT).await;
            Err(std::io::ErrorKind::TimedOut.into())
        };
        match or(Async::<TcpStream>::connect(address), late).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = anyhow!(error),
        }
    }
    Err(failed)
}

/// A listening socket, and the address that a peer can dial.
pub async fn listen(on: &Endpoint) -> Result<(Async<TcpListener>, Endpoint)> {
    let socket = bind(on).await.with_context(|| format!("could not listen on {on}"))?;
    let socket = Async::new(socket)?;
    let port = socket.get_ref().local_addr()?.port();
    Ok((socket, Endpoint { host: reached_at(on), port, ..on.clone() }))
}

/// A connection as a stream of bytes that sends at once, and its far end's address.
pub fn opened(stream: Async<TcpStream>) -> Result<(Connected, String)> {
    stream.get_ref().set_nodelay(true)?;
    let peer = stream.get_ref().peer_addr()?;
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port()).to_string();
    Ok((Connected::new(stream.into_inner()?)?, peer))
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

/// The host by which peers reach what listens there.
pub fn reached_at(on: &Endpoint) -> String {
    if on.is_everywhere() { own_address() } else { on.host.clone() }
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
