//! A relay that has joined a coordinator: it tells how it does, and gets the stream from where it is told.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use async_io::Timer;
use smol::future::or;

use super::Job;
use super::calls::{dial, hello};
use super::coordinator::AGAIN;
use super::downstream::Downstream;
use super::upstream::Upstream;
use crate::endpoint::Endpoint;
use crate::latest::{Writer, latest};
use crate::link::{Link, Rx, Tx};
use crate::message::{Bye, Hello, Message, Side};
use crate::roster::{Order, Status};
use crate::{clock, exchange, fault, greet, transports};

pub struct Joined {
    pub job: Arc<Job>,
    pub upstream: Arc<Upstream>,
    pub downstream: Arc<Downstream>,
    /// The coordinator.
    pub to: Endpoint,
    /// This peer's name, and where others can call it.
    pub name: String,
    pub listening: Endpoint,
}

impl Joined {
    /// Joins, and joins again when the coordinator dies; meanwhile the stream goes on as it was last told.
    pub async fn run(self) {
        let listening = Some(Endpoint { name: None, ..self.listening.clone() }.to_string());
        let (orders, told) = latest();
        let watch = Hello { listening: listening.clone(), ..hello(Side::Watch, self.to.name.clone()) };
        self.job.spawn(self.upstream.clone().follow(told, watch));
        let mut last = None;
        loop {
            let me = Hello { listening: listening.clone(), ..hello(Side::Join, Some(self.name.clone())) };
            let (link, welcome) = match dial(&self.job, &self.to, &me).await {
                Ok(Some(greeted)) => greeted,
                Ok(None) => return,
                Err(error) => return self.job.fail(error),
            };
            log::info!("joined {} as {}", self.to, self.name);
            self.job.board.whole().stream = Some(welcome.name);
            self.upstream.learn(welcome.stream).await;
            match self.serve(link, &orders, &mut last).await {
                _ if self.job.stop.said() => return,
                Ok(reason) => log::info!("the coordinator {} left: {reason}", self.to),
                Err(error) => log::warn!("the coordinator {} is gone: {}", self.to, fault::line(&error)),
            }
            if self.upstream.over.said() {
                return; // what is left to do is to pass the end on
            }
        }
    }

    async fn serve(&self, mut link: Link, orders: &Writer<Endpoint>, last: &mut Option<Endpoint>) -> Result<String> {
        let reading = self.read(&mut *link.rx, orders, last);
        let writing = self.write(&mut *link.tx);
        let stopped = async {
            self.job.stop.heard().await;
            Ok("this peer was stopped".to_string())
        };
        let ended = or(reading, or(writing, stopped)).await;
        if self.job.stop.said() {
            let bye = Bye { reason: "the peer was stopped".into(), over: false };
            let farewell = async {
                if link.tx.send(Message::Bye(bye)).await.is_ok() {
                    _ = link.tx.close().await; // the coordinator may be gone already
                }
            };
            or(farewell, async { _ = Timer::after(exchange::FAREWELL).await }).await;
        }
        ended
    }

    async fn read(&self, rx: &mut dyn Rx, orders: &Writer<Endpoint>, last: &mut Option<Endpoint>) -> Result<String> {
        loop {
            match rx.recv().await? {
                Some(Message::Order(Order { from, heirs })) => {
                    self.downstream.orphans.expect(heirs);
                    let Ok(from) = from.as_deref().map_or(Ok(self.to.clone()), transports::dialled) else {
                        bail!("it told an address that cannot be called");
                    };
                    if last.as_ref() != Some(&from) {
                        *last = Some(from.clone());
                        orders.put(from);
                    }
                }
                Some(Message::Bye(bye)) => return Ok(greet::printable(&bye.reason)),
                Some(_) => bail!("it sent what only a publisher may"),
                None => bail!("the connection was closed"),
            }
        }
    }

    async fn write(&self, tx: &mut dyn Tx) -> Result<String> {
        loop {
            tx.send(Message::Status(self.status())).await?;
            or(self.upstream.moved(), async { _ = Timer::after(AGAIN).await }).await;
        }
    }

    fn status(&self) -> Status {
        let ready = self.upstream.stands.load(Ordering::Relaxed);
        let from = self.upstream.path.added().map(|added| added.upstream).filter(|_| ready);
        let lines = self.job.board.lines(clock::now());
        let Some(line) = lines.into_iter().find(|line| line.latency_ms.is_some()) else {
            return Status { ready, from, ..Status::default() };
        };
        Status {
            ready,
            from,
            frames: line.frames.unwrap_or(0),
            bytes: line.bytes,
            fps: line.fps.unwrap_or(0.0),
            bitrate: line.bitrate,
            latency_ms: line.latency_ms,
            error_ms: line.latency_err_ms,
        }
    }
}
