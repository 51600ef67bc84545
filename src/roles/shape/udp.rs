//! The udp side of a proxy: one flow a client address, one `Shaper` a direction for all flows, so that they share its
//! queue as they would a router's.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use event_listener::{Event, listener};
use smol::future::{or, yield_now};

use super::batch::{Calls, Inbox, Run};
use super::flows::{Flow, Flows, Limits};
use super::proxy::Proxy;
use super::toxic::Way;
use crate::alarm::Alarm;
use crate::clock::{self, Time};
use crate::lock::lock;
use crate::shaper::{Carrier, Shaper};
use crate::stop::Stop;
use crate::tasks::{self, Source};

thread_local! {
    /// What is being read: one for all flows, so that idle ones hold none.
    static INBOX: RefCell<Inbox> = RefCell::new(Inbox::new());
}

/// One direction for all flows.
struct Pipe {
    proxy: Arc<Proxy>,
    way: Way,
    seed: u64,
    calls: Calls,
    state: Mutex<State>,
    /// Something is due earlier than the one who waits knows.
    bell: Event,
    listener: Arc<Source<UdpSocket>>,
}

struct State {
    shaper: Shaper<Arc<Flow>>,
    /// What is to be sent next, and whose it is.
    run: Run,
    of: Option<Arc<Flow>>,
    version: u64,
    /// When the pump wakes by itself.
    wakes: Option<Time>,
}

/// Opens what passes datagrams; it does so until it is dropped.
pub fn serve(
    proxy: Arc<Proxy>,
    listener: Source<UdpSocket>,
    stop: Stop,
    limits: Limits,
) -> Result<impl Future<Output = ()> + Send> {
    let listener = Arc::new(listener);
    let (up, down) = (Pipe::new(&proxy, Way::Up, &listener)?, Pipe::new(&proxy, Way::Down, &listener)?);
    let (up, down, flows) = (Arc::new(up), Arc::new(down), Arc::new(Flows::new(limits)));
    Ok(async move {
        let pumps = or(up.pump(), down.pump());
        or(receive(&flows, &up, &down, &stop), pumps).await;
    })
}

async fn receive(flows: &Arc<Flows>, up: &Pipe, down: &Arc<Pipe>, stop: &Stop) {
    loop {
        let mut strangers = Vec::new();
        let read = up.read(&up.listener, |inbox| {
            let known = lock(&flows.known);
            let flows = inbox.datagrams().filter_map(|(from, bytes)| {
                let flow = known.get(&from);
                if flow.is_none() {
                    strangers.push((from, bytes.to_vec()));
                }
                Some((flow?, bytes))
            });
            up.take(flows);
        });
        for (from, bytes) in strangers {
            if let Some(flow) = meet(flows, from, down, stop).await {
                up.take([(&flow, &bytes[..])].into_iter());
            }
        }
        // An error is what one client's network says of an earlier answer.
        turn(&up.listener, read.unwrap_or_else(|error| error.kind() != ErrorKind::WouldBlock)).await;
    }
}

/// Lets others have their turn while there is more to read, and waits while there is not.
async fn turn(socket: &Source<UdpSocket>, more: bool) {
    match more {
        true => yield_now().await,
        false => _ = socket.readable().await, // an error shows in the reading
    }
}

/// The flow of a client, opened where there is none yet.
async fn meet(flows: &Arc<Flows>, client: SocketAddr, down: &Arc<Pipe>, stop: &Stop) -> Option<Arc<Flow>> {
    let known = lock(&flows.known).get(&client).cloned();
    if known.is_some() {
        return known;
    }
    let stopped = async {
        stop.heard().await;
        Err(anyhow::anyhow!("the proxy was stopped"))
    };
    let flow = match or(Flow::open(&down.proxy, client), stopped).await {
        Ok(flow) => flow,
        Err(error) => {
            down.proxy.unreachable(Some(&error));
            return None;
        }
    };
    flows.enter(&flow);
    let (opened, flows, down, stop) = (flow.clone(), flows.clone(), down.clone(), stop.clone());
    let job = async move {
        let over = or(flows.silence(&flow), or(stop.heard(), flow.stop.heard()));
        or(answers(&flow, &down), over).await;
        flows.leave(&flow);
    };
    tasks::spawn(job).detach();
    Some(opened)
}

/// Passes a target's datagrams back to one client.
async fn answers(flow: &Arc<Flow>, down: &Pipe) {
    loop {
        let read = down.read(&flow.socket, |inbox| down.take(inbox.datagrams().map(|(_, bytes)| (flow, bytes))));
        let more = match read {
            Ok(more) => {
                down.proxy.unreachable(None);
                more
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => {
                down.proxy.unreachable(Some(&error.into()));
                true
            }
        };
        turn(&flow.socket, more).await;
    }
}

impl Pipe {
    fn new(proxy: &Arc<Proxy>, way: Way, listener: &Arc<Source<UdpSocket>>) -> Result<Pipe> {
        let seed = proxy.next_seed();
        let shaper = Shaper::sharing(Carrier::Datagrams, seed, proxy.pacer(way));
        let state = State { shaper, run: Run::default(), of: None, version: 0, wakes: None };
        let (proxy, listener, calls) = (proxy.clone(), listener.clone(), Calls::new()?);
        Ok(Pipe { proxy, way, seed, calls, state: Mutex::new(state), bell: Event::new(), listener })
    }

    /// Hands on what can be read at once; whether there may be more.
    fn read(&self, socket: &Source<UdpSocket>, hand: impl FnOnce(&Inbox)) -> std::io::Result<bool> {
        INBOX.with_borrow_mut(|inbox| {
            let more = inbox.read(&self.calls, socket.get_ref())?;
            hand(inbox);
            Ok(more)
        })
    }

    /// Datagrams of flows: on their way at once, or into the network. Wakes the pump if it would sleep too long.
    fn take<'a>(&self, datagrams: impl Iterator<Item = (&'a Arc<Flow>, &'a [u8])>) {
        let now = clock::now();
        let mut state = lock(&self.state);
        state.heed(self, now);
        for (flow, bytes) in datagrams {
            flow.touch(now);
            if state.shaper.is_clear() {
                state.shaper.stats.packets += 1;
                state.shaper.stats.bytes += bytes.len() as u64;
                self.send(flow, bytes, &mut state);
            } else {
                state.shaper.push(now, flow.clone(), bytes.to_vec());
            }
        }
        self.settle(&mut state);
        let wake = state.shaper.wake();
        if wake.is_some_and(|wake| state.wakes.is_none_or(|known| wake < known)) {
            state.wakes = wake; // the bell has to ring once for it
            self.bell.notify(1);
        }
    }

    /// Sends a datagram together with its neighbours.
    fn send(&self, flow: &Arc<Flow>, bytes: &[u8], state: &mut State) {
        let same = state.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, flow));
        if same && state.run.add(&self.calls, bytes) {
            return;
        }
        self.flush(state);
        state.of = Some(flow.clone());
        state.run.add(&self.calls, bytes);
    }

    fn flush(&self, state: &mut State) {
        let Some(flow) = state.of.take() else { return };
        let (socket, to) = match self.way {
            Way::Up => (&flow.socket, flow.target),
            Way::Down => (&*self.listener, flow.client),
        };
        let (full, said) = state.run.send(&self.calls, socket.get_ref(), to);
        state.shaper.stats.overflowed += full;
        if let Err(error) = said
            && self.way == Way::Up
        {
            self.proxy.unreachable(Some(&error.into()));
        }
    }

    /// Sends what is due and counts what passed.
    fn settle(&self, state: &mut State) {
        state.heed(self, clock::now());
        while let Some((flow, bytes)) = state.shaper.pop(clock::now()) {
            self.send(&flow, &bytes, state);
        }
        self.flush(state);
        self.proxy.tally(self.way).add(&mut state.shaper.stats);
    }

    /// Sends what the network lets go, when it does.
    async fn pump(&self) {
        let mut alarm = Alarm::default();
        loop {
            listener!(self.bell => bell);
            listener!(self.proxy.changed => changed);
            let (wake, version) = {
                let mut state = lock(&self.state);
                self.settle(&mut state);
                state.wakes = state.shaper.wake();
                (state.wakes, state.version)
            };
            if version != self.proxy.version() {
                continue;
            }
            or(or(alarm.until(wake), bell), changed).await;
        }
    }
}

impl State {
    fn heed(&mut self, pipe: &Pipe, now: Time) {
        let version = pipe.proxy.version();
        if version != self.version {
            self.version = version;
            self.shaper.set(now, &pipe.proxy.plan(pipe.way, pipe.seed).settings);
        }
    }
}
