//! One video: its files, the rungs that there are of it, and what is being done about the others.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use event_listener::Event;
use serde::Serialize;

use super::catalog::{Listed, Source};
use super::rung::{Outline, Rung, path};
use crate::fault;
use crate::lock::lock;

/// How far a video is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// All its rungs are there.
    Ready,
    /// Some are made, or soon: the share that is done of them.
    Preparing(f64),
    /// Some are to be made when it is played.
    Waiting,
    /// Why some could not be made; those that are there can be played.
    Failed(String),
}

impl State {
    /// The share that is done, while something is.
    pub fn preparing(&self) -> Option<f64> {
        if let State::Preparing(share) = self { Some(*share) } else { None }
    }
}

/// A video as a list shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// By which it is played.
    pub name: String,
    pub title: String,
    /// As a rung says or, some time after it was first listed, its file.
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
    /// Bits a second, and bytes of a frame, on the mean.
    pub bitrate: f64,
    pub frame_bytes: f64,
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
    rungs: BTreeMap<u32, Known>,
    state: State,
    /// How long it is, as its file says; whether that was asked.
    length: Option<Duration>,
    asked: bool,
}

/// A rung on the disk, open while somebody has it.
struct Known {
    outline: Outline,
    open: Weak<Rung>,
}

impl Now {
    fn lose(&mut self, height: u32) {
        self.rungs.remove(&height);
        if self.state == State::Ready {
            self.state = State::Waiting;
        }
    }
}

/// Files of a video's folder that are looked at: far more than there are rungs.
const FILES: usize = 1000;

impl Video {
    pub fn new(listed: Listed, rungs: &Path, heights: &Arc<[u32]>) -> Video {
        let dir = rungs.join(&listed.name);
        let now = Mutex::new(Now { rungs: BTreeMap::new(), state: State::Waiting, length: None, asked: false });
        let video = Video { listed, dir, heights: heights.clone(), now, changed: Event::new() };
        video.look();
        video.settle(State::Waiting);
        video
    }

    /// Finds the rungs on the disk that are not known yet.
    pub fn look(&self) {
        for height in self.on_disk("index") {
            if self.has(height) {
                continue;
            }
            match self.outline(height) {
                Ok(outline) => _ = lock(&self.now).rungs.insert(height, Known { outline, open: Weak::new() }),
                Err(error) => self.told(height, &error),
            }
        }
        self.changed.notify(usize::MAX);
    }

    fn outline(&self, height: u32) -> Result<Outline> {
        let outline = Outline::read(&self.dir, height)?;
        let stamp = &outline.head.stamp;
        let of = |source: &Source| source.stamp == *stamp;
        ensure!(self.listed.sources.iter().any(of), "{} has changed since", stamp.name);
        Ok(outline)
    }

    fn told(&self, height: u32, error: &Error) {
        log::info!("{} at {height}p is to be made anew: {}", self.listed.name, fault::line(error));
    }

    /// Opens each rung, so that only those stay that are whole.
    pub fn check(&self) {
        for offer in self.offers() {
            let _ = self.rung(offer.height); // what it finds is told there
        }
    }

    /// Heights of the files `480p.ENDING` in the video's folder.
    fn on_disk(&self, ending: &str) -> Vec<u32> {
        let height = |name: &str| name.strip_suffix(ending)?.strip_suffix("p.")?.parse().ok();
        let files = std::fs::read_dir(&self.dir).into_iter().flatten().take(FILES).flatten();
        files.filter_map(|file| height(file.file_name().to_str()?)).collect()
    }

    /// Removes links: whoever puts one into the folder of another's vstream would have it write elsewhere.
    pub fn unlink(&self) -> io::Result<()> {
        for file in std::fs::read_dir(&self.dir)? {
            let file = file?;
            if file.file_type()?.is_symlink() {
                std::fs::remove_file(file.path())?;
            }
        }
        Ok(())
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

    /// Forgets the rungs whose files are there no more, or are others; those that somebody has open can still be played.
    pub fn forget(&self) {
        let mut now = lock(&self.now);
        let known = now.rungs.len();
        now.rungs.retain(|&height, known| {
            let [jpegs, index] = ["mjpeg", "index"].map(|ending| path(&self.dir, height, ending).metadata());
            known.open.strong_count() > 0 || index.is_ok() && jpegs.is_ok_and(|jpegs| known.outline.is(&jpegs))
        });
        if now.rungs.len() < known && !matches!(now.state, State::Preparing(_)) {
            now.state = State::Waiting;
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

    /// Whether a source has rungs to give that are not there, as far as is known without opening it.
    pub fn lacks(&self, source: &Source) -> bool {
        let own = {
            let now = lock(&self.now);
            let mut heads = now.rungs.values().map(|known| &known.outline.head);
            heads.find(|head| head.stamp == source.stamp).map(|head| head.source.1)
        };
        own.is_none_or(|own| !self.lacking(source, own).is_empty())
    }

    /// What became of it. Where all rungs are there it is ready whatever else is said.
    pub fn settle(&self, state: State) {
        let complete = !self.listed.sources.iter().any(|source| self.lacks(source));
        lock(&self.now).state = if complete { State::Ready } else { state };
        self.changed.notify(usize::MAX);
    }

    /// Whether it waits to be made; from now on it is being made.
    pub fn begin(&self) -> bool {
        let mut now = lock(&self.now);
        let waits = now.state == State::Waiting;
        if waits {
            now.state = State::Preparing(0.0);
        }
        waits
    }

    pub fn preparing(&self, share: f64) {
        lock(&self.now).state = State::Preparing(share);
    }

    pub fn state(&self) -> State {
        lock(&self.now).state.clone()
    }

    /// A rung that was spoiled under who has it is none any more.
    pub fn lose(&self, rung: &Arc<Rung>) {
        let mut now = lock(&self.now);
        let same = |known: &Known| known.open.ptr_eq(&Arc::downgrade(rung));
        if now.rungs.get(&rung.height).is_some_and(same) {
            now.lose(rung.height);
        }
    }

    /// The height of the best rung of at most this height, else of the lowest.
    pub fn best(&self, height: u32) -> Option<u32> {
        let now = lock(&self.now);
        now.rungs.range(..=height).next_back().or_else(|| now.rungs.first_key_value()).map(|(&height, _)| height)
    }

    /// Opens a rung, or gives the one that is open; none that is not whole.
    pub fn rung(&self, height: u32) -> Option<Arc<Rung>> {
        let mut now = lock(&self.now);
        let known = now.rungs.get_mut(&height)?;
        if let Some(open) = known.open.upgrade() {
            return Some(open);
        }
        let same = |rung: &Rung| rung.outline.head == known.outline.head;
        match Rung::open(&self.dir, height).and_then(|rung| same(&rung).then_some(rung).context("it is another")) {
            Ok(rung) => {
                let rung = Arc::new(rung);
                known.open = Arc::downgrade(&rung);
                Some(rung)
            }
            Err(error) => {
                now.lose(height);
                self.told(height, &error);
                None
            }
        }
    }

    /// Waits for the next change of rungs or state.
    pub fn listen(&self) -> event_listener::EventListener {
        self.changed.listen()
    }

    pub fn offers(&self) -> Vec<Offer> {
        let now = lock(&self.now);
        let offer = |(&height, known): (&u32, &Known)| {
            let outline = &known.outline;
            Offer { height, size: outline.head.size, bitrate: outline.bitrate(), frame_bytes: outline.frame_bytes() }
        };
        now.rungs.iter().map(offer).collect()
    }

    /// Whether nobody knows how long it is, nor has asked; from now on it is being asked.
    pub fn asks_length(&self) -> bool {
        let mut now = lock(&self.now);
        now.rungs.is_empty() && !std::mem::replace(&mut now.asked, true)
    }

    pub fn lasts(&self, length: Duration) {
        lock(&self.now).length = Some(length);
    }

    /// How long it is, as its lowest rung says, or else its file.
    fn duration(&self) -> Option<Duration> {
        let now = lock(&self.now);
        now.rungs.values().next().map(|known| known.outline.duration()).or(now.length)
    }

    pub fn entry(&self) -> Entry {
        let seconds = self.duration().map(|duration| duration.as_secs_f64());
        let (name, title) = (self.listed.name.clone(), self.listed.title.clone());
        Entry { name, title, seconds, rungs: self.offers(), state: self.state() }
    }
}
