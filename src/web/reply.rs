//! Responses in their usual forms.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response as Head, StatusCode};
use serde::Serialize;
use smol::stream::Stream;

use super::{Body, Response};

pub const TEXT: &str = "text/plain; charset=utf-8";
pub const JSON: &str = "application/json";

/// A whole body.
pub fn whole(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response {
    response(status, kind, Full::new(body.into()).map_err(|never| match never {}).boxed_unsync())
}

pub fn text(body: impl Into<Bytes>) -> Response {
    whole(StatusCode::OK, TEXT, body)
}

pub fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => whole(StatusCode::OK, JSON, body),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

pub fn empty(status: StatusCode) -> Response {
    let mut response = Head::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// No, and why, in a line.
#[derive(Debug)]
pub struct Refusal(pub StatusCode, pub String);

impl From<Refusal> for Response {
    fn from(Refusal(status, why): Refusal) -> Response {
        refusal(status, &why)
    }
}

pub fn refusal(status: StatusCode, why: &str) -> Response {
    whole(status, TEXT, format!("{why}\n"))
}

pub fn not_found(path: &str) -> Response {
    refusal(StatusCode::NOT_FOUND, &format!("there is no {path} here"))
}

pub fn method_not_allowed(allowed: &'static str) -> Response {
    let refused = refusal(StatusCode::METHOD_NOT_ALLOWED, &format!("this takes {allowed}"));
    with(refused, hyper::header::ALLOW, allowed)
}

/// A body whose pieces come as they come; the stream is asked for one when the last has gone out.
pub fn streaming(kind: &'static str, pieces: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let pieces = smol::stream::StreamExt::map(pieces, |piece| Ok(Frame::data(piece)));
    response(StatusCode::OK, kind, StreamBody::new(pieces).boxed_unsync())
}

/// The same, with something that is kept for as long as the body is sent.
pub fn holding(response: Response, kept: impl Send + 'static) -> Response {
    response.map(|body| {
        let piece = move |piece| {
            _ = &kept;
            piece
        };
        body.map_frame(piece).boxed_unsync()
    })
}

pub fn with(mut response: Response, name: HeaderName, value: &'static str) -> Response {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

fn response(status: StatusCode, kind: &'static str, body: Body) -> Response {
    let mut response = Head::new(body);
    *response.status_mut() = status;
    fresh(with(response, CONTENT_TYPE, kind))
}

/// Not to be cached, nor to be taken for what it does not say it is.
pub fn fresh(response: Response) -> Response {
    let response = with(response, CACHE_CONTROL, "no-store");
    with(response, X_CONTENT_TYPE_OPTIONS, "nosniff")
}
