//! What there is to see of a session: where it is, what the hub told, what went wrong. The window draws it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::poster::Poster;
use crate::endpoint::Endpoint;
use crate::greet::printable;
use crate::word::{At, Hall, Room, Said, Word};

/// Lines of chat that are kept: more than a hub tells one who comes late.
const LINES: usize = 500;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    #[default]
    Login,
    Hall,
    Watching,
    Streaming,
}

#[derive(Clone, Debug, Default)]
#[cfg_attr(not(feature = "window"), allow(dead_code, reason = "the window draws it"))]
pub struct View {
    pub place: Place,
    /// What was refused or has failed.
    pub error: Option<String>,
    /// What is going on while nothing comes: a hub is called.
    pub notice: Option<String>,
    /// The name that we have at the hub.
    pub user: Option<String>,
    /// Hubs that announce themselves here, by name.
    pub neighbours: Vec<(String, Endpoint)>,
    pub hall: Option<Hall>,
    /// Pictures of its videos, as far as they have come.
    pub posters: Arc<BTreeMap<String, Arc<Poster>>>,
    pub room: Arc<Room>,
    /// Where we are in a video.
    pub at: Option<At>,
    pub rung: Option<Rung>,
    /// The rung that was chosen here, `auto` too: for when the hub is called again.
    pub chosen: Option<String>,
    pub chat: VecDeque<Line>,
    /// Why the hub has put us out.
    pub out: Option<String>,
    /// A picture of this place has come.
    pub picture: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rung {
    pub name: String,
    pub auto: bool,
    pub why: String,
}

/// A line of the chat.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    Said(Said),
    /// By the hub.
    Told(String),
}

impl View {
    /// A place that is new: nothing is known of it.
    pub fn at(place: Place) -> View {
        View { place, ..View::default() }
    }

    /// Takes what the user tells the hub: that shows at once, and is again as the hub tells it then.
    pub fn tell(&mut self, word: &Word) {
        let at = self.at.as_mut();
        match word {
            Word::Choose { rung } => self.chosen = Some(rung.clone()),
            Word::Seek { to } => at.into_iter().for_each(|at| at.position = *to),
            Word::Pause { paused } => at.into_iter().for_each(|at| at.paused = *paused),
            _ => {}
        }
    }

    /// Takes what the hub told.
    pub fn hear(&mut self, word: Word) {
        match word {
            Word::Entered { user } => {
                self.user = Some(printable(&user));
                self.chat.clear(); // all that was said follows
            }
            Word::Said(said) => {
                let Said { from, to, text, at } = said;
                let to = to.as_deref().map(printable);
                self.line(Line::Said(Said { from: printable(&from), to, text: clean(&text), at }));
            }
            Word::Told { text } => self.line(Line::Told(clean(&text))),
            Word::Out { why } => self.out = Some(printable(&why)),
            Word::Rung { rung, auto, why } => {
                self.rung = Some(Rung { name: printable(&rung), auto, why: printable(&why) });
            }
            Word::Room(room) => self.room = room,
            Word::At(at) => self.at = Some(at),
            Word::Hall(hall) => self.hall = Some(hall),
            // A guest's own, and those of later versions.
            Word::Say { .. } | Word::Choose { .. } | Word::Seek { .. } | Word::Pause { .. } | Word::Unknown => {}
            Word::Poster { .. } => {} // `show`, once it is read
        }
    }

    /// Takes the picture of a video.
    pub fn show(&mut self, name: String, poster: Poster) {
        Arc::make_mut(&mut self.posters).insert(name, Arc::new(poster));
    }

    fn line(&mut self, line: Line) {
        self.chat.push_back(line);
        while self.chat.len() > LINES {
            self.chat.pop_front();
        }
    }
}

/// How far a video is that can be watched only then, or at more rungs.
pub fn making(share: f64, plays: bool) -> String {
    let what = if plays { "more rungs are being made" } else { "being made ready" };
    format!("{what}, {:.0} %", share * 100.0)
}

/// A line of chat without control characters; `printable` would cut it.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chat_is_bounded_and_begins_anew_with_each_entrance() {
        let mut view = View::at(Place::Watching);
        for n in 0..2 * LINES {
            view.hear(Word::Told { text: format!("line\u{7} {n}") });
        }
        assert_eq!((view.chat.len(), view.chat.back()), (LINES, Some(&Line::Told(format!("line  {}", 2 * LINES - 1)))));
        view.hear(Word::Entered { user: "anna\u{1b}".into() });
        assert_eq!((view.chat.len(), view.user.as_deref()), (0, Some("anna ")));
    }

    #[test]
    fn a_jump_shows_before_the_hub_has_heard_of_it() {
        let mut view = View::at(Place::Watching);
        view.tell(&Word::Seek { to: 3.0 }); // of no video
        let at = At { position: 8.0, duration: 8.0, paused: true };
        assert!(at.is_over() && !At::default().is_over());
        view.hear(Word::At(at));
        view.tell(&Word::Seek { to: 3.0 });
        view.tell(&Word::Pause { paused: false });
        assert_eq!(view.at, Some(At { position: 3.0, duration: 8.0, paused: false }));
    }
}
