//! The server: connections in, in the open or inside TLS, checked requests to a `Site`, responses out. What a client may cost is bounded: bytes of
//! headers and body, time for both, connections.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_io::{Async, Timer};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use smol::future::or;
use smol::lock::{Semaphore, SemaphoreGuardArc};
use smol_hyper::rt::{FuturesIo, SmolTimer};
use socket2::SockRef;

use super::access::Access;
use super::reply::{self, Refusal};
use super::stream::{self, Tls};
use super::{Encrypted, Peer, Request, Response, Site};
use crate::clock;
use crate::lock::lock;
use crate::log::Repeated;
use crate::stop::Stop;
use crate::strangers::{Stranger, Strangers};
use crate::tasks;

/// Connections at once: a browser opens at most six, and a usual limit of 1024 open files leaves room for the rest.
const CONNECTIONS: usize = 400;
/// Of them so many that have not asked for anything yet: browsers open some in advance.
const SILENT: usize = 100;
/// Request line and headers; browsers and proxies send 1 to 4 KiB. Also what a connection buffers before it asks a
/// streaming body for more.
const HEAD_MAX: usize = 16 << 10;
/// No request of ours is longer than a list of proxies or a line of settings.
pub const BODY_MAX: usize = 1 << 20;
/// Time for a connection's beginning, for a request's headers, for its body, and between two requests on one connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// A peer that takes nothing for so long is gone.
const GONE: Duration = Duration::from_secs(30);
/// What may wait in the kernel unsent: the rest waits with us, where a newer frame can replace it.
const UNSENT: u32 = 16 << 10;
/// Who gives way has left its seat after so long, on a busy machine too.
const GIVEN_UP: Duration = Duration::from_millis(100);
/// Out of file descriptors, most likely: asking again at once would spin.
const AGAIN: Duration = Duration::from_millis(100);

/// Serves a site until told to stop. A connection that is being answered then is cut off.
pub async fn serve(listener: Async<TcpListener>, tls: Tls, access: Access, site: Arc<dyn Site>, stop: Stop) {
    let tls = Arc::new(tls);
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    let strangers = Strangers::new(SILENT);
    let access = Arc::new(access);
    let mut trouble = Repeated::default();
    let accept = async {
        loop {
            let accepted = match listener.accept().await {
                Ok((stream, peer)) => open(stream, peer, &seats).await,
                Err(error) => {
                    Timer::after(AGAIN).await;
                    Err(error)
                }
            };
            match accepted {
                Ok((connection, seat)) => {
                    let (tls, access, site, stop) = (tls.clone(), access.clone(), site.clone(), stop.clone());
                    let (stranger, _) = strangers.enter(&connection.ends.peer.ip().to_string());
                    let gives_way = stranger.leave.clone();
                    let served = async move { converse(connection, &tls, access, site, (seat, stranger)).await };
                    let over = async move { or(stop.heard(), gives_way.heard()).await };
                    tasks::spawn(or(served, over)).detach();
                }
                Err(error) => {
                    if let Some(n) = trouble.again(clock::now()) {
                        log::warn!(
                            "could not serve a browser ({n} times): {}",
                            crate::fault::plain(&error.to_string())
                        );
                    }
                }
            }
        }
    };
    or(accept, stop.heard()).await;
}

struct Connection {
    stream: Async<TcpStream>,
    ends: Ends,
}

/// Who called, and what.
#[derive(Clone, Copy)]
struct Ends {
    peer: SocketAddr,
    local: SocketAddr,
}

/// Takes a caller in where there is a seat, or one is just left by who gives way; else tells it so.
async fn open(
    stream: Async<TcpStream>,
    peer: SocketAddr,
    seats: &Arc<Semaphore>,
) -> std::io::Result<(Connection, SemaphoreGuardArc)> {
    let late = async {
        Timer::after(GIVEN_UP).await;
        None
    };
    let Some(seat) = or(async { Some(seats.acquire_arc().await) }, late).await else {
        let full =
            "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 5\r\n\r\n";
        let _ = stream.get_ref().write(full.as_bytes()); // a fresh socket takes it whole or has lost its peer
        return Err(std::io::Error::other(format!(
            "all {CONNECTIONS} connections are taken, {} was turned away",
            peer
        )));
    };
    let socket = SockRef::from(stream.get_ref());
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(GONE))?;
    socket.set_tcp_notsent_lowat(UNSENT)?;
    let local = stream.get_ref().local_addr()?;
    Ok((Connection { stream, ends: Ends { peer: canonical(peer), local: canonical(local) } }, seat))
}

/// IPv4 as such, also where it came to an IPv6 socket.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// All requests of one connection.
async fn converse(
    Connection { stream, ends }: Connection,
    tls: &Tls,
    access: Arc<Access>,
    site: Arc<dyn Site>,
    (_seat, stranger): (SemaphoreGuardArc, Stranger),
) {
    let silent = Mutex::new(Some(stranger));
    let late = async {
        Timer::after(PATIENCE).await;
        Err(ErrorKind::TimedOut.into())
    };
    let (stream, encrypted) = match or(stream::begun(stream, tls), late).await {
        Ok(begun) => begun,
        Err(error) => return log::debug!("{}: {error}", ends.peer),
    };
    let service = service_fn(|mut request: hyper::Request<Incoming>| {
        drop(lock(&silent).take());
        if encrypted {
            request.extensions_mut().insert(Encrypted);
        }
        answer(request, ends, &access, &*site)
    });
    let mut http = http1::Builder::new();
    http.timer(SmolTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD_MAX).writev(true);
    let io = FuturesIo::new(stream);
    if let Err(error) = http.serve_connection(io, service).with_upgrades().await {
        log::debug!("{}: {error}", ends.peer);
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    ends: Ends,
    access: &Access,
    site: &dyn Site,
) -> Result<Response, std::convert::Infallible> {
    let (mut head, body) = request.into_parts();
    let allowed = match access.check(&head, ends.local.ip()) {
        Ok(allowed) => allowed,
        Err(refusal) => return Ok(closing(refusal.into())),
    };
    if head.method == Method::OPTIONS {
        return Ok(allowed.grant(reply::empty(StatusCode::NO_CONTENT)));
    }
    let body = match whole(body, head.headers.contains_key(EXPECT)).await {
        Ok(body) => body,
        Err(refusal) => return Ok(closing(allowed.grant(refusal.into()))),
    };
    if head.method == Method::HEAD {
        head.method = Method::GET;
    }
    head.extensions.insert(Peer(ends.peer));
    let request = Request::from_parts(head, body);
    Ok(allowed.grant(match access.asked_for_key(&request).await {
        Some(response) => response,
        None => site.handle(request).await,
    }))
}

fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The body, or why not. One that is too long is read to its end all the same, as far as time allows: a client that still
/// sends would not see the answer. One that waits for leave (`Expect`) gets the answer at once.
async fn whole(mut body: Incoming, expects: bool) -> Result<Bytes, Refusal> {
    let too_long = || Refusal(StatusCode::PAYLOAD_TOO_LARGE, format!("a body may have {BODY_MAX} bytes"));
    if expects && body.size_hint().lower() > BODY_MAX as u64 {
        return Err(too_long());
    }
    let mut data = BytesMut::new();
    let mut left_out = body.size_hint().lower() > BODY_MAX as u64;
    let read = async {
        while let Some(piece) = body.frame().await {
            let broken = |_| Refusal(StatusCode::BAD_REQUEST, "the body broke off".to_string());
            let Ok(piece) = piece.map_err(broken)?.into_data() else { continue };
            left_out |= data.len() + piece.len() > BODY_MAX;
            if !left_out {
                data.extend_from_slice(&piece);
            }
        }
        if left_out { Err(too_long()) } else { Ok(()) }
    };
    let late = async {
        Timer::after(PATIENCE).await;
        let seconds = PATIENCE.as_secs();
        Err(Refusal(StatusCode::REQUEST_TIMEOUT, format!("the body did not come within {seconds} s")))
    };
    or(read, late).await.map(|()| data.freeze())
}
