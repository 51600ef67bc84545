//! `--monitor`: the pages of a stream that passes through the proxy, as another vstream serves them, asked for by the panel.
//! They come from here, so that a phone sees them too, and no page asks another server.

use bytes::Bytes;
use hyper::{Method, StatusCode};

use crate::endpoint::Endpoint;
use crate::fault;
use crate::key::Key;
use crate::roles::http;
use crate::web::{Request, Response, client, reply};

/// Reads the value of `--monitor`.
pub fn address(text: &str) -> Result<Endpoint, String> {
    match http::address(text)? {
        Endpoint { port: 0, .. } => {
            Err("port 0 is for listening: name the port that the stream's page has".to_string())
        }
        endpoint => Ok(endpoint),
    }
}

/// Passes on what the panel asks of a stream: its figures, its picture, its sender's settings.
pub async fn answer(of: &Endpoint, key: Option<&Key>, page: &str, request: &Request) -> Response {
    let (method, path) = match (request.method(), page) {
        (&Method::GET, "state" | "stream" | "control") => (Method::GET, format!("/{page}")),
        (&Method::PATCH, "control") => (Method::PATCH, "/control".to_string()),
        (_, "state" | "stream" | "control") => return reply::method_not_allowed("GET, of control also PATCH"),
        _ => return reply::not_found(request.uri().path()),
    };
    let host = if of.host.is_empty() { "localhost" } else { &of.host };
    let body = if method == Method::PATCH { request.body().clone() } else { Bytes::new() };
    match client::ask(host, of.port, method, &path, body, key).await {
        Ok(answer) => answer,
        Err(error) => reply::refusal(StatusCode::BAD_GATEWAY, &fault::line(&error)),
    }
}
