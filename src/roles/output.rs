//! The outputs of a receiver: each on a thread of its own, with its own newest frame, its own playout and its own end.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_io::Timer;
use clap::{Args, ValueEnum};
use rustix::io::Errno;
use smol::future::or;

use super::{Job, window};
use crate::alarm::Alarm;
use crate::clock;
use crate::codec;
use crate::codec::decode::Decoder;
use crate::devices::outputs::{self, Folder};
use crate::draft::{Draft, Part};
use crate::fanout::Fanout;
use crate::fault;
use crate::frame::{Frame, Sink};
use crate::latest::Latest;
use crate::log::Repeated;
use crate::picture::Picture;
use crate::playout::{self, Mode, Playout};
use crate::segments::{Coded, Form};
use crate::stop::Stop;

/// Where frames go when there is no output: they are counted.
pub struct Nothing;

impl Sink for Nothing {
    fn put(&mut self, _: &Frame, _: Option<Arc<Picture>>) -> Result<()> {
        Ok(())
    }
}

pub struct Output {
    /// As the user typed it.
    pub name: String,
    pub sink: Box<dyn Sink>,
    pub mode: Mode,
}

/// Where a role's frames go on this machine.
#[derive(Args, Clone, Debug)]
pub struct OutputArgs {
    /// Show it in a window (keys: f full screen, s stats, space freeze, p snapshot, q quit)
    #[arg(long)]
    pub play: bool,
    /// Hold frames for an even picture: 0, auto, or a time from capture, for all outputs [default: auto in windows, else 0]
    #[arg(long, value_name = "DUR", value_parser = clap::value_parser!(playout::Mode))]
    pub playout: Option<playout::Mode>,
    /// Save each frame as a JPEG in this folder, with frames.jsonl
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
    /// Record to FILE.mjpeg, .avi or .y4m; - is stdout; more than once for several
    #[arg(long, value_name = "FILE")]
    pub output: Vec<String>,
    /// Write the outputs as raw planes, whatever their ending
    #[arg(long, value_enum, value_name = "FORM", requires = "output")]
    pub raw: Option<RawForm>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RawForm {
    /// Planar Y, Cb, Cr, 4:2:0, full range
    I420,
}

/// Rates that a recording's header can say; a peer may claim anything.
const RATES: std::ops::RangeInclusive<f64> = 0.01..=1000.0;

impl OutputArgs {
    /// Whether the names of the files say what to write. Errors: usage.
    pub fn check(&self) -> Result<()> {
        self.output.iter().try_for_each(|name| outputs::check(name, self.raw.is_some()))
    }

    /// Opens every output but the window. `rate`: the stream's, as its publisher says it.
    pub fn open(&self, rate: outputs::Rate, stop: &Stop) -> Result<Vec<Output>> {
        let rate: outputs::Rate = Arc::new(move || rate().filter(|rate| RATES.contains(rate)));
        let mode = self.playout.unwrap_or(Mode::Off);
        let mut all: Vec<Output> = Vec::new();
        if let Some(path) = &self.save {
            let sink = Box::new(Folder::create(path)?);
            all.push(Output { name: path.display().to_string(), sink, mode });
        }
        for name in &self.output {
            let sink = outputs::open(name, self.raw.is_some(), rate.clone(), stop)?;
            all.push(Output { name: name.clone(), sink, mode });
        }
        Ok(all)
    }

    /// Opens the window, if it is asked for, which then is one of the outputs.
    pub fn window(&self, job: &Arc<Job>, waiting: &str, all: &mut Vec<Output>) -> Result<Option<window::Screen>> {
        if !self.play {
            return Ok(None);
        }
        let (output, screen) = window::open(job, waiting, self.playout.unwrap_or(Mode::Auto))?;
        all.push(output);
        Ok(Some(screen))
    }
}

/// How long outputs get to complete their files when the role is told to stop: SIGTERM promises a second.
const COMPLETE: Duration = Duration::from_millis(700);

/// Starts all outputs. When the last has ended, by an error or because it has all it should, the job ends; after `over`
/// it does not, since others still take what is left of the stream, nor by an error where it `serves` others.
pub fn start(
    job: &Arc<Job>,
    stream: &Arc<Fanout<Draft>>,
    over: &Stop,
    serves: bool,
    outputs: Vec<Output>,
) -> Vec<JoinHandle<()>> {
    let left = Arc::new(AtomicUsize::new(outputs.len()));
    let start = |output: Output| {
        let (job, left, over) = (job.clone(), left.clone(), over.clone());
        let (frames, stream) = (stream.subscribe(), stream.clone());
        std::thread::spawn(move || {
            let fine = run(&job, output, frames, &|| stream.is_every());
            let last = left.fetch_sub(1, Ordering::AcqRel) == 1;
            if last && !over.said() && (fine || !serves) {
                job.stop.say();
            }
        })
    };
    outputs.into_iter().map(start).collect()
}

/// Waits for the outputs to complete what they have.
pub async fn join(outputs: Vec<JoinHandle<()>>) {
    let late = clock::now() + COMPLETE;
    for output in outputs {
        while !output.is_finished() {
            if clock::now() > late {
                log::warn!("a reader of an output did not take its last frames in time");
                return;
            }
            Timer::after(Duration::from_millis(2)).await;
        }
    }
}

/// Gives an output its frames until they are over, it has all it should, or it takes no more: false if that is an error, which
/// is told here. `every`: none may be left out.
pub fn run(job: &Job, mut output: Output, frames: Latest<Draft>, every: &dyn Fn() -> bool) -> bool {
    let taken = take(job, &mut output, frames, every);
    let finished = output.sink.finish();
    let Err(error) = taken.and(finished) else { return true };
    if broken_pipe(&error) && output.name == "-" {
        log::info!("stdout was closed");
        return true;
    }
    let error = error.context(format!("the output {} ended", output.name));
    log::error!("{}", fault::line(&error));
    job.note(fault::Fault::told(fault::Kind::Failed).into());
    false
}

fn broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}

fn take(job: &Job, output: &mut Output, drafts: Latest<Draft>, every: &dyn Fn() -> bool) -> Result<()> {
    let mut queue =
        Queue { drafts, making: None, held: None, playout: Playout::new(output.mode), alarm: Alarm::default() };
    let decodes = output.sink.decodes();
    let mut decoder = Decoder::default();
    let mut trouble = Repeated::default();
    let mut scarce = Scarce { job, every, told: Repeated::default() };
    let (mut count, mut late, mut bad) = (0, 0, 0u64);
    while let Some(frame) = queue.next(&mut decoder, decodes) {
        let newly = queue.playout.late() - late;
        late += newly;
        {
            let dropped = &mut job.board.whole().dropped;
            dropped.late += newly;
            dropped.slow += queue.drafts.missed();
        }
        match prepare(job, &mut decoder, decodes, &frame) {
            Ok(Prepared(frame, picture)) => {
                count += scarce.put(&mut *output.sink, &frame, picture).context("it takes no more")?;
            }
            Err(error) => {
                job.board.whole().dropped.corrupt += 1;
                bad += 1;
                if let Some(n) = trouble.again(clock::now()) {
                    log::warn!("{n} frames cannot be decoded and are left out: {}", fault::line(&error));
                }
            }
        }
        if job.frames.is_some_and(|n| count >= n) {
            break;
        }
    }
    ensure!(count > 0 || bad == 0, "none of its {bad} frames could be decoded");
    Ok(())
}

/// What an output does when the process may open no more files, which callers can bring about: a frame that finds none is
/// left out, or waited with where none may be.
struct Scarce<'a> {
    job: &'a Job,
    every: &'a dyn Fn() -> bool,
    told: Repeated,
}

impl Scarce<'_> {
    /// Gives a frame to its output; how many it took.
    fn put(&mut self, sink: &mut dyn Sink, frame: &Frame, picture: Option<Arc<Picture>>) -> Result<u64> {
        let late = clock::now() + SCARCE;
        loop {
            let Err(error) = sink.put(frame, picture.clone()) else { return Ok(1) };
            let every = (self.every)();
            if !out_of_files(&error) || (every && clock::now() > late) {
                return Err(error);
            }
            if let Some(n) = self.told.again(clock::now()) {
                let done = if every { "a frame waits".to_string() } else { format!("{n} frames are left out") };
                log::warn!("{done}: {} (ulimit -n says how many there may be)", fault::line(&error));
            }
            if !every {
                self.job.board.whole().dropped.slow += 1;
                return Ok(0);
            }
            if !self.job.stop.wait_until(clock::now() + AGAIN) {
                return Err(error);
            }
        }
    }
}

/// Longer than callers that say nothing may hold files; and how often a file is tried for meanwhile.
const SCARCE: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(20);

fn out_of_files(error: &anyhow::Error) -> bool {
    let code = error.chain().find_map(|e| e.downcast_ref::<std::io::Error>()?.raw_os_error());
    code.is_some_and(|code| [Errno::MFILE, Errno::NFILE].map(|errno| errno.raw_os_error()).contains(&code))
}

/// A frame as its output takes it.
struct Prepared(Frame, Option<Arc<Picture>>);

/// Decodes it where that is wanted; else what is kept must be a JPEG.
fn prepare(job: &Job, decoder: &mut Decoder, decodes: bool, frame: &Frame) -> Result<Prepared> {
    if !decodes {
        let coded = match frame.coded.head.form {
            Form::Lz4 => Coded::whole(codec::as_jpeg(&frame.coded)?, frame.seq),
            Form::Whole | Form::Tiles => frame.coded.clone(),
        };
        return Ok(Prepared(Frame { coded, ..frame.clone() }, None));
    }
    let begun = clock::now();
    let decoded = decoder.decode(frame)?;
    let now = clock::now();
    let mut whole = job.board.whole();
    whole.decode_ms.add(now, now.since(begun).as_secs_f64() * 1000.0);
    whole.stale_pct.add(now, 100.0 * decoded.bad as f64 / frame.coded.head.count as f64);
    Ok(Prepared(frame.clone(), Some(decoded.picture)))
}

/// What comes next: frames whose time has come, or what was held when the stream is over.
struct Queue {
    drafts: Latest<Draft>,
    /// The one that is in the making now.
    making: Option<Draft>,
    /// The last one, kept until its frame was dealt with: whoever waits for that looks for the drafts.
    held: Option<Draft>,
    playout: Playout,
    alarm: Alarm,
}

enum News {
    Draft(Option<Draft>),
    Part(Part),
    Time,
}

impl Queue {
    /// The next frame; none when the stream is over. Segments that come before their frame are decoded early, if that
    /// is wanted at all and no older frame still waits to be decoded for its time.
    fn next(&mut self, decoder: &mut Decoder, decodes: bool) -> Option<Frame> {
        let mut over = false;
        self.held = None;
        loop {
            let now = clock::now();
            if let Some(frame) = self.playout.pop(now) {
                return Some(frame);
            }
            if over {
                return self.playout.flush();
            }
            match smol::future::block_on(self.news()) {
                News::Draft(Some(draft)) => self.making = Some(draft),
                News::Draft(None) => over = true,
                News::Part(Part::Lots(lots)) => {
                    let segments = lots.iter().flat_map(|lot| lot.segments.iter().cloned()).collect();
                    if let Some(draft) = self.making.as_ref().filter(|_| decodes && self.playout.wake().is_none()) {
                        // What is wrong with them is told when the frame is decoded.
                        _ = decoder.begin(draft, segments);
                    }
                }
                News::Part(Part::Ended(frame)) => {
                    self.held = self.making.take();
                    self.playout.push(clock::now(), frame);
                }
                News::Part(Part::Abandoned) => self.making = None,
                News::Time => {}
            }
        }
    }

    async fn news(&mut self) -> News {
        let time = async {
            self.alarm.until(self.playout.wake()).await;
            News::Time
        };
        let news = async {
            match &mut self.making {
                Some(draft) => News::Part(draft.grown().await),
                None => News::Draft(self.drafts.next().await),
            }
        };
        or(news, time).await
    }
}
