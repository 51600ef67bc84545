//! A stream onto a link: frames as the flow allows, reports and pings besides. The newest frame goes next; or every
//! frame goes, and is kept until the far side has it.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::Result;
use async_channel::{Receiver, Sender, bounded};
use async_io::Timer;
use event_listener::{Event, listener};
use smol::future::or;

use crate::adapt::{Limits, Rate};
use crate::alarm::Alarm;
use crate::clock::{self, Time};
use crate::draft::{Draft, Part};
use crate::exchange::{self, Pinging};
use crate::flow::Flow;
use crate::latest::Latest;
use crate::link::{Link, Rx, Tx};
use crate::lock::lock;
use crate::message::{Bye, Message};
use crate::path::Path;
use crate::stats::Peer;
use crate::stop::Stop;
use crate::word::{self, Talk};

use sent::Sent;
use serving::Lane;
pub use serving::Serving;

mod hearing;
mod sent;
mod serving;

/// Where frames come from.
pub trait Frames: Send {
    /// The next one; none when there will be no more. Who gives up waiting loses nothing. Meanwhile some may go by `hand`.
    fn next(&mut self, hand: Option<Weak<Serving>>) -> impl Future<Output = Option<Draft>> + Send;
    /// Whether many others get the same.
    fn is_crowded(&self) -> bool;
    /// Why there are no more, where that is not the source's end.
    fn trouble(&self) -> Option<String> {
        None
    }
}

impl Frames for Latest<Draft> {
    async fn next(&mut self, hand: Option<Weak<Serving>>) -> Option<Draft> {
        self.next_by(hand.map(|hand| hand as _)).await
    }

    fn is_crowded(&self) -> bool {
        Latest::is_crowded(self)
    }
}

/// What a link sends and has sent, kept over reconnections.
pub struct Feed<F = Latest<Draft>> {
    pub frames: F,
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
    /// Nothing is waited for that the far side says, or not any more.
    patient: AtomicBool,
    hurried: Event,
    /// When something was heard for the last time, and what of it is for the task.
    heard: Mutex<Time>,
    early: Mutex<VecDeque<Message>>,
    /// When the far side's last ping left.
    asked: Mutex<Time>,
}

impl State {
    fn new() -> State {
        let (flow, pinging, patient, changed, hurried, heard, asked, early) = Default::default();
        State { flow, changed, replies: bounded(REPLIES), pinging, patient, hurried, heard, asked, early }
    }
}

/// Pings that may wait for their answer to be written; a peer that sends more is not served them.
const REPLIES: usize = 16;
/// How often a link that may lose frames is asked what became of them, while they leave no room for the next.
const FATE: Duration = Duration::from_millis(5);
/// While these frames go all is heard at once: the far side finds out how its clock differs from ours.
const AT_ONCE: u64 = 32;

/// Serves one link until it or the stream ends.
pub async fn publish<F: Frames>(link: Link, feed: &mut Feed<F>, peer: &Arc<Peer>, stop: &Stop) -> Result<End> {
    let Link { tx, rx, .. } = link;
    peer.link().rate = Rate::new(feed.limits.clone());
    peer.link().rate.held(tx.holds());
    let serving = Arc::new(Serving::new(tx, rx, peer));
    let shared = Mutex::new(std::mem::take(&mut feed.held));
    let next = (&mut feed.frames, &feed.over);
    let besides = (&*feed.path, feed.talk.as_ref());
    let writing = write(&serving, next, (&shared, feed.every), besides);
    let reading = async { serving.read(&shared, feed.talk.as_ref()).await.map(End::Left) };
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
        let ended = || if all { "the source is over" } else { "it was stopped" }.to_string();
        let reason = feed.frames.trouble().unwrap_or_else(ended);
        let (mut lane, mut rx) = (serving.lane().await, serving.rx.lock().await);
        farewell(&mut *lane.tx, &mut **rx, Bye { reason, over }).await;
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
    serving: &Arc<Serving>,
    (frames, ended): (&mut impl Frames, &Stop),
    (held, every): (&Mutex<VecDeque<Draft>>, bool),
    (path, talk): (&Path, Option<&Talk>),
) -> Result<End> {
    let Serving { peer, state, .. } = &**serving;
    let hand = Arc::downgrade(serving);
    let mut lane = serving.lane().await;
    let mut again: VecDeque<Draft> = with(held, |held| held.clone());
    let mut over = false;
    let told = AtomicU64::new(0);
    let (mut besides, mut ended) = (pin!(besides(path, &told, talk, state)), pin!(ended.heard()));
    let (mut pings, mut fates, mut payment) = <(Alarm, Alarm, Alarm)>::default();
    loop {
        listener!(state.changed => changed);
        let Lane { tx, sent, .. } = &mut *lane;
        let settled = tx.settled();
        if let Some(settled) = settled.filter(|_| !every) {
            with(&state.flow, |flow| flow.acknowledged(settled));
            peer.link().rate.settled(settled);
        }
        let packets = tx.packets();
        let lossy = packets.sent > 0;
        let room = with(&state.flow, |flow| if every { flow.room_for_every() } else { flow.room(clock::now()) });
        let patient = sent.to_crowd && sent.frames > AT_ONCE && room && !every && !over;
        // Of a crowd too little is heard to tell.
        let stalls = if patient || every { None } else { peer.link().rate.stalls() };
        let room = room && stalls.is_none_or(|at| clock::now() < at);
        if lossy && !every && !room && sent.current.is_none() {
            let mut link = peer.link();
            if link.rate.trickled(packets.arrived, clock::now()) {
                tx.give_up();
            }
            tx.pace(link.rate.budget(), link.rate.passing());
        }
        if state.patient.swap(patient, Ordering::Relaxed) && !patient {
            state.hurried.notify(usize::MAX);
        }
        if over && sent.current.is_none() && with(&state.flow, |flow| flow.is_empty()) {
            return Ok(End::Over);
        }
        enum Next {
            Draft(Option<Draft>),
            Part(Part),
            Ping(Time),
            Other(Message),
            Look,
        }
        let resent = !again.is_empty();
        let leaves = patient && tx.resumes() && sent.current.is_none() && !resent && serving.waits_for_nothing();
        let mut kept = Some(lane);
        if leaves {
            kept.take().into_iter().for_each(|mut lane| lane.left = true);
        }
        let part = async {
            match kept.as_mut().and_then(|lane| lane.sent.current.as_mut()) {
                Some(current) => Next::Part(current.draft.grown().await),
                None => match again.pop_front() {
                    Some(draft) => Next::Draft(Some(draft)),
                    None if room && !over => {
                        let now = clock::now();
                        let wait = peer.link().rate.wait(now); // until what was sent is paid for
                        payment.until(Some(now + wait)).await;
                        // A guest that comes after the end waits for nothing.
                        let ended = async {
                            ended.as_mut().await;
                            None
                        };
                        Next::Draft(or(frames.next(leaves.then(|| hand.clone())), ended).await)
                    }
                    None => std::future::pending().await,
                },
            }
        };
        let other = async { Next::Other(besides.as_mut().await) };
        let ping = async {
            let (asks, doubted) = with(&state.flow, |flow| (flow.asks(), flow.doubts(clock::now())));
            let due = with(&state.pinging, |p| p.due(doubted));
            pings.until(Some(if asks { clock::now() } else { due })).await;
            let now = clock::now();
            let clean = with(&state.flow, |flow| flow.asked());
            with(&state.pinging, |p| p.asked(now, clean));
            state.hurried.notify(usize::MAX);
            Next::Ping(now)
        };
        let change = async {
            changed.await;
            Next::Look
        };
        // What became of datagrams is known sooner than of frames, and of all of them.
        let fate = async {
            let look = lossy && !every && (over || !room);
            fates.until(if look { Some(clock::now() + FATE) } else { stalls.filter(|_| room) }).await;
            Next::Look
        };
        let change = or(change, fate);
        let next = or(or(other, ping), or(part, change)).await;
        lane = match kept {
            Some(lane) => lane,
            None => serving.lane().await,
        };
        let Lane { tx, sent, .. } = &mut *lane;
        if leaves {
            tx.flush().await?; // what the hand left
        }
        match next {
            Next::Draft(Some(draft)) => {
                if every && !resent {
                    with(held, |held| held.push_back(draft.clone()));
                }
                sent.to_crowd = frames.is_crowded();
                sent.begin(&mut **tx, draft);
                while let Some(part) = sent.current.as_mut().and_then(|current| current.draft.take()) {
                    send(&mut **tx, sent, part, held, serving).await?;
                }
            }
            Next::Draft(None) => over = true,
            Next::Part(part) => send(&mut **tx, sent, part, held, serving).await?,
            Next::Ping(now) => tx.send(Message::Ping(now)).await?,
            Next::Other(message) => {
                besides.set(self::besides(path, &told, talk, state));
                tx.send(exchange::stamped(message)).await?;
            }
            Next::Look => {}
        }
    }
}

async fn send(
    tx: &mut dyn Tx,
    sent: &mut Sent,
    part: Part,
    held: &Mutex<VecDeque<Draft>>,
    serving: &Serving,
) -> Result<()> {
    if let Some(abandoned) = sent.part(tx, part, &serving.peer, &serving.state).await? {
        with(held, |held| held.retain(|other| !other.is(&abandoned)));
    }
    serving.listen_if_due();
    Ok(())
}

/// The next message besides frames and pings.
async fn besides(path: &Path, told: &AtomicU64, talk: Option<&Talk>, state: &State) -> Message {
    let reply = async {
        match state.replies.1.recv().await {
            Ok(reply) => reply,
            Err(_) => std::future::pending().await, // the reading half has gone
        }
    };
    let way = async {
        let mut seen = told.load(Ordering::Relaxed);
        let hops = path.newer(&mut seen).await;
        told.store(seen, Ordering::Relaxed);
        Message::Path(hops)
    };
    let word = async { Message::Word(word::next(talk).await) };
    or(reply, or(way, word)).await
}

fn with<T, R>(m: &Mutex<T>, act: impl FnOnce(&mut T) -> R) -> R {
    act(&mut lock(m))
}
