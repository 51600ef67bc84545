//! What a person starts: one file for each command. Here is what they share: the flags of every role, the running job,
//! and how a peer is called, greeted and called again.

use std::future::Future;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use async_io::Timer;
use clap::Args;
use smol::Task;
use smol::future::or;

use crate::clock::{self, Time};
use crate::endpoint::Endpoint;
use crate::fault::{Fault, Kind};
use crate::key::Key;
use crate::lock::lock;
use crate::report::{Form, Report};
use crate::stats::{Board, SENDER};
use crate::stop::Stop;
use crate::tasks;
use crate::units;

pub mod calls;
mod capture;
mod control;
mod coordinator;
pub mod devices;
mod downstream;
mod follow;
pub mod http;
pub mod hub;
mod join;
pub mod library;
pub mod neighbours;
mod orphans;
pub mod output;
pub mod player;
pub mod recv;
mod refused;
pub mod relay;
mod secure;
pub mod send;
pub mod shape;
mod show;
mod signals;
mod upstream;
#[cfg_attr(not(feature = "window"), path = "no_window.rs")]
mod window;

/// Flags of every role.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Everywhere")]
pub struct Common {
    /// Form of the stats on stderr
    #[arg(long, value_enum, default_value = "human")]
    pub stats: Form,
    /// Write the stats to a file too (JSON, or CSV with --stats csv)
    #[arg(long, value_name = "FILE")]
    pub stats_file: Option<PathBuf>,
    /// Write a log with times to a file too
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Give up (exit 124) after this long without a peer, or a source without a frame
    #[arg(long, value_name = "DUR", value_parser = units::duration)]
    pub timeout: Option<Duration>,
    /// End after this long
    #[arg(long, value_name = "DUR", value_parser = units::duration)]
    pub duration: Option<Duration>,
    /// End after this many frames
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub frames: Option<u64>,
    #[command(flatten)]
    pub key: secure::KeyArgs,
    /// Say more (-vv: everything)
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say nothing but errors (and stats where a form is asked for)
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// One run of a role: its word to stop, its figures, its tasks and how it ended.
pub struct Job {
    pub stop: Stop,
    /// The time that the user gave is up: nothing new is begun.
    pub over: Stop,
    pub board: Arc<Board>,
    pub frames: Option<u64>,
    /// What guards every link and page that has no key of its own.
    pub key: Option<Key>,
    report: Mutex<Report>,
    error: Mutex<Option<anyhow::Error>>,
    tasks: Mutex<Vec<Task<()>>>,
    /// When a peer or a source last showed life.
    alive: Mutex<Time>,
    /// A source was asked for a frame and has not given it yet.
    pub asking: AtomicBool,
    hangup: signals::Hangup,
    typed: signals::Typed,
}

/// What is still to be said or written when a role ends gets this long: SIGTERM promises to end within a second.
const LAST_WORDS: Duration = Duration::from_millis(800);
const SECOND: Duration = Duration::from_secs(1);
/// What is on its way over a slow link when a sender's time is up gets this long.
const LINGER: Duration = Duration::from_secs(3);

impl Job {
    /// Starts the log, the stats, the signals and the clocks of a role.
    pub fn start(role: &'static str, common: &Common) -> Result<Arc<Job>> {
        let level = if common.quiet { -1 } else { common.verbose as i8 };
        more_files();
        crate::alarm::start();
        crate::log::start(level, common.log.as_deref())?;
        // Quiet is for people; a program that asks for its form gets it.
        let form = if common.quiet && common.stats == Form::Human { Form::None } else { common.stats };
        let report = Report::new(form, common.stats_file.as_deref())?;
        let job = Arc::new(Job {
            stop: Stop::default(),
            over: Stop::default(),
            board: Board::new(role),
            frames: common.frames,
            key: common.key.key()?,
            report: Mutex::new(report),
            error: Mutex::default(),
            tasks: Mutex::default(),
            alive: Mutex::new(clock::now()),
            asking: AtomicBool::new(false),
            hangup: Default::default(),
            typed: Default::default(),
        });
        signals::listen(&job.stop, &job.hangup, &job.typed)?;
        job.spawn(tell(job.clone()));
        if let Some(duration) = common.duration {
            let (stop, over) = (job.stop.clone(), job.over.clone());
            job.spawn(async move {
                stop.pause(duration).await;
                over.say();
                if role == SENDER {
                    stop.pause(LINGER).await; // it ends by itself when all it has is delivered
                }
                stop.say();
            });
        }
        if let Some(timeout) = common.timeout {
            job.spawn(watchdog(job.clone(), timeout));
        }
        Ok(job)
    }

    /// A task of this job; its end is awaited.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        tasks.retain(|t| !t.is_finished());
        tasks.push(tasks::spawn(task));
    }

    /// What SIGHUP does from now on, instead of ending the role.
    pub fn on_hangup(&self, act: impl Fn() + Send + 'static) {
        *lock(&self.hangup) = Some(Box::new(act));
    }

    /// What a line that is typed, or comes by a pipe, does from now on.
    pub fn on_line(&self, act: impl Fn(String) + Send + 'static) {
        *lock(&self.typed) = Some(Box::new(act));
        if !std::io::stdin().is_terminal() {
            signals::read(&self.stop, &self.typed); // what a terminal says is read already
        }
    }

    /// Ends the job with this error, unless it already ends with another.
    pub fn fail(&self, error: anyhow::Error) {
        self.note(error);
        self.stop.say();
    }

    /// Remembers an error for the exit code; what still works goes on.
    pub fn note(&self, error: anyhow::Error) {
        let mut first = lock(&self.error);
        first.get_or_insert(error);
    }

    /// An address with the job's key, unless it has its own.
    pub fn keyed(&self, endpoint: &Endpoint) -> Endpoint {
        endpoint.key.iter().for_each(secure::warn_of);
        Endpoint { key: endpoint.key.clone().or_else(|| self.key.clone()), ..endpoint.clone() }
    }

    /// A peer or a source showed life: `--timeout` counts from here.
    pub fn alive(&self) {
        *lock(&self.alive) = clock::now();
    }

    fn tell(&self, last: bool) {
        lock(&self.report).tell(&self.board, last);
    }

    /// Waits for the word to stop and for the last words of all tasks; how it ended.
    pub async fn ended(&self) -> Result<()> {
        self.stop.heard().await;
        let tasks = std::mem::take(&mut *lock(&self.tasks));
        let all = async {
            for task in tasks {
                task.await;
            }
        };
        or(all, async { _ = Timer::after(LAST_WORDS).await }).await;
        self.tell(true);
        if lock(&self.report).failed || crate::log::failed() {
            self.note(Fault::told(Kind::Failed).into());
        }
        let error = lock(&self.error).take();
        error.map_or(Ok(()), Err)
    }
}

/// Every connection takes a file, a proxied one two: the limit is raised as far as this user may.
fn more_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }); // fewer connections then
}

/// A line of figures a second; `ended` tells the totals.
async fn tell(job: Arc<Job>) {
    let mut due = clock::now() + SECOND;
    while !job.stop.said() {
        let wait = due.since(clock::now());
        job.stop.pause(wait).await;
        if !job.stop.said() {
            job.tell(false);
        }
        due = clock::now().max(due) + SECOND; // what a stopped process missed is not made up for
    }
}

async fn watchdog(job: Arc<Job>, timeout: Duration) {
    const LOOK: Duration = Duration::from_millis(50);
    while !job.stop.said() {
        job.stop.pause(LOOK).await;
        if job.board.attended() && !job.asking.load(Ordering::Relaxed) {
            job.alive();
        }
        let alive = *lock(&job.alive);
        if clock::now().since(alive) > timeout {
            let text = format!("nothing came and nobody was there for {} s", timeout.as_secs_f64());
            job.fail(Fault::new(Kind::Timeout, text).into());
        }
    }
}
