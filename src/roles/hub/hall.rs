//! What there is to watch, and what all of it takes: for guests that look for something, for `/state` and for the stats.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use async_channel::bounded;
use base64ct::{Base64, Encoding};
use smol::future::or;
use smol::stream::StreamExt;

use super::Hub;
use super::socket::{self, text};
use crate::allowance::Allowance;
use crate::clock::Time;
use crate::endpoint;
use crate::greet;
use crate::link::Link;
use crate::message::{About, Hello, LIST_MAX, Message, Welcome};
use crate::roles::calls::refuse;
use crate::roles::library::{Entry, State};
use crate::stats::Line;
use crate::web::socket::Socket;
use crate::word::{Hall, Live, Video, Word};

/// How often a guest is told what there is.
const AGAIN: Duration = Duration::from_secs(1);

/// Videos that a list names on a page; over a link those that fit into a word.
const VIDEOS: usize = 1000;
/// Pictures that a guest may ask for before it has them.
const ASKED: usize = 8;
/// Characters of a title, or of why there is nothing to see.
const TEXT: usize = 120;

/// Tells a guest what there is until it leaves.
pub async fn serve(hub: &Hub, mut link: Link, hello: Hello) {
    let _place = match hub.lookers.take(&link.peer, "") {
        Ok(place) => place,
        Err(why) => return refuse(link, why).await,
    };
    let welcome = Welcome { name: String::new(), agent: greet::agent(), stream: About::default() };
    if link.tx.send(Message::Welcome(welcome)).await.is_err() {
        return;
    }
    log::debug!("{} looks what there is ({})", link.peer, greet::printable(&hello.agent));
    let (ask, asked) = bounded(ASKED);
    let telling = async {
        let mut word = Word::Hall(fitting(hub.hall()));
        while !hub.job.stop.said() && link.tx.send(Message::Word(word)).await.is_ok() {
            let hall = async {
                hub.job.stop.pause(AGAIN).await;
                Word::Hall(fitting(hub.hall()))
            };
            let poster = async {
                match asked.recv().await {
                    Ok(name) => hub.poster(name),
                    Err(_) => pending().await,
                }
            };
            word = or(hall, poster).await;
        }
    };
    // It asks for pictures, pings now and then, and says bye.
    let leaving = async {
        let mut words = Allowance::of_words();
        loop {
            words.taken().await;
            match link.rx.recv().await {
                Ok(Some(Message::Word(Word::Poster { name, .. }))) => _ = ask.try_send(name),
                Ok(Some(Message::Ping(_) | Message::Word(_))) => {}
                _ => return,
            }
        }
    };
    or(telling, leaving).await;
}

/// The same for a page.
pub async fn show(hub: &Hub, mut socket: Socket, peer: SocketAddr) {
    let _place = match hub.lookers.take(&peer.to_string(), "") {
        Ok(place) => place,
        Err(why) => return socket::refuse(&mut socket, peer, why).await,
    };
    let (mut tx, mut rx) = socket.split();
    let telling = async {
        while !hub.job.stop.said() && tx.send(text(&Word::Hall(hub.hall()))).await.is_ok() {
            hub.job.stop.pause(AGAIN).await;
        }
    };
    let leaving = async {
        let mut words = Allowance::of_words();
        while let Some(Ok(_)) = rx.next().await {
            words.taken().await;
        }
    };
    or(telling, leaving).await;
}

/// What of it can cross a link in one word.
fn fitting(mut hall: Hall) -> Hall {
    let room = LIST_MAX - 100; // for what stands around it
    while serde_json::to_vec(&hall).is_ok_and(|json| json.len() > room) {
        hall.videos.truncate(hall.videos.len() * 9 / 10);
    }
    hall
}

/// What there is room for of a title, or of a reason.
pub fn short(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some(_) => text.chars().take(TEXT - 1).chain(['…']).collect(),
        None => text.to_string(),
    }
}

fn video(Entry { name, title, seconds, rungs, state }: Entry) -> Video {
    let preparing = state.preparing();
    let failed = match state {
        State::Failed(why) => Some(short(&why)),
        _ => None,
    };
    let rungs = rungs.iter().rev().map(|offer| format!("{}p", offer.height)).collect();
    Video { name, title: short(&title), seconds: seconds.unwrap_or_default(), rungs, preparing, failed }
}

impl Hub {
    pub fn hall(&self) -> Hall {
        let live = |room: &std::sync::Arc<super::Room>| {
            let state = room.figures();
            let streamer = state.streamer?;
            Some(Live {
                name: state.stream,
                streamer: streamer.name,
                viewers: state.count,
                size: streamer.size,
                fps: streamer.fps,
            })
        };
        Hall { streams: self.rooms().iter().filter_map(live).collect(), videos: self.videos() }
    }

    /// The picture of a video, where there is one that fits into a word.
    fn poster(&self, name: String) -> Word {
        let library = self.library.as_ref().filter(|_| endpoint::check_name(&name).is_ok());
        let jpeg = library.and_then(|library| library.poster(&name)).map(|jpeg| Base64::encode_string(&jpeg));
        let jpeg = jpeg.filter(|jpeg| jpeg.len() + 100 <= LIST_MAX).unwrap_or_default();
        Word::Poster { name: name.chars().take(TEXT).collect(), jpeg }
    }

    fn videos(&self) -> Vec<Video> {
        let Some(library) = &self.library else { return Vec::new() };
        library.list().into_iter().take(VIDEOS).map(video).collect()
    }

    /// A line for each streamer and each viewer; the totals at the end.
    pub fn lines(&self, base: Line, now: Time) -> Vec<Line> {
        if base.last {
            return vec![self.total(base, now)];
        }
        let listening = base.listening.clone();
        let rooms = self.rooms();
        let of = |room: &std::sync::Arc<super::Room>| {
            let viewers = room.board.viewer_lines(now);
            let mut lines = room.stream().map_or(Vec::new(), |_| room.board.lines(now)); // nobody sends a video
            lines.iter_mut().for_each(|line| line.viewers = Some(viewers.len()));
            lines.extend(viewers);
            lines
        };
        let told = |line: Line| Line { t: base.t, listening: listening.clone(), ..line };
        let lines: Vec<Line> = rooms.iter().flat_map(of).map(told).collect();
        if lines.is_empty() { vec![Line { viewers: Some(0), ..base }] } else { lines }
    }

    fn total(&self, base: Line, now: Time) -> Line {
        let totals = self.rooms().into_iter().map(|room| room.board.total(now));
        totals.fold(base, |sum, room| Line {
            frames: Some(sum.frames.unwrap_or(0) + room.frames.unwrap_or(0)),
            bytes: sum.bytes + room.bytes,
            lost: Some(sum.lost.unwrap_or(0) + room.lost.unwrap_or(0)),
            ..sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hall_fits_into_a_word_however_much_there_is() {
        let streams = vec![Live { name: "n".repeat(32), streamer: "\u{1F600}".repeat(32), ..Live::default() }; 64];
        let video = Video { title: "\"".repeat(TEXT), failed: Some("\u{1F600}".repeat(TEXT)), ..Video::default() };
        let hall = fitting(Hall { streams, videos: vec![video; VIDEOS] });
        assert_eq!(hall.streams.len(), 64);
        assert!(!hall.videos.is_empty());
        let (head, tail) = Message::Word(Word::Hall(hall)).encode();
        assert!(Message::length(*head.first_chunk().unwrap()).is_ok() && tail.is_empty());
    }
}
