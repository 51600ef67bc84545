//! One who watches over a link: `recv`, `relay` or `player`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, bounded};
use async_io::Timer;
use smol::future::or;

use super::Hub;
use super::room::{Guest, Room};
use super::watched::{Seen, Watched};
use crate::clock;
use crate::draft::Draft;
use crate::fanout::Fanout;
use crate::fault;
use crate::greet;
use crate::link::Link;
use crate::message::{About, Hello, Message, Welcome};
use crate::publish::{End, Feed, publish};
use crate::roles::calls::refuse;
use crate::stats::Peer;
use crate::word::{Talk, Word};

/// Words of a guest that wait to be dealt with.
pub const HEARD: usize = 16;
/// How often the network is looked at for another rung.
pub const LOOK: Duration = Duration::from_millis(250);

pub async fn serve(hub: &Hub, room: &Arc<Room>, mut link: Link, hello: Hello) {
    let _place = match hub.place(&link.peer, room) {
        Ok(place) => place,
        Err(why) => return refuse(link, why).await,
    };
    let user = hello.visit.user.as_deref();
    let rung = hello.visit.rung.as_deref().unwrap_or(super::pictures::SOURCE);
    let entered = Watched::new(room, rung)
        .and_then(|watched| Ok((watched, room.enter(user, false, format!("process {}", hello.instance))?)));
    let (watched, guest) = match entered {
        Ok(entered) => entered,
        Err(why) => return refuse(link, why).await,
    };
    let path = room.upstream.path.clone();
    let about = About { path: path.hops(), ..room.upstream.about.get().cloned().unwrap_or_default() };
    let welcome = Welcome { name: room.name.clone(), agent: greet::agent(), stream: about };
    if link.tx.send(Message::Welcome(welcome)).await.is_err() {
        return; // it left between its hello and the answer
    }
    log::info!("{} watches {} as {} ({})", link.peer, room.name, guest.name, greet::printable(&hello.agent));
    guest.tell(watched.word());
    let (heard, words) = bounded(HEARD);
    let talk = user.map(|_| Talk { heard, told: guest.told.clone() });
    let mine = Fanout::new(false);
    let viewer = room.board.view(&guest.name);
    let mut feed = Feed {
        frames: mine.subscribe(),
        held: VecDeque::new(),
        every: false,
        limits: hub.limits.clone(),
        over: room.upstream.over.clone(),
        path,
        talk,
    };
    let name = link.peer.clone();
    let sending = publish(link, &mut feed, &viewer.peer, &guest.leave);
    let besides = async {
        let passing = pass(room, &watched, &mine, &viewer.peer);
        let following = follow(&guest, &watched, &viewer.peer);
        or(or(passing, listen(&guest, &watched, &words)), following).await
    };
    match or(sending, besides).await {
        Ok(End::Left(reason)) => log::info!("{name} ({}) left: {reason}", guest.name),
        Ok(End::Over | End::Stopped) => log::info!("{name} ({}) has gone", guest.name),
        Err(error) => log::info!("{name} ({}) is gone: {}", guest.name, fault::line(&error)),
    }
}

/// Passes the frames of the rung that is watched on, each when the link asks for one.
async fn pass<T>(room: &Room, watched: &Watched, mine: &Fanout<Draft>, peer: &Peer) -> T {
    loop {
        let rung = watched.rung();
        peer.link().rung = Some(rung.clone());
        let mut frames = room.pictures.frames(&rung);
        let passing = async {
            loop {
                mine.until_wanted().await;
                let Some(draft) = frames.next().await else { return true };
                mine.put(draft);
            }
        };
        let other = async {
            watched.until_other_than(&rung).await;
            false
        };
        if or(passing, other).await {
            mine.close(); // the stream is over
            std::future::pending().await
        }
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
        Word::Choose { rung } => guest.tell(watched.choose(&rung).unwrap_or_else(|text| Word::Told { text })),
        _ => {} // of another version, or of a video
    }
}

/// Chooses the rung for a viewer that leaves it to the hub.
async fn follow<T>(guest: &Guest, watched: &Watched, peer: &Peer) -> T {
    loop {
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
