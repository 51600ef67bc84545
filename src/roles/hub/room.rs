//! One stream of a hub and all who have to do with it: who sends it, who watches, what they say.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_channel::{Receiver, Sender, bounded};

use super::pictures::Pictures;
use crate::chat::{Chat, Effect};
use crate::clock;
use crate::lock::lock;
use crate::path::Path;
use crate::roles::Job;
use crate::roles::calls;
use crate::roles::upstream::Upstream;
use crate::stats::Board;
use crate::stop::Stop;
use crate::web::live::Live;
use crate::web::sizes::Sizes;
use crate::web::views::{Origin, Views};
use crate::word::{Guest as Figures, Room as State, Word};

/// Words that may wait for a guest; one that takes none for so long has left, or will be told the next ones.
const TOLD: usize = 64;
/// Viewers that a list names; the others are counted.
const LISTED: usize = 100;

pub struct Room {
    pub name: String,
    pub board: Arc<Board>,
    pub upstream: Arc<Upstream>,
    pub site: Live,
    pub pictures: Pictures,
    state: Mutex<Talking>,
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

    /// A word to this guest alone.
    pub fn tell(&self, word: Word) {
        _ = self.tell.try_send(word); // as in `Talking::carry_out`
    }
}

impl Room {
    pub fn new(job: &Arc<Job>, name: &str, history: usize, rungs: &[String]) -> Arc<Room> {
        let board = Board::new("hub");
        board.whole().stream = Some(name.to_string());
        let path = Arc::new(Path::new(calls::hop("hub")));
        let upstream = Arc::new(Upstream::new(job, path, false, false).kept(&board));
        let out = upstream.merge.out.clone();
        let origin = Origin { subscribe: Box::new(move || out.subscribe()), eager: true, over: upstream.over.clone() };
        let views = Arc::new(Views::new(origin));
        let sizes = Sizes::new(&views);
        let site = Live { views: views.clone(), board: board.clone(), control: None, sizes: sizes.clone() };
        let pictures = Pictures::new(&upstream.merge.out, &views, sizes, &board, rungs);
        let state = Mutex::new(Talking { chat: Chat::new(history), guests: Vec::new(), out: HashSet::new() });
        smol::spawn(async move { views.run().await }).detach(); // ends with the stream, which closes its fan-out
        Arc::new(Room { name: name.to_string(), board, upstream, site, pictures, state })
    }

    /// Takes somebody in, by the name that was asked for; `identity` is how one who was put out is known again. Errors: why not.
    pub fn enter(self: &Arc<Room>, wanted: Option<&str>, streams: bool, identity: String) -> Result<Guest, String> {
        let mut state = lock(&self.state);
        if state.out.contains(&identity) {
            return Err("the streamer has put you out".to_string());
        }
        let (id, effects) = state.chat.enter(wanted, streams, clock::now())?;
        let name = state.chat.name(id).unwrap_or_default().to_string();
        let ((told, words), leave) = (bounded(TOLD.max(2 * effects.len())), Stop::default());
        state.guests.push(Present { id, told: told.clone(), leave: leave.clone(), streams, identity });
        state.carry_out(effects);
        Ok(Guest { room: self.clone(), id, name, told: words, tell: told, leave })
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
    pub fn held_by(&self, why: String) -> String {
        match self.streamer() {
            Some(name) => format!("{name} streams {} already: {why}", self.name),
            None => why,
        }
    }

    /// Its stream is over.
    pub fn end(&self) {
        self.upstream.over.say(); // first: whoever finds the end of the frames passes on which one it is
        self.upstream.merge.out.close();
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
        let streamer = self.streamer().filter(|_| self.upstream.is_held()).map(|name| {
            let line = self.board.lines(now).into_iter().find(|line| line.peer.is_some()).unwrap_or_default();
            Figures::of(&name, &line)
        });
        let lines = self.board.viewer_lines(now);
        let count = lines.len();
        let viewer = |line: &crate::stats::Line| Figures::of(line.peer.as_deref().unwrap_or_default(), line);
        let viewers = lines.iter().take(LISTED).map(viewer).collect();
        State { stream: self.name.clone(), streamer, viewers, count, rungs: self.pictures.rungs(), video: None }
    }

    /// Tells all of it.
    pub fn tell_figures(&self) {
        if !lock(&self.state).guests.is_empty() {
            let word = Word::Room(self.figures().into());
            lock(&self.state).carry_out(vec![Effect::All(word)]);
        }
    }
}

impl Talking {
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
                        _ = guest.told.try_send(Word::Told { text: why });
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
        let effects = state.chat.leave(self.id);
        state.carry_out(effects);
    }
}
