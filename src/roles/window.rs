//! The window as one more output of a receiver: frames are decoded on the output's thread and shown on the main one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::Job;
use super::output::Output;
use crate::clock;
pub use crate::devices::window::Screen;
use crate::devices::window::{self, Feed};
use crate::frame::{Frame, Sink};
use crate::picture::Picture;
use crate::playout::Mode;
use crate::report;

/// The overlay's figures change as often as a person reads them.
const FIGURES: Duration = Duration::from_millis(250);

/// Shows frames in a window, and counts those that it was too slow for.
pub struct Shown {
    pub feed: Feed,
    pub job: Arc<Job>,
}

impl Sink for Shown {
    fn decodes(&self) -> bool {
        true
    }

    fn put(&mut self, frame: &Frame, picture: Option<Arc<Picture>>) -> Result<()> {
        if picture.is_some_and(|picture| self.feed.show(picture, frame.clone())) {
            self.job.board.whole().dropped.slow += 1;
        }
        Ok(())
    }
}

/// The output to start with the others, and the screen for `run`.
pub fn open(job: &Arc<Job>, waiting: &str, mode: Mode) -> Result<(Output, Screen)> {
    let (feed, screen) = window::feed();
    feed.waiting(format!("waiting for {waiting}"));
    job.spawn(figures(job.clone(), feed.clone()));
    let sink = Box::new(Shown { feed, job: job.clone() });
    Ok((Output { name: "window".to_string(), sink, mode }, screen))
}

/// Shows it until the user or the job ends it. To be called by the main thread.
pub fn run(job: &Job, stream: &str, screen: Screen) {
    if let Err(error) = window::run(stream, screen, &job.stop) {
        job.fail(error);
    }
}

async fn figures(job: Arc<Job>, feed: Feed) {
    while !job.stop.said() {
        let lines = job.board.lines(clock::now());
        feed.status(lines.iter().map(|line| report::human(line).replace('±', "+-")).collect());
        job.stop.pause(FIGURES).await;
    }
}
