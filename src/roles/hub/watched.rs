//! What a viewer watches: a rung that it chose, or what suits its network.

use std::sync::{Arc, Mutex};

use event_listener::Event;

use super::pictures::{AUTO, Costs, SOURCE};
use super::room::Room;
use crate::adapt::choice::Choice;
use crate::clock::Time;
use crate::greet::printable;
use crate::lock::lock;
use crate::until::until;
use crate::word::Word;

pub struct Watched {
    room: Arc<Room>,
    state: Mutex<State>,
    changed: Event,
}

struct State {
    wish: Wish,
    /// What plays, as the viewer was told; empty while there is nothing yet.
    told: String,
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
    /// Bits a second that it takes, and that the hub gives each viewer at most.
    pub takes: Option<f64>,
    pub most: Option<u64>,
    /// Of the rung that is watched.
    pub frame_bytes: Option<f64>,
}

impl State {
    /// Takes a wish as far as it can be; why it cannot.
    fn wish(&mut self, room: &Room, wanted: &str) -> String {
        let (wish, plays) = room.settled(wanted);
        let before = std::mem::replace(&mut self.told, plays);
        self.wish.rung = wish;
        lacking(room, if wanted == SOURCE { &before } else { wanted }, &self.told)
    }

    fn plays(&self) -> Option<String> {
        Some(self.told.clone()).filter(|told| !told.is_empty())
    }

    fn word(&self, why: String) -> Option<Word> {
        Some(Word::Rung { rung: self.plays()?, auto: self.choice.is_some(), why })
    }
}

impl Seen {
    fn bits(&self) -> Option<f64> {
        let most = self.most.map(|most| most as f64);
        self.takes.map(|takes| most.map_or(takes, |most| takes.min(most)))
    }

    /// Why another rung than one that costs so much suits it, or just that one does, in bits a second.
    fn why(&self, rung: &str, cost: f64) -> String {
        const FAR: f64 = 10.0;
        let (takes, cost) = (self.takes.unwrap_or_default(), cost / 1e6);
        match self.most.map(|most| most as f64).filter(|most| *most < takes) {
            Some(most) => format!("the hub gives each {:.1} Mbit/s at most, {rung} needs about {cost:.1}", most / 1e6),
            // How much more is a guess.
            None if takes > FAR * cost * 1e6 => format!("the network takes far more than {rung} needs"),
            None => format!("the network takes {:.1} Mbit/s, {rung} needs about {cost:.1}", takes / 1e6),
        }
    }
}

/// Why something else plays than is wanted, if it is that. A source is the best that there is.
fn lacking(room: &Room, wanted: &str, plays: &str) -> String {
    let there = [plays, SOURCE, ""].contains(&wanted) || room.rungs().iter().any(|rung| rung == wanted);
    match there {
        true => String::new(),
        false if plays == SOURCE => format!("the source is no larger than {wanted}"),
        false if room.grows() => format!("there is no {wanted} of it yet"),
        false => format!("there is no {wanted} of it"),
    }
}

impl Watched {
    /// Errors: there is no such rung.
    pub fn new(room: &Arc<Room>, wanted: &str) -> Result<Watched, String> {
        let wish = Wish { rung: SOURCE.to_string(), paused: false, seek: (0, 0.0) };
        let state = Mutex::new(State { told: String::new(), wish, choice: None });
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

    /// Whether the choice is ours.
    pub fn is_auto(&self) -> bool {
        lock(&self.state).choice.is_some()
    }

    /// The rung that plays, as the viewer was told.
    pub fn plays(&self) -> Option<String> {
        lock(&self.state).plays()
    }

    /// Takes a rung by name, or `auto`; what a viewer is told of it. Errors: there is no such rung.
    pub fn choose(&self, wanted: &str) -> Result<Option<Word>, String> {
        let (rungs, plays) = (self.room.rungs(), self.plays());
        let (wanted, choice) = match wanted {
            // Until the network has shown itself it is what plays, or else the one in the middle.
            AUTO => {
                let begins = plays.as_deref().or(rungs.get(rungs.len() / 2).map(String::as_str));
                (begins.unwrap_or(SOURCE), Some(Choice::default()))
            }
            _ if self.room.knows(wanted) || rungs.iter().any(|rung| rung == wanted) => (wanted, None),
            _ => {
                let known = rungs.join(", ");
                return Err(format!("there is no rung `{}` here: choose {AUTO}, {known}", printable(wanted)));
            }
        };
        let mut state = lock(&self.state);
        state.choice = choice;
        let why = state.wish(&self.room, wanted);
        self.changed.notify(usize::MAX);
        Ok(state.word(why))
    }

    /// What the viewer is told of what it watches.
    pub fn word(&self) -> Option<Word> {
        let state = lock(&self.state);
        state.word(lacking(&self.room, &state.wish.rung, &state.told))
    }

    /// Looks whether another rung suits the network better, or another one plays than was told; what the viewer is told then.
    pub fn look(&self, now: Time, seen: Seen) -> Option<Word> {
        let mut state = lock(&self.state);
        let told = state.told.clone();
        let why = if state.choice.is_some() {
            self.suiting(&mut state, now, seen)?
        } else {
            let wanted = state.wish.rung.clone();
            state.wish(&self.room, &wanted)
        };
        self.changed.notify(usize::MAX);
        if state.told != told { state.word(why) } else { None }
    }

    /// Goes to the rung that suits the network, if it is time; why.
    fn suiting(&self, state: &mut State, now: Time, seen: Seen) -> Option<String> {
        let State { wish: Wish { rung, .. }, told, choice } = state;
        let choice = choice.as_mut()?;
        if self.room.stream().is_some() && self.room.streamer().is_none() {
            choice.rests(); // what is not sent costs nothing, and says nothing
            return None;
        }
        let Costs { rungs: costs, busiest } = self.room.costs(rung, seen.frame_bytes);
        let bits: Vec<f64> = costs.iter().map(|(_, bits)| *bits).collect();
        let before = costs.iter().position(|(offered, _)| offered == rung);
        let at = match before {
            Some(before) => choice.look(now, seen.bits(), before, (&bits, busiest))?,
            // A source that has become the lower one, or was not known yet: that is what plays.
            None => costs.len().checked_sub(1)?,
        };
        let (next, cost) = costs.get(at).filter(|(next, _)| next != rung)?;
        let why = match before {
            None => lacking(&self.room, rung, next),
            Some(before) if at < before => seen.why(told, bits.get(before).copied().unwrap_or_default()),
            Some(_) => seen.why(next, *cost),
        };
        (*rung, *told) = (next.clone(), next.clone());
        Some(why)
    }

    /// Whether it is watched otherwise.
    pub fn is_other_than(&self, wish: &Wish) -> bool {
        lock(&self.state).wish != *wish
    }

    /// Waits until it is.
    pub async fn until_other_than(&self, wish: &Wish) {
        until(&self.changed, || self.is_other_than(wish).then_some(())).await
    }
}
