//! The outputs of a receiver: each on a thread of its own, with its own newest frame, its own playout and its own end.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use async_io::Timer;
use smol::future::or;

use super::Job;
use crate::clock;
use crate::codec;
use crate::codec::decode::Decoder;
use crate::fanout::Fanout;
use crate::fault;
use crate::frame::{Frame, Sink};
use crate::latest::Latest;
use crate::log::Repeated;
use crate::picture::Picture;
use crate::playout::{Mode, Playout};
use crate::segments::{Coded, Form};

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

/// How long outputs get to complete their files when the role is told to stop: SIGTERM promises a second.
const COMPLETE: Duration = Duration::from_millis(700);

/// Starts all outputs. When the last has ended, by an error or because it has all it should, the job ends.
pub fn start(job: &Arc<Job>, stream: &Fanout<Frame>, outputs: Vec<Output>) -> Vec<JoinHandle<()>> {
    let left = Arc::new(AtomicUsize::new(outputs.len()));
    let start = |output: Output| {
        let (job, left) = (job.clone(), left.clone());
        let frames = stream.subscribe();
        std::thread::spawn(move || {
            run(&job, output, frames);
            if left.fetch_sub(1, Ordering::AcqRel) == 1 {
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

fn run(job: &Job, mut output: Output, frames: Latest<Frame>) {
    let taken = take(job, &mut output, frames);
    let finished = output.sink.finish();
    match taken.and(finished) {
        Err(error) if broken_pipe(&error) && output.name == "-" => log::info!("stdout was closed"),
        Err(error) => {
            let error = error.context(format!("the output {} ended", output.name));
            log::error!("{}", fault::line(&error));
            job.note(fault::Fault::told(fault::Kind::Failed).into());
        }
        Ok(()) => {}
    }
}

fn broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}

fn take(job: &Job, output: &mut Output, mut frames: Latest<Frame>) -> Result<()> {
    let mut playout = Playout::new(output.mode);
    let mut decoder = Decoder::default();
    let mut trouble = Repeated::default();
    let mut count = 0;
    let mut late = 0;
    while let Some(frame) = due(&mut frames, &mut playout) {
        let newly = playout.late() - late;
        late += newly;
        job.board.whole().dropped.late += newly;
        match prepare(job, &mut decoder, output.sink.decodes(), &frame) {
            Ok(Prepared(frame, picture)) => {
                output.sink.put(&frame, picture).context("it takes no more")?;
                count += 1;
            }
            Err(error) => {
                job.board.whole().dropped.corrupt += 1;
                if let Some(n) = trouble.again(clock::now()) {
                    log::warn!("{n} frames cannot be decoded and are left out: {}", fault::line(&error));
                }
            }
        }
        if job.frames.is_some_and(|n| count >= n) {
            break;
        }
    }
    Ok(())
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

/// The next frame whose time has come, or what was held when the stream is over; none when that is over too.
fn due(frames: &mut Latest<Frame>, playout: &mut Playout) -> Option<Frame> {
    smol::block_on(async {
        let mut over = false;
        loop {
            let now = clock::now();
            if let Some(frame) = playout.pop(now) {
                return Some(frame);
            }
            if over {
                return playout.flush();
            }
            let wake = playout.wake();
            let alarm = async {
                match wake {
                    Some(at) => _ = Timer::after(at.since(now)).await,
                    None => std::future::pending().await,
                }
                None
            };
            match or(async { Some(frames.next().await) }, alarm).await {
                Some(Some(frame)) => playout.push(clock::now(), frame),
                Some(None) => over = true,
                None => {}
            }
        }
    })
}
