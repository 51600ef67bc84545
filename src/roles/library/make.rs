//! From a source to its rungs: it is decoded once, and every picture is scaled and coded for each of them.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::{Context, Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::catalog::Source;
use super::index::Head;
use super::part::Part;
use super::poster;
use super::video::Video;
use crate::clock::{self, Time};
use crate::codec::coder::{Coder, Wanted};
use crate::codec::decode::decode;
use crate::codec::gate::Mode;
use crate::devices::{Wish, file};
use crate::fault;
use crate::frame::{Image, Shot};
use crate::log::live;
use crate::picture::{Picture, WIDTH_MAX};
use crate::stop::Stop;
use crate::web::sizes::fit;

/// How much is made in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// One rung, so that something can be played soon.
    Lowest,
    All,
}

/// Makes the rungs that a video lacks, once nobody else does. What was begun goes on where it was.
pub fn make(video: &Video, reach: Reach, stop: &Stop) {
    let made = attempt(video, reach, stop);
    if let Err(error) = &made {
        log::warn!("{}: {}", video.listed.name, fault::line(error));
    }
    video.settle(made.err().map(|error| fault::line(&error)));
}

fn attempt(video: &Video, reach: Reach, stop: &Stop) -> Result<()> {
    let dir = video.dir.display();
    std::fs::create_dir_all(&video.dir).with_context(|| format!("could not create {dir}"))?;
    let Some(_held) = hold(video, stop).with_context(|| format!("could not lock {dir}"))? else { return Ok(()) };
    if !video.listed.sources.iter().all(Source::stands) {
        return Ok(()); // it has changed: whoever looks for videos again finds another
    }
    video.look();
    video.sweep(&["index", "mjpeg"]);
    let mut failures = Vec::new();
    for source in &video.listed.sources {
        if stop.said() || reach == Reach::Lowest && !video.offers().is_empty() {
            return Ok(());
        }
        failures.extend(pass(video, source, reach, stop).err());
        video.look();
        if let Some(lowest) = video.rung(0) {
            failures.extend(poster::make(&lowest, &video.dir).err());
        }
    }
    if reach == Reach::All && failures.is_empty() && !stop.said() {
        video.sweep(&["index.part", "mjpeg.part"]);
    }
    failures.into_iter().next().map_or(Ok(()), Err)
}

/// Waits until no other vstream and no other thread of this one makes rungs of a video; none when told to stop.
fn hold(video: &Video, stop: &Stop) -> Result<Option<File>> {
    const LOOK: Duration = Duration::from_millis(100);
    let file = File::options().create(true).truncate(false).write(true).open(video.dir.join(".lock"))?;
    while !stop.said() {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(std::fs::TryLockError::WouldBlock) => _ = stop.wait_until(clock::now() + LOOK),
            Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// A rung in the making.
struct Making {
    height: u32,
    part: Part,
    coder: Coder,
    failed: Option<Error>,
}

impl Making {
    fn begin(dir: &Path, source: &Source, own: (usize, usize), height: u32) -> Result<Making> {
        let size = fit(own, (WIDTH_MAX, height as usize)).unwrap_or(own);
        let short = |(width, height): (usize, usize)| (width as u32, height as u32);
        let head = Head { size: short(size), source: short(own), stamp: source.stamp.clone() };
        let part = Part::open(dir, height, &head)?;
        let wanted = Wanted { size: Some(size), gate: Some(Mode::Auto), ..Wanted::default() };
        Ok(Making { height, part, coder: Coder::new(wanted), failed: None })
    }

    fn put(&mut self, nth: u64, picture: &Arc<Picture>, time: Duration) {
        // What a run before this one has made is there already.
        if nth >= self.part.frames && self.failed.is_none() {
            self.failed = self.code(nth, picture, time).err();
        }
    }

    fn code(&mut self, nth: u64, picture: &Arc<Picture>, time: Duration) -> Result<()> {
        let time = time.as_micros() as u64;
        let captured = Time::from_micros(time as i64);
        let (coded, _) = self.coder.encode(Image::Picture(picture.clone()), nth, captured, &|_, _| ())?;
        self.part.put(&coded.bytes, time)
    }
}

/// Reads a source once for all rungs of it that are lacking. An error is that of the first rung that failed; the others
/// are made all the same.
fn pass(video: &Video, source: &Source, reach: Reach, stop: &Stop) -> Result<()> {
    let begun = clock::now();
    let wish = Wish { recode: true, ahead: true, ..Wish::default() };
    let mut film = file::open(&source.path, &wish, stop)?;
    let bar = bar(&video.listed.name, film.about().length);
    // While one picture is coded the next ones are decoded.
    let (sender, shots) = sync_channel(AHEAD);
    let made = std::thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                let next = film.next();
                let last = !matches!(next, Ok(Some(_)));
                if sender.send(next).is_err() || last {
                    break;
                }
            }
        });
        rungs(video, source, reach, stop, (shots, &bar))
    });
    bar.finish_and_clear();
    let (heights, frames, failure) = made?;
    if !heights.is_empty() {
        let list: Vec<String> = heights.iter().map(|height| format!("{height}p")).collect();
        let took = clock::now().since(begun).as_secs_f64();
        log::info!("{} is there at {}: {frames} frames in {took:.1} s", video.listed.name, list.join(", "));
    }
    failure.map_or(Ok(()), Err)
}

/// Pictures that are decoded ahead: raw ones of 1080p have 3 MB.
const AHEAD: usize = 2;

type Shots<'a> = (Receiver<Result<Option<Shot>>>, &'a ProgressBar);
/// Heights that were made, frames, and why one was not made.
type Made = (Vec<u32>, u64, Option<Error>);

fn rungs(video: &Video, source: &Source, reach: Reach, stop: &Stop, (shots, bar): Shots) -> Result<Made> {
    let mut making: Option<Vec<Making>> = None;
    let (mut first, mut nth, mut failure) = (None, 0, None);
    for shot in shots {
        let Some(shot) = shot.inspect_err(|_| discard(making.take()))? else { break };
        let Ok(picture) = picture(shot.image) else { continue };
        if making.is_none() {
            making = Some(begin(video, source, reach, &picture)?);
        }
        let time = shot.captured.since(*first.get_or_insert(shot.captured));
        let parts = making.get_or_insert_default();
        POOL.install(|| parts.par_iter_mut().for_each(|part| part.put(nth, &picture, time)));
        for failed in parts.extract_if(.., |part| part.failed.is_some()) {
            failure = failure.or(drop_failed(failed));
        }
        if parts.is_empty() {
            break;
        }
        nth += 1;
        bar.set_position(nth);
        video.preparing((nth as f64 / bar.length().unwrap_or(0).max(nth + 1) as f64).min(1.0));
    }
    if stop.said() {
        return Ok((Vec::new(), nth, None)); // what was begun stays, to go on with
    }
    let making = making.context("there is no picture in it")?;
    let mut heights = Vec::new();
    for one in making {
        match one.part.finish().with_context(|| format!("left out at {}p", one.height)) {
            Ok(()) => heights.push(one.height),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Ok((heights, nth, failure))
}

fn begin(video: &Video, source: &Source, reach: Reach, picture: &Picture) -> Result<Vec<Making>> {
    let own = (picture.width(), picture.height());
    let mut lacking = video.lacking(source, own.1 as u32);
    if reach == Reach::Lowest {
        lacking.truncate(1);
    }
    lacking.into_iter().map(|height| Making::begin(&video.dir, source, own, height)).collect()
}

fn drop_failed(failed: Making) -> Option<Error> {
    failed.part.discard();
    let height = failed.height;
    failed.failed.map(|error| error.context(format!("left out at {height}p")))
}

fn discard(making: Option<Vec<Making>>) {
    making.into_iter().flatten().for_each(|one| one.part.discard());
}

fn picture(image: Image) -> Result<Arc<Picture>> {
    match image {
        Image::Jpeg(jpeg) => Ok(decode(&jpeg)?.into()),
        Image::Picture(picture) => Ok(picture),
    }
}

/// Threads of their own, after those of live streams: nobody waits for these.
static POOL: LazyLock<ThreadPool> = LazyLock::new(|| {
    let pool = ThreadPoolBuilder::new().thread_name(|_| "library".into()).start_handler(|_| yield_to_others());
    pool.build().expect("threads can be started")
});

/// Lets this thread, and what it starts, have the time that others leave.
pub fn yield_to_others() {
    const NICE: i32 = 10;
    let _ = rustix::process::nice(NICE); // where it may not, it is as fast as the others
}

fn bar(name: &str, frames: Option<u64>) -> ProgressBar {
    let bar = live().add(ProgressBar::new(frames.unwrap_or(0)));
    let template = "{msg:20} {bar:30} {pos}/{len} frames, {eta} left";
    bar.set_style(ProgressStyle::with_template(template).expect("a fixed template is valid"));
    bar.with_message(name.to_string())
}
