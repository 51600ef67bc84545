//! The other end of HTTP: asks another vstream's pages for what a page of ours shows.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_io::{Async, Timer};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Version};
use smol::future::or;
use smol_hyper::rt::FuturesIo;

use super::{Response, login};
use crate::key::Key;
use crate::tasks;

/// Time to connect and be answered.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is read ahead of a page that takes a stream slowly.
const AHEAD: usize = 64 << 10;

/// Asks `host:port` and passes its answer on: status, type and the body as it comes.
pub async fn ask(
    host: &str,
    port: u16,
    method: Method,
    path: &str,
    body: Bytes,
    key: Option<&Key>,
) -> Result<Response> {
    let asked = async {
        let addresses = smol::net::resolve((host, port)).await;
        let addresses = addresses.with_context(|| format!("could not find the host {host}"))?;
        let mut failed = anyhow::anyhow!("the host {host} has no address");
        for address in addresses {
            match Async::<std::net::TcpStream>::connect(address).await {
                Ok(stream) => return request(stream, address, method, path, body, key).await,
                Err(error) => failed = error.into(),
            }
        }
        bail!(failed)
    };
    in_time(asked).await.with_context(|| format!("could not ask http://{host}:{port}{path}"))
}

async fn request(
    stream: Async<std::net::TcpStream>,
    address: SocketAddr,
    method: Method,
    path: &str,
    body: Bytes,
    key: Option<&Key>,
) -> Result<Response> {
    let io = FuturesIo::new(smol::net::TcpStream::from(stream));
    let mut http = http1::Builder::new();
    let (mut sender, connection) = http.max_buf_size(AHEAD).handshake(io).await?;
    tasks::spawn(connection).detach(); // it ends with the answer, or when nobody takes it any more
    // By address: a name would be checked over there against what it is called there.
    let mut request = hyper::Request::builder().method(method).uri(path).header(HOST, address.to_string());
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, login::bearer(key));
    }
    Ok(passed_on(sender.send_request(request.body(Full::new(body))?).await?))
}

fn passed_on(answer: hyper::Response<Incoming>) -> Response {
    let (head, body) = answer.into_parts();
    let kind = head.headers.get(CONTENT_TYPE).cloned();
    let mut response = Response::new(body.map_err(std::io::Error::other).boxed_unsync());
    *response.status_mut() = head.status;
    if head.version == Version::HTTP_10 {
        *response.version_mut() = head.version;
    }
    let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(CONTENT_TYPE, kind);
    super::reply::fresh(response)
}

async fn in_time<T>(act: impl Future<Output = Result<T>>) -> Result<T> {
    let late = async {
        Timer::after(PATIENCE).await;
        bail!("no answer within {} s", PATIENCE.as_secs())
    };
    or(act, late).await
}
