//! A folder of videos, each at several sizes: what there is, what is being made of it, and where each viewer is in it.
//! It knows of no network and no page.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;

use crate::clock::{self, Time};
use crate::fault::Fault;
use crate::lock::lock;
use crate::stop::Stop;

mod catalog;
pub mod index;
mod make;
mod making;
mod need;
mod part;
mod playback;
mod playhead;
mod poster;
mod rung;
mod video;

use make::Reach;
pub use playback::{Playback, Position};
use video::Video;
pub use video::{Entry, Offer, State};

/// Within the library's folder: what is made of its videos.
const RUNGS: &str = ".vstream";
/// What was put into the folder is seen after this long at most.
const LOOK: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Library(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    heights: Arc<[u32]>,
    stop: Stop,
    videos: Mutex<Videos>,
    /// Whose length is asked, what is to be played soon, and what is made besides: none waits for the others.
    lanes: [(Reach, Mutex<Lane>); 3],
}

struct Videos {
    all: Vec<Arc<Video>>,
    seen: Time,
}

/// Videos to be made by a thread that ends when there are none.
#[derive(Default)]
struct Lane {
    queue: VecDeque<Arc<Video>>,
    runs: bool,
}

impl Library {
    /// Looks through a folder for videos. `heights` are the rungs to make of each that is large enough; its own height is
    /// one besides.
    pub fn open(dir: &Path, heights: &[u32], stop: &Stop) -> Result<Library> {
        ensure!(dir.is_dir(), Fault::usage(format!("the library {} is no folder", dir.display())));
        let mut heights = heights.to_vec();
        heights.sort_unstable();
        heights.dedup();
        let shared = Shared {
            dir: dir.to_path_buf(),
            heights: heights.into(),
            stop: stop.clone(),
            videos: Mutex::new(Videos { all: Vec::new(), seen: clock::now() }),
            lanes: [Reach::Length, Reach::Lowest, Reach::All].map(|reach| (reach, Mutex::default())),
        };
        shared.scan(&mut lock(&shared.videos))?;
        Ok(Library(shared.into()))
    }

    /// All videos, in the order of their paths.
    pub fn list(&self) -> Vec<Entry> {
        let videos = self.0.videos();
        videos.iter().filter(|video| video.asks_length()).for_each(|video| self.queue(video, Reach::Length));
        videos.iter().map(|video| video.entry()).collect()
    }

    /// One of them.
    pub fn entry(&self, name: &str) -> Option<Entry> {
        Some(self.0.video(name)?.entry())
    }

    /// The height of the rung that plays of a video where this height is wanted.
    pub fn best(&self, name: &str, height: u32) -> Option<u32> {
        self.0.video(name)?.best(height)
    }

    /// A JPEG of a frame, 320 wide at most; none until there is a rung.
    pub fn poster(&self, name: &str) -> Option<Bytes> {
        let video = self.0.video(name)?;
        poster::read(&video.dir).ok()
    }

    /// A viewer at the beginning of a video, whose rungs are made first where they are not there: the lowest soon.
    pub fn play(&self, name: &str) -> Result<Playback> {
        let no = || Fault::refused(format!("there is no video {name}"));
        let video = self.0.video(name).with_context(no)?;
        let playback = Playback::new(self.clone(), video.clone(), &self.0.stop);
        if let Some(why) = playback.trouble() {
            return Err(Fault::refused(why).into());
        }
        self.want(&video);
        Ok(playback)
    }

    /// Makes all rungs of all videos that lack some, one video after the other. An error says how many are not there, or not
    /// at all their rungs.
    pub fn prepare(&self) -> Result<()> {
        let videos = self.0.videos();
        for video in videos.iter().filter(|video| video.state() != State::Ready) {
            make::make(video, Reach::All, &self.0.stop);
        }
        let failed = videos.iter().filter(|video| matches!(video.state(), State::Failed(_)));
        let (less, none): (Vec<_>, Vec<_>) = failed.partition(|video| video.best(0).is_some());
        let told =
            [(none, "could not be prepared: the others are served"), (less, "are served without some of their rungs")];
        let told = told.into_iter().filter(|(videos, _)| !videos.is_empty());
        let told: Vec<_> =
            told.map(|(some, what)| format!("{} of {} videos {what}", some.len(), videos.len())).collect();
        ensure!(told.is_empty(), told.join("; "));
        Ok(())
    }

    /// Makes what a video lacks, on a thread besides: the lowest rung first.
    fn want(&self, video: &Arc<Video>) {
        if !video.begin() {
            return;
        }
        let reach = if video.offers().is_empty() { Reach::Lowest } else { Reach::All };
        self.queue(video, reach);
    }

    fn queue(&self, video: &Arc<Video>, reach: Reach) {
        let mut lane = lock(self.0.lane(reach));
        lane.queue.push_back(video.clone());
        if !std::mem::replace(&mut lane.runs, true) {
            let me = self.clone();
            std::thread::spawn(move || me.run(reach));
        }
    }

    fn run(self, reach: Reach) {
        making::yield_to_others();
        let next = || {
            let mut lane = lock(self.0.lane(reach));
            let next = lane.queue.pop_front().filter(|_| !self.0.stop.said());
            lane.runs = next.is_some();
            next
        };
        while let Some(video) = next() {
            if reach == Reach::Length {
                make::ask_length(&video, &self.0.stop);
            } else if !matches!(video.state(), State::Failed(_)) {
                make::make(&video, reach, &self.0.stop);
                self.want(&video); // the others, after the lowest
            }
        }
    }
}

impl Shared {
    fn lane(&self, reach: Reach) -> &Mutex<Lane> {
        let lane = self.lanes.iter().find(|(of, _)| *of == reach);
        &lane.expect("every reach has its lane").1
    }

    /// The videos, with what has come and gone since they were looked for.
    fn videos(&self) -> Vec<Arc<Video>> {
        let mut videos = lock(&self.videos);
        if clock::now().since(videos.seen) > LOOK
            && let Err(error) = self.scan(&mut videos)
        {
            log::warn!("{}", crate::fault::line(&error));
        }
        videos.all.clone()
    }

    fn scan(&self, videos: &mut Videos) -> Result<()> {
        videos.seen = clock::now();
        let found = catalog::scan(&self.dir)?;
        let rungs = self.dir.join(RUNGS);
        let known = std::mem::take(&mut videos.all);
        let of = |listed| match known.iter().find(|video| video.listed == listed) {
            Some(video) => {
                video.forget();
                video.clone()
            }
            None => Arc::new(Video::new(listed, &rungs, &self.heights)),
        };
        videos.all = found.into_iter().map(of).collect();
        Ok(())
    }

    fn video(&self, name: &str) -> Option<Arc<Video>> {
        self.videos().into_iter().find(|video| video.listed.name == name)
    }
}
