//! From the files of a video to its rungs, each file decoded once for all of its own.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::catalog::Source;
use super::making::{Making, labels};
use super::video::{State, Video};
use super::{need, poster};
use crate::clock;
use crate::codec::decode::decode;
use crate::devices::{Wish, file};
use crate::fault;
use crate::frame::{self, Image, Shot};
use crate::log::live;
use crate::picture::{Picture, WIDTH_MAX};
use crate::stop::Stop;
use crate::web::sizes::fit;

/// How much is made in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// No rung: only how long it is.
    Length,
    /// One rung, so that something can be played soon.
    Lowest,
    All,
}

/// Asks the file of a video how long it is. One that cannot be opened at all need not be tried for that: lists say so at once.
pub fn ask_length(video: &Video, stop: &Stop) {
    let Some(source) = video.listed.sources.first() else { return };
    let film = match open(source, None, stop) {
        Ok(film) => film,
        Err(_) if stop.said() || video.listed.sources.len() > 1 => return,
        Err(error) => {
            log::debug!("{}: {}", video.listed.name, fault::line(&error)); // it may be on its way here still
            return video.settle(failed(video, &error));
        }
    };
    let about = film.about();
    let seconds = about.length.zip(about.rate).map(|(frames, rate)| frames as f64 / rate);
    if let Some(Ok(length)) = seconds.map(Duration::try_from_secs_f64) {
        video.lasts(length);
    }
}

/// Makes the rungs that a video lacks, once nobody else does. What was begun goes on where it was.
pub fn make(video: &Video, reach: Reach, stop: &Stop) {
    video.settle(match attempt(video, reach, stop) {
        Ok(state) => state,
        Err(_) if stop.said() => State::Waiting, // it was told to stop while it opened
        Err(error) => {
            log::warn!("{}: {}", video.listed.name, fault::line(&error));
            failed(video, &error)
        }
    });
}

/// Guests are told what it is, and not where it stands.
fn failed(video: &Video, error: &Error) -> State {
    let folders = video.listed.sources.iter().filter_map(|source| source.path.parent());
    let folders = folders.map(|folder| format!("{}/", folder.display())).filter(|folder| folder.len() > 1);
    State::Failed(folders.fold(fault::line(error), |why, folder| why.replace(&folder, "")))
}

fn attempt(video: &Video, reach: Reach, stop: &Stop) -> Result<State> {
    let dir = video.dir.display();
    std::fs::create_dir_all(&video.dir).with_context(|| format!("could not create {dir}"))?;
    video.unlink().with_context(|| format!("could not read {dir}"))?;
    let Some(_held) = hold(video, stop).with_context(|| format!("could not lock {dir}"))? else {
        return Ok(State::Waiting);
    };
    let changed = video.listed.sources.iter().find(|source| !source.stands());
    if let Some(source) = changed {
        bail!("{} has changed since it was found", source.path.display()); // who looks again finds another video
    }
    video.look();
    video.check();
    video.sweep(&["index", "mjpeg"]);
    let mut failures = Vec::new();
    for source in video.listed.sources.iter().filter(|source| video.lacks(source)) {
        if stop.said() || reach == Reach::Lowest && !video.offers().is_empty() {
            return Ok(State::Waiting);
        }
        failures.extend(pass(video, source, reach, stop).err());
        video.look();
        if let Some(lowest) = video.best(0).and_then(|lowest| video.rung(lowest)) {
            failures.extend(poster::make(&lowest, &video.dir).err());
        }
    }
    if !video.dir.exists() {
        video.forget(); // somebody has taken it away: it is made again, from the beginning
        return Ok(State::Waiting);
    }
    if !failures.is_empty() {
        let lines: Vec<String> = failures.iter().map(fault::line).collect();
        bail!(lines.join("; "));
    }
    if reach != Reach::All || stop.said() {
        return Ok(State::Waiting);
    }
    video.sweep(&["index.part", "mjpeg.part"]);
    Ok(State::Ready)
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

/// Reads a source once for all rungs of it that are lacking. An error is that of the first rung that failed; the others
/// are made all the same.
fn pass(video: &Video, source: &Source, reach: Reach, stop: &Stop) -> Result<()> {
    let begun = clock::now();
    let own = size(source, stop)?;
    let mut heights = video.lacking(source, own.1 as u32);
    if reach == Reach::Lowest {
        heights.truncate(1);
    }
    let Some(&highest) = heights.last() else { return Ok(()) };
    // A source that can scale gives no larger pictures than are needed.
    let mut film = open(source, fit(own, (WIDTH_MAX, highest as usize)), stop)?;
    let length = film.about().length;
    if let Some(frames) = length {
        let wanted = |&height: &u32| (height, fit(own, (WIDTH_MAX, height as usize)).unwrap_or(own));
        need::tell(&video.listed.name, &video.dir, &heights.iter().map(wanted).collect::<Vec<_>>(), frames);
    }
    let making = Making::begin(&video.dir, source, own, &heights);
    let bar = bar(&video.listed.name, length);
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
        code(video, making, stop, shots, &bar)
    });
    bar.finish_and_clear();
    let (heights, failure) = made?;
    if !heights.is_empty() {
        let took = clock::now().since(begun).as_secs_f64();
        log::info!("{} is there at {}, made in {took:.1} s", video.listed.name, labels(&heights));
    }
    failure.map_or(Ok(()), Err)
}

/// Pictures that are decoded ahead: raw ones of 1080p have 3 MB.
const AHEAD: usize = 2;

fn open(source: &Source, size: Option<(usize, usize)>, stop: &Stop) -> Result<Box<dyn frame::Source>> {
    file::open(&source.path, &Wish { size, recode: true, ahead: true, ..Wish::default() }, stop)
}

/// Width and height of a source's pictures.
fn size(source: &Source, stop: &Stop) -> Result<(usize, usize)> {
    let mut film = open(source, None, stop)?;
    while let Some(shot) = film.next()? {
        if let Ok(picture) = picture(shot.image) {
            return Ok((picture.width(), picture.height()));
        }
    }
    bail!("there is no picture in {}", source.path.display())
}

/// The heights that were made, and why another was not.
fn code(
    video: &Video,
    mut making: Making,
    stop: &Stop,
    shots: Receiver<Result<Option<Shot>>>,
    bar: &ProgressBar,
) -> Result<(Vec<u32>, Option<Error>)> {
    let (mut first, mut nth) = (None, 0);
    for shot in shots {
        let shot = match shot {
            Ok(Some(shot)) if !making.is_empty() => shot,
            Ok(_) => break,
            Err(_) if stop.said() => break,
            Err(error) => {
                making.discard();
                return Err(error);
            }
        };
        let Ok(picture) = picture(shot.image) else { continue };
        making.put(nth, &picture, shot.captured.since(*first.get_or_insert(shot.captured)));
        nth += 1;
        bar.set_position(nth);
        video.preparing(nth as f64 / bar.length().unwrap_or(0).max(nth + 1) as f64);
    }
    if stop.said() {
        return Ok((Vec::new(), None)); // what was begun stays, to go on with
    }
    Ok(making.finish())
}

fn picture(image: Image) -> Result<Arc<Picture>> {
    match image {
        Image::Jpeg(jpeg) => Ok(decode(&jpeg)?.into()),
        Image::Picture(picture) => Ok(picture),
    }
}

fn bar(name: &str, frames: Option<u64>) -> ProgressBar {
    let bar = live().add(ProgressBar::new(frames.unwrap_or(0)));
    let template = "{msg:20} {bar:30} {pos}/{len} frames, {eta} left";
    bar.set_style(ProgressStyle::with_template(template).expect("a fixed template is valid"));
    bar.with_message(name.to_string())
}
