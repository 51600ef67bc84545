//! What a viewer watches: a rung that it chose, or what suits its network.

use std::sync::{Arc, Mutex};

use event_listener::{Event, listener};

use super::pictures::{AUTO, SOURCE};
use super::room::Room;
use crate::adapt::choice::Choice;
use crate::clock::Time;
use crate::greet::printable;
use crate::lock::lock;
use crate::word::Word;

pub struct Watched {
    room: Arc<Room>,
    state: Mutex<State>,
    changed: Event,
}

struct State {
    wish: Wish,
    /// Where the choice is ours.
    choice: Option<Choice>,
}

/// How it is watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    pub rung: String,
    /// Of a video.
    pub paused: bool,
    /// The jumps so far, and where to the last one went, in seconds.
    pub seek: (u64, f64),
}

/// What a viewer's network shows of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Bits a second that it takes.
    pub takes: Option<f64>,
    /// Of the rung that is watched.
    pub frame_bytes: Option<f64>,
}

impl Watched {
    /// Errors: there is no such rung.
    pub fn new(room: &Arc<Room>, wanted: &str) -> Result<Watched, String> {
        let wish = Wish { rung: SOURCE.to_string(), paused: false, seek: (0, 0.0) };
        let state = Mutex::new(State { wish, choice: None });
        let watched = Watched { room: room.clone(), state, changed: Event::new() };
        watched.choose(wanted)?;
        Ok(watched)
    }

    pub fn wish(&self) -> Wish {
        lock(&self.state).wish.clone()
    }

    /// Another place in a video, in seconds.
    pub fn seek(&self, to: f64) {
        self.change(|wish| wish.seek = (wish.seek.0 + 1, if to.is_finite() { to } else { 0.0 }));
    }

    pub fn pause(&self, paused: bool) {
        self.change(|wish| wish.paused = paused);
    }

    fn change(&self, change: impl FnOnce(&mut Wish)) {
        change(&mut lock(&self.state).wish);
        self.changed.notify(usize::MAX);
    }

    /// What a viewer is told of it as it comes.
    pub fn word(&self) -> Word {
        let state = lock(&self.state);
        Word::Rung { rung: state.wish.rung.clone(), auto: state.choice.is_some(), why: String::new() }
    }

    /// Takes a rung by name, or `auto`. Errors: there is no such rung.
    pub fn choose(&self, wanted: &str) -> Result<Word, String> {
        let rungs = self.room.rungs();
        let (rung, choice) = match wanted {
            // In the middle, until the network has shown itself.
            AUTO => (rungs.get(rungs.len() / 2).map_or(SOURCE, |rung| rung).to_string(), Some(Choice::default())),
            _ if rungs.iter().any(|rung| rung == wanted) => (wanted.to_string(), None),
            // A source that is lower, or not there yet, is the best there is.
            _ if self.room.knows(wanted) => (SOURCE.to_string(), None),
            _ => {
                let known = rungs.join(", ");
                return Err(format!("there is no rung `{}` here: choose {AUTO}, {known}", printable(wanted)));
            }
        };
        lock(&self.state).choice = choice;
        self.change(|wish| wish.rung = rung);
        Ok(self.word())
    }

    /// Looks whether another rung suits the network better; what the viewer is told of it.
    pub fn look(&self, now: Time, seen: Seen) -> Option<Word> {
        let mut state = lock(&self.state);
        let State { wish: Wish { rung, .. }, choice } = &mut *state;
        let choice = choice.as_mut()?;
        let costs = self.room.costs(rung, seen.frame_bytes);
        let bits: Vec<f64> = costs.iter().map(|(_, bits)| *bits).collect();
        let before = costs.iter().position(|(offered, _)| offered == rung);
        let at = match before {
            Some(before) => choice.look(now, seen.takes, before, &bits)?,
            // A source that has become the lower one, or was not known yet: that is what plays.
            None => costs.len().checked_sub(1)?,
        };
        let (next, cost) = costs.get(at).filter(|(next, _)| next != rung)?;
        let takes = seen.takes.unwrap_or_default() / 1e6;
        let why = match before {
            None => format!("there is no {rung} of it"),
            Some(before) => {
                let verb = if at < before { "only takes" } else { "takes" };
                format!("the network {verb} {takes:.1} Mbit/s, {next} needs about {:.1}", cost / 1e6)
            }
        };
        *rung = next.clone();
        let word = Word::Rung { rung: next.clone(), auto: true, why };
        drop(state);
        self.changed.notify(usize::MAX);
        Some(word)
    }

    /// Waits until it is watched otherwise.
    pub async fn until_other_than(&self, wish: &Wish) {
        loop {
            listener!(self.changed => changed);
            if self.wish() != *wish {
                return;
            }
            changed.await;
        }
    }
}
