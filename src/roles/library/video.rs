//! One video: its files, the rungs that there are of it, and what is being done about the others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Result, ensure};
use event_listener::Event;
use serde::Serialize;

use super::catalog::{Listed, Source};
use super::rung::{Rung, path};
use crate::fault;
use crate::lock::lock;

/// How far a video is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// All its rungs are there.
    Ready,
    /// Some are made now: the share that is done of them.
    Preparing(f64),
    /// Some are to be made when it is played.
    Waiting,
    /// Why some could not be made; those that are there can be played.
    Failed(String),
}

/// A video as a list shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// By which it is played.
    pub name: String,
    pub title: String,
    /// Known when there is a rung.
    pub seconds: Option<f64>,
    /// What can be played, the lowest first.
    pub rungs: Vec<Offer>,
    pub state: State,
}

/// A rung that can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Offer {
    pub height: u32,
    /// Width and height of its pictures.
    pub size: (u32, u32),
    /// Bits a second on the mean.
    pub bitrate: f64,
}

pub struct Video {
    pub listed: Listed,
    /// Where its rungs are.
    pub dir: PathBuf,
    /// The rungs that are wanted of a file that is large enough.
    heights: Arc<[u32]>,
    now: Mutex<Now>,
    /// Told when rungs or the state change.
    changed: Event,
}

struct Now {
    rungs: BTreeMap<u32, Arc<Rung>>,
    state: State,
}

/// Files of a video's folder that are looked at: far more than there are rungs.
const FILES: usize = 1000;

impl Video {
    pub fn new(listed: Listed, rungs: &Path, heights: &Arc<[u32]>) -> Video {
        let dir = rungs.join(&listed.name);
        let now = Mutex::new(Now { rungs: BTreeMap::new(), state: State::Waiting });
        let video = Video { listed, dir, heights: heights.clone(), now, changed: Event::new() };
        video.look();
        video.settle(None);
        video
    }

    /// Opens the rungs on the disk that are not open yet.
    pub fn look(&self) {
        for height in self.on_disk("index") {
            if lock(&self.now).rungs.contains_key(&height) {
                continue;
            }
            match self.open(height) {
                Ok(rung) => _ = lock(&self.now).rungs.insert(height, rung.into()),
                Err(error) => {
                    log::info!("{} at {height}p is to be made anew: {}", self.listed.name, fault::line(&error))
                }
            }
        }
        self.changed.notify(usize::MAX);
    }

    fn open(&self, height: u32) -> Result<Rung> {
        let rung = Rung::open(&self.dir, height)?;
        let of = |source: &Source| source.stamp == rung.head.stamp;
        ensure!(self.listed.sources.iter().any(of), "{} has changed since", rung.head.stamp.name);
        Ok(rung)
    }

    /// Heights of the files `480p.ENDING` in the video's folder.
    fn on_disk(&self, ending: &str) -> Vec<u32> {
        let height = |name: &str| name.strip_suffix(ending)?.strip_suffix("p.")?.parse().ok();
        let files = std::fs::read_dir(&self.dir).into_iter().flatten().take(FILES).flatten();
        files.filter_map(|file| height(file.file_name().to_str()?)).collect()
    }

    /// Removes what is on the disk under the names of rungs but is none, or none any more.
    pub fn sweep(&self, endings: &[&str]) {
        for ending in endings {
            for height in self.on_disk(ending) {
                if !self.has(height) || ending.ends_with("part") {
                    let _ = std::fs::remove_file(path(&self.dir, height, ending)); // what cannot be removed is written over
                }
            }
        }
    }

    fn has(&self, height: u32) -> bool {
        lock(&self.now).rungs.contains_key(&height)
    }

    /// The rungs that a source still has to give, where its own height is known.
    pub fn lacking(&self, source: &Source, own: u32) -> Vec<u32> {
        let named = |height: &u32| self.listed.sources.iter().any(|source| source.height == Some(*height));
        let all = match source.height {
            Some(height) => vec![height],
            None => {
                let lower = self.heights.iter().copied().filter(|&height| height < own);
                lower.chain([own]).filter(|height| !named(height)).collect()
            }
        };
        all.into_iter().filter(|&height| !self.has(height)).collect()
    }

    /// Whether nothing is left to be made, as far as is known without opening the sources.
    fn complete(&self) -> bool {
        let own = |source: &Source| {
            let rungs = lock(&self.now);
            let of = rungs.rungs.values().find(|rung| rung.head.stamp == source.stamp);
            of.map(|rung| rung.head.source.1)
        };
        let sources = &self.listed.sources;
        sources.iter().all(|source| own(source).is_some_and(|own| self.lacking(source, own).is_empty()))
    }

    /// What became of the attempt to make what is lacking.
    pub fn settle(&self, failure: Option<String>) {
        let complete = self.complete();
        let mut now = lock(&self.now);
        now.state = match failure {
            _ if complete => State::Ready,
            Some(why) => State::Failed(why),
            None => State::Waiting,
        };
        drop(now);
        self.changed.notify(usize::MAX);
    }

    pub fn preparing(&self, share: f64) {
        lock(&self.now).state = State::Preparing(share);
    }

    pub fn state(&self) -> State {
        lock(&self.now).state.clone()
    }

    /// A rung that was spoiled under us is none any more.
    pub fn lose(&self, rung: &Arc<Rung>) {
        let mut now = lock(&self.now);
        if now.rungs.get(&rung.height).is_some_and(|have| Arc::ptr_eq(have, rung)) {
            now.rungs.remove(&rung.height);
            if now.state == State::Ready {
                now.state = State::Waiting;
            }
        }
    }

    /// The best rung of at most this height, else the lowest.
    pub fn rung(&self, height: u32) -> Option<Arc<Rung>> {
        let now = lock(&self.now);
        now.rungs.range(..=height).next_back().or_else(|| now.rungs.first_key_value()).map(|(_, rung)| rung.clone())
    }

    /// Waits for the next change of rungs or state.
    pub fn listen(&self) -> event_listener::EventListener {
        self.changed.listen()
    }

    pub fn offers(&self) -> Vec<Offer> {
        let now = lock(&self.now);
        let offer = |rung: &Arc<Rung>| Offer { height: rung.height, size: rung.head.size, bitrate: rung.bitrate() };
        now.rungs.values().map(offer).collect()
    }

    pub fn entry(&self) -> Entry {
        let seconds = self.rung(0).map(|rung| rung.duration().as_secs_f64());
        let (name, title) = (self.listed.name.clone(), self.listed.title.clone());
        Entry { name, title, seconds, rungs: self.offers(), state: self.state() }
    }
}
