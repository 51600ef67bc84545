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

#[derive(Debug)]
struct State {
    rung: String,
    /// Where the choice is ours.
    choice: Option<Choice>,
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
        let state = Mutex::new(State { rung: SOURCE.to_string(), choice: None });
        let watched = Watched { room: room.clone(), state, changed: Event::new() };
        watched.choose(wanted)?;
        Ok(watched)
    }

    pub fn rung(&self) -> String {
        lock(&self.state).rung.clone()
    }

    /// What a viewer is told of it as it comes.
    pub fn word(&self) -> Word {
        let state = lock(&self.state);
        Word::Rung { rung: state.rung.clone(), auto: state.choice.is_some(), why: String::new() }
    }

    /// Takes a rung by name, or `auto`. Errors: there is no such rung.
    pub fn choose(&self, wanted: &str) -> Result<Word, String> {
        let rungs = self.room.pictures.rungs();
        let (rung, choice) = match wanted {
            // In the middle, until the network has shown itself.
            AUTO => (rungs[rungs.len() / 2].clone(), Some(Choice::default())),
            _ if rungs.iter().any(|rung| rung == wanted) => (wanted.to_string(), None),
            // A source that is lower, or not there yet, is the best there is.
            _ if self.room.pictures.offers(wanted) => (SOURCE.to_string(), None),
            _ => {
                let known = rungs.join(", ");
                return Err(format!("there is no rung `{}` here: choose {AUTO}, {known}", printable(wanted)));
            }
        };
        *lock(&self.state) = State { rung, choice };
        self.changed.notify(usize::MAX);
        Ok(self.word())
    }

    /// Looks whether another rung suits the network better; what the viewer is told of it.
    pub fn look(&self, now: Time, seen: Seen) -> Option<Word> {
        let mut state = lock(&self.state);
        let State { rung, choice } = &mut *state;
        let choice = choice.as_mut()?;
        let costs = self.room.pictures.costs(rung, seen.frame_bytes);
        let bits: Vec<f64> = costs.iter().map(|(_, bits)| *bits).collect();
        // What is watched is the source's where it has become the lower one.
        let before = costs.iter().position(|(offered, _)| offered == rung).unwrap_or(costs.len() - 1);
        let at = choice.look(now, seen.takes, before, &bits)?;
        let (next, cost) = costs.get(at).filter(|(next, _)| next != rung)?;
        let takes = seen.takes.unwrap_or_default() / 1e6;
        let verb = if at < before { "only takes" } else { "takes" };
        let why = format!("the network {verb} {takes:.1} Mbit/s, {next} needs about {:.1}", cost / 1e6);
        *rung = next.clone();
        let word = Word::Rung { rung: next.clone(), auto: true, why };
        drop(state);
        self.changed.notify(usize::MAX);
        Some(word)
    }

    /// Waits until another rung than this is watched.
    pub async fn until_other_than(&self, rung: &str) {
        loop {
            listener!(self.changed => changed);
            if self.rung() != rung {
                return;
            }
            changed.await;
        }
    }
}
