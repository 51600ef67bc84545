//! When a received frame is shown: at once, or held so that the jitter of the way does not show. Pure; the caller
//! waits until `wake` and then takes what `pop` gives.
//!
//! ```text
//! captured ──── fastest way ────┬─ delay() ─┬ due      a frame that comes later than this is shown as it comes
//!                               least       target
//! ```

use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;

use crate::clock::Time;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::playout::way::Way;
use crate::units;

mod way;

/// What `--playout` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// `0`: every frame as it comes.
    #[default]
    Off,
    /// `auto`: held for the jitter that is measured.
    Auto,
    /// Shown this long after it was captured, or as it comes where the way takes longer.
    Fixed(Duration),
}

/// Longest delay that can be asked for: what `FRAMES_MAX` holds at 60 frames a second.
const FIXED_MAX: Duration = Duration::from_secs(5);
const FRAMES_MAX: usize = 300;
/// Against memory eaten by large frames: 5 s of 100 Mbit/s.
const BYTES_MAX: usize = 64 << 20;

impl FromStr for Mode {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Mode> {
        let wrong =
            || Fault::usage(format!("a playout of {text} is not known: 0, auto or a time such as 200ms or 1.5s"));
        if text == "0" || text == "auto" {
            return Ok(if text == "0" { Mode::Off } else { Mode::Auto });
        }
        match units::duration(text).map_err(|_| wrong())? {
            Duration::ZERO => Ok(Mode::Off),
            delay if delay <= FIXED_MAX => Ok(Mode::Fixed(delay)),
            _ => Err(Fault::usage(format!("a playout of {text} is too long: at most {}s", FIXED_MAX.as_secs())).into()),
        }
    }
}

/// The frames that wait for their time, in the order of their capture.
#[derive(Debug)]
pub struct Playout {
    mode: Mode,
    waiting: VecDeque<(Time, Frame)>,
    bytes: usize,
    /// Epoch and sequence number of the newest frame that was given out.
    shown: Option<(u64, u64)>,
    way: Way,
    late: u64,
}

impl Playout {
    pub fn new(mode: Mode) -> Playout {
        Playout { mode, waiting: VecDeque::new(), bytes: 0, shown: None, way: Way::default(), late: 0 }
    }

    /// Takes a frame that came `now`. One that is older than the frame on show is late; a doubled one is ignored.
    pub fn push(&mut self, now: Time, frame: Frame) {
        let epoch = self.waiting.back().map(|(_, last)| last.epoch).or(self.shown.map(|(epoch, _)| epoch));
        if epoch.is_some_and(|epoch| epoch != frame.epoch) {
            self.begin_again();
        }
        self.way.add(now, now.micros().saturating_sub(frame.captured.micros()));
        let place = self.waiting.partition_point(|(_, earlier)| earlier.seq < frame.seq);
        let doubled = self.waiting.get(place).is_some_and(|(_, other)| other.seq == frame.seq);
        match self.shown {
            Some((_, seq)) if seq == frame.seq => {}
            Some((_, seq)) if seq > frame.seq => self.late += 1,
            _ if doubled => {}
            _ => {
                self.bytes += frame.coded.bytes.len();
                self.waiting.insert(place, (now, frame));
            }
        }
        while self.waiting.len() > 1 && (self.waiting.len() > FRAMES_MAX || self.bytes > BYTES_MAX) {
            self.remove_front();
            self.late += 1;
        }
    }

    /// The newest frame that is due. Those that it overtakes are late.
    pub fn pop(&mut self, now: Time) -> Option<Frame> {
        let due = (0..self.waiting.len()).rev().find(|&i| self.due(i) <= now)?;
        for _ in 0..due {
            self.remove_front();
            self.late += 1;
        }
        let frame = self.remove_front()?;
        self.shown = Some((frame.epoch, frame.seq));
        Some(frame)
    }

    /// The oldest frame, due or not: nothing more will come, and what is held must not be lost.
    pub fn flush(&mut self) -> Option<Frame> {
        self.remove_front()
    }

    /// When `pop` will have something, as far as is known; a push may change it.
    pub fn wake(&self) -> Option<Time> {
        (0..self.waiting.len()).map(|i| self.due(i)).min()
    }

    /// Frames that were overtaken or came after a newer one had been shown.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// How long a frame that came the fastest way is held.
    pub fn delay(&self) -> Duration {
        let held = match self.mode {
            Mode::Off => 0,
            Mode::Auto => self.way.target().saturating_sub(self.way.least()),
            Mode::Fixed(delay) => (delay.as_micros() as i64).saturating_sub(self.way.least()),
        };
        Duration::from_micros(held.max(0) as u64)
    }

    fn due(&self, i: usize) -> Time {
        let (came, frame) = &self.waiting[i];
        // A full queue gives out its first frame early, lest it drops one for each that comes.
        if i == 0 && (self.waiting.len() >= FRAMES_MAX || self.bytes > BYTES_MAX / 2) {
            return *came;
        }
        match self.mode {
            Mode::Off => *came,
            Mode::Auto => frame.captured.shifted(self.way.target()),
            // No frame comes before its capture: one that seems to has a wrong clock, and must not wait for it.
            Mode::Fixed(delay) => frame.captured.min(*came) + delay,
        }
    }

    fn remove_front(&mut self) -> Option<Frame> {
        let (_, frame) = self.waiting.pop_front()?;
        self.bytes -= frame.coded.bytes.len();
        Some(frame)
    }

    /// Another start of the sender: nothing of the old one compares.
    fn begin_again(&mut self) {
        self.late += self.waiting.len() as u64;
        *self = Playout { late: self.late, ..Playout::new(self.mode) };
    }
}

#[cfg(test)]
mod tests;
