//! One who watches over a link: `recv`, `relay` or `player`.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_channel::Receiver;
use smol::future::or;

use super::Hub;
use super::playing::Playing;
use super::room::{Guest, Room};
use super::watched::{Seen, Watched, Wish};
use crate::alarm::Alarm;
use crate::clock::{self, Time};
use crate::draft::Draft;
use crate::fault;
use crate::greet;
use crate::link::Link;
use crate::message::{About, Hello, Message, Welcome};
use crate::path::Path;
use crate::publish::{End, Feed, Frames, Serving, publish};
use crate::roles::calls::{self, refuse};
use crate::stats::Peer;
use crate::stop::Stop;
use crate::word::Word;

/// How often the network is looked at for another rung.
pub const LOOK: Duration = Duration::from_millis(250);

pub async fn serve(hub: &Hub, room: &Arc<Room>, mut link: Link, hello: Hello) {
    let _place = match hub.place(&link.peer, room) {
        Ok(place) => place,
        Err(why) => return refuse(link, why).await,
    };
    let user = hello.visit.user.as_deref();
    let rung = hello.visit.rung.as_deref().unwrap_or(super::pictures::SOURCE);
    let entered = Watched::new(room, rung).and_then(|watched| {
        let playing = room.playing(&watched.wish().rung, false)?;
        // How one who was put out is known again: as the page of `socket.rs`, or where it has no name by its process.
        let named = user.map(|user| format!("{} {user}", calls::host(&link.peer)));
        let identity = named.unwrap_or_else(|| format!("process {}", hello.instance));
        Ok((watched, playing, room.enter(user, false, identity)?))
    });
    let (watched, playing, guest) = match entered {
        Ok(entered) => entered,
        Err(why) => return refuse(link, why).await,
    };
    let upstream = room.stream().map(|stream| &stream.upstream);
    let path = upstream.map_or_else(|| Arc::new(Path::new(calls::hop("hub"))), |upstream| upstream.path.clone());
    let about = upstream.and_then(|upstream| upstream.about.get().cloned()).unwrap_or_default();
    let about = About { path: path.hops(), ..about };
    let over = upstream.map(|upstream| upstream.over.clone()).unwrap_or_default();
    let welcome = Welcome { name: room.name.clone(), agent: greet::agent(), stream: about };
    if link.tx.send(Message::Welcome(welcome)).await.is_err() {
        return; // it left between its hello and the answer
    }
    log::info!("{} watches {} as {} ({})", link.peer, room.name, guest.name, greet::printable(&hello.agent));
    watched.word().into_iter().for_each(|word| guest.tell(word));
    let (talk, words) = guest.talk(user.is_some());
    let viewer = room.board.view(&guest.name);
    let frames = Viewing::new(room, &guest, &watched, playing, (over.clone(), user.is_some()));
    let (limits, held) = (hub.limits.clone(), VecDeque::new());
    let mut feed = Feed { frames, held, every: false, limits, over, path, talk };
    let name = link.peer.clone();
    let sending = publish(link, &mut feed, &viewer.peer, &guest.leave);
    let besides = or(listen(&guest, &watched, &words), follow(hub, &guest, &watched, &viewer.peer));
    match or(sending, besides).await {
        Ok(End::Left(reason)) => log::info!("{name} ({}) left: {reason}", guest.name),
        Ok(End::Over | End::Stopped) => log::info!("{name} ({}) has gone", guest.name),
        Err(error) => log::info!("{name} ({}) is gone: {}", guest.name, fault::line(&error)),
    }
}

/// The frames that a viewer watches, each when its link asks for one.
struct Viewing<'a> {
    room: &'a Room,
    guest: &'a Guest,
    watched: &'a Watched,
    playing: Playing,
    /// How it plays.
    wish: Wish,
    /// When the viewer is told next where it is in a video.
    due: Time,
    /// Said when there will be no more, but for one who stays at the end of a video for what the user does.
    over: Stop,
    stays: bool,
    /// It has come to the end.
    ended: bool,
}

impl<'a> Viewing<'a> {
    fn new(
        room: &'a Room,
        guest: &'a Guest,
        watched: &'a Watched,
        mut playing: Playing,
        (over, stays): (Stop, bool),
    ) -> Viewing<'a> {
        let (wish, due) = (watched.wish(), clock::now());
        playing.play(&wish.rung, wish.paused, None);
        Viewing { room, guest, watched, playing, wish, due, over, stays, ended: false }
    }

    /// What plays is over; true when nothing more will come.
    fn end(&mut self) -> bool {
        let trouble = self.playing.trouble();
        let waits = trouble.is_some() || (self.playing.is_video() && self.stays);
        trouble.into_iter().for_each(|why| self.guest.send_off(why));
        tell_place(self.guest, &self.playing, clock::now()); // that it is the end
        self.ended = true;
        if !waits {
            self.over.say();
        }
        !waits
    }

    /// Plays as it is wished now; a video goes on from another place.
    fn rewish(&mut self) {
        let old = std::mem::replace(&mut self.wish, self.watched.wish());
        rewish(self.room, &mut self.playing, &old, &self.wish, false);
        self.due = tell_place(self.guest, &self.playing, clock::now());
        self.ended = false;
    }
}

impl Frames for Viewing<'_> {
    async fn next(&mut self, hand: Option<Weak<Serving>>) -> Option<Draft> {
        loop {
            // First, as behind a slow network there is always a frame at once.
            if self.watched.is_other_than(&self.wish) {
                self.rewish();
            }
            let next = async {
                match self.ended {
                    true => std::future::pending().await,
                    false => Some(self.playing.next_by(hand.clone()).await),
                }
            };
            let other = async {
                self.watched.until_other_than(&self.wish).await;
                None
            };
            match or(next, other).await {
                None => {}
                Some(Some(draft)) => {
                    self.due = tell_place(self.guest, &self.playing, self.due);
                    return Some(draft);
                }
                Some(None) if self.end() => return None,
                Some(None) => {}
            }
        }
    }

    fn is_crowded(&self) -> bool {
        self.playing.is_crowded()
    }

    fn trouble(&self) -> Option<String> {
        self.playing.trouble()
    }
}

/// Tells where it is in a video, if that is due; when it will be again.
pub fn tell_place(guest: &Guest, playing: &Playing, due: Time) -> Time {
    const AGAIN: Duration = Duration::from_millis(500);
    let now = clock::now();
    let Some(at) = playing.at().filter(|_| now >= due) else { return due };
    guest.tell(Word::At(at));
    now + AGAIN
}

/// Plays as it is wished now.
pub fn rewish(room: &Room, playing: &mut Playing, old: &Wish, new: &Wish, jpegs: bool) {
    if playing.is_video() {
        playing.play(&new.rung, new.paused, (old.seek.0 != new.seek.0).then_some(new.seek.1));
    } else if old.rung != new.rung {
        room.playing(&new.rung, jpegs).into_iter().for_each(|other| *playing = other);
    }
}

async fn listen<T>(guest: &Guest, watched: &Watched, words: &Receiver<Word>) -> T {
    while let Ok(word) = words.recv().await {
        hear(guest, watched, word);
    }
    std::future::pending().await
}

/// Does what a viewer says.
pub fn hear(guest: &Guest, watched: &Watched, word: Word) {
    match word {
        Word::Say { text } => guest.say(&text),
        Word::Seek { to } => watched.seek(to),
        Word::Pause { paused } => watched.pause(paused),
        Word::Choose { rung } => {
            let told = watched.choose(&rung).unwrap_or_else(|text| Some(Word::Told { text }));
            told.into_iter().for_each(|word| guest.tell(word));
        }
        _ => {} // of another version
    }
}

/// Chooses the rung for a viewer that leaves it to the hub.
async fn follow<T>(hub: &Hub, guest: &Guest, watched: &Watched, peer: &Peer) -> T {
    let mut alarm = Alarm::default();
    loop {
        peer.link().rung = watched.plays();
        // Each at times of its own: a crowd that looked together would hold up its pictures.
        let wait = if watched.is_auto() { LOOK } else { 4 * LOOK };
        alarm.until(Some(clock::now() + wait)).await;
        let most = hub.limits.rate_max();
        let seen = {
            let link = peer.link();
            let takes = link.rate.target().map(|bits| bits as f64);
            Seen { takes, most, frame_bytes: link.rate.load(clock::now()).map(|load| load.frame_bytes) }
        };
        if let Some(word) = watched.look(clock::now(), seen) {
            guest.tell(word);
        }
    }
}
