//! A stream off a link: frames to the outputs, moved to this machine's clock; reports and pings back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use async_channel::{Receiver, Sender, bounded};
use async_io::Timer;
use smol::future::or;

use crate::assembly::Assembly;
use crate::clock::{self, Time};
use crate::exchange::{self, Pinging};
use crate::fanout::Fanout;
use crate::frame::Frame;
use crate::greet::printable;
use crate::link::{Link, Rx, Tx};
use crate::lock::lock;
use crate::message::{Bye, End as Ended, Message, Report};
use crate::stats::Peer;
use crate::stop::Stop;

#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The stream is over: its publisher's reason.
    Over(String),
    /// Only this link ends.
    Left(String),
    Stopped,
}

/// Messages that wait to be written: a report for each frame, and answers.
const OUTGOING: usize = 64;

/// Takes frames from a link until it or the stream ends. `every`: a frame is acknowledged when the outputs are done
/// with it, else when it has arrived. Only frames that are `fine` go to the outputs.
pub async fn watch(
    link: Link,
    out: &Fanout<Frame>,
    every: bool,
    peer: &Arc<Peer>,
    stop: &Stop,
    fine: impl Fn(&Frame) -> bool + Send + Sync,
) -> Result<End> {
    let Link { mut tx, mut rx, .. } = link;
    let outgoing = bounded(OUTGOING);
    let pinging = Mutex::default();
    let reading = read(&mut *rx, out, every, peer, &outgoing.0, &pinging, &fine);
    let writing = write(&mut *tx, &outgoing.1, &pinging);
    let stopped = async {
        stop.heard().await;
        Ok(End::Stopped)
    };
    let ended = or(reading, or(writing, stopped)).await;
    if let Ok(End::Stopped) = ended {
        let bye = Bye { reason: "the receiver was stopped".into(), over: false };
        let farewell = async {
            if tx.send(Message::Bye(bye)).await.is_ok() {
                _ = tx.close().await; // the far side may be gone already
            }
        };
        or(farewell, async { _ = Timer::after(exchange::FAREWELL).await }).await;
    }
    ended
}

async fn write(tx: &mut dyn Tx, outgoing: &Receiver<Message>, pinging: &Mutex<Pinging>) -> Result<End> {
    loop {
        let due = lock(pinging).wait(clock::now());
        let ping = async {
            Timer::after(due).await;
            let now = clock::now();
            lock(pinging).asked(now, true);
            Some(Message::Ping(now))
        };
        match or(async { outgoing.recv().await.ok() }, ping).await {
            Some(message) => tx.send(exchange::stamped(message)).await?,
            None => bail!("the reading half has gone"),
        }
    }
}

async fn read(
    rx: &mut dyn Rx,
    out: &Fanout<Frame>,
    every: bool,
    peer: &Arc<Peer>,
    outgoing: &Sender<Message>,
    pinging: &Mutex<Pinging>,
    fine: &(impl Fn(&Frame) -> bool + Send + Sync),
) -> Result<End> {
    let mut assembly = Assembly::default();
    let (mut expected, mut crossed) = (0, 0);
    loop {
        match rx.recv().await? {
            None => bail!("the connection was closed"),
            Some(Message::Begin(begin)) => {
                crossed = begin.head.as_ref().map_or(0, |head| head.header.len());
                assembly.begin(begin)?;
            }
            Some(Message::Runs(runs)) => {
                crossed += runs.body.len();
                assembly.runs(runs)?;
            }
            Some(Message::End(Ended { number, state })) => {
                let arrived = clock::now();
                let Some(frame) = assembly.end(number, state)? else { bail!("frame {number} came with holes") };
                ensure!(number >= expected, "frame {number} came twice");
                count(peer, &frame, crossed, number - expected, arrived);
                expected = number.saturating_add(1);
                if fine(&frame) {
                    let replaced = out.put(here(frame, peer, arrived));
                    peer.link().slow += replaced as u64;
                }
                if every {
                    out.until_settled().await;
                }
                outgoing.send(Message::Report(Report { acknowledged: number, arrived })).await?;
            }
            Some(Message::Ping(sent)) => outgoing.send(exchange::answer(sent)).await?,
            Some(Message::Pong(pong)) => {
                if let Some((exchange, _)) = lock(pinging).answered(&pong, clock::now()) {
                    peer.link().offset.add(exchange);
                }
            }
            Some(Message::Bye(bye)) if bye.over => return Ok(End::Over(printable(&bye.reason))),
            Some(Message::Bye(bye)) => return Ok(End::Left(printable(&bye.reason))),
            Some(_) => bail!("the publisher sent what only a watcher may"),
        }
    }
}

/// `crossed`: bytes that the frame took on the wire.
fn count(peer: &Arc<Peer>, frame: &Frame, crossed: usize, gap: u64, arrived: Time) {
    let mut link = peer.link();
    link.meter.add(arrived, crossed);
    link.lost += gap;
    if let Some(best) = link.offset.best() {
        let captured = frame.captured.shifted(-best.offset);
        link.latency_ms.add(arrived, arrived.since(captured).as_secs_f64() * 1000.0);
        link.latency_error = Some(best.rtt / 2 + frame.error);
    }
}

/// The frame with its capture time on this machine's clock. Until the first exchange is done that time is not known:
/// the arrival stands for it, with an error that says so.
fn here(frame: Frame, peer: &Arc<Peer>, arrived: Time) -> Frame {
    const UNKNOWN: Duration = Duration::from_secs(3600);
    let (captured, error) = match peer.link().offset.best() {
        Some(best) => (frame.captured.shifted(-best.offset), frame.error + best.rtt / 2),
        None => (arrived, UNKNOWN),
    };
    Frame { captured, error, ..frame }
}
