//! Who is in a room and what they say to each other. Pure: what is to be told to whom comes back, `now` goes in.
//!
//! What a guest may cost: `LINE` characters a line, `BURST` lines at once and one a second after that, `keep` lines of history.

use std::collections::VecDeque;

use crate::allowance::Allowance;
use crate::clock::Time;
use crate::word::{Said, Word};

/// Characters of a name, and of a line that is said.
const NAME: usize = 32;
pub const LINE: usize = 500;
/// Lines at once of a guest, and of all who come and go; then so many a second.
const BURST: f64 = 5.0;
const COMINGS: f64 = 10.0;
const REFILL: f64 = 1.0;
/// Names that are muted at most; beyond them the first is forgotten.
const MUTED: usize = 1000;

const HELP: &str = "/msg NAME TEXT to one alone · /names who is here · /help this · the streamer: /kick NAME, /mute NAME, /unmute NAME";

#[derive(Debug)]
pub struct Chat {
    guests: Vec<Guest>,
    history: VecDeque<Said>,
    keep: usize,
    entered: u64,
    comings: Allowance,
    /// Who may say nothing, by name, the last first: who leaves and comes back has not got the word again.
    muted: VecDeque<String>,
}

#[derive(Debug)]
struct Guest {
    id: u64,
    name: String,
    streams: bool,
    /// All are told when it comes and goes: it streams, or has a name of its own.
    known: bool,
    lines: Allowance,
    /// It was told that it is too fast.
    hushed: bool,
}

/// What comes of a word.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    To(u64, Word),
    All(Word),
    /// This one must go.
    Out(u64, String),
}

impl Chat {
    pub fn new(keep: usize) -> Chat {
        let (guests, history, muted) = Default::default();
        Chat { guests, history, keep, entered: 0, comings: Allowance::new(COMINGS, REFILL), muted }
    }

    /// Takes somebody in, under the name that was asked for or one of the hub's; its number. Errors: why not.
    pub fn enter(&mut self, wanted: Option<&str>, streams: bool, now: Time) -> Result<(u64, Vec<Effect>), String> {
        let name = match wanted {
            Some(name) => self.free(name)?,
            None => self.nameless(if streams { "streamer" } else { "guest" }),
        };
        let id = self.entered;
        self.entered += 1;
        let told = format!("{name} {}", if streams { "streams" } else { "is here" });
        let mut effects = vec![Effect::To(id, Word::Entered { user: name.clone() })];
        effects.extend(self.history.iter().map(|said| Effect::To(id, Word::Said(said.clone()))));
        let known = streams || wanted.is_some();
        self.guests.push(Guest { id, name, streams, known, lines: Allowance::new(BURST, REFILL), hushed: false });
        if known && self.comings.takes(now) {
            effects.push(Effect::All(Word::Told { text: told }));
        }
        Ok((id, effects))
    }

    pub fn leave(&mut self, id: u64, now: Time) -> Vec<Effect> {
        let Some(at) = self.guests.iter().position(|guest| guest.id == id) else { return Vec::new() };
        let guest = self.guests.remove(at);
        let told = Effect::All(Word::Told { text: format!("{} has left", guest.name) });
        if guest.known && self.comings.takes(now) { vec![told] } else { Vec::new() }
    }

    pub fn name(&self, id: u64) -> Option<&str> {
        self.guests.iter().find(|guest| guest.id == id).map(|guest| &*guest.name)
    }

    /// A line from a guest, with its time in microseconds since 1970.
    pub fn say(&mut self, id: u64, text: &str, now: Time, at: i64) -> Vec<Effect> {
        let told = |text: String| vec![Effect::To(id, Word::Told { text })];
        let Some(guest) = self.guests.iter_mut().find(|guest| guest.id == id) else { return Vec::new() };
        let text = line(text);
        if text.is_empty() {
            return Vec::new();
        }
        let hushed = std::mem::replace(&mut guest.hushed, !guest.lines.takes(now));
        if guest.hushed {
            let text = format!("not so fast: {BURST} lines at once, then one a second");
            return if hushed { Vec::new() } else { told(text) };
        }
        let long = text.chars().count();
        if long > LINE {
            return told(format!("that line has {long} characters, and {LINE} are the most: it was not said"));
        }
        let from = guest.name.clone();
        let muted = !guest.streams && self.muted.iter().any(|name| same(name, &from));
        let Some(command) = text.strip_prefix('/') else {
            if muted {
                return told("the streamer has muted you".to_string());
            }
            let said = Said { from, to: None, text, at };
            self.history.push_back(said.clone());
            while self.history.len() > self.keep {
                self.history.pop_front();
            }
            return vec![Effect::All(Word::Said(said))];
        };
        let (command, rest) = command.split_once(' ').unwrap_or((command, ""));
        match command {
            "help" => told(HELP.to_string()),
            "names" => told(self.names()),
            "msg" if muted => told("the streamer has muted you".to_string()),
            "msg" => match self.addressed(rest) {
                Some((to, text)) if !text.is_empty() => {
                    let said = Word::Said(Said { from, to: Some(to.name.clone()), text: text.to_string(), at });
                    let own = (to.id != id).then(|| Effect::To(id, said.clone()));
                    [Effect::To(to.id, said)].into_iter().chain(own).collect()
                }
                None if !rest.trim().is_empty() => told(format!("there is nobody of that name: {}", self.names())),
                _ => told("what is to be said, and to whom? /msg NAME TEXT".to_string()),
            },
            "kick" | "mute" | "unmute" => self.rule(id, command, rest),
            _ => told(format!("there is no /{command}: {HELP}")),
        }
    }

    /// What only the streamer may do.
    fn rule(&mut self, id: u64, command: &str, whom: &str) -> Vec<Effect> {
        let told = |text: String| vec![Effect::To(id, Word::Told { text })];
        let Some(by) = self.guests.iter().find(|guest| guest.id == id && guest.streams).map(|by| by.name.clone())
        else {
            return told(format!("only the streamer may /{command}"));
        };
        let Some(guest) = self.guests.iter().find(|guest| same(&guest.name, whom.trim())) else {
            return told(format!("there is nobody of that name: {}", self.names()));
        };
        if guest.streams {
            return told(format!("/{command} is for viewers"));
        }
        let name = guest.name.clone();
        match command {
            "kick" => {
                let told = Effect::All(Word::Told { text: format!("{by} has put {name} out") });
                vec![told, Effect::Out(guest.id, format!("{by} has put you out"))]
            }
            _ => {
                self.muted.retain(|muted| !same(muted, &name));
                let state = match command {
                    "mute" => {
                        self.muted.truncate(MUTED - 1);
                        self.muted.push_front(name.clone());
                        "muted"
                    }
                    _ => "given the word back to",
                };
                vec![Effect::All(Word::Told { text: format!("{by} has {state} {name}") })]
            }
        }
    }

    /// The guest whose name a text begins with, and the rest of it. Names may have spaces: the longest counts.
    fn addressed<'a>(&self, text: &'a str) -> Option<(&Guest, &'a str)> {
        let text = text.trim_start();
        let named = self.guests.iter().filter_map(|guest| {
            let end = text.char_indices().nth(guest.name.chars().count()).map_or(text.len(), |(end, _)| end);
            let (name, rest) = text.split_at(end);
            (same(name, &guest.name) && (rest.is_empty() || rest.starts_with(' '))).then(|| (guest, rest.trim()))
        });
        named.max_by_key(|(guest, _)| guest.name.len())
    }

    fn names(&self) -> String {
        let shown = self.guests.iter().map(|guest| match guest.streams {
            true => format!("{} (streams)", guest.name),
            false => guest.name.clone(),
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    fn free(&self, name: &str) -> Result<String, String> {
        let name = name.trim();
        let fits = (1..=NAME).contains(&name.chars().count()) && name.chars().all(printable);
        if !fits {
            return Err(format!("a user's name has 1 to {NAME} printable characters"));
        }
        match self.guests.iter().any(|guest| same(&guest.name, name)) {
            true => Err(format!("the name {name} is taken here: choose another")),
            false => Ok(name.to_string()),
        }
    }

    /// Whether somebody could enter by a name, where `own` guests will have left by then. Errors: why not.
    pub fn admits(&self, name: &str, own: impl Fn(u64) -> bool) -> Result<(), String> {
        let leaves = |guest: &Guest| same(&guest.name, name.trim()) && own(guest.id);
        if self.guests.iter().any(leaves) { Ok(()) } else { self.free(name).map(drop) }
    }

    fn nameless(&self, kind: &str) -> String {
        let numbered = (1..).map(|n| format!("{kind} {n}"));
        numbered.into_iter().find(|name| self.free(name).is_ok()).unwrap_or_default()
    }
}

/// Names that only differ in case would be taken for one another.
fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// No control character, and none that turns the writing around or is not seen (Unicode: Cf, fillers, private use, tags).
fn printable(c: char) -> bool {
    let format = matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{61C}');
    let unseen = matches!(c, '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180E}' | '\u{2800}' | '\u{3164}' | '\u{FFA0}' | '\u{E000}'..='\u{F8FF}' | '\u{E0000}'..);
    !c.is_control() && !format && !unseen && (c == ' ' || !c.is_whitespace())
}

/// A guest's words as one line. What joins emoji is no name's, but harmless here.
fn line(text: &str) -> String {
    let text: String = text.chars().map(|c| if printable(c) || c == '\u{200D}' { c } else { ' ' }).collect();
    text.trim().to_string()
}

#[cfg(test)]
mod tests;
