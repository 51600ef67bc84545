//! What the window knows and says: the picture that stands, what came since, and the words over it. Without SDL.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::Time;
use crate::codec;
use crate::devices::window::feed::{Screen, Shared, Shown};
use crate::devices::window::layout::KEYS;
use crate::devices::window::paint::Place;
use crate::fault::plain;
use crate::utc::Utc;

/// A stream that shows nothing for so long is told to have stopped; cameras give no less than this.
const STALE: Duration = Duration::from_secs(1);
/// Long enough to read the name of a file.
const NOTE: Duration = Duration::from_secs(3);
/// Figures that change faster cannot be read.
const FIGURES: Duration = Duration::from_millis(250);
const TITLE: Duration = Duration::from_secs(1);
/// The rate is counted over this time.
const RATE_OVER: Duration = Duration::from_secs(2);

pub struct State {
    stream: String,
    screen: Screen,
    /// On show.
    standing: Option<Shown>,
    /// Came and is not on show yet: it will be with the next painting, or when the freeze is over.
    waiting: Option<Shown>,
    came: VecDeque<Time>,
    frozen: bool,
    stats: bool,
    waiting_text: String,
    status: Vec<String>,
    /// A message, and when it goes.
    note: Option<(String, Time)>,
    /// The stats overlay as it is on show, and when it was written.
    figures: Option<(Vec<String>, Time)>,
    /// Seconds without a picture, as told on show.
    stale_told: u64,
    title: Option<Title>,
    /// The picture on show has to be loaded again.
    reload: bool,
}

/// The window's title, the size of the picture in it, and when it was written.
struct Title {
    text: String,
    size: Option<(usize, usize)>,
    written: Time,
}

impl State {
    pub fn new(stream: &str, screen: Screen) -> State {
        State {
            stream: stream.to_string(),
            screen,
            standing: None,
            waiting: None,
            came: VecDeque::new(),
            frozen: false,
            stats: false,
            waiting_text: "waiting for a picture".into(),
            status: Vec::new(),
            note: None,
            figures: None,
            stale_told: 0,
            title: None,
            reload: false,
        }
    }

    pub fn heard(&self) {
        self.screen.shared.bell.heard();
    }

    pub fn shared(&self) -> &Shared {
        &self.screen.shared
    }

    /// Takes what came through the feed; whether there is anything new to see.
    pub fn take(&mut self, at: Time) -> bool {
        let mut changed = false;
        if let Some(text) = self.screen.waiting.try_next() {
            self.waiting_text = text;
            changed |= self.standing.is_none();
        }
        if let Some(lines) = self.screen.status.try_next() {
            self.status = lines;
        }
        if let Some(shown) = self.screen.pictures.try_next() {
            self.waiting = Some(shown);
            self.came.push_back(at);
            changed |= !self.frozen;
        }
        // The rate needs those of `RATE_OVER`, the age the last one.
        while self.came.len() > 1 && at.since(self.came[0]) > RATE_OVER {
            self.came.pop_front();
        }
        changed
    }

    /// Brings the words up to date; whether they changed.
    pub fn refresh(&mut self, at: Time) -> bool {
        let mut changed = self.note.take_if(|(_, until)| *until <= at).is_some();
        let stale = self.stale_seconds(at);
        changed |= std::mem::replace(&mut self.stale_told, stale) != stale;
        if self.stats && self.figures.as_ref().is_none_or(|(_, written)| at.since(*written) >= FIGURES) {
            let lines = self.figures_now(at);
            changed |= self.figures.as_ref().is_none_or(|(old, _)| *old != lines);
            self.figures = Some((lines, at));
        }
        changed
    }

    /// How long from `at` until the words change by themselves.
    pub fn wake(&self, at: Time) -> Duration {
        let stale = self.came.back().map(|came| *came + Duration::from_secs(at.since(*came).as_secs() + 1));
        let note = self.note.as_ref().map(|(_, until)| *until);
        let figures = self.figures.as_ref().map(|(_, written)| *written + FIGURES);
        [stale, note, figures].into_iter().flatten().map(|when| when.since(at)).min().unwrap_or(Duration::MAX)
    }

    /// The picture to load before painting, if another one than the last is to be seen.
    pub fn unseen(&mut self) -> Option<Shown> {
        let next = if self.frozen { None } else { self.waiting.take() };
        let again = std::mem::take(&mut self.reload);
        match next {
            Some(shown) => self.standing = Some(shown),
            None if again => {}
            None => return None,
        }
        self.standing.clone()
    }

    /// What was loaded is lost.
    pub fn see_again(&mut self) {
        self.reload = true;
    }

    /// The title, where it is another one now; figures in it change once a second.
    pub fn new_title(&mut self, at: Time) -> Option<String> {
        let size = self.standing.as_ref().map(|s| (s.picture.width(), s.picture.height()));
        if self.title.as_ref().is_some_and(|old| old.size == size && at.since(old.written) < TITLE) {
            return None;
        }
        let text = format!("{} - vstream", self.headline(at));
        let changed = self.title.as_ref().is_none_or(|old| old.text != text);
        self.title = Some(Title { text: text.clone(), size, written: at });
        changed.then_some(text)
    }

    pub fn labels(&self) -> Vec<(Place, Vec<String>)> {
        let mut labels = Vec::new();
        if self.standing.is_none() {
            labels.push((Place::Centre, vec![self.waiting_text.clone()]));
        }
        if let Some((lines, _)) = &self.figures {
            labels.push((Place::TopLeft, lines.clone()));
        }
        let stale = (self.stale_told > 0).then(|| format!("no picture for {} s", self.stale_told));
        let note = self.note.as_ref().map(|(text, _)| text.clone());
        let bottom: Vec<String> = self.frozen.then(|| "FROZEN".into()).into_iter().chain(stale).chain(note).collect();
        if !bottom.is_empty() {
            labels.push((Place::Bottom, bottom));
        }
        labels
    }

    pub fn toggle_stats(&mut self) {
        self.stats = !self.stats;
        self.figures = None;
    }

    /// The picture on show stays; the stream goes on underneath.
    pub fn toggle_freeze(&mut self) {
        self.frozen = !self.frozen;
    }

    /// Writes the JPEG on show into the current folder, named by the time of its capture.
    pub fn snapshot(&mut self, at: Time) {
        let text = match &self.standing {
            None => "no picture to save yet".to_string(),
            Some(shown) => {
                let name = format!("vstream-{}.jpg", Utc::of(shown.frame.captured.unix_micros()).stamp());
                let jpeg = codec::as_jpeg(&shown.frame.coded);
                match jpeg.and_then(|jpeg| Ok(std::fs::write(&name, jpeg)?)) {
                    Ok(()) => {
                        log::info!("saved {name}");
                        format!("saved {name}")
                    }
                    Err(e) => {
                        let text = format!("could not save {name}: {}", plain(&e.to_string()));
                        log::warn!("{text}");
                        text
                    }
                }
            }
        };
        self.note = Some((text, at + NOTE));
    }

    fn stale_seconds(&self, at: Time) -> u64 {
        self.came.back().map_or(0, |came| at.since(*came).as_secs())
    }

    /// Pictures a second that come; not told where there are too few to count.
    fn rate(&self, at: Time) -> Option<f64> {
        let (first, last) = (*self.came.front()?, *self.came.back()?);
        let over = last.since(first).as_secs_f64();
        (over > 0.0 && at.since(last) < STALE).then(|| (self.came.len() - 1) as f64 / over)
    }

    /// "live 1280x720 30.0 fps"
    fn headline(&self, at: Time) -> String {
        let mut text = self.stream.clone();
        if let Some(shown) = &self.standing {
            text += &format!(" {}x{}", shown.picture.width(), shown.picture.height());
        }
        if let Some(rate) = self.rate(at) {
            text += &format!(" {rate:.1} fps");
        }
        text
    }

    fn figures_now(&self, at: Time) -> Vec<String> {
        let mut lines = vec![self.headline(at)];
        let lag = self.screen.shared.lag.load(Ordering::Relaxed);
        if let (Some(shown), 0..) = (&self.standing, lag) {
            let ms = |us: f64| us / 1000.0;
            let error = match shown.frame.error {
                Duration::ZERO => String::new(),
                error => format!(" (+-{:.1})", ms(error.as_micros() as f64)),
            };
            lines.push(format!("shown {:.1} ms after capture{error}", ms(lag as f64)));
        }
        lines.extend(self.status.iter().cloned());
        lines.push(KEYS.into());
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::window::feed::{Feed, feed};
    use crate::frame::Frame;
    use crate::picture::Picture;
    use crate::segments::Coded;
    use std::sync::Arc;

    fn t(ms: i64) -> Time {
        Time::from_micros(ms * 1000)
    }

    fn show(feed: &Feed, seq: u64) {
        let frame = Frame {
            epoch: 1,
            seq,
            captured: t(0),
            error: Duration::ZERO,
            coded: Coded::whole(b"jpeg".as_slice().into(), seq),
        };
        feed.show(Arc::new(Picture::new(64, 48)), frame);
    }

    /// One round of the window's loop; the sequence number of a newly shown picture.
    fn turn(state: &mut State, at: Time) -> Option<u64> {
        let changed = state.take(at) | state.refresh(at);
        changed.then(|| state.unseen()).flatten().map(|shown| shown.frame.seq)
    }

    #[test]
    fn words_follow_the_stream() {
        let (feed, screen) = feed();
        let mut state = State::new("live", screen);
        assert_eq!(state.labels(), [(Place::Centre, vec!["waiting for a picture".to_string()])]);
        feed.waiting("waiting for tcp://x:9000");
        assert!(state.take(t(0)));
        assert_eq!(state.labels()[0].1, ["waiting for tcp://x:9000"]);
        assert_eq!((state.new_title(t(0)).as_deref(), state.wake(t(0))), (Some("live - vstream"), Duration::MAX));
        for i in 0..=30 {
            show(&feed, i);
            assert_eq!(turn(&mut state, t(i as i64 * 40)), Some(i));
        }
        assert!(state.labels().is_empty());
        assert_eq!(state.new_title(t(1200)).as_deref(), Some("live 64x48 25.0 fps - vstream"));
        assert_eq!((state.new_title(t(1900)), state.wake(t(1900))), (None, Duration::from_millis(300)));
        assert_eq!(turn(&mut state, t(4300)), None);
        assert_eq!(state.labels(), [(Place::Bottom, vec!["no picture for 3 s".to_string()])]);
        assert_eq!(state.new_title(t(4300)).as_deref(), Some("live 64x48 - vstream"));
    }

    #[test]
    fn a_frozen_picture_stands_until_the_newest_takes_its_place() {
        let (feed, screen) = feed();
        let mut state = State::new("live", screen);
        show(&feed, 1);
        assert_eq!(turn(&mut state, t(0)), Some(1));
        state.toggle_freeze();
        for seq in 2..5 {
            show(&feed, seq);
            assert_eq!(turn(&mut state, t(10 * seq as i64)), None);
        }
        state.see_again();
        assert_eq!(state.unseen().map(|s| s.frame.seq), Some(1));
        assert_eq!(state.labels(), [(Place::Bottom, vec!["FROZEN".to_string()])]);
        state.toggle_freeze();
        assert_eq!(state.unseen().map(|s| s.frame.seq), Some(4));
    }

    #[test]
    fn figures_are_written_four_times_a_second() {
        let (feed, screen) = feed();
        let mut state = State::new("live", screen);
        state.toggle_stats();
        feed.status(vec!["tcp://x  8.1 Mbit/s".into()]);
        assert!(state.take(t(0)) | state.refresh(t(0)));
        assert_eq!(state.labels()[1].1, ["live", "tcp://x  8.1 Mbit/s", KEYS]);
        feed.status(vec!["later".into()]);
        assert!(!state.take(t(100)) && !state.refresh(t(100)));
        assert_eq!(state.wake(t(100)), Duration::from_millis(150));
        assert!(state.refresh(t(250)));
        assert_eq!(state.labels()[1].1[1], "later");
        state.toggle_stats();
        assert_eq!((state.labels().len(), state.wake(t(300))), (1, Duration::MAX));
    }
}
