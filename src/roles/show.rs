//! What a receiver and a relay do on this machine with the stream that comes: files, pipes, a window, a page.

use std::sync::Arc;

use anyhow::Result;

use super::http::{self, HttpArgs};
use super::output::{self, Nothing, Output, OutputArgs};
use super::secure::CertArgs;
use super::upstream::Upstream;
use super::window;
use crate::endpoint::Endpoint;
use crate::playout;
use crate::stop::Stop;
use crate::web::views;

pub struct Show<'a> {
    pub upstream: &'a Upstream,
    pub outputs: &'a OutputArgs,
    pub http: &'a HttpArgs,
    pub cert: &'a CertArgs,
    /// Whom it calls; none: it waits where it listens.
    pub calls: Option<&'a Endpoint>,
    /// The name in the window's title.
    pub title: &'a str,
    /// Frames are taken, and counted, even where there is no output.
    pub counts: bool,
    /// Others take the stream from here, whatever becomes of the outputs.
    pub serves: bool,
    /// Said when the stream is over and others, who end the job, may still lack a part of it.
    pub over: Stop,
}

impl Show<'_> {
    /// Opens all of them, lets `connect` start the links, and goes on until the job has ended. To be called by the main
    /// thread, to which a window belongs.
    pub fn run(self, connect: impl FnOnce()) -> Result<()> {
        let (job, frames) = (&self.upstream.job, &self.upstream.merge.out);
        // A port in use must not cost the files of an earlier run: they are opened, and emptied, after it.
        let door = self.http.http.as_ref().map(|on| smol::future::block_on(http::open(on, self.cert))).transpose()?;
        let about = self.upstream.about.clone();
        let rate = Arc::new(move || about.get().and_then(|about| about.rate));
        let mut outputs = match self.outputs.open(rate, &job.stop) {
            Err(_) if job.stop.said() => return smol::future::block_on(job.ended()), // stopped while a pipe waited for its reader
            opened => opened?,
        };
        let listening = || job.board.whole().listening.clone().unwrap_or_default();
        let waiting = self.calls.map_or_else(listening, Endpoint::to_string);
        let screen = self.outputs.window(job, &waiting, &mut outputs)?;
        if outputs.is_empty() && self.counts {
            outputs.push(Output { name: "nothing".to_string(), sink: Box::new(Nothing), mode: playout::Mode::Off });
        }
        if let Some(door) = door {
            let origin = views::Origin { frames: frames.clone(), eager: true, over: job.stop.clone() };
            http::show(job, door, self.http.allow_origin.clone(), origin, (None, Arc::default()));
        }
        let outputs = output::start(job, frames, &self.over, self.serves, outputs);
        connect();
        let ending = {
            let (job, frames) = (job.clone(), frames.clone());
            std::thread::spawn(move || {
                smol::future::block_on(async {
                    job.stop.heard().await;
                    frames.close();
                    output::join(outputs).await;
                    job.ended().await
                })
            })
        };
        if let Some(screen) = screen {
            window::run(job, self.title, screen);
        }
        ending.join().unwrap_or_else(|_| anyhow::bail!("the thread that ends the job panicked"))
    }
}
