//! Where a sender's or a relay's stream goes: receivers that it calls or that call it, each at its own pace.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_io::Timer;
use smol::future::or;
use smol::lock::OnceCell;

use super::Job;
use super::calls::{dial, hello, refuse};
use super::orphans::Orphans;
use super::refused::{Hope, Hopes};
use crate::adapt::Limits;
use crate::clock;
use crate::draft::Draft;
use crate::endpoint::Endpoint;
use crate::fanout::Fanout;
use crate::link::Link;
use crate::message::{About, Hello, Message, Side, Welcome};
use crate::path::Path;
use crate::publish::{End, Feed, publish};
use crate::retry::Retry;
use crate::stop::Stop;
use crate::{fault, greet};

/// Who leaves sooner is not called again at once: two addresses of one receiver would put each other out without end.
const BRIEF: Duration = Duration::from_secs(1);
/// So often in a row, before that is told.
const TOLD: u32 = 3;

pub struct Downstream {
    pub job: Arc<Job>,
    pub frames: Arc<Fanout<Draft>>,
    pub path: Arc<Path>,
    /// What is said of the stream, once that is known.
    pub about: Arc<OnceCell<About>>,
    /// No more frames will be made.
    pub over: Stop,
    /// What every link keeps within.
    limits: Arc<Limits>,
    /// Calls that were not refused, and whatever else may take the stream.
    pub hopes: Hopes,
    pub orphans: Orphans,
}

impl Downstream {
    pub fn new(
        job: &Arc<Job>,
        frames: &Arc<Fanout<Draft>>,
        path: &Arc<Path>,
        about: Arc<OnceCell<About>>,
        over: &Stop,
    ) -> Downstream {
        let (job, frames, path, over) = (job.clone(), frames.clone(), path.clone(), over.clone());
        let (limits, hopes, orphans) = Default::default();
        Downstream { job, frames, path, about, over, limits, hopes, orphans }
    }

    /// The same, with links that keep within these limits.
    pub fn within(self, limits: &Arc<Limits>) -> Downstream {
        Downstream { limits: limits.clone(), ..self }
    }

    /// A place in the stream, from now on.
    pub fn feed(&self) -> Feed {
        Feed {
            frames: self.frames.subscribe(),
            held: VecDeque::new(),
            every: self.frames.is_every(),
            limits: self.limits.clone(),
            over: self.over.clone(),
            path: self.path.clone(),
            talk: None,
        }
    }

    async fn about(&self) -> About {
        let about = self.about.wait().await.clone();
        About { path: self.path.hops(), ..about }
    }

    /// Serves one receiver for as long as there is something to send: calls it, and calls it again when it dies. It
    /// begins with `kept`, a place that was taken for it already. `hope`: it is one of those that may take the stream.
    pub async fn call(self: Arc<Self>, to: Endpoint, mut kept: Option<Feed>, mut hope: Hope) {
        let (mut reached, mut brief, mut retry) = (false, 0, Retry::default());
        loop {
            let dialled = or(
                async {
                    let stream = self.about().await;
                    dial(&self.job, &to, &Hello { stream, ..hello(Side::Publish, to.name.clone()) }).await
                },
                async {
                    self.over.heard().await;
                    // With every-frame what is left still has to go; else it is too late for whoever is not there.
                    if self.frames.is_every() { std::future::pending().await } else { Ok(None) }
                },
            );
            let (link, _) = match or(dialled, self.stopped()).await {
                Ok(Some(greeted)) => greeted,
                Ok(None) if !reached && (self.over.said() || self.job.over.said()) => {
                    return log::warn!("{to} was never there: it has nothing of the stream");
                }
                Ok(None) => return,
                Err(error) => {
                    kept = None; // with every-frame too: nobody waits for one who does not want it
                    match self.goes_on(&mut hope, &error).await {
                        true => continue,
                        false => return self.job.note(error), // for the exit code
                    }
                }
            };
            hope.fulfilled();
            reached = true;
            log::info!("connected to {to}");
            let mut feed = kept.take().unwrap_or_else(|| self.feed());
            let began = clock::now();
            if self.publish(link, &mut feed).await || (self.over.said() && !self.frames.is_every()) {
                return;
            }
            kept = Some(feed).filter(|_| self.frames.is_every());
            if clock::now().since(began) > BRIEF {
                (brief, retry) = (0, Retry::default());
                continue;
            }
            brief += 1;
            if brief == TOLD {
                log::warn!("{to} leaves again and again: the stream may reach it by another address of its own too");
            }
            or(self.job.stop.pause(retry.delay()), self.over.heard()).await;
        }
    }

    /// Waits to call again after a refusal; false where nobody else takes the stream, or there is no more of it.
    async fn goes_on(&self, hope: &mut Hope, error: &anyhow::Error) -> bool {
        if !hope.lost(error) || (self.hopes.are_gone() && self.frames.readers() == 0) {
            return false;
        }
        or(self.job.stop.pause(hope.tell(error)), self.over.heard()).await;
        !self.job.stop.said() && !self.over.said()
    }

    async fn stopped<T>(&self) -> anyhow::Result<Option<T>> {
        self.job.stop.heard().await;
        Ok(None)
    }

    /// Serves a receiver that called, of the one stream there is.
    pub async fn guest(self: Arc<Self>, mut link: Link, hello: Hello, name: String) {
        if let Some(wanted) = hello.name.filter(|n| *n != name) {
            return refuse(link, format!("there is no stream {wanted} here; there is {name}")).await;
        }
        let stream = About { path: self.path.hops(), ..self.about.get().cloned().unwrap_or_default() };
        let welcome = Welcome { name, agent: greet::agent(), stream };
        if link.tx.send(Message::Welcome(welcome)).await.is_err() {
            return; // it left between its hello and the answer
        }
        log::info!("{} watches ({})", link.peer, greet::printable(&hello.agent));
        let member = hello.listening.is_some();
        let left = self.orphans.adopt(member, self.frames.is_every()).await;
        let mut feed = left.unwrap_or_else(|| self.feed());
        let done = self.publish(link, &mut feed).await;
        self.orphans.left(member, (!done && self.frames.is_every()).then_some(feed));
    }

    /// Waits until the stream is over and every guest has what it was promised.
    pub async fn finished(&self) {
        self.over.heard().await;
        let owed = || self.job.board.peers() > 0 || !self.orphans.is_empty();
        while owed() && !self.job.stop.said() {
            Timer::after(Duration::from_millis(10)).await;
        }
    }

    /// Sends the stream to one receiver; true when there is nothing more to send to it.
    async fn publish(&self, link: Link, feed: &mut Feed) -> bool {
        feed.every = self.frames.is_every();
        let name = link.peer.clone();
        match self.carry(link, feed, &self.job.stop).await {
            Ok(End::Over | End::Stopped) => return true,
            Ok(End::Left(reason)) => log::info!("{name} left: {reason}"),
            Err(error) => {
                let kept = if feed.every { ": what it lacks is kept for who comes in its place" } else { "" };
                log::warn!("{name} is gone: {}{kept}", fault::line(&error));
            }
        }
        false
    }

    /// Sends the stream over a link, counted on the board, until it ends.
    pub async fn carry(&self, link: Link, feed: &mut Feed, stop: &Stop) -> anyhow::Result<End> {
        let peer = self.job.board.serve(&link.peer);
        self.job.alive();
        let ended = publish(link, feed, &peer, stop).await;
        self.job.board.leave(&peer);
        self.job.alive();
        ended
    }
}
