//! Where a receiver's or a relay's stream comes from: senders that it calls or that call it. Several may bring the same
//! stream; its frames go on once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use event_listener::Event;
use smol::future::or;
use smol::lock::OnceCell;

use super::Job;
use super::calls::{Visits, dial_telling, hello, refuse, waiting};
use super::refused::{Hope, Hopes};
use crate::codec;
use crate::endpoint::Endpoint;
use crate::fanout::Fanout;
use crate::fault::{self, Fault};
use crate::greet;
use crate::link::Link;
use crate::lock::lock;
use crate::log::Repeated;
use crate::merge::Merge;
use crate::message::{About, Hello, Message, Side, Welcome};
use crate::path::Path;
use crate::retry::Retry;
use crate::segments::Head;
use crate::stats::Board;
use crate::stop::Stop;
use crate::watch::{End, watch};
use crate::word::Talk;
use crate::{clock, endpoint};

pub struct Upstream {
    pub job: Arc<Job>,
    /// Where its figures stand.
    pub board: Arc<Board>,
    pub merge: Merge,
    pub path: Arc<Path>,
    /// What the first publisher says of its stream.
    pub about: Arc<OnceCell<About>>,
    /// The stream is over, and no other is waited for.
    pub over: Stop,
    /// Goes on when a stream is over, with the next.
    stay: bool,
    /// No frame may be dropped, whatever the publisher says.
    every: bool,
    /// Where the link stands by which the stream comes, if a coordinator says where from.
    pub stands: Mutex<Option<Endpoint>>,
    pub(super) moved: Event,
    /// Who sends now: one of another stream is refused.
    holders: Mutex<Vec<Holder>>,
}

/// A place among those who send, until it is dropped.
pub struct Seat {
    upstream: Arc<Upstream>,
    pub holder: Holder,
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.upstream.holders).retain(|holder| !holder.leave.is(&self.holder.leave));
    }
}

#[derive(Clone, Debug)]
pub struct Holder {
    peer: String,
    agent: String,
    instance: u64,
    /// Where its stream was born.
    origin: u64,
    /// Said when the same process calls again, or another takes over.
    pub leave: Stop,
}

impl Holder {
    /// Whether it sends another stream than such a one, and is another process.
    fn is_strange_to(&self, origin: u64, instance: u64) -> bool {
        self.origin != origin && self.instance != instance
    }
}

/// Where the stream of a caller was born: there, if it does not relay it.
fn origin(hello: &Hello) -> u64 {
    hello.stream.path.first().map_or(hello.instance, |hop| hop.id)
}

/// How a link to a sender has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// Nothing more is wanted.
    Over,
    /// The far side said that it leaves.
    SentOff,
    Broken,
}

/// Who sends pings every second; and how often it is looked whether something came.
const SIGN: Duration = Duration::from_millis(1500);
const LOOK: Duration = Duration::from_millis(50);

/// Why somebody may not send.
#[derive(Debug)]
pub enum NoSeat {
    /// This one does.
    Held(String),
    /// The stream would come back to where it has been, or is too far from its source.
    Round(String),
}

impl std::fmt::Display for NoSeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoSeat::Held(other) => write!(f, "{other} sends already"),
            NoSeat::Round(why) => f.write_str(why),
        }
    }
}

impl Upstream {
    pub fn new(job: &Arc<Job>, path: Arc<Path>, stay: bool, every: bool) -> Upstream {
        let (about, over, stands, moved, holders) = Default::default();
        let (job, board, merge) = (job.clone(), job.board.clone(), Merge::new(every));
        Upstream { job, board, merge, path, about, over, stay, every, stands, moved, holders }
    }

    /// The same, counted on a board of its own and kept for those who come late.
    pub fn kept(self, board: &Arc<Board>) -> Upstream {
        Upstream { board: board.clone(), merge: Merge::into(Fanout::keeping()), ..self }
    }

    /// Calls senders, each again when it dies or has refused, as long as there is one that may send.
    pub fn call(self: &Arc<Self>, from: &[Endpoint]) {
        let hopes = Hopes::default();
        let calls: Vec<_> = from.iter().map(|from| (from.clone(), hopes.add())).collect();
        for (from, hope) in calls {
            self.job.board.whole().stream = Some(from.name().to_string());
            self.job.spawn(self.clone().call_one(from, hopes.clone(), hope));
        }
    }

    async fn call_one(self: Arc<Self>, from: Endpoint, hopes: Hopes, mut hope: Hope) {
        let hello = hello(Side::Watch, from.name.clone());
        let (mut visits, mut retry, mut tell) = (Visits::default(), Retry::default(), waiting(&from));
        loop {
            let mut failed = false;
            let trouble = |error: &anyhow::Error| {
                failed = true;
                tell(error);
            };
            let greeted = match dial_telling(&self.job, &from, &hello, trouble).await {
                Ok(Some((link, welcome))) => self.on_the_way(&from, link, welcome),
                Ok(None) => return,
                Err(error) if visits.go_on(failed) => {
                    tell(&error);
                    self.job.stop.pause(retry.delay()).await;
                    continue;
                }
                Err(error) => Err(error),
            };
            let (link, welcome) = match greeted {
                Ok(greeted) => greeted,
                Err(error) if !hope.lost(&error) || hopes.are_gone() => return self.job.fail(error),
                Err(error) => {
                    or(self.job.stop.pause(hope.tell(&error)), self.over.heard()).await;
                    if self.over.said() {
                        return; // it came by another
                    }
                    continue;
                }
            };
            hope.fulfilled();
            log::info!("connected to {from}");
            visits.arrived();
            (retry, tell) = (Retry::default(), waiting(&from));
            match self.watch(link, welcome.stream, &Stop::default(), None).await {
                Parting::Over => return,
                parting => visits.left(parting == Parting::SentOff),
            }
        }
    }

    /// A link by which the stream comes, unless that would be a loop or too long a way.
    fn on_the_way(&self, from: &Endpoint, link: Link, welcome: Welcome) -> Result<(Link, Welcome)> {
        match self.path.extend(welcome.stream.path.clone()) {
            Ok(()) => Ok((link, welcome)),
            Err(error) => Err(Fault::refused(format!("{from}: {error}")).into()),
        }
    }

    /// What a coordinator says of its stream, before the stream itself comes.
    pub async fn learn(&self, about: About) {
        let every_frame = self.every || about.every_frame;
        self.merge.out.set_every(every_frame);
        self.about.get_or_init(async || About { every_frame, ..about }).await;
    }

    /// Takes a sender that called, if nobody else sends another stream.
    pub async fn guest(self: Arc<Self>, link: Link, hello: Hello, only: Option<String>) {
        let wanted = hello.name.clone().unwrap_or_else(|| endpoint::NAME.to_string());
        if let Some(only) = only.filter(|only| *only != wanted) {
            return refuse(link, format!("there is no stream {wanted} here; there is {only}")).await;
        }
        self.ask_after_others(&hello).await;
        let seat = match self.seat(&link.peer, &hello, false) {
            Ok(seat) => seat,
            Err(why) => return refuse(link, why.to_string()).await,
        };
        self.receive(link, wanted, hello.stream, &seat, None).await;
    }

    /// Welcomes a sender that has a seat, and passes its frames on; true when the stream is over.
    pub async fn receive(
        &self,
        mut link: Link,
        name: String,
        about: About,
        Seat { holder, .. }: &Seat,
        talk: Option<&Talk>,
    ) -> bool {
        let welcome = Welcome { name: name.clone(), agent: greet::agent(), stream: About::default() };
        if link.tx.send(Message::Welcome(welcome)).await.is_err() {
            return false; // it left between its hello and the answer
        }
        log::info!("{} sends {name} ({})", holder.peer, holder.agent);
        self.board.whole().stream = Some(name);
        self.watch(link, about, &holder.leave, talk).await == Parting::Over
    }

    /// A place among those who send this stream. The same process may take over its own, as after a cut cable; with
    /// `take_over` anybody's. Errors: who sends, or that the stream would go round.
    pub fn seat(self: &Arc<Self>, peer: &str, hello: &Hello, take_over: bool) -> Result<Seat, NoSeat> {
        let agent = greet::printable(&hello.agent);
        let origin = origin(hello);
        let holder = Holder { peer: peer.to_string(), agent, instance: hello.instance, origin, leave: Stop::default() };
        let held = |other: Holder| NoSeat::Held(format!("{} ({})", other.peer, other.agent));
        self.hold(&holder, take_over).map_err(held)?;
        let seat = Seat { upstream: self.clone(), holder };
        self.path.extend(hello.stream.path.clone()).map_err(|error| NoSeat::Round(error.to_string()))?;
        Ok(seat)
    }

    /// Waits for a sign of life of whoever sends another stream, and lets its place go if there is none: on a link without a
    /// connection one that was killed is not missed at once, and comes again.
    pub async fn ask_after_others(&self, hello: &Hello) {
        let strange = |other: &&Holder| other.is_strange_to(origin(hello), hello.instance);
        let Some(other) = lock(&self.holders).iter().find(strange).cloned() else { return };
        let before = self.board.heard(&other.peer);
        let asked = clock::now();
        while before.is_some() && self.board.heard(&other.peer) == before {
            if clock::now().since(asked) >= SIGN {
                log::info!("{} says nothing any more: another who sends takes its place", other.peer);
                other.leave.say();
                return lock(&self.holders).retain(|holder| holder.instance != other.instance);
            }
            self.job.stop.pause(LOOK).await;
        }
    }

    fn hold(&self, me: &Holder, take_over: bool) -> Result<(), Holder> {
        let mut holders = lock(&self.holders);
        let strange = |other: &&Holder| other.is_strange_to(me.origin, me.instance);
        if let Some(other) = holders.iter().find(strange).filter(|_| !take_over) {
            return Err(other.clone());
        }
        holders.retain(|own| {
            let goes = own.instance == me.instance || strange(&own);
            if goes {
                own.leave.say();
            }
            !goes
        });
        holders.push(me.clone());
        Ok(())
    }

    /// Whether somebody sends.
    pub fn is_held(&self) -> bool {
        !lock(&self.holders).is_empty()
    }

    /// Passes one sender's frames on.
    pub(super) async fn watch(&self, link: Link, about: About, leave: &Stop, talk: Option<&Talk>) -> Parting {
        let name = link.peer.clone();
        match self.pass(link, about, leave, talk).await {
            Ok(End::Stopped) if leave.said() => log::info!("{name} was left for another link"),
            Ok(End::Stopped) => return Parting::Over,
            Ok(End::Over(reason)) => {
                log::info!("the stream of {name} is over: {reason}");
                if !self.stay {
                    self.over.say(); // first: whoever finds its end passes on which one it is
                    self.merge.out.close(); // readers take what is left, as long as that needs
                    return Parting::Over;
                }
            }
            Ok(End::Left(reason)) => {
                log::info!("{name} left: {reason}");
                return Parting::SentOff;
            }
            Err(error) => log::warn!("{name} is gone: {}: waiting for it", fault::line(&error)),
        }
        Parting::Broken
    }

    /// Passes one sender's frames on; how that ended.
    pub(super) async fn pass(&self, link: Link, about: About, leave: &Stop, talk: Option<&Talk>) -> Result<End> {
        self.learn(about).await;
        let peer = self.board.join(&link.peer);
        self.job.alive();
        let trouble = Mutex::new(Repeated::default());
        let fine = |head: &Head, whole: &[u8]| {
            let error = match codec::size(head, whole) {
                Ok(size) => {
                    self.board.whole().size = Some(size);
                    return true;
                }
                Err(error) => error,
            };
            self.board.whole().dropped.corrupt += 1;
            let told = lock(&trouble).again(clock::now());
            if let Some(n) = told {
                log::warn!("{n} frames were no picture and are left out: {}", fault::line(&error));
            }
            false
        };
        let stops = (&self.job.stop, leave);
        let ended = watch(link, &self.merge, &self.path, &peer, stops, talk, fine).await;
        self.board.leave(&peer);
        self.job.alive();
        ended
    }
}
