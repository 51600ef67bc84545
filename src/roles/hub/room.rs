//! One stream of a hub and all who have to do with it: who sends it, who watches, what they say.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_channel::{Receiver, Sender, bounded};

use super::hall::short;
use super::pictures::{Costs, Pictures, SOURCE};
use super::playing::{Playing, height};
use crate::adapt::Limits;
use crate::chat::{Chat, Effect};
use crate::clock;
use crate::fault;
use crate::lock::lock;
use crate::path::Path;
use crate::roles::Job;
use crate::roles::calls;
use crate::roles::library::{Entry, Library, Offer, State as VideoState};
use crate::roles::upstream::{NoSeat, Upstream};
use crate::stats::Board;
use crate::stop::Stop;
use crate::tasks;
use crate::units;
use crate::web::live::Live;
use crate::web::sizes::Sizes;
use crate::web::views::{Origin, Views};
use crate::word::{Guest as Figures, Room as State, Talk, Word};

/// Words that may wait for a guest; one that takes none for so long has left, or will be told the next ones.
const TOLD: usize = 64;
/// Words of a guest that wait to be dealt with.
const HEARD: usize = 16;
/// Viewers that a list names, so that it fits into a word whatever their names are; the others are counted.
const LISTED: usize = 64;

pub struct Room {
    pub name: String,
    pub board: Arc<Board>,
    pub stage: Stage,
    state: Mutex<Talking>,
}

/// What is watched in a room.
pub enum Stage {
    Live(Box<Stream>),
    /// Of the library: everybody is somewhere else in it.
    Video(Library),
}

/// A stream that somebody sends.
pub struct Stream {
    pub upstream: Arc<Upstream>,
    pub site: Live,
    pictures: Pictures,
}

struct Talking {
    chat: Chat,
    guests: Vec<Present>,
    /// Who was put out, as they were known.
    out: HashSet<String>,
}

/// A guest as its room knows it.
struct Present {
    id: u64,
    told: Sender<Word>,
    leave: Stop,
    streams: bool,
    identity: String,
}

/// A place in a room, until it is dropped.
pub struct Guest {
    room: Arc<Room>,
    id: u64,
    pub name: String,
    pub told: Receiver<Word>,
    tell: Sender<Word>,
    /// Said when it must go.
    pub leave: Stop,
}

impl Guest {
    /// Says a line in the room, or a command.
    pub fn say(&self, text: &str) {
        let mut state = lock(&self.room.state);
        let now = clock::now();
        let effects = state.chat.say(self.id, text, now, now.unix_micros());
        state.carry_out(effects);
    }

    /// What its link and it say to each other, and what is heard of it. One without a name is told nothing, and nothing is
    /// kept for it: rooms full of viewers, one a second, would be.
    pub fn talk(&self, named: bool) -> (Option<Talk>, Receiver<Word>) {
        let (heard, words) = bounded(HEARD);
        if !named {
            self.told.close();
        }
        (named.then(|| Talk { heard, told: self.told.clone() }), words)
    }

    /// Sends it off: whoever then calls again is refused with the reason.
    pub fn send_off(&self, why: String) {
        self.tell(Word::Out { why });
        self.leave.say();
    }

    /// A word to this guest alone.
    pub fn tell(&self, word: Word) {
        _ = self.tell.try_send(word); // as in `Talking::carry_out`
    }
}

impl Room {
    pub fn live(job: &Arc<Job>, name: &str, history: usize, rungs: &[String], limits: &Arc<Limits>) -> Arc<Room> {
        let board = Board::new("hub");
        let path = Arc::new(Path::new(calls::hop("hub")));
        let upstream = Arc::new(Upstream::new(job, path, false, false).kept(&board));
        let out = upstream.merge.out.clone();
        let origin = Origin { frames: out, eager: true, over: upstream.over.clone() };
        let views = Arc::new(Views::new(origin));
        let sizes = Sizes::new(&views);
        let (control, limits) = (None, limits.clone());
        let site = Live { views: views.clone(), board: board.clone(), control, sizes: sizes.clone(), limits };
        let pictures = Pictures::new(&upstream.merge.out, &views, sizes, &board, rungs);
        tasks::spawn(async move { views.run().await }).detach(); // ends with the stream, which closes its fan-out
        Room::new(name, history, board, Stage::Live(Stream { upstream, site, pictures }.into()))
    }

    pub fn video(library: &Library, name: &str, history: usize) -> Arc<Room> {
        Room::new(name, history, Board::new("hub"), Stage::Video(library.clone()))
    }

    fn new(name: &str, history: usize, board: Arc<Board>, stage: Stage) -> Arc<Room> {
        board.whole().stream = Some(name.to_string());
        let state = Mutex::new(Talking { chat: Chat::new(history), guests: Vec::new(), out: HashSet::new() });
        Arc::new(Room { name: name.to_string(), board, stage, state })
    }

    /// The stream of a room in which there can be one.
    pub fn stream(&self) -> Option<&Stream> {
        match &self.stage {
            Stage::Live(stream) => Some(stream),
            Stage::Video(_) => None,
        }
    }

    /// Whether somebody sends.
    pub fn is_held(&self) -> bool {
        self.stream().is_some_and(|stream| stream.upstream.is_held())
    }

    /// A viewer's pictures, at this rung to begin with. Errors: why there are none.
    pub fn playing(&self, rung: &str, jpegs: bool) -> Result<Playing, String> {
        match &self.stage {
            Stage::Live(stream) => Ok(stream.pictures.playing(rung, jpegs)),
            Stage::Video(library) => {
                let playing = library.play(&self.name).map_err(|error| fault::line(&error))?;
                Ok(Playing::Video(playing.into()))
            }
        }
    }

    /// What can be chosen now, the source's first.
    pub fn rungs(&self) -> Vec<String> {
        match &self.stage {
            Stage::Live(stream) => stream.pictures.rungs(),
            Stage::Video(_) => self.offers(SOURCE, None).rungs.iter().rev().map(|(rung, _)| rung.clone()).collect(),
        }
    }

    /// Whether a rung may be asked for, be the source lower or not.
    pub fn knows(&self, rung: &str) -> bool {
        match &self.stage {
            Stage::Live(stream) => stream.pictures.offers(rung),
            Stage::Video(_) => rung == SOURCE || units::size(rung).is_ok(),
        }
    }

    /// What becomes of the wish for a rung, and what plays for it now (nothing of a video without rungs). A stream without it plays its source; a video the best
    /// below it, and the rung itself as soon as that is made.
    pub fn settled(&self, wanted: &str) -> (String, String) {
        match &self.stage {
            Stage::Live(_) => {
                let there = self.rungs().iter().any(|rung| rung == wanted);
                let plays = if there { wanted } else { SOURCE }.to_string();
                (plays.clone(), plays)
            }
            Stage::Video(library) => {
                let best = library.best(&self.name, height(wanted)).map(|height| format!("{height}p"));
                (wanted.to_string(), best.unwrap_or_default())
            }
        }
    }

    /// The rungs that may be chosen by themselves and what each costs.
    pub fn costs(&self, watched: &str, frame_bytes: Option<f64>) -> Costs {
        match &self.stage {
            Stage::Live(stream) => stream.pictures.costs(watched, frame_bytes),
            Stage::Video(_) => self.offers(watched, frame_bytes),
        }
    }

    /// Rungs of a video, the cheapest first. The one that is watched costs what is sent of it now, where that is less than
    /// all of it: tiles at rest are in its file, but not on the link. That is no promise for the others.
    fn offers(&self, watched: &str, frame_bytes: Option<f64>) -> Costs {
        let Stage::Video(library) = &self.stage else { return Costs::default() };
        let rungs = library.entry(&self.name).map(|entry| entry.rungs).unwrap_or_default();
        let offer = |offer: &Offer| {
            let name = format!("{}p", offer.height);
            let sent = frame_bytes.filter(|_| name == watched).map_or(1.0, |bytes| bytes / offer.frame_bytes);
            (name, offer.bitrate * sent.min(1.0))
        };
        Costs { rungs: rungs.iter().map(offer).collect(), busiest: 1.0 }
    }

    /// Takes somebody in, by the name that was asked for; `identity` is how one who was put out is known again. Errors: why not.
    pub fn enter(self: &Arc<Room>, wanted: Option<&str>, streams: bool, identity: String) -> Result<Guest, String> {
        let mut state = lock(&self.state);
        state.admits(&identity)?;
        let (id, effects) = state.chat.enter(wanted, streams, clock::now())?;
        let name = state.chat.name(id).unwrap_or_default().to_string();
        let ((told, words), leave) = (bounded(TOLD.max(2 * effects.len())), Stop::default());
        state.guests.push(Present { id, told: told.clone(), leave: leave.clone(), streams, identity });
        state.carry_out(effects);
        Ok(Guest { room: self.clone(), id, name, told: words, tell: told, leave })
    }

    /// Whether somebody could stream here by a name. Errors: why not. One who comes back before his old link has gone is in
    /// his own way alone.
    pub fn admits(&self, wanted: Option<&str>, identity: &str) -> Result<(), String> {
        let state = lock(&self.state);
        state.admits(identity)?;
        let mine = |guest: &Present| guest.streams && guest.identity == identity;
        let own = |id| state.guests.iter().any(|guest| guest.id == id && mine(guest));
        wanted.map_or(Ok(()), |name| state.chat.admits(name, own))
    }

    /// A line of the hub's own to all.
    pub fn announce(&self, text: String) {
        lock(&self.state).carry_out(vec![Effect::All(Word::Told { text })]);
    }

    /// Who streams now, by name.
    pub fn streamer(&self) -> Option<String> {
        let state = lock(&self.state);
        let id = state.guests.iter().rfind(|guest| guest.streams)?.id;
        state.chat.name(id).map(str::to_string)
    }

    /// Why somebody cannot stream here, with the name of who does.
    pub fn held_by(&self, why: NoSeat) -> String {
        match (why, self.streamer()) {
            (NoSeat::Held(other), Some(name)) => format!("{name} streams {} already, from {other}", self.name),
            (why, _) => why.to_string(),
        }
    }

    /// Why nobody can stream where a video is watched.
    pub fn no_stream(&self) -> String {
        format!("{} is a video of the library: stream under another name", self.name)
    }

    /// Its stream is over.
    pub fn end(&self) {
        if let Some(Stream { upstream, .. }) = self.stream() {
            upstream.over.say(); // first: whoever finds the end of the frames passes on which one it is
            upstream.merge.out.close();
        }
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.state).guests.is_empty()
    }

    /// All who are in it must go: the hub ends.
    pub fn close(&self) {
        lock(&self.state).guests.iter().for_each(|guest| guest.leave.say());
    }

    /// What the room looks like now.
    pub fn figures(&self) -> State {
        let now = clock::now();
        let streamer = self.streamer().filter(|_| self.is_held()).map(|name| {
            let line = self.board.lines(now).into_iter().find(|line| line.peer.is_some()).unwrap_or_default();
            Figures::of(&name, &line)
        });
        let lines = self.board.viewer_lines(now);
        let count = lines.len();
        let viewer = |line: &crate::stats::Line| Figures::of(line.peer.as_deref().unwrap_or_default(), line);
        let viewers = lines.iter().take(LISTED).map(viewer).collect();
        let video = self.video_entry();
        // How far it is with what is made of it.
        let preparing = video.as_ref().and_then(|video| video.state.preparing());
        let title = video.map(|video| short(&video.title));
        State { stream: self.name.clone(), title, streamer, viewers, count, rungs: self.rungs(), preparing }
    }

    /// Whether it is a video of which more rungs may be made.
    pub fn grows(&self) -> bool {
        self.video_entry().is_some_and(|video| !matches!(video.state, VideoState::Ready | VideoState::Failed(_)))
    }

    fn video_entry(&self) -> Option<Entry> {
        let Stage::Video(library) = &self.stage else { return None };
        library.entry(&self.name)
    }

    /// Tells all of it, once a second.
    pub fn tell_figures(&self) {
        if let Some(stream) = self.stream() {
            stream.pictures.remember(clock::now());
        }
        if !lock(&self.state).guests.is_empty() {
            let word = Word::Room(self.figures().into());
            lock(&self.state).carry_out(vec![Effect::All(word)]);
        }
    }
}

impl Talking {
    /// Errors: it was put out.
    fn admits(&self, identity: &str) -> Result<(), String> {
        match self.out.contains(identity) {
            true => Err("the streamer has put you out".to_string()),
            false => Ok(()),
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                // Who has not taken the last words has left, or is too slow for these.
                Effect::All(word) => self.guests.iter().for_each(|guest| _ = guest.told.try_send(word.clone())),
                Effect::To(id, word) => {
                    if let Some(guest) = self.guests.iter().find(|guest| guest.id == id) {
                        _ = guest.told.try_send(word);
                    }
                }
                Effect::Out(id, why) => {
                    if let Some(guest) = self.guests.iter().find(|guest| guest.id == id) {
                        self.out.insert(guest.identity.clone());
                        _ = guest.told.try_send(Word::Out { why });
                        guest.leave.say();
                    }
                }
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut state = lock(&self.room.state);
        state.guests.retain(|guest| guest.id != self.id);
        let effects = state.chat.leave(self.id, clock::now());
        state.carry_out(effects);
    }
}
