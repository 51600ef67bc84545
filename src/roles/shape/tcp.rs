//! The tcp side of a proxy: two lanes a connection, each socket → `Shaper` → socket. Ends pass through the network as
//! data does, so that a half-close or a reset never overtakes the bytes before it.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use async_io::{Async, Timer};
use event_listener::listener;
use fastrand::Rng;
use smol::future::{or, pending, try_zip, yield_now};

use super::proxy::Proxy;
use super::sockets::{connect_tcp, most_connections, reset};
use super::toxic::{Plan, Way};
use crate::alarm::Alarm;
use crate::clock::{self, Time};
use crate::fault;
use crate::log::Repeated;
use crate::shaper::{Carrier, PIECE, Shaper};
use crate::stop::Stop;
use crate::tasks::{self, Source};

thread_local! {
    /// What is being read: one buffer for all connections, so that idle ones hold none.
    static PIECES: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE]);
}

/// Pieces after which other connections get their turn.
const TURN: u32 = 16;

/// What passes a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Data,
    /// The sender will send no more.
    End,
    Reset,
}

/// How a connection ends that does not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Reset,
    Close,
}

/// Takes clients until it is dropped.
pub async fn serve(proxy: Arc<Proxy>, listener: Async<TcpListener>, stop: Stop) {
    const AGAIN: Duration = Duration::from_millis(100);
    let (mut trouble, mut refusals, most) = (Repeated::default(), Repeated::default(), most_connections());
    loop {
        match listener.accept().await {
            Ok((client, _)) if proxy.connections() >= most => {
                reset(client.get_ref());
                if let Some(n) = refusals.again(clock::now()) {
                    log::warn!("reset {n} clients more than the {most} that there is room for: ulimit -n is the limit");
                }
            }
            Ok((client, from)) => {
                let Ok(client) = client.into_inner().and_then(Source::new) else { continue }; // no memory for one more
                let (proxy, stop) = (proxy.clone(), stop.clone());
                let job = async move {
                    let _here = proxy.enter(&from.to_string());
                    or(connection(&proxy, client), stop.heard()).await;
                };
                tasks::spawn(job).detach();
            }
            Err(error) => {
                if let Some(n) = trouble.again(clock::now()) {
                    log::warn!("could not take a client ({n} times): {}", fault::plain(&error.to_string()));
                }
                Timer::after(AGAIN).await; // out of file descriptors, most likely: asking at once would spin
            }
        }
    }
}

async fn connection(proxy: &Arc<Proxy>, client: Source<TcpStream>) {
    let target = match connect_tcp(&proxy.upstream()).await {
        Ok(target) => target,
        Err(error) => {
            proxy.unreachable(Some(&error));
            return reset(client.get_ref());
        }
    };
    proxy.unreachable(None);
    let _ = client.get_ref().set_nodelay(true); // only a matter of speed
    let seed = proxy.next_seed();
    let up = Lane::new(proxy, Way::Up, seed, &client, &target);
    let down = Lane::new(proxy, Way::Down, seed, &target, &client);
    let ended = try_zip(up.carry(), down.carry()).await;
    if ended == Err(Cut::Reset) {
        [&client, &target].into_iter().for_each(|stream| reset(stream.get_ref()));
    }
}

/// One direction of one connection.
struct Lane<'a> {
    proxy: &'a Arc<Proxy>,
    way: Way,
    seed: u64,
    from: &'a Source<TcpStream>,
    to: &'a Source<TcpStream>,
    shaper: Shaper<Item>,
    plan: Plan,
    version: u64,
    /// When the toxics that cut a connection began to act.
    since: Time,
    /// The sender has said its last.
    over: bool,
    written: u64,
    dice: Rng,
}

impl<'a> Lane<'a> {
    fn new(proxy: &'a Arc<Proxy>, way: Way, seed: u64, from: &'a Source<TcpStream>, to: &'a Source<TcpStream>) -> Self {
        let mut dice = Rng::with_seed(seed ^ way as u64);
        Lane {
            proxy,
            way,
            seed,
            from,
            to,
            shaper: Shaper::sharing(Carrier::Stream, dice.u64(..), proxy.pacer(way)),
            plan: Plan::default(),
            version: 0,
            since: clock::now(),
            over: false,
            written: 0,
            dice,
        }
    }

    async fn carry(mut self) -> Result<(), Cut> {
        let (mut turn, mut alarm) = (0, Alarm::default());
        loop {
            self.heed()?;
            if self.deliver().await? {
                return Ok(());
            }
            turn += 1;
            if turn % TURN == 0 {
                yield_now().await;
            }
            if !self.read().await? {
                self.proxy.tally(self.way).add(&mut self.shaper.stats);
                self.wait(&mut alarm).await;
            }
        }
    }

    /// Follows the proxy's settings and toxics as they are now.
    fn heed(&mut self) -> Result<(), Cut> {
        let (now, version) = (clock::now(), self.proxy.version());
        if version != self.version {
            let plan = self.proxy.plan(self.way, self.seed);
            let cuts = |plan: &Plan| (plan.timeout, plan.reset);
            if cuts(&plan) != cuts(&self.plan) {
                if self.plan.timeout.is_some() && plan.timeout.is_none() {
                    return Err(Cut::Close); // what was thrown away meanwhile would be a gap
                }
                self.since = now;
            }
            self.shaper.set(now, &plan.settings);
            (self.plan, self.version) = (plan, version);
        }
        match self.deadline() {
            Some((at, cut)) if at <= now => Err(cut),
            _ => Ok(()),
        }
    }

    /// When a toxic cuts the connection.
    fn deadline(&self) -> Option<(Time, Cut)> {
        let reset = self.plan.reset.map(|after| (self.since + after, Cut::Reset));
        let timeout = self.plan.timeout.filter(|after| !after.is_zero()).map(|after| (self.since + after, Cut::Close));
        reset.into_iter().chain(timeout).min_by_key(|(at, _)| *at)
    }

    /// Writes what has passed the network; true when that was the end.
    async fn deliver(&mut self) -> Result<bool, Cut> {
        while let Some((item, bytes)) = self.shaper.pop(clock::now()) {
            match item {
                Item::Data => self.write(&bytes).await?,
                Item::Reset => return Err(Cut::Reset),
                Item::End => {
                    self.proxy.tally(self.way).add(&mut self.shaper.stats);
                    if !self.plan.slow_close.is_zero() {
                        Timer::after(self.plan.slow_close).await;
                    }
                    let _ = self.to.get_ref().shutdown(Shutdown::Write); // the other side may have left already
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Takes one piece from the sender if there is room and it has one; false when it must be waited for.
    async fn read(&mut self) -> Result<bool, Cut> {
        let room = self.room();
        if room == 0 {
            return Ok(false);
        }
        let direct = self.shaper.is_clear() && self.plan.is_plain();
        let read = PIECES.with_borrow_mut(|pieces| {
            let count = self.from.get_ref().read(&mut pieces[..room])?;
            // Where the network does nothing the piece goes on at once, without a copy.
            let written = if direct && count > 0 { self.to.get_ref().write(&pieces[..count]).unwrap_or(0) } else { 0 };
            std::io::Result::Ok((count, written, pieces[written..count].to_vec()))
        });
        let now = clock::now();
        match read {
            Ok((0, ..)) => self.end(now, Item::End),
            Ok((count, _, rest)) if direct => {
                self.shaper.stats.packets += 1;
                self.shaper.stats.bytes += count as u64;
                self.written += (count - rest.len()) as u64;
                self.write_all(&rest).await?;
            }
            Ok(_) if self.plan.timeout.is_some() => {} // thrown away
            Ok((.., rest)) => self.shaper.push(now, Item::Data, rest),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.end(now, Item::Reset),
        }
        Ok(true)
    }

    fn end(&mut self, now: Time, item: Item) {
        self.over = true;
        self.shaper.push(now, item, Vec::new());
    }

    fn room(&self) -> usize {
        if self.over { 0 } else { self.shaper.room() }
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Cut> {
        let left = self.plan.limit.map(|limit| limit.saturating_sub(self.written));
        let cut = left.filter(|&left| left <= bytes.len() as u64);
        if let Some(left) = cut {
            bytes = &bytes[..left as usize];
        }
        match self.plan.slicer {
            None => self.write_all(bytes).await?,
            Some(slicer) => {
                let pause = Duration::from_micros(u64::try_from(slicer.delay).unwrap_or(0));
                for length in slicer.slices(bytes.len(), &mut self.dice) {
                    let (slice, rest) = bytes.split_at(length);
                    self.write_all(slice).await?;
                    Timer::after(pause).await;
                    bytes = rest;
                }
            }
        }
        if cut.is_some() { Err(Cut::Close) } else { Ok(()) }
    }

    async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), Cut> {
        while !bytes.is_empty() {
            match self.to.get_ref().write(bytes) {
                Ok(count) => {
                    bytes = &bytes[count..];
                    self.written += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.to.writable().await.map_err(|_| Cut::Reset)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Cut::Reset),
            }
        }
        Ok(())
    }

    /// Until there may be something to read, to deliver or to heed.
    async fn wait(&self, alarm: &mut Alarm) {
        listener!(self.proxy.changed => changed);
        if self.proxy.version() != self.version {
            return;
        }
        let readable = async {
            match self.room() {
                0 => pending().await,
                _ => _ = self.from.readable().await,
            }
        };
        let due = self.shaper.wake().into_iter().chain(self.deadline().map(|(at, _)| at)).min();
        or(or(readable, alarm.until(due)), changed).await;
    }
}
