//! One viewer in one video: frames when they are due, of the rung that is wanted.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use smol::future::or;

use super::Library;
use super::playhead::{Due, Playhead};
use super::rung::Rung;
use super::video::{Offer, State, Video};
use crate::alarm::Alarm;
use crate::clock::{self, Time};
use crate::fault;
use crate::frame::Frame;
use crate::segments::Coded;
use crate::stop::Stop;

/// Where a viewer is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Position {
    pub seconds: f64,
    /// Of the whole video; 0 until there is a rung of it.
    pub duration: f64,
    pub paused: bool,
}

pub struct Playback {
    library: Library,
    video: Arc<Video>,
    stop: Stop,
    head: Playhead,
    /// At most this height.
    wanted: u32,
    /// What is shown, and its epoch.
    rung: Option<(Arc<Rung>, u64)>,
    seq: u64,
    captured: Option<Time>,
    alarm: Alarm,
    /// The frame given last, of the same epoch: its segments that stayed keep their versions.
    before: Option<Coded>,
}

impl Playback {
    pub fn new(library: Library, video: Arc<Video>, stop: &Stop) -> Playback {
        let (head, stop) = (Playhead::default(), stop.clone());
        let (rung, captured, alarm, before) = Default::default();
        Playback { library, video, stop, head, wanted: 0, rung, seq: 0, captured, alarm, before }
    }

    /// The next frame, when it is due. One that is late is left out for a newer one. None at the end (a jump goes on from
    /// there), when vstream ends, and when no rung could be made: `trouble` says why then. Who gives up waiting loses nothing.
    pub async fn next(&mut self) -> Option<Frame> {
        while !self.stop.said() {
            let changed = self.video.listen();
            self.switch();
            let due =
                self.rung.as_ref().map(|(rung, _)| self.head.due(rung.times(), rung.outline.duration(), clock::now()));
            match due {
                Some(Due::Frame(nth, at)) => {
                    if let Some(frame) = self.give(nth, at) {
                        return Some(frame);
                    }
                }
                Some(Due::At(at)) => or(self.alarm.until(Some(at)), self.stop.heard()).await,
                Some(Due::End) => return None,
                None if self.trouble().is_some() => return None,
                Some(Due::Rest) | None => or(pin!(changed), self.stop.heard()).await,
            }
        }
        None
    }

    /// Takes the rung that is wanted, where it is another than before. Where there is none it is asked for.
    fn switch(&mut self) {
        let best = loop {
            match self.video.best(self.wanted) {
                Some(height) if self.height() == Some(height) => return,
                Some(height) => match self.video.rung(height) {
                    Some(rung) => break rung,
                    None => continue, // it was lost: the next best
                },
                None => {
                    self.rung = None;
                    return self.library.want(&self.video);
                }
            }
        };
        self.rung = Some((best, fastrand::u64(..)));
        self.before = None;
        self.head.again();
        self.head.start(clock::now());
    }

    /// A frame of the rung that is shown; none where it is damaged, or the rung lost.
    fn give(&mut self, nth: usize, at: Time) -> Option<Frame> {
        let (rung, epoch) = self.rung.as_ref()?;
        self.head.gave(rung.times()[nth]);
        let coded = match rung.frame(nth, self.seq) {
            Ok(coded) => coded,
            Err(error) => {
                log::warn!("{} at {}p: {}", self.video.listed.name, rung.height, fault::line(&error));
                if !rung.stands() {
                    self.video.lose(rung);
                    self.rung = None;
                }
                return None;
            }
        };
        let coded = self.before.as_ref().map_or_else(|| coded.clone(), |before| coded.clone().after(before));
        let captured = self.captured.map_or(at, |before| before.max(at));
        let frame = Frame { epoch: *epoch, seq: self.seq, captured, error: Duration::ZERO, coded: coded.clone() };
        (self.before, self.captured, self.seq) = (Some(coded), Some(captured), self.seq + 1);
        Some(frame)
    }

    /// Goes to a place, and on from there; in a pause its frame is given.
    pub fn seek(&mut self, seconds: f64) {
        let most = self.rung.as_ref().map_or(Duration::MAX, |(rung, _)| rung.outline.duration());
        let to = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(most);
        self.head.seek(to.min(most), clock::now());
    }

    pub fn pause(&mut self, paused: bool) {
        self.head.pause(paused, clock::now());
    }

    /// From the next frame on, the best rung of at most this height; the lowest where all are higher.
    pub fn choose(&mut self, height: u32) {
        self.wanted = height;
    }

    pub fn at(&self) -> Position {
        let duration = self.rung.as_ref().map_or(Duration::ZERO, |(rung, _)| rung.outline.duration());
        let seconds = self.head.position(clock::now()).min(duration).as_secs_f64();
        Position { seconds, duration: duration.as_secs_f64(), paused: self.head.paused() }
    }

    /// The height of the rung that is shown.
    pub fn height(&self) -> Option<u32> {
        self.rung.as_ref().map(|(rung, _)| rung.height)
    }

    /// What can be chosen now: more while the video is prepared.
    pub fn rungs(&self) -> Vec<Offer> {
        self.video.offers()
    }

    /// Why there is nothing to play.
    pub fn trouble(&self) -> Option<String> {
        match self.video.state() {
            State::Failed(why) if self.video.best(0).is_none() => {
                Some(format!("{} cannot be played: {why}", self.video.listed.name))
            }
            _ => None,
        }
    }
}
