//! The rungs of one source in the making: every picture is scaled and coded for each of them at once. Where the disk fills,
//! the highest of them gives up its place.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::{Error, Result};
use bytes::Bytes;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::catalog::Source;
use super::index::Head;
use super::part::{self, Part};
use crate::clock::Time;
use crate::codec::coder::{Coder, Wanted};
use crate::codec::gate::Mode;
use crate::frame::Image;
use crate::picture::{Picture, WIDTH_MAX};
use crate::web::sizes::fit;

pub struct Making {
    dir: PathBuf,
    /// The lowest first.
    rungs: Vec<Coding>,
    /// Those that were left out, and why the first of them.
    left_out: Vec<u32>,
    failure: Option<Error>,
}

struct Coding {
    height: u32,
    part: Part,
    coder: Coder,
    /// What is to be written.
    coded: Result<Option<(Bytes, u64)>>,
}

impl Making {
    /// Begins rungs of a source, whose pictures have a size of their own, or goes on with them.
    pub fn begin(dir: &Path, source: &Source, own: (usize, usize), heights: &[u32]) -> Making {
        let mut making = Making { dir: dir.to_path_buf(), rungs: Vec::new(), left_out: Vec::new(), failure: None };
        for &height in heights {
            match Coding::begin(dir, source, own, height) {
                Ok(rung) => making.rungs.push(rung),
                Err(error) => making.leave_out(height, error),
            }
        }
        making
    }

    /// Takes the next picture of the source, shown at `time`.
    pub fn put(&mut self, nth: u64, picture: &Arc<Picture>, time: Duration) {
        let time = time.as_micros() as u64;
        match &*POOL {
            Some(pool) => pool.install(|| self.rungs.par_iter_mut().for_each(|rung| rung.code(nth, picture, time))),
            None => self.rungs.iter_mut().for_each(|rung| rung.code(nth, picture, time)),
        }
        while let Some(error) = self.rungs.iter_mut().find_map(|rung| rung.write().err()) {
            let highest = self.rungs.pop().expect("one of them could not be written");
            self.leave_out(highest.height, error);
        }
    }

    /// Whether there is nothing to be made.
    pub fn is_empty(&self) -> bool {
        self.rungs.is_empty()
    }

    /// Completes the rungs: which they are, and which others are not among them and why.
    pub fn finish(mut self) -> (Vec<u32>, Option<Error>) {
        let mut heights = Vec::new();
        for rung in std::mem::take(&mut self.rungs) {
            match rung.part.finish() {
                Ok(()) => heights.push(rung.height),
                Err(error) => self.leave_out(rung.height, error),
            }
        }
        let left_out = format!("left out at {}", labels(&self.left_out));
        (heights, self.failure.map(|failure| failure.context(left_out)))
    }

    /// Leaves nothing of them.
    pub fn discard(self) {
        self.rungs.iter().for_each(|rung| part::remove(&self.dir, rung.height));
    }

    fn leave_out(&mut self, height: u32, error: Error) {
        part::remove(&self.dir, height);
        self.left_out.push(height);
        self.failure.get_or_insert(error);
    }
}

/// Rungs by name.
pub fn labels(heights: &[u32]) -> String {
    heights.iter().map(|height| format!("{height}p")).collect::<Vec<_>>().join(", ")
}

impl Coding {
    fn begin(dir: &Path, source: &Source, own: (usize, usize), height: u32) -> Result<Coding> {
        let size = fit(own, (WIDTH_MAX, height as usize)).unwrap_or(own);
        let short = |(width, height): (usize, usize)| (width as u32, height as u32);
        let head = Head { size: short(size), source: short(own), stamp: source.stamp.clone() };
        let part = Part::open(dir, height, &head)?;
        let wanted = Wanted { size: Some(size), gate: Some(Mode::Auto), ..Wanted::default() };
        Ok(Coding { height, part, coder: Coder::new(wanted), coded: Ok(None) })
    }

    fn code(&mut self, nth: u64, picture: &Arc<Picture>, time: u64) {
        // What a run before this one has made is there already.
        if nth >= self.part.frames {
            let captured = Time::from_micros(time as i64);
            let coded = self.coder.encode(Image::Picture(picture.clone()), nth, captured, &|_, _| ());
            self.coded = coded.map(|(coded, _)| Some((coded.bytes, time)));
        }
    }

    /// Writes what was coded; what could not be written is tried again the next time.
    fn write(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.coded, Ok(None))? {
            Some((jpeg, time)) => {
                self.part.put(&jpeg, time).inspect_err(|_| self.coded = Ok(Some((jpeg.clone(), time))))
            }
            None => Ok(()),
        }
    }
}

/// Threads of their own, after those of live streams: nobody waits for these. None where the system has no more of them.
static POOL: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let pool = ThreadPoolBuilder::new().thread_name(|_| "library".into()).start_handler(|_| yield_to_others());
    pool.build().ok()
});

/// Lets this thread, and what it starts, have the time that others leave.
pub fn yield_to_others() {
    const NICE: i32 = 10;
    let _ = rustix::process::nice(NICE); // where it may not, it is as fast as the others
}
