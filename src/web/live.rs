//! The site of a live stream: its page, pictures and figures, and the control of its sender.

use std::sync::Arc;
use std::time::Duration;

use async_io::Timer;
use async_trait::async_trait;
use hyper::header::HeaderName;
use hyper::{Method, StatusCode};
use serde_json::Value;
use smol::future::or;

use super::assets::{self, Asset};
use super::sizes::{Scaler, Sizes};
use super::views::{Views, jpeg};
use super::{Peer, Request, Response, Site, metrics, multipart, query, reply, state};
use crate::adapt::Limits;
use crate::frame::Frame;
use crate::latest::Latest;
use crate::stats::Board;
use crate::units;

/// Time for a first picture: a camera that was asleep needs a second or two.
const FIRST: Duration = Duration::from_secs(5);

/// Settings of a sender that can change while it runs.
pub trait Control: Send + Sync {
    fn settings(&self) -> Value;
    /// Changes what is named, all or nothing; why not, otherwise.
    fn change(&self, wanted: &Value) -> Result<(), String>;
}

pub struct Live {
    pub views: Arc<Views>,
    pub board: Arc<Board>,
    pub control: Option<Arc<dyn Control>>,
    pub sizes: Sizes,
    /// Of each viewer of `/stream`.
    pub limits: Arc<Limits>,
}

#[async_trait]
impl Site for Live {
    async fn handle(&self, request: Request) -> Response {
        let path = request.uri().path();
        if path == "/control" {
            return self.control(&request);
        }
        if request.method() != Method::GET {
            return reply::method_not_allowed("GET");
        }
        match (path, query(&request, "action").as_deref()) {
            ("/stream" | "/video_feed", _) | ("/", Some("stream")) => self.stream(&request),
            ("/snapshot", _) | ("/", Some("snapshot")) => self.snapshot(&request).await,
            ("/state", _) => reply::json(&state::of(self)),
            ("/metrics", _) => reply::whole(StatusCode::OK, metrics::KIND, metrics::of(&self.board, &[&self.board])),
            ("/health", _) => reply::text("ok\n"),
            _ => assets::find(PAGE, &request).unwrap_or_else(|| reply::not_found(path)),
        }
    }
}

static PAGE: &[&Asset] = &[
    &Asset { path: "/", kind: assets::HTML, data: include_bytes!("../../web/live/index.html") },
    &Asset { path: "/live.js", kind: assets::JS, data: include_bytes!("../../web/live/live.js") },
    &Asset { path: "/live.css", kind: assets::CSS, data: include_bytes!("../../web/live/live.css") },
    &assets::STYLE,
    &assets::CHART,
    &assets::VIDEO,
    &assets::ICON,
];

impl Live {
    fn stream(&self, request: &Request) -> Response {
        let fps = query(request, "fps").map(|text| units::fps(&text)).transpose();
        let (size, fps) = match (size(request), fps) {
            (Ok(size), Ok(fps)) => (size, fps),
            (Err(why), _) | (_, Err(why)) => return reply::refusal(StatusCode::BAD_REQUEST, &why),
        };
        let Some(frames) = self.subscribe(size) else {
            let why = "so many sizes are watched that no other can be made: ask for one of 240p to 2160p";
            return reply::refusal(StatusCode::SERVICE_UNAVAILABLE, why);
        };
        let name = request.extensions().get::<Peer>().map_or("?".to_string(), |peer| peer.0.to_string());
        multipart::response(frames, self.board.view(&name), fps, self.limits.clone())
    }

    fn subscribe(&self, size: Option<(usize, usize)>) -> Option<Latest<Frame>> {
        match size {
            Some(size) => self.sizes.subscribe(size),
            None => Some(self.views.subscribe()),
        }
    }

    async fn snapshot(&self, request: &Request) -> Response {
        let size = match size(request) {
            Ok(size) => size,
            Err(why) => return reply::refusal(StatusCode::BAD_REQUEST, &why),
        };
        let mut frames = self.views.subscribe();
        let late = async {
            Timer::after(FIRST).await;
            None
        };
        let Some(frame) = or(frames.next(), late).await else {
            return reply::refusal(StatusCode::SERVICE_UNAVAILABLE, "there is no picture yet");
        };
        drop(frames); // the source may rest while this one is scaled
        let scaled = smol::unblock(move || match size {
            Some(size) => Scaler::new(size).scale(&frame),
            None => Ok(frame),
        })
        .await;
        match scaled {
            Ok(frame) => picture(&frame),
            Err(error) => reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, &crate::fault::line(&error)),
        }
    }

    fn control(&self, request: &Request) -> Response {
        let Some(control) = &self.control else {
            return reply::refusal(StatusCode::NOT_FOUND, "there is nothing to control here: ask the sender");
        };
        let changed = match *request.method() {
            Method::GET => Ok(()),
            Method::PATCH => serde_json::from_slice(request.body())
                .map_err(|error| format!("the body is no JSON: {error}"))
                .and_then(|wanted| control.change(&wanted)),
            _ => return reply::method_not_allowed("GET, PATCH"),
        };
        match changed {
            Ok(()) => reply::json(&control.settings()),
            Err(why) => reply::refusal(StatusCode::BAD_REQUEST, &why),
        }
    }
}

fn picture(frame: &Frame) -> Response {
    let mut response = reply::whole(StatusCode::OK, "image/jpeg", jpeg(frame));
    if let Ok(time) = multipart::timestamp(frame).parse() {
        response.headers_mut().insert(HeaderName::from_static("x-timestamp"), time);
    }
    response
}

/// `?size=480p`; `source` is the stream's own.
fn size(request: &Request) -> Result<Option<(usize, usize)>, String> {
    query(request, "size").filter(|text| text != "source").map(|text| units::size(&text)).transpose()
}
