//! The panel: its page and what it monitors, on top of the API, which answers everything else.

use std::process::{Command, Stdio};

use async_trait::async_trait;
use hyper::Method;
use serde_json::{Value, json};

use super::api::Api;
use super::monitor;
use crate::endpoint::Endpoint;
use crate::key::Key;
use crate::web::assets::{self, Asset};
use crate::web::{Request, Response, Site, reply};

pub struct Panel {
    pub api: Api,
    pub monitors: Vec<Endpoint>,
    /// Theirs, as ours.
    pub key: Option<Key>,
}

static PAGE: &[&Asset] = &[
    &Asset { path: "/", kind: assets::HTML, data: include_bytes!("../../../web/shape/index.html") },
    &Asset { path: "/shape.js", kind: assets::JS, data: include_bytes!("../../../web/shape/shape.js") },
    &Asset { path: "/values.js", kind: assets::JS, data: include_bytes!("../../../web/shape/values.js") },
    &Asset { path: "/monitor.js", kind: assets::JS, data: include_bytes!("../../../web/shape/monitor.js") },
    &Asset { path: "/shape.css", kind: assets::CSS, data: include_bytes!("../../../web/shape/shape.css") },
    &assets::STYLE,
    &assets::CHART,
    &assets::VIDEO,
    &assets::ICON,
];

#[async_trait]
impl Site for Panel {
    async fn handle(&self, request: Request) -> Response {
        let path = request.uri().path().to_string();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match parts[..] {
            ["monitors"] if request.method() == Method::GET => {
                reply::json(&self.monitors.iter().map(|m| json!({ "url": m.to_string() })).collect::<Vec<Value>>())
            }
            ["monitors", number, page] => match number.parse().ok().and_then(|n: usize| self.monitors.get(n)) {
                Some(of) => monitor::answer(of, self.key.as_ref(), page, &request).await,
                None => reply::not_found(&path),
            },
            _ if request.method() == Method::GET
                && let Some(asset) = assets::find(PAGE, &request) =>
            {
                asset
            }
            _ => self.api.handle(request).await,
        }
    }
}

/// Opens a page in the user's browser.
pub fn open(url: &str) {
    let mut command = Command::new("xdg-open");
    command.env_remove("VSTREAM_KEY"); // a browser needs none of it
    let started = command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    match started {
        Ok(mut browser) => _ = std::thread::spawn(move || browser.wait()), // or it would stay as a zombie
        Err(_) => log::warn!("could not open a browser: there is no xdg-open here; go to {url}"),
    }
}
