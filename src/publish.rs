//! A stream onto a link: frames as the flow allows, reports and pings besides. The newest frame goes next; or every
//! frame goes, and is kept until the far side has it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use async_channel::{Receiver, Sender, bounded};
use async_io::Timer;
use bytes::Bytes;
use event_listener::{Event, listener};
use smol::future::or;

use crate::adapt::{Burst, Limits, Rate};
use crate::clock::{self, Time};
use crate::draft::{Draft, Part};
use crate::exchange::{self, Pinging};
use crate::flow::Flow;
use crate::frame::Frame;
use crate::greet::printable;
use crate::had::Had;
use crate::latest::Latest;
use crate::link::{Link, Rx, Tx};
use crate::lock::lock;
use crate::message::{Begin, Bye, End as Ended, Message, Runs};
use crate::path::Path;
use crate::runs::{self, Lot};
use crate::stats::Peer;
use crate::stop::Stop;
use crate::word::{self, Talk};

/// Where a link's frames come from, kept over reconnections.
pub struct Feed {
    pub frames: Latest<Draft>,
    /// With every-frame: what was sent and not acknowledged, to be sent again on the next link.
    pub held: VecDeque<Draft>,
    pub every: bool,
    pub limits: Arc<Limits>,
    /// The stream is over, not only this end of it.
    pub over: Stop,
    /// The way of the stream, which the far side is told when it changes.
    pub path: Arc<Path>,
    /// Words besides, where the far side is a guest that has some.
    pub talk: Option<Talk>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The stream is over and the far side has all of it.
    Over,
    /// The far side said why it leaves.
    Left(String),
    /// We were told to stop.
    Stopped,
}

/// What the reading and the writing half share.
struct State {
    flow: Mutex<Flow>,
    changed: Event,
    replies: (Sender<Message>, Receiver<Message>),
    pinging: Mutex<Pinging>,
}

/// Pings that may wait for their answer to be written; a peer that sends more is not served them.
const REPLIES: usize = 16;
/// How often a link that may lose frames is asked what became of them, while they leave no room for the next.
const FATE: Duration = Duration::from_millis(5);

/// Serves one link until it or the stream ends.
pub async fn publish(link: Link, feed: &mut Feed, peer: &Arc<Peer>, stop: &Stop) -> Result<End> {
    let Link { mut tx, mut rx, .. } = link;
    peer.link().rate = Rate::new(feed.limits.clone());
    peer.link().rate.held(tx.holds());
    let state =
        State { flow: Mutex::default(), changed: Event::new(), replies: bounded(REPLIES), pinging: Mutex::default() };
    with(&state.flow, |flow| flow.held(tx.holds()));
    let shared = Mutex::new(std::mem::take(&mut feed.held));
    let next = (&mut feed.frames, &feed.over);
    let besides = (&*feed.path, feed.talk.as_ref());
    let writing = write(&mut *tx, next, (&shared, feed.every), besides, peer, &state);
    let reading = async { read(&mut *rx, &shared, feed.talk.as_ref(), peer, &state).await.map(End::Left) };
    let stopped = async {
        stop.heard().await;
        Ok(End::Stopped)
    };
    let ended = or(reading, or(writing, stopped)).await;
    feed.held = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Ok(End::Over | End::Stopped) = ended {
        // A source that stops ends its stream; a relay leaves, and the stream may come another way.
        let over = feed.over.said() || feed.path.is_source();
        let all = over && matches!(ended, Ok(End::Over));
        let reason = if all { "the source is over" } else { "it was stopped" };
        farewell(&mut *tx, &mut *rx, Bye { reason: reason.into(), over }).await;
    }
    ended
}

/// Says bye and waits for the far side to close.
async fn farewell(tx: &mut dyn Tx, rx: &mut dyn Rx, bye: Bye) {
    let bye = async {
        let said = tx.send(Message::Bye(bye)).await;
        if said.is_ok() && tx.close().await.is_ok() {
            rx.drain().await;
        }
    };
    or(bye, async { _ = Timer::after(exchange::FAREWELL).await }).await;
}

async fn write(
    tx: &mut dyn Tx,
    (frames, ended): (&mut Latest<Draft>, &Stop),
    (held, every): (&Mutex<VecDeque<Draft>>, bool),
    (path, talk): (&Path, Option<&Talk>),
    peer: &Arc<Peer>,
    state: &State,
) -> Result<End> {
    let mut sent = Sent::default();
    let mut told = 0;
    let mut again: VecDeque<Draft> = with(held, |held| held.clone());
    let mut over = false;
    loop {
        listener!(state.changed => changed);
        let settled = tx.settled();
        if let Some(settled) = settled.filter(|_| !every) {
            with(&state.flow, |flow| flow.acknowledged(settled));
        }
        let lossy = settled.is_some();
        let room = with(&state.flow, |flow| if every { flow.room_for_every() } else { flow.room(clock::now()) });
        if over && sent.current.is_none() && with(&state.flow, |flow| flow.is_empty()) {
            return Ok(End::Over);
        }
        enum Next {
            Draft(Option<Draft>),
            Part(Part),
            Message(Message),
            Look,
        }
        let resent = !again.is_empty();
        let part = async {
            match &mut sent.current {
                Some(current) => Next::Part(current.draft.grown().await),
                None => match again.pop_front() {
                    Some(draft) => Next::Draft(Some(draft)),
                    None if room && !over => {
                        rest(peer).await;
                        // A guest that comes after the end waits for nothing.
                        Next::Draft(or(frames.next(), none_after(ended)).await)
                    }
                    None => std::future::pending().await,
                },
            }
        };
        let reply = async { state.replies.1.recv().await.map_or(Next::Look, Next::Message) };
        let ping = async {
            let due = with(&state.pinging, |p| p.wait(clock::now()));
            Timer::after(due).await;
            let now = clock::now();
            let clean = with(&state.flow, |flow| flow.is_empty());
            with(&state.pinging, |p| p.asked(now, clean));
            Next::Message(Message::Ping(now))
        };
        let change = async {
            changed.await;
            Next::Look
        };
        // What became of datagrams is known sooner than of frames, and of all of them.
        let fate = async {
            match lossy && !every && (over || !room) {
                true => _ = Timer::after(FATE).await,
                false => std::future::pending().await,
            }
            Next::Look
        };
        let change = or(change, fate);
        let way = async { Next::Message(Message::Path(path.newer(&mut told).await)) };
        let word = async { Next::Message(Message::Word(word::next(talk).await)) };
        match or(or(reply, ping), or(part, or(change, or(way, word)))).await {
            Next::Draft(Some(draft)) => {
                if every && !resent {
                    with(held, |held| held.push_back(draft.clone()));
                }
                sent.begin(tx, draft).await?;
            }
            Next::Draft(None) => over = true,
            Next::Part(part) => {
                if let Some(abandoned) = sent.part(tx, part, peer, state).await? {
                    with(held, |held| held.retain(|other| !other.is(&abandoned)));
                }
            }
            Next::Message(message) => tx.send(exchange::stamped(message)).await?,
            Next::Look => {}
        }
    }
}

/// Waits until what was sent is paid for.
async fn rest(peer: &Peer) {
    let wait = peer.link().rate.wait(clock::now());
    if !wait.is_zero() {
        Timer::after(wait).await;
    }
}

async fn none_after(ended: &Stop) -> Option<Draft> {
    ended.heard().await;
    None
}

/// What went onto a link.
#[derive(Default)]
struct Sent {
    frames: u64,
    /// What the far side has, or will have before anything that is sent after it.
    had: Option<Had>,
    /// The sequence number of the last frame.
    last: Option<u64>,
    current: Option<Current>,
}

/// A frame on its way.
struct Current {
    draft: Draft,
    begun: Time,
    bytes: usize,
    /// Nothing of it was there before.
    whole: bool,
    /// Its last part is sent since then; for so long, in all, the next one was waited for.
    idle: Option<Time>,
    waited: Duration,
}

impl Current {
    /// Sends segments, in their form on the wire.
    async fn send(&mut self, tx: &mut dyn Tx, bodies: &[Bytes]) -> Result<()> {
        for body in bodies {
            self.bytes += body.len();
            let Draft { epoch, ref head, .. } = self.draft;
            tx.send(Message::Runs(Runs { epoch, since: head.since, body: body.clone() })).await?;
        }
        Ok(())
    }
}

impl Sent {
    async fn begin(&mut self, tx: &mut dyn Tx, draft: Draft) -> Result<()> {
        let Draft { epoch, seq, captured, error, ref head, .. } = draft;
        let lost = tx.lost();
        self.had.iter_mut().for_each(|had| had.lose(&lost));
        let known = self.had.as_ref().is_some_and(|had| had.fits(epoch, head));
        if !known {
            self.had = Some(Had::nothing(epoch, head.clone()));
        }
        let head = (!known).then(|| (**head).clone());
        let bytes = head.as_ref().map_or(0, |head| head.header.len());
        let (begun, whole, idle, waited) = (clock::now(), !known, None, Duration::ZERO);
        self.current = Some(Current { draft, begun, bytes, whole, idle, waited });
        tx.send(Message::Begin(Begin { number: self.frames, epoch, seq, captured, error, head })).await
    }

    /// Sends what the far side lacks of what the frame grew by; gives it back if that was its end without an end.
    async fn part(&mut self, tx: &mut dyn Tx, part: Part, peer: &Arc<Peer>, state: &State) -> Result<Option<Draft>> {
        let (Some(current), Some(had)) = (&mut self.current, &mut self.had) else { return Ok(None) };
        let now = clock::now();
        match current.idle {
            Some(since) => current.waited += now.since(since),
            None => peer.link().rate.begun(self.frames, now),
        }
        match &part {
            Part::Lots(lots) => {
                for Lot { segments, body } in lots {
                    match had.take_whole(segments) {
                        true => current.send(tx, std::slice::from_ref(body)).await?,
                        false => current.send(tx, &runs::bodies(&had.take(segments.to_vec()))).await?,
                    }
                }
            }
            Part::Ended(frame) => {
                let lacked = had.take_all(&frame.coded);
                let rest = current.draft.rest(frame, lacked);
                current.send(tx, &rest).await?;
            }
            Part::Abandoned => {}
        }
        match part {
            Part::Lots(_) => {
                if !current.draft.has_ended() {
                    tx.flush().await?;
                }
                current.idle = Some(clock::now());
                Ok(None)
            }
            Part::Ended(frame) => self.end(tx, &frame, peer, state).await.map(|()| None),
            Part::Abandoned => Ok(self.current.take().map(|current| current.draft)),
        }
    }

    async fn end(&mut self, tx: &mut dyn Tx, frame: &Frame, peer: &Arc<Peer>, state: &State) -> Result<()> {
        let Some(Current { begun, bytes, whole, waited, .. }) = self.current.take() else { return Ok(()) };
        with(&state.flow, |flow| flow.sent(self.frames, begun, bytes));
        spend(tx, &mut peer.link().rate, Burst { bytes, whole, waited });
        tx.send(Message::End(Ended { number: self.frames, state: frame.coded.state() })).await?;
        let mut link = peer.link();
        link.meter.add(clock::now(), bytes);
        link.sent = Some(frame.seq);
        link.slow += self.last.map_or(0, |last| frame.seq.saturating_sub(last + 1));
        self.frames += 1;
        self.last = Some(frame.seq);
        Ok(())
    }
}

/// Counts a frame into the link's rate, and tells the transport what is known of it.
fn spend(tx: &mut dyn Tx, rate: &mut Rate, frame: Burst) {
    rate.sent(clock::now(), frame);
    rate.lost(tx.losses());
    tx.pace(rate.budget(), rate.passing());
}

/// Reads until the far side leaves; its reason.
async fn read(
    rx: &mut dyn Rx,
    held: &Mutex<VecDeque<Draft>>,
    talk: Option<&Talk>,
    peer: &Arc<Peer>,
    state: &State,
) -> Result<String> {
    loop {
        match rx.recv().await? {
            None => bail!("the connection was closed"),
            Some(Message::Report(report)) => {
                peer.link().rate.reported(&report, clock::now());
                let settled = with(&state.flow, |flow| flow.acknowledged(report.acknowledged));
                with(held, |held| held.drain(..settled.min(held.len())).for_each(drop));
                state.changed.notify(usize::MAX);
            }
            Some(Message::Ping(sent)) => {
                let _ = state.replies.0.try_send(exchange::answer(sent)); // a flood of pings is not answered
            }
            Some(Message::Pong(pong)) => {
                let taken = with(&state.pinging, |p| p.answered(&pong, clock::now()));
                if let Some((exchange, clean)) = taken {
                    peer.link().offset.add(exchange);
                    if clean {
                        with(&state.flow, |flow| flow.round_trip(exchange.rtt));
                        peer.link().rate.round_trip(clock::now(), exchange.rtt);
                    }
                }
            }
            Some(Message::Bye(bye)) => return Ok(printable(&bye.reason)),
            Some(Message::Word(word)) => word::hear(talk, word)?,
            Some(_) => bail!("the watcher sent what only a publisher may"),
        }
    }
}

fn with<T, R>(m: &Mutex<T>, act: impl FnOnce(&mut T) -> R) -> R {
    act(&mut lock(m))
}
