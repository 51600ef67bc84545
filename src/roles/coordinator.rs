//! The peers that join a sender: each is told where to get the stream, again whenever one comes, leaves or dies.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use async_io::Timer;
use event_listener::{Event, listener};
use smol::future::or;

use super::Job;
use super::calls::{self, refuse};
use super::downstream::Downstream;
use crate::alarm::Alarm;
use crate::endpoint::Endpoint;
use crate::link::{Link, Rx, Tx};
use crate::lock::lock;
use crate::message::{About, Bye, Hello, Message, Welcome};
use crate::roster::{Member, Roster};
use crate::stop::Stop;
use crate::transports::{self, socket};
use crate::{clock, exchange, fault, greet};

pub struct Coordinator {
    job: Arc<Job>,
    downstream: Arc<Downstream>,
    /// The name of the stream and what there is to know of it.
    name: String,
    about: About,
    roster: Arc<Mutex<Roster>>,
    changed: Event,
    /// Said when so many peers are ready.
    start: Stop,
    wait: usize,
}

/// Orders and statuses are said again this often: often enough that neither side takes the other for gone.
pub const AGAIN: Duration = Duration::from_secs(1);
/// A process that has died shows it within this, if its machine lives.
const SHOWN: Duration = Duration::from_millis(1500);

impl Coordinator {
    /// `start` is said when `wait` peers are ready.
    pub fn new(
        job: &Arc<Job>,
        downstream: &Arc<Downstream>,
        (name, about): (String, About),
        fanout: usize,
        (wait, start): (usize, Stop),
    ) -> Coordinator {
        let roster = Arc::new(Mutex::new(Roster::new(fanout)));
        let shown = roster.clone();
        job.board.count_more(Box::new(move |base| lock(&shown).lines(base)));
        let (job, downstream) = (job.clone(), downstream.clone());
        let me = Coordinator { job, downstream, name, about, roster, changed: Event::new(), start, wait };
        me.reordered();
        me
    }

    /// Takes a peer that wants to join, until it leaves or dies.
    pub async fn guest(self: Arc<Self>, mut link: Link, hello: Hello) {
        let member = match member(&link, &hello) {
            Ok(member) => member,
            Err(error) => return refuse(link, fault::line(&error)).await,
        };
        let (name, leave) = (member.name.clone(), member.leave.clone());
        self.until_free(&member).await;
        let joined = lock(&self.roster).join(member);
        let key = match joined {
            Ok(key) => key,
            Err(why) => return refuse(link, why).await,
        };
        let welcome = Welcome { name: self.name.clone(), agent: greet::agent(), stream: self.about.clone() };
        let ended = match link.tx.send(Message::Welcome(welcome)).await {
            Ok(()) => {
                log::info!("{name} joins from {} ({})", link.peer, greet::printable(&hello.agent));
                self.reordered();
                self.serve(link, key, &leave).await
            }
            Err(error) => Err(error),
        };
        if lock(&self.roster).leave(key) {
            match ended {
                Ok(()) => log::info!("{name} left"),
                Err(error) => log::warn!("{name} is gone: {}", fault::line(&error)),
            }
            self.reordered();
        }
    }

    /// Where another process has the name: waits a little, as that one may be dead. Whoever is spoken to shows it.
    async fn until_free(&self, member: &Member) {
        let (due, mut alarm) = (clock::now() + SHOWN, Alarm::default());
        let is_taken = || lock(&self.roster).is_taken(&member.name, member.instance);
        if is_taken() {
            self.changed.notify(usize::MAX);
        }
        while is_taken() && clock::now() < due {
            listener!(self.changed => changed);
            if is_taken() {
                or(changed, alarm.until(Some(due))).await;
            }
        }
    }

    /// Tells everybody, since somebody came, went or moved.
    fn reordered(&self) {
        let (heirs, here) = {
            let roster = lock(&self.roster);
            (roster.heirs(), roster.len())
        };
        self.downstream.orphans.expect(heirs);
        self.changed.notify(usize::MAX);
        if self.wait > 0 && !self.start.said() {
            let are = if here == 1 { "is" } else { "are" };
            log::info!("waiting for {} peers: {here} {are} here", self.wait);
        }
    }

    async fn serve(&self, mut link: Link, key: u64, leave: &Stop) -> Result<()> {
        let reading = self.read(&mut *link.rx, key);
        let writing = self.write(&mut *link.tx, key);
        let stopped = async {
            or(self.job.stop.heard(), leave.heard()).await;
            Ok(())
        };
        let ended = or(reading, or(writing, stopped)).await;
        if self.job.stop.said() {
            let bye = Bye { reason: "the coordinator was stopped".into(), over: true };
            let farewell = async {
                if link.tx.send(Message::Bye(bye)).await.is_ok() {
                    _ = link.tx.close().await; // the peer may be gone already
                }
            };
            or(farewell, async { _ = Timer::after(exchange::FAREWELL).await }).await;
        }
        ended
    }

    async fn write(&self, tx: &mut dyn Tx, key: u64) -> Result<()> {
        loop {
            listener!(self.changed => changed);
            let Some(order) = lock(&self.roster).order(key) else { return Ok(()) };
            tx.send(Message::Order(order)).await?;
            or(changed, async { _ = Timer::after(AGAIN).await }).await;
        }
    }

    async fn read(&self, rx: &mut dyn Rx, key: u64) -> Result<()> {
        loop {
            match rx.recv().await? {
                Some(Message::Status(status)) => {
                    let mut roster = lock(&self.roster);
                    let told = roster.tell(key, status, clock::now());
                    let name = roster.name(key).unwrap_or_default().to_string();
                    let ready = roster.ready();
                    drop(roster);
                    if let Some(above) = told.unreached {
                        log::warn!("{name} cannot reach {above}: it gets the stream from here");
                        self.reordered();
                    } else if told.broke {
                        self.changed.notify(usize::MAX); // the one above is spoken to, and shows whether it lives
                    }
                    if ready >= self.wait && !self.start.said() {
                        log::info!("{ready} peers are ready");
                        self.start.say();
                    }
                }
                Some(Message::Bye(_)) => return Ok(()),
                Some(_) => bail!("it sent what no peer of a coordinator may"),
                None => bail!("the connection was closed"),
            }
        }
    }
}

/// Who joins, and where the others can call it.
fn member(link: &Link, hello: &Hello) -> Result<Member> {
    let text = hello.listening.as_deref().unwrap_or_default();
    ensure!(!text.is_empty(), "whoever joins says where others can call it");
    let address = transports::dialled(text).map_err(|why| anyhow::anyhow!("others cannot call you: {why}"))?;
    let host = if address.host.is_empty() { reached_by(&link.peer) } else { address.host.clone() };
    let name = hello.name.clone().unwrap_or_default();
    let address = Endpoint { host, name: None, ..address };
    Ok(Member { name, instance: hello.instance, address, leave: Stop::default() })
}

/// The host of `host:port` as others know it: a peer on this machine has this machine's address.
fn reached_by(peer: &str) -> String {
    let host = calls::host(peer).trim_start_matches('[').trim_end_matches(']');
    let local = host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    if local { socket::own_address() } else { host.to_string() }
}
