//! A relay that has joined a coordinator: it tells how it does, and gets the stream from where it is told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, bail};
use async_io::Timer;
use smol::future::or;

use super::Job;
use super::calls::{dial, hello};
use super::coordinator::AGAIN;
use super::downstream::Downstream;
use super::upstream::Upstream;
use crate::endpoint::Endpoint;
use crate::fault::Fault;
use crate::latest::{Writer, latest};
use crate::link::{Link, Rx, Tx};
use crate::lock::lock;
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

/// Where a peer was last told to get the stream: as it was said, and the address to call.
type Place = Mutex<Option<(Option<String>, Endpoint)>>;

/// When a coordinator is stopped, the end of its stream follows, over all the peers before this one.
const ENDING: Duration = Duration::from_secs(3);

impl Joined {
    /// Joins, and joins again when the coordinator dies; meanwhile the stream goes on as it was last told.
    pub async fn run(self) {
        let listening = Some(Endpoint { name: None, ..self.listening.clone() }.to_string());
        let (orders, told) = latest();
        let watch = Hello { listening: listening.clone(), ..hello(Side::Watch, self.to.name.clone()) };
        self.job.spawn(self.upstream.clone().follow(told, watch));
        let place = Place::default();
        loop {
            let me = Hello { listening: listening.clone(), ..hello(Side::Join, Some(self.name.clone())) };
            let (link, welcome) = match dial(&self.job, &self.to, &me).await {
                Ok(Some(greeted)) => greeted,
                Ok(None) => return,
                Err(error) => return self.job.fail(error),
            };
            if let Some(wanted) = self.to.name.as_ref().filter(|wanted| **wanted != welcome.name) {
                let why = format!("there is no stream {wanted} at {}; there is {}", self.to, welcome.name);
                return self.job.fail(Fault::refused(why).into());
            }
            log::info!("joined {} as {}", self.to, self.name);
            self.job.board.whole().stream = Some(welcome.name);
            self.upstream.learn(welcome.stream).await;
            match self.serve(link, &orders, &place).await {
                _ if self.job.stop.said() || self.upstream.over.said() => return, // the end is passed on without it
                Ok(bye) => {
                    log::info!("the coordinator {} left: {}", self.to, greet::printable(&bye.reason));
                    if bye.over {
                        or(self.job.stop.pause(ENDING), self.upstream.over.heard()).await;
                    }
                }
                Err(error) => log::warn!("the coordinator {} is gone: {}", self.to, fault::line(&error)),
            }
            if self.upstream.over.said() {
                return;
            }
        }
    }

    async fn serve(&self, mut link: Link, orders: &Writer<Endpoint>, place: &Place) -> Result<Bye> {
        let reading = self.read(&mut *link.rx, orders, place);
        let writing = self.write(&mut *link.tx, place);
        let stopped = async {
            self.job.stop.heard().await;
            Ok(Bye { reason: "this peer was stopped".into(), over: false })
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

    async fn read(&self, rx: &mut dyn Rx, orders: &Writer<Endpoint>, place: &Place) -> Result<Bye> {
        loop {
            match rx.recv().await? {
                Some(Message::Order(Order { from, heirs })) => {
                    self.downstream.orphans.expect(heirs);
                    let Ok(call) = from.as_deref().map_or(Ok(self.to.clone()), transports::dialled) else {
                        bail!("it told an address that cannot be called");
                    };
                    let call = Endpoint { key: call.key.or_else(|| self.to.key.clone()), ..call };
                    let told = Some((from, call.clone()));
                    if std::mem::replace(&mut *lock(place), told.clone()) != told {
                        orders.put(call);
                    }
                }
                Some(Message::Bye(bye)) => return Ok(bye),
                Some(_) => bail!("it sent what only a publisher may"),
                None => bail!("the connection was closed"),
            }
        }
    }

    async fn write(&self, tx: &mut dyn Tx, place: &Place) -> Result<Bye> {
        loop {
            tx.send(Message::Status(self.status(place))).await?;
            or(self.upstream.moved(), async { _ = Timer::after(AGAIN).await }).await;
        }
    }

    fn status(&self, place: &Place) -> Status {
        let (at, call) = lock(place).clone().unzip();
        let stands = lock(&self.upstream.stands).clone();
        let (ready, at) = (stands.is_some() && stands == call, at.flatten());
        let from = self.upstream.path.added(None, None).map(|added| added.upstream).filter(|_| ready);
        let lines = self.job.board.lines(clock::now());
        let Some(line) = lines.into_iter().find(|line| line.latency_ms.is_some()) else {
            return Status { ready, at, from, ..Status::default() };
        };
        Status {
            ready,
            at,
            from,
            frames: line.frames.unwrap_or(0),
            bytes: line.bytes,
            fps: line.fps.unwrap_or(0.0),
            bitrate: line.bitrate,
            latency_ms: line.latency_ms,
            error_ms: line.latency_err_ms,
            added_ms: line.hop.as_ref().and_then(|hop| hop.added_ms),
            added_err_ms: line.hop.as_ref().and_then(|hop| hop.added_err_ms),
        }
    }
}
