//! One who watches over a link: `recv`, `relay` or `player`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_channel::Receiver;
use async_io::Timer;
use smol::future::or;

use super::Hub;
use super::playing::Playing;
use super::room::{Guest, Room};
use super::watched::{Seen, Watched, Wish};
use crate::clock::{self, Time};
use crate::draft::Draft;
use crate::fanout::Fanout;
use crate::fault;
use crate::greet;
use crate::link::Link;
use crate::message::{About, Hello, Message, Welcome};
use crate::path::Path;
use crate::publish::{End, Feed, publish};
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
    let mine = Fanout::new(false);
    let viewer = room.board.view(&guest.name);
    let mut feed = Feed {
        frames: mine.subscribe(),
        held: VecDeque::new(),
        every: false,
        limits: hub.limits.clone(),
        over: over.clone(),
        path,
        talk,
    };
    let name = link.peer.clone();
    let sending = publish(link, &mut feed, &viewer.peer, &guest.leave);
    let besides = async {
        let out = Out { frames: &mine, over: &over, stays: user.is_some() };
        let passing = pass(room, &guest, &watched, playing, out);
        let following = follow(&guest, &watched, &viewer.peer);
        or(or(passing, listen(&guest, &watched, &words)), following).await
    };
    match or(sending, besides).await {
        Ok(End::Left(reason)) => log::info!("{name} ({}) left: {reason}", guest.name),
        Ok(End::Over | End::Stopped) => log::info!("{name} ({}) has gone", guest.name),
        Err(error) => log::info!("{name} ({}) is gone: {}", guest.name, fault::line(&error)),
    }
}

/// Passes the frames that are watched on, each when the link asks for one.
async fn pass<T>(room: &Room, guest: &Guest, watched: &Watched, mut playing: Playing, out: Out<'_>) -> T {
    let (mut wish, mut due) = (watched.wish(), clock::now());
    playing.play(&wish.rung, wish.paused, None);
    loop {
        let passing = async {
            loop {
                out.frames.until_wanted().await;
                let Some(draft) = playing.next().await else { return };
                out.frames.put(draft);
                due = tell_place(guest, &playing, due);
            }
        };
        let over = async {
            passing.await;
            true
        };
        let other = async {
            watched.until_other_than(&wish).await;
            false
        };
        if or(over, other).await {
            if let Some(why) = playing.trouble() {
                guest.send_off(why);
            } else if !(playing.is_video() && out.stays) {
                out.over.say();
                out.frames.close();
            }
            tell_place(guest, &playing, clock::now()); // that it is the end
            watched.until_other_than(&wish).await; // a video goes on from another place
        }
        let old = std::mem::replace(&mut wish, watched.wish());
        rewish(room, &mut playing, &old, &wish, false);
        due = tell_place(guest, &playing, clock::now());
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

/// Where a viewer's frames go.
struct Out<'a> {
    frames: &'a Fanout<Draft>,
    /// Said when there will be no more.
    over: &'a Stop,
    /// It waits at the end of a video for what the user does.
    stays: bool,
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
async fn follow<T>(guest: &Guest, watched: &Watched, peer: &Peer) -> T {
    loop {
        peer.link().rung = watched.plays();
        Timer::after(LOOK).await;
        let seen = {
            let link = peer.link();
            let takes = link.rate.target().map(|bits| bits as f64);
            Seen { takes, frame_bytes: link.rate.load().map(|load| load.frame_bytes) }
        };
        if let Some(word) = watched.look(clock::now(), seen) {
            guest.tell(word);
        }
    }
}
