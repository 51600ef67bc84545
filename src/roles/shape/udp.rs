//! The udp side of a proxy: one flow a client address, one `Shaper` a direction for all flows, so that they share its
//! queue as they would a router's.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_io::{Async, Timer};
use event_listener::{Event, listener};
use smol::future::{or, pending, yield_now};

use super::proxy::{Here, Proxy};
use super::sockets::{connect_udp, resolve};
use super::toxic::Way;
use crate::clock::{self, Time};
use crate::lock::lock;
use crate::shaper::{Carrier, Shaper};
use crate::stop::Stop;

thread_local! {
    static DATAGRAM: RefCell<Vec<u8>> = RefCell::new(vec![0; 65_536]);
}

/// A flow without a datagram either way for so long is over: RFC 4787 has NATs keep theirs at least two minutes.
const IDLE: Duration = Duration::from_secs(120);
/// Clients at a time; a new one takes the place of the one that was silent longest.
const FLOWS: usize = 1024;
/// Datagrams read in a row before others get their turn.
const TURN: usize = 64;

/// A client and its own socket to the target.
struct Flow {
    client: SocketAddr,
    socket: Async<UdpSocket>,
    /// When something last passed, in microseconds.
    alive: AtomicI64,
    stop: Stop,
    _here: Here,
}

/// The flows there are; one that is over takes itself out.
type Flows = Arc<Mutex<HashMap<SocketAddr, Arc<Flow>>>>;

/// One direction for all flows.
struct Pipe {
    proxy: Arc<Proxy>,
    way: Way,
    seed: u64,
    state: Mutex<State>,
    /// Something is due earlier than the one who waits knows.
    bell: Event,
    listener: Arc<Async<UdpSocket>>,
}

struct State {
    shaper: Shaper<Arc<Flow>>,
    version: u64,
    /// When the pump wakes by itself.
    wakes: Option<Time>,
}

/// Passes datagrams until it is dropped.
pub async fn serve(proxy: Arc<Proxy>, listener: Async<UdpSocket>, stop: Stop) {
    let listener = Arc::new(listener);
    let pipe = |way| Pipe::new(&proxy, way, &listener);
    let (up, down) = (Arc::new(pipe(Way::Up)), Arc::new(pipe(Way::Down)));
    let pumps = or(up.pump(), down.pump());
    or(receive(&proxy, &listener, &up, &down, &stop), pumps).await;
}

async fn receive(proxy: &Arc<Proxy>, listener: &Async<UdpSocket>, up: &Arc<Pipe>, down: &Arc<Pipe>, stop: &Stop) {
    let flows = Flows::default();
    loop {
        let mut more = true;
        for _ in 0..TURN {
            let received = DATAGRAM.with_borrow_mut(|buffer| {
                let (count, from) = listener.get_ref().recv_from(buffer)?;
                let known = lock(&flows).get(&from).cloned();
                if let Some(flow) = known {
                    up.take(&flow, &buffer[..count]);
                    return std::io::Result::Ok(None);
                }
                Ok(Some((from, buffer[..count].to_vec())))
            });
            match received {
                Ok(None) => {}
                Ok(Some((from, bytes))) => {
                    if let Some(flow) = open(proxy, from, stop).await {
                        enter(&flows, &flow);
                        let (flow, flows, down, stop) = (flow.clone(), flows.clone(), down.clone(), stop.clone());
                        let job = async move {
                            or(answers(&flow, &down), or(stop.heard(), flow.stop.heard())).await;
                            leave(&flows, &flow);
                        };
                        smol::spawn(job).detach();
                    }
                    let flow = lock(&flows).get(&from).cloned();
                    if let Some(flow) = flow {
                        up.take(&flow, &bytes);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    more = false;
                    break;
                }
                Err(_) => {} // what one client's network says of an earlier answer
            }
        }
        up.pass();
        turn(listener, more).await;
    }
}

/// Lets others have their turn while there is more to read, and waits while there is not.
async fn turn(socket: &Async<UdpSocket>, more: bool) {
    match more {
        true => yield_now().await,
        false => _ = socket.readable().await, // an error shows in the reading
    }
}

/// One flow more, in the place of the most silent one when there are too many.
fn enter(flows: &Flows, flow: &Arc<Flow>) {
    let mut flows = lock(flows);
    if flows.len() >= FLOWS {
        let oldest = flows.values().min_by_key(|flow| flow.alive.load(Ordering::Relaxed)).cloned();
        if let Some(oldest) = oldest {
            oldest.stop.say();
            flows.remove(&oldest.client);
        }
    }
    flows.insert(flow.client, flow.clone());
}

/// A client that came back meanwhile has another flow, which stays.
fn leave(flows: &Flows, flow: &Arc<Flow>) {
    let mut flows = lock(flows);
    if flows.get(&flow.client).is_some_and(|other| Arc::ptr_eq(other, flow)) {
        flows.remove(&flow.client);
    }
}

async fn open(proxy: &Arc<Proxy>, client: SocketAddr, stop: &Stop) -> Option<Arc<Flow>> {
    let connected = or(
        async {
            let addresses = resolve(&proxy.upstream(), false).await?;
            let to = addresses.first().ok_or_else(|| anyhow::anyhow!("the host has no address"))?;
            Ok(connect_udp(*to)?)
        },
        async {
            stop.heard().await;
            Err(anyhow::anyhow!("the proxy was stopped"))
        },
    );
    match connected.await {
        Ok(socket) => {
            let alive = AtomicI64::new(clock::now().micros());
            let here = proxy.enter(&client.to_string());
            Some(Arc::new(Flow { client, socket, alive, stop: Stop::default(), _here: here }))
        }
        Err(error) => {
            proxy.unreachable(Some(&error));
            None
        }
    }
}

/// Passes a target's datagrams back to one client, until both are silent.
async fn answers(flow: &Arc<Flow>, down: &Pipe) {
    let read = async {
        loop {
            let mut more = true;
            for _ in 0..TURN {
                let received = DATAGRAM.with_borrow_mut(|buffer| {
                    let count = flow.socket.get_ref().recv(buffer)?;
                    down.take(flow, &buffer[..count]);
                    std::io::Result::Ok(())
                });
                match received {
                    Ok(()) => down.proxy.unreachable(None),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        more = false;
                        break;
                    }
                    Err(error) => down.proxy.unreachable(Some(&error.into())),
                }
            }
            down.pass();
            turn(&flow.socket, more).await;
        }
    };
    let idle = async {
        loop {
            let silent = clock::now().since(Time::from_micros(flow.alive.load(Ordering::Relaxed)));
            if silent >= IDLE {
                return;
            }
            Timer::after(IDLE - silent).await;
        }
    };
    or(read, idle).await;
}

impl Pipe {
    fn new(proxy: &Arc<Proxy>, way: Way, listener: &Arc<Async<UdpSocket>>) -> Pipe {
        let seed = proxy.next_seed();
        let shaper = Shaper::sharing(Carrier::Datagrams, seed, proxy.pacer(way));
        let state = Mutex::new(State { shaper, version: 0, wakes: None });
        Pipe { proxy: proxy.clone(), way, seed, state, bell: Event::new(), listener: listener.clone() }
    }

    /// A datagram of this flow: on its way at once, or into the network.
    fn take(&self, flow: &Arc<Flow>, bytes: &[u8]) {
        let now = clock::now();
        flow.alive.store(now.micros(), Ordering::Relaxed);
        let mut state = lock(&self.state);
        state.heed(self, now);
        if state.shaper.is_clear() {
            state.shaper.stats.packets += 1;
            state.shaper.stats.bytes += bytes.len() as u64;
            return self.send(flow, bytes, &mut state);
        }
        state.shaper.push(now, flow.clone(), bytes.to_vec());
    }

    fn send(&self, flow: &Flow, bytes: &[u8], state: &mut State) {
        let sent = match self.way {
            Way::Up => flow.socket.get_ref().send(bytes).map(drop),
            Way::Down => self.listener.get_ref().send_to(bytes, flow.client).map(drop),
        };
        match sent {
            Err(error) if error.kind() == ErrorKind::WouldBlock => state.shaper.stats.overflowed += 1,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                self.proxy.unreachable(Some(&anyhow::Error::from(error)));
            }
            _ => {} // an unreachable client is what a network does to datagrams
        }
    }

    /// Sends what is due and counts what passed.
    fn settle(&self, state: &mut State) {
        state.heed(self, clock::now());
        while let Some((flow, bytes)) = state.shaper.pop(clock::now()) {
            self.send(&flow, &bytes, state);
        }
        self.proxy.tally(self.way).add(&mut state.shaper.stats);
    }

    /// After datagrams were taken: sends what is due, and wakes the pump if it would sleep too long for the rest.
    fn pass(&self) {
        let mut state = lock(&self.state);
        self.settle(&mut state);
        let wake = state.shaper.wake();
        if wake.is_some_and(|wake| state.wakes.is_none_or(|known| wake < known)) {
            state.wakes = wake; // the bell has to ring once for it
            self.bell.notify(1);
        }
    }

    /// Sends what the network lets go, when it does.
    async fn pump(&self) {
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
            let timer = async {
                match wake {
                    Some(due) => _ = Timer::after(due.since(clock::now())).await,
                    None => pending().await,
                }
            };
            or(or(timer, bell), changed).await;
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
