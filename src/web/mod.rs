//! HTTP/1.1 on smol, in the open or inside TLS: a server that is bounded and checks who asks, the page's files, and the views of a stream.
//!
//! A role hands in a `Site`, which answers requests; everything before that (sizes, times, `Host`, `Origin`) is done here.
//! It does not choose addresses: a role opens the listening socket and passes it in.

use std::net::SocketAddr;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

pub mod access;
pub mod assets;
pub mod client;
pub mod live;
pub mod login;
pub mod metrics;
pub mod multipart;
pub mod reply;
pub mod server;
pub mod sizes;
mod slow;
pub mod socket;
pub mod state;
pub mod stream;
pub mod views;

/// A request whose body has been read, with its `Peer` among the extensions.
pub type Request = hyper::Request<Bytes>;
pub type Response = hyper::Response<Body>;
/// Whole or streaming. A streaming body is asked for its next piece when the last one has gone out.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What answers the requests that were let in.
#[async_trait]
pub trait Site: Send + Sync + 'static {
    /// `HEAD` arrives as `GET`; its body is left out on the way.
    async fn handle(&self, request: Request) -> Response;
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Among the extensions of a request that came inside TLS.
#[derive(Clone, Copy, Debug)]
pub struct Encrypted;

/// A value of the query, percent-decoded; of several the first.
pub fn query(request: &Request, name: &str) -> Option<String> {
    let pairs = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
    pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
