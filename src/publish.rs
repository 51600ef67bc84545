//! A stream onto a link: frames as the flow allows, reports and pings besides. The newest frame goes next; or every
//! frame goes, and is kept until the far side has it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use async_channel::{Receiver, Sender, bounded};
use async_io::Timer;
use bytes::Bytes;
use event_listener::{Event, listener};
use smol::future::or;

use crate::clock;
use crate::exchange::{self, Pinging};
use crate::flow::Flow;
use crate::frame::Frame;
use crate::greet::printable;
use crate::latest::Latest;
use crate::link::{Link, Rx, Tx};
use crate::lock::lock;
use crate::message::{Begin, Bye, End as Ended, Message, Runs};
use crate::runs;
use crate::stats::Peer;
use crate::stop::Stop;

/// Where a link's frames come from, kept over reconnections.
pub struct Feed {
    pub frames: Latest<Frame>,
    /// With every-frame: what was sent and not acknowledged, to be sent again on the next link.
    pub held: VecDeque<Frame>,
    pub every: bool,
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

/// Serves one link until it or the stream ends.
pub async fn publish(link: Link, feed: &mut Feed, peer: &Arc<Peer>, stop: &Stop) -> Result<End> {
    let Link { mut tx, mut rx, .. } = link;
    let state =
        State { flow: Mutex::default(), changed: Event::new(), replies: bounded(REPLIES), pinging: Mutex::default() };
    let shared = Mutex::new(std::mem::take(&mut feed.held));
    let writing = write(&mut *tx, &mut feed.frames, &shared, feed.every, peer, &state);
    let reading = async { read(&mut *rx, &shared, peer, &state).await.map(End::Left) };
    let stopped = async {
        stop.heard().await;
        Ok(End::Stopped)
    };
    let ended = or(reading, or(writing, stopped)).await;
    feed.held = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Ok(End::Over | End::Stopped) = ended {
        farewell(&mut *tx, &mut *rx, &ended).await;
    }
    ended
}

/// Says bye and waits for the far side to close.
async fn farewell(tx: &mut dyn Tx, rx: &mut dyn Rx, ended: &Result<End>) {
    let reason = if matches!(ended, Ok(End::Over)) { "the source is over" } else { "the sender was stopped" };
    let bye = async {
        let said = tx.send(Message::Bye(Bye { reason: reason.into(), over: true })).await;
        if said.is_ok() && tx.close().await.is_ok() {
            rx.drain().await;
        }
    };
    or(bye, async { _ = Timer::after(exchange::FAREWELL).await }).await;
}

async fn write(
    tx: &mut dyn Tx,
    frames: &mut Latest<Frame>,
    held: &Mutex<VecDeque<Frame>>,
    every: bool,
    peer: &Arc<Peer>,
    state: &State,
) -> Result<End> {
    let mut sent = Sent::default();
    let again: Vec<Frame> = with(held, |held| held.iter().cloned().collect());
    for frame in again {
        sent.send(tx, frame, peer, state).await?;
    }
    let mut over = false;
    loop {
        listener!(state.changed => changed);
        let room = with(&state.flow, |flow| if every { flow.room_for_every() } else { flow.room(clock::now()) });
        if over && with(&state.flow, |flow| flow.is_empty()) {
            return Ok(End::Over);
        }
        enum Next {
            Frame(Option<Frame>),
            Message(Message),
            Look,
        }
        let frame = async {
            match room && !over {
                true => Next::Frame(frames.next().await),
                false => std::future::pending().await,
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
        match or(or(reply, ping), or(frame, change)).await {
            Next::Frame(Some(frame)) => {
                if every {
                    with(held, |held| held.push_back(frame.clone()));
                }
                sent.send(tx, frame, peer, state).await?;
            }
            Next::Frame(None) => over = true,
            Next::Message(message) => tx.send(exchange::stamped(message)).await?,
            Next::Look => {}
        }
    }
}

/// What went onto a link.
#[derive(Default)]
struct Sent {
    frames: u64,
    /// The last one: what the far side has, or will have before anything that is sent after it.
    newest: Option<Frame>,
}

impl Sent {
    /// Sends what the far side lacks of a frame.
    async fn send(&mut self, tx: &mut dyn Tx, frame: Frame, peer: &Arc<Peer>, state: &State) -> Result<()> {
        let had = self.newest.as_ref().filter(|had| had.epoch == frame.epoch);
        let Frame { epoch, seq, captured, error, ref coded } = frame;
        let body = Bytes::from(runs::encode(coded, &frame.lacking(had)));
        let head = had.is_none_or(|had| had.coded.head != coded.head).then(|| (*coded.head).clone());
        let bytes = body.len() + head.as_ref().map_or(0, |head| head.header.len());
        let number = self.frames;
        with(&state.flow, |flow| flow.sent(number, clock::now(), bytes));
        tx.send(Message::Begin(Begin { number, epoch, seq, captured, error, head })).await?;
        if !body.is_empty() {
            tx.send(Message::Runs(Runs { epoch, since: coded.head.since, body })).await?;
        }
        tx.send(Message::End(Ended { number, state: coded.state() })).await?;
        let mut link = peer.link();
        link.meter.add(clock::now(), bytes);
        link.sent = Some(seq);
        link.slow += self.newest.as_ref().map_or(0, |last| seq.saturating_sub(last.seq + 1));
        self.frames += 1;
        self.newest = Some(frame);
        Ok(())
    }
}

/// Reads until the far side leaves; its reason.
async fn read(rx: &mut dyn Rx, held: &Mutex<VecDeque<Frame>>, peer: &Arc<Peer>, state: &State) -> Result<String> {
    loop {
        match rx.recv().await? {
            None => bail!("the connection was closed"),
            Some(Message::Report(report)) => {
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
                    }
                }
            }
            Some(Message::Bye(bye)) => return Ok(printable(&bye.reason)),
            Some(_) => bail!("the watcher sent what only a publisher may"),
        }
    }
}

fn with<T, R>(m: &Mutex<T>, act: impl FnOnce(&mut T) -> R) -> R {
    act(&mut lock(m))
}
