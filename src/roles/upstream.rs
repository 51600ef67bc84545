//! Where a receiver's or a relay's stream comes from: senders that it calls or that call it. Several may bring the same
//! stream; its frames go on once.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use event_listener::Event;
use smol::lock::OnceCell;

use super::Job;
use super::calls::{dial, hello, refuse};
use crate::codec;
use crate::endpoint::Endpoint;
use crate::fault::{self, Fault};
use crate::greet;
use crate::link::Link;
use crate::lock::lock;
use crate::log::Repeated;
use crate::merge::Merge;
use crate::message::{About, Hello, Message, Side, Welcome};
use crate::path::Path;
use crate::segments::Head;
use crate::stop::Stop;
use crate::watch::{End, watch};
use crate::{clock, endpoint};

pub struct Upstream {
    pub job: Arc<Job>,
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
    /// The link to where a coordinator says stands.
    pub stands: AtomicBool,
    pub(super) moved: Event,
    /// Who sends now: one of another stream is refused.
    holders: Mutex<Vec<Holder>>,
}

#[derive(Clone, Debug)]
struct Holder {
    peer: String,
    agent: String,
    instance: u64,
    /// Where its stream was born.
    origin: u64,
    /// Said when the same process calls again.
    leave: Stop,
}

impl Upstream {
    pub fn new(job: &Arc<Job>, path: Arc<Path>, stay: bool, every: bool) -> Upstream {
        let (about, over, stands, moved, holders) = Default::default();
        Upstream { job: job.clone(), merge: Merge::new(every), path, about, over, stay, every, stands, moved, holders }
    }

    /// Calls a sender, and calls again when it dies.
    pub async fn call(self: Arc<Self>, from: Endpoint) {
        let hello = hello(Side::Watch, from.name.clone());
        loop {
            let (link, welcome) = match dial(&self.job, &from, &hello).await {
                Ok(Some(greeted)) => greeted,
                Ok(None) => return,
                Err(error) => return self.job.fail(error),
            };
            if let Err(error) = self.path.extend(welcome.stream.path.clone()) {
                return self.job.fail(Fault::refused(format!("{from}: {error}")).into());
            }
            log::info!("connected to {from}");
            if self.watch(link, welcome.stream, &Stop::default()).await {
                return;
            }
        }
    }

    /// What a coordinator says of its stream, before the stream itself comes.
    pub async fn learn(&self, about: About) {
        let every_frame = self.every || about.every_frame;
        self.merge.out.set_every(every_frame);
        self.about.get_or_init(async || About { every_frame, ..about }).await;
    }

    /// Takes a sender that called, if nobody else sends another stream.
    pub async fn guest(self: Arc<Self>, mut link: Link, hello: Hello, only: Option<String>) {
        let wanted = hello.name.clone().unwrap_or_else(|| endpoint::NAME.to_string());
        if let Some(only) = only.filter(|only| *only != wanted) {
            return refuse(link, format!("there is no stream {wanted} here; there is {only}")).await;
        }
        if let Err(error) = self.path.extend(hello.stream.path.clone()) {
            return refuse(link, error.to_string()).await;
        }
        let agent = greet::printable(&hello.agent);
        let origin = hello.stream.path.first().map_or(hello.instance, |hop| hop.id);
        let me = Holder { peer: link.peer.clone(), agent, instance: hello.instance, origin, leave: Stop::default() };
        if let Err(other) = self.hold(&me) {
            return refuse(link, format!("{} ({}) sends already", other.peer, other.agent)).await;
        }
        let welcome = Welcome { name: wanted.clone(), agent: greet::agent(), stream: About::default() };
        if link.tx.send(Message::Welcome(welcome)).await.is_ok() {
            log::info!("{} sends {wanted} ({})", me.peer, me.agent);
            self.job.board.whole().stream = Some(wanted);
            self.watch(link, hello.stream, &me.leave).await;
        }
        lock(&self.holders).retain(|holder| holder.peer != me.peer);
    }

    /// Takes a place among those who send this stream; the same process may take over its own, as after a cut cable.
    fn hold(&self, me: &Holder) -> Result<(), Holder> {
        let mut holders = lock(&self.holders);
        if let Some(other) = holders.iter().find(|other| other.origin != me.origin && other.instance != me.instance) {
            return Err(other.clone());
        }
        holders.retain(|own| {
            let same = own.instance == me.instance;
            if same {
                own.leave.say();
            }
            !same
        });
        holders.push(me.clone());
        Ok(())
    }

    /// Passes one sender's frames on; true when the stream is over and nothing more is wanted.
    pub(super) async fn watch(&self, link: Link, about: About, leave: &Stop) -> bool {
        self.learn(about).await;
        let peer = self.job.board.join(&link.peer);
        self.job.alive();
        let trouble = Mutex::new(Repeated::default());
        let fine = |head: &Head, whole: &[u8]| {
            let error = match codec::size(head, whole) {
                Ok(size) => {
                    self.job.board.whole().size = Some(size);
                    return true;
                }
                Err(error) => error,
            };
            self.job.board.whole().dropped.corrupt += 1;
            let told = lock(&trouble).again(clock::now());
            if let Some(n) = told {
                log::warn!("{n} frames were no picture and are left out: {}", fault::line(&error));
            }
            false
        };
        let stops = (&self.job.stop, leave);
        let ended = watch(link, &self.merge, &self.path, &peer, stops, fine).await;
        self.job.board.leave(&peer);
        self.job.alive();
        match ended {
            Ok(End::Stopped) if leave.said() => log::info!("{} was left for another link", peer.name),
            Ok(End::Stopped) => return true,
            Ok(End::Over(reason)) => {
                log::info!("the stream of {} is over: {reason}", peer.name);
                if !self.stay {
                    self.over.say(); // first: whoever finds its end passes on which one it is
                    self.merge.out.close(); // readers take what is left, as long as that needs
                    return true;
                }
            }
            Ok(End::Left(reason)) => log::info!("{} left: {reason}", peer.name),
            Err(error) => log::warn!("{} is gone: {}: waiting for it", peer.name, fault::line(&error)),
        }
        false
    }
}
