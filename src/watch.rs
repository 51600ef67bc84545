//! A stream off a link: frames to the outputs, moved to this machine's clock; reports and pings back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use async_channel::{Receiver, Sender, bounded};
use async_io::Timer;
use smol::future::or;

use crate::alarm::Alarm;
use crate::allowance::Allowance;
use crate::assembly::Assembly;
use crate::clock::{self, Time};
use crate::exchange::{self, Pinging};
use crate::frame::Frame;
use crate::greet::printable;
use crate::link::{Link, Repaired, Rx, Tx};
use crate::lock::lock;
use crate::merge::{self, Entry, Merge};
use crate::message::{Begin, Bye, End as Ended, Message, Report};
use crate::path::Path;
use crate::segments::{Form, Head};
use crate::stats::{Peer, Recovered};
use crate::stop::Stop;
use crate::word::{self, Talk};

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
/// Reports that wait for their frames to be settled. A publisher keeps 64 MB that nobody has acknowledged.
const UNSETTLED: usize = 1 << 16;

/// Takes frames from a link until it or the stream ends, to the readers of `into`; with every-frame one is acknowledged
/// when they are done with it, else when it has arrived. `path` learns which way it comes. A frame must be `fine` by its
/// head as it begins, and one that is not in tiles by its bytes as it ends. It ends at `leave` too, when only this link does.
pub async fn watch(
    link: Link,
    into: &Merge,
    path: &Path,
    peer: &Arc<Peer>,
    (stop, leave): (&Stop, &Stop),
    talk: Option<&Talk>,
    fine: impl Fn(&Head, &[u8]) -> bool + Send + Sync,
) -> Result<End> {
    let Link { mut tx, mut rx, .. } = link;
    let outgoing = bounded(OUTGOING);
    let pinging = Mutex::default();
    let reading = read(&mut *rx, into, path, peer, &outgoing.0, &pinging, (talk, &fine));
    let writing = write(&mut *tx, &outgoing.1, &pinging, talk, stop);
    let stopped = async {
        or(stop.heard(), leave.heard()).await;
        Ok(End::Stopped)
    };
    let ended = or(reading, or(writing, stopped)).await;
    if let Ok(End::Stopped) = ended {
        let reason = if stop.said() { "it was stopped" } else { "it gets the stream from another now" };
        let bye = Bye { reason: reason.into(), over: false };
        let farewell = async {
            if tx.send(Message::Bye(bye)).await.is_ok() {
                _ = tx.close().await; // the far side may be gone already
            }
        };
        or(farewell, async { _ = Timer::after(exchange::FAREWELL).await }).await;
    }
    ended
}

/// What is to be written.
enum Outgoing {
    Message(Message),
    /// Once the frame is settled.
    Report(Report, Stop),
    /// The frame of the first report that waits is settled.
    Settled(Report),
}

async fn write(
    tx: &mut dyn Tx,
    outgoing: &Receiver<Outgoing>,
    pinging: &Mutex<Pinging>,
    talk: Option<&Talk>,
    stop: &Stop,
) -> Result<End> {
    // Reports in their order, each when it is time.
    let mut reports: VecDeque<(Report, Stop)> = VecDeque::new();
    let mut alarm = Alarm::default();
    loop {
        let due = lock(pinging).due(false);
        let ping = async {
            alarm.until(Some(due)).await;
            let now = clock::now();
            lock(pinging).asked(now, true);
            Some(Outgoing::Message(Message::Ping(now)))
        };
        let settled = async {
            let Some((report, settled)) = reports.front() else { return std::future::pending().await };
            settled.heard().await;
            if stop.said() {
                // It may be settled because readers have gone that had not passed it on.
                std::future::pending::<()>().await;
            }
            Some(Outgoing::Settled(*report))
        };
        let more = async {
            match reports.len() < UNSETTLED {
                true => outgoing.recv().await.ok(),
                false => std::future::pending().await,
            }
        };
        let word = async { Some(Outgoing::Message(Message::Word(word::next(talk).await))) };
        match or(settled, or(more, or(ping, word))).await {
            Some(Outgoing::Message(message)) => tx.send(exchange::stamped(message)).await?,
            Some(Outgoing::Settled(report)) => {
                reports.pop_front();
                tx.send(Message::Report(report)).await?;
            }
            Some(Outgoing::Report(report, settled)) => reports.push_back((report, settled)),
            None => bail!("the reading half has gone"),
        }
    }
}

async fn read(
    rx: &mut dyn Rx,
    into: &Merge,
    path: &Path,
    peer: &Arc<Peer>,
    outgoing: &Sender<Outgoing>,
    pinging: &Mutex<Pinging>,
    (talk, fine): (Option<&Talk>, &(impl Fn(&Head, &[u8]) -> bool + Send + Sync)),
) -> Result<End> {
    let feeder = into.join();
    let mut assembly = Assembly::default();
    let (mut expected, mut crossed, mut began) = (0, 0, clock::now());
    let mut making: Option<(Entry, merge::Begin)> = None;
    let (mut strange, mut words) = (Strange::default(), Allowance::of_words());
    let alive = || *peer.link().heard.get_or_insert(0) += 1;
    loop {
        let message = rx.recv().await?;
        if matches!(message, Some(Message::Ping(_) | Message::Pong(_) | Message::Path(_) | Message::Word(_))) {
            words.taken().await;
        }
        match message {
            None => bail!("the connection was closed"),
            Some(Message::Begin(begin)) => {
                alive();
                began = clock::now();
                drop(making.take()); // what was begun before is abandoned, or this link's part in it
                crossed = begin.head.as_ref().map_or(0, |head| head.header.len());
                let Begin { epoch, seq, captured, error, .. } = begin;
                let head = assembly.begin(begin)?;
                let (captured, error) = here(captured, error, peer);
                let begin = merge::Begin { epoch, seq, captured, error, head };
                let entry = feeder.begin(&begin, |head| head.form == Form::Whole || fine(head, &[])).await;
                if strange.lasts(entry.strange, began) {
                    let name = &peer.name;
                    log::warn!(
                        "{name} brings another stream than the one that goes on here: it is left out until that is over"
                    );
                }
                making = Some((entry, begin));
            }
            Some(Message::Runs(runs)) => {
                crossed += runs.body.len();
                let lots = assembly.runs(runs)?;
                if let Some((Entry { pen: Some(pen), .. }, _)) = &mut making {
                    pen.add(lots);
                }
            }
            Some(Message::End(Ended { number, state })) => {
                let arrived = clock::now();
                let crossing = rx.crossing();
                let lossy = crossing.is_some();
                let ended = match &crossing {
                    Some(crossing) => assembly.end_with_holes(number, state, &crossing.changed)?,
                    None => assembly.end(number, state)?.map(|frame| (frame, 0)),
                };
                ensure!(number >= expected, "frame {number} came twice");
                // A frame that is held until it is whole is no sign of a queue.
                let (began, through) = crossing.map_or((began, arrived), |crossing| (crossing.began, crossing.arrived));
                let report = Report { acknowledged: number, began, arrived: through };
                let Some((frame, stale)) = ended else {
                    ensure!(lossy, "frame {number} came with holes");
                    // Before the first picture is whole there is nothing to show; the next frames bring what lacks.
                    expected = number.saturating_add(1);
                    outgoing.send(Outgoing::Message(Message::Report(report))).await?;
                    continue;
                };
                if let Some(latency_ms) = count(peer, &frame, crossed, number - expected, arrived) {
                    path.came(frame.seq, latency_ms);
                }
                repaired(peer, rx.repaired(), 100.0 * stale as f64 / frame.coded.head.count as f64, arrived);
                expected = number.saturating_add(1);
                let Some((entry, begin)) = making.take() else { bail!("frame {number} ended without a beginning") };
                if let Some(pen) = entry.pen {
                    let merge::Begin { captured, error, .. } = begin;
                    let frame = Frame { captured, error, ..frame };
                    if frame.coded.head.form != Form::Whole || fine(&frame.coded.head, &frame.coded.bytes) {
                        pen.end(frame);
                    }
                }
                let message = match into.out.is_every() {
                    true => Outgoing::Report(report, entry.settled),
                    false => Outgoing::Message(Message::Report(report)),
                };
                outgoing.send(message).await?;
            }
            Some(Message::Ping(sent)) => {
                alive();
                outgoing.send(Outgoing::Message(exchange::answer(sent))).await?;
            }
            Some(Message::Pong(pong)) => {
                if let Some((exchange, _)) = lock(pinging).answered(&pong, clock::now()) {
                    peer.link().offset.add(exchange);
                }
            }
            Some(Message::Path(hops)) => path.extend(hops)?,
            Some(Message::Word(word)) => word::hear(talk, word)?,
            Some(Message::Bye(bye)) if bye.over => return Ok(End::Over(printable(&bye.reason))),
            Some(Message::Bye(bye)) => return Ok(End::Left(printable(&bye.reason))),
            Some(_) => bail!("the publisher sent what only a watcher may"),
        }
    }
}

/// Since when a link brings another stream than the one that goes on; and whether that was told.
#[derive(Default)]
struct Strange {
    since: Option<Time>,
    told: bool,
}

/// A source that was started again comes by one link sooner than by another.
const STRANGE: Duration = Duration::from_secs(2);

impl Strange {
    /// Whether it is time to tell of it.
    fn lasts(&mut self, strange: bool, now: Time) -> bool {
        if !strange {
            *self = Strange::default();
            return false;
        }
        let lasts = now.since(*self.since.get_or_insert(now)) >= STRANGE;
        lasts && !std::mem::replace(&mut self.told, true)
    }
}

/// `crossed`: bytes that the frame took on the wire. Milliseconds since its capture, once that is known.
fn count(peer: &Arc<Peer>, frame: &Frame, crossed: usize, gap: u64, arrived: Time) -> Option<f64> {
    let mut link = peer.link();
    link.meter.add(arrived, crossed);
    link.lost += gap;
    let best = link.offset.best()?;
    let captured = frame.captured.shifted(-best.offset);
    let latency_ms = arrived.since(captured).as_secs_f64() * 1000.0;
    link.latency_ms.add(arrived, latency_ms);
    link.latency_error = Some(best.rtt / 2 + frame.error);
    Some(latency_ms)
}

/// What the link repaired so far, and the share of the frame that it could not.
fn repaired(peer: &Arc<Peer>, repaired: Repaired, stale_pct: f64, arrived: Time) {
    let mut link = peer.link();
    link.recovered =
        (repaired != Repaired::default()).then_some(Recovered { fec: repaired.fec, resend: repaired.resend });
    link.refused = repaired.refused;
    link.stale_pct.add(arrived, stale_pct);
}

/// A capture time, and its error, on this machine's clock. Until the first exchange is done that time is not known: now
/// stands for it, with an error that says so.
fn here(captured: Time, error: Duration, peer: &Arc<Peer>) -> (Time, Duration) {
    const UNKNOWN: Duration = Duration::from_secs(3600);
    match peer.link().offset.best() {
        Some(best) => (captured.shifted(-best.offset), error + best.rtt / 2),
        None => (clock::now(), UNKNOWN),
    }
}
