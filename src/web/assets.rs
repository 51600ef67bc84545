//! The pages' files, from the folder `web/`, inside the program. A browser keeps them and asks whether they changed.

use std::hash::{DefaultHasher, Hash, Hasher};

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY};

use super::{Request, Response, reply};

pub struct Asset {
    /// Where it is asked for: `/style.css`; a page is `/`.
    pub path: &'static str,
    pub kind: &'static str,
    pub data: &'static [u8],
}

pub const HTML: &str = "text/html; charset=utf-8";
pub const CSS: &str = "text/css; charset=utf-8";
pub const JS: &str = "text/javascript; charset=utf-8";
pub const SVG: &str = "image/svg+xml";

/// What more than one page uses.
pub static STYLE: Asset = Asset { path: "/style.css", kind: CSS, data: include_bytes!("../../web/style.css") };
pub static CHART: Asset = Asset { path: "/chart.js", kind: JS, data: include_bytes!("../../web/chart.js") };
pub static VIDEO: Asset = Asset { path: "/video.js", kind: JS, data: include_bytes!("../../web/video.js") };
pub static ICON: Asset = Asset { path: "/icon.svg", kind: SVG, data: include_bytes!("../../web/icon.svg") };

/// Nothing from elsewhere, nothing inline, and no page around ours.
const POLICY: &str =
    "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The asset that a `GET` asks for, if it is one of these.
pub fn find(assets: &[&'static Asset], request: &Request) -> Option<Response> {
    assets.iter().find(|a| a.path == request.uri().path()).map(|asset| answer(asset, request))
}

fn answer(asset: &'static Asset, request: &Request) -> Response {
    let tag = tag(asset.data);
    let known = request.headers().get(IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    let same = known
        .is_some_and(|known| known.split(',').any(|t| t.trim().trim_start_matches("W/") == tag || t.trim() == "*"));
    let mut response = match same {
        true => reply::empty(StatusCode::NOT_MODIFIED),
        false => reply::whole(StatusCode::OK, asset.kind, asset.data),
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    let response = reply::with(response, CACHE_CONTROL, "no-cache");
    let response = reply::with(response, REFERRER_POLICY, "no-referrer");
    reply::with(response, CONTENT_SECURITY_POLICY, POLICY)
}

fn tag(data: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}
