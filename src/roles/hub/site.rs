//! The hub in a browser: its page, each stream's pictures and figures for other programs, and the WebSocket of both.

use std::sync::Arc;

use async_trait::async_trait;
use hyper::{Method, StatusCode};
use serde_json::json;

use super::socket::{self, Visit};
use super::{Hub, golive};
use crate::clock;
use crate::endpoint;
use crate::fault;
use crate::tasks;
use crate::web::assets::{self, Asset};
use crate::web::socket::{Socket, upgrade};
use crate::web::{Peer, Request, Response, Site, metrics, query, reply};

pub struct Hall {
    pub hub: Arc<Hub>,
}

static PAGE: &[&Asset] = &[
    &Asset { path: "/", kind: assets::HTML, data: include_bytes!("../../../web/hub/index.html") },
    &Asset { path: "/hub.js", kind: assets::JS, data: include_bytes!("../../../web/hub/hub.js") },
    &Asset { path: "/room.js", kind: assets::JS, data: include_bytes!("../../../web/hub/room.js") },
    &Asset { path: "/golive.js", kind: assets::JS, data: include_bytes!("../../../web/hub/golive.js") },
    &Asset { path: "/hub.css", kind: assets::CSS, data: include_bytes!("../../../web/hub/hub.css") },
    &assets::STYLE,
    &assets::CHART,
    &assets::ICON,
];

/// What a WebSocket is asked for.
enum Wanted {
    Look,
    Watch(String),
    Live { name: String, take_over: bool },
}

#[async_trait]
impl Site for Hall {
    async fn handle(&self, request: Request) -> Response {
        if request.method() != Method::GET {
            return reply::method_not_allowed("GET");
        }
        let path = request.uri().path();
        let action = query(&request, "action").is_some() && path == "/";
        match path {
            "/ws" => self.socket(request),
            "/stream" | "/video_feed" | "/snapshot" => self.of_room(request).await,
            "/poster" => self.poster(&request),
            "/state" if query(&request, "name").is_some() => self.of_room(request).await,
            _ if action => self.of_room(request).await,
            "/state" => self.state(),
            "/metrics" => {
                let rooms = self.hub.rooms();
                let boards: Vec<_> = rooms.iter().map(|room| &*room.board).collect();
                reply::whole(StatusCode::OK, metrics::KIND, metrics::of(&self.hub.job.board, &boards))
            }
            "/health" => reply::text("ok\n"),
            _ => assets::find(PAGE, &request).unwrap_or_else(|| reply::not_found(path)),
        }
    }
}

impl Hall {
    async fn of_room(&self, request: Request) -> Response {
        let room = match self.hub.find(query(&request, "name").as_deref()) {
            Ok(room) => room,
            Err(why) => return reply::refusal(StatusCode::NOT_FOUND, &why),
        };
        let Some(stream) = room.stream() else {
            self.hub.left(&room, false); // nobody has come in
            let why = "a video has no one picture: watch it on the page or by a link";
            return reply::refusal(StatusCode::NOT_FOUND, why);
        };
        let path = request.uri().path();
        let stays = ["/stream", "/video_feed"].contains(&path)
            || (path == "/" && query(&request, "action").as_deref() == Some("stream"));
        let peer = request.extensions().get::<Peer>().filter(|_| stays).copied();
        match peer.map(|Peer(peer)| self.hub.place(&peer.to_string(), &room)).transpose() {
            Ok(place) => reply::holding(stream.site.handle(request).await, place),
            Err(why) => {
                peer.into_iter().for_each(|Peer(peer)| log::info!("{peer} was refused: {why}"));
                reply::refusal(StatusCode::SERVICE_UNAVAILABLE, &why)
            }
        }
    }

    /// A picture of a video.
    fn poster(&self, request: &Request) -> Response {
        let name = query(request, "name").unwrap_or_default();
        match self.hub.library.as_ref().and_then(|library| library.poster(&name)) {
            Some(poster) => reply::whole(StatusCode::OK, "image/jpeg", poster),
            None => reply::refusal(StatusCode::NOT_FOUND, "there is no picture of such a video"),
        }
    }

    fn state(&self) -> Response {
        let rooms: Vec<_> = self.hub.rooms().iter().map(|room| room.figures()).collect();
        let hall = self.hub.hall();
        let time = clock::now().unix_micros();
        reply::json(&json!({
            "ok": true,
            "result": { "rooms": rooms, "streams": hall.streams, "videos": hall.videos, "time": time },
        }))
    }

    fn socket(&self, request: Request) -> Response {
        let flag = |name: &str| query(&request, name).is_some_and(|value| value != "0");
        let name = query(&request, "name");
        let wanted = match (flag("live"), name) {
            (true, name) => {
                let name = name.unwrap_or_else(|| endpoint::NAME.to_string());
                Wanted::Live { name, take_over: flag("take_over") }
            }
            (false, Some(name)) => Wanted::Watch(name),
            (false, None) => Wanted::Look,
        };
        let Some(Peer(peer)) = request.extensions().get::<Peer>().copied() else { return reply::not_found("/ws") };
        let visit = Visit { peer, user: query(&request, "user"), rung: query(&request, "rung") };
        // Pictures come from those alone who go live.
        let most = if matches!(wanted, Wanted::Live { .. }) { socket::PICTURE_MAX } else { socket::WORD_MAX };
        match upgrade(request, most) {
            Ok((response, opened)) => {
                let hub = self.hub.clone();
                tasks::spawn(async move {
                    match opened.await {
                        Ok(socket) => serve(&hub, socket, wanted, visit).await,
                        Err(error) => log::debug!("{}: {}", visit.peer, fault::line(&error)),
                    }
                })
                .detach();
                response
            }
            Err(refusal) => refusal.into(),
        }
    }
}

async fn serve(hub: &Arc<Hub>, mut socket: Socket, wanted: Wanted, visit: Visit) {
    match wanted {
        Wanted::Look => super::hall::show(hub, socket, visit.peer).await,
        Wanted::Watch(name) => match hub.find(Some(&name)) {
            Ok(room) => {
                socket::watch(hub, &room, socket, visit).await;
                hub.left(&room, false);
            }
            Err(why) => socket::refuse(&mut socket, visit.peer, why).await,
        },
        Wanted::Live { name, take_over } => match hub.room(&name) {
            Ok(room) => {
                let over = golive::serve(hub, &room, socket, visit, take_over).await;
                hub.left(&room, over);
            }
            Err(why) => socket::refuse(&mut socket, visit.peer, why).await,
        },
    }
}
