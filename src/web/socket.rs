//! WebSockets (RFC 6455): a request becomes one, on the connection that it came by.

use anyhow::{Context, Result, anyhow};
use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::Error;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use hyper::StatusCode;
use hyper::header::{CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::upgrade::{OnUpgrade, Parts};
use smol_hyper::rt::FuturesIo;

use super::reply::Refusal;
use super::slow::Slow;
use super::stream::Stream;
use super::{Request, Response, reply};

pub use async_tungstenite::tungstenite::Message;

pub type Socket = WebSocketStream<Stream>;

/// What is read at once, and kept for each socket; one whose messages are no longer has little to say, and is read slowly.
const READ: usize = 4 << 10;

/// The answer that makes a WebSocket of a request's connection, whose messages have so many bytes at most, and what to await
/// for it; or why not.
pub fn upgrade(mut request: Request, most: usize) -> Result<(Response, impl Future<Output = Result<Socket>>), Refusal> {
    let named = |name: HeaderName, wanted: &str| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(',').any(|one| one.trim().eq_ignore_ascii_case(wanted))
    };
    let asked = named(UPGRADE, "websocket") && named(CONNECTION, "upgrade") && named(SEC_WEBSOCKET_VERSION, "13");
    let key = request.headers().get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let accept = key.filter(|_| asked).and_then(|key| key.parse().ok());
    let (Some(accept), Some(on)) = (accept, request.extensions_mut().remove::<OnUpgrade>()) else {
        return Err(Refusal(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket, version 13".to_string()));
    };
    let mut response = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    let response = reply::with(reply::with(response, UPGRADE, "websocket"), CONNECTION, "Upgrade");
    Ok((response, open(on, most)))
}

async fn open(on: OnUpgrade, most: usize) -> Result<Socket> {
    let upgraded = on.await.context("the connection did not become a WebSocket")?;
    let parts = upgraded.downcast::<FuturesIo<Stream>>();
    let Parts { io, read_buf, .. } = parts.map_err(|_| anyhow!("the connection is of another kind"))?;
    let config = WebSocketConfig::default().max_message_size(Some(most)).max_frame_size(Some(most));
    let config = config.read_buffer_size(if most > READ { config.read_buffer_size } else { READ });
    let (stream, read) = (io.into_inner(), read_buf.to_vec());
    let stream = if most > READ { stream } else { Box::new(Slow::new(stream)) };
    Ok(WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await)
}

/// What is wrong with a socket, said once.
pub fn plain(error: Error) -> anyhow::Error {
    match error {
        Error::Protocol(error) => error.into(),
        Error::Io(error) => error.into(),
        Error::Capacity(error) => error.into(),
        error => anyhow!("{error}"),
    }
}
