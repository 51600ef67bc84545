//! The clients of a udp proxy: one flow each, with a socket of its own to the target, until both are silent.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use async_io::Timer;

use super::proxy::{Here, Proxy};
use super::sockets::{connect_udp, resolve};
use crate::clock::{self, Time};
use crate::lock::lock;
use crate::stop::Stop;
use crate::tasks::Source;

/// A client and its own socket to the target.
pub struct Flow {
    pub client: SocketAddr,
    pub target: SocketAddr,
    pub socket: Source<UdpSocket>,
    /// When something last passed, in microseconds.
    alive: AtomicI64,
    /// Another took its place.
    pub stop: Stop,
    _here: Here,
}

/// How many flows there may be, and how long they may be silent.
#[derive(Clone, Copy)]
pub struct Limits {
    /// A new client takes the place of the one that was silent longest.
    pub flows: usize,
    /// A flow without a datagram either way for so long is over.
    pub idle: Duration,
}

impl Default for Limits {
    /// RFC 4787 has NATs keep flows two minutes at least.
    fn default() -> Limits {
        Limits { flows: 1024, idle: Duration::from_secs(120) }
    }
}

/// The flows there are; one that is over takes itself out.
pub struct Flows {
    limits: Limits,
    pub known: Mutex<HashMap<SocketAddr, Arc<Flow>>>,
}

impl Flows {
    pub fn new(limits: Limits) -> Flows {
        Flows { limits, known: Mutex::default() }
    }

    /// One flow more, in the place of the most silent one when there are too many.
    pub fn enter(&self, flow: &Arc<Flow>) {
        let mut known = lock(&self.known);
        if known.len() >= self.limits.flows {
            let oldest = known.values().min_by_key(|flow| flow.alive.load(Ordering::Relaxed)).cloned();
            if let Some(oldest) = oldest {
                oldest.stop.say();
                known.remove(&oldest.client);
            }
        }
        known.insert(flow.client, flow.clone());
    }

    /// A client that came back meanwhile has another flow, which stays.
    pub fn leave(&self, flow: &Arc<Flow>) {
        let mut known = lock(&self.known);
        if known.get(&flow.client).is_some_and(|other| Arc::ptr_eq(other, flow)) {
            known.remove(&flow.client);
        }
    }

    /// Waits until a flow is over.
    pub async fn silence(&self, flow: &Flow) {
        while let Some(left) = flow.left(clock::now(), self.limits.idle) {
            Timer::after(left).await;
        }
    }
}

impl Flow {
    pub async fn open(proxy: &Arc<Proxy>, client: SocketAddr) -> Result<Arc<Flow>> {
        let addresses = resolve(&proxy.upstream(), false).await?;
        let target = *addresses.first().context("the host has no address")?;
        let socket = connect_udp(target)?;
        let alive = AtomicI64::new(clock::now().micros());
        let here = proxy.enter(&client.to_string());
        Ok(Arc::new(Flow { client, target, socket, alive, stop: Stop::default(), _here: here }))
    }

    /// Something passes.
    pub fn touch(&self, now: Time) {
        self.alive.store(now.micros(), Ordering::Relaxed);
    }

    /// How long it may be silent yet; none when it is over.
    fn left(&self, now: Time, idle: Duration) -> Option<Duration> {
        let silent = now.since(Time::from_micros(self.alive.load(Ordering::Relaxed)));
        idle.checked_sub(silent).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::super::proxy::{Protocol, Spec};
    use super::super::{sockets::listen_udp, udp};
    use super::*;
    use crate::endpoint::Endpoint;
    use crate::shaper::settings::Settings;
    use crate::stats::Board;

    const LIMIT: Duration = Duration::from_secs(20);

    fn client() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").unwrap()
    }

    /// A proxy with these limits: what it counts, its target, its address, and what ends it.
    fn proxy(limits: Limits) -> (Arc<Proxy>, UdpSocket, SocketAddr, Stop) {
        let target = client();
        target.set_read_timeout(Some(LIMIT)).unwrap();
        let spec = Spec {
            name: "test".to_string(),
            listen: "127.0.0.1:0".to_string(),
            upstream: target.local_addr().unwrap().to_string(),
            enabled: true,
            protocol: Protocol::Udp,
            up: Settings::default(),
            down: Settings::default(),
            toxics: Vec::new(),
        };
        let proxy = Proxy::new(spec, 1, Board::new("shape"));
        let listener = smol::block_on(listen_udp(&Endpoint::parse("127.0.0.1:0").unwrap())).unwrap();
        let (address, stop) = (listener.get_ref().local_addr().unwrap(), Stop::default());
        let (served, heard) = (udp::serve(proxy.clone(), listener, stop.clone(), limits).unwrap(), stop.clone());
        crate::tasks::spawn(async move { smol::future::or(served, heard.heard()).await }).detach();
        (proxy, target, address, stop)
    }

    /// From where a client's datagram comes to the target.
    fn ask(client: &UdpSocket, proxy: SocketAddr, target: &UdpSocket) -> SocketAddr {
        client.send_to(b"x", proxy).unwrap();
        target.recv_from(&mut [0; 9]).unwrap().1
    }

    /// Waits until so many flows are left.
    fn settled(proxy: &Proxy, flows: usize) {
        let until = clock::now() + LIMIT;
        while proxy.connections() != flows {
            assert!(clock::now() < until, "{} flows", proxy.connections());
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_silent_flow_ends_and_a_datagram_opens_another() {
        let (proxy, target, address, stop) = proxy(Limits { idle: Duration::from_millis(20), ..Limits::default() });
        let client = client();
        ask(&client, address, &target);
        settled(&proxy, 0);
        ask(&client, address, &target);
        settled(&proxy, 0);
        stop.say();
    }

    #[test]
    fn the_most_silent_makes_room() {
        let (proxy, target, address, stop) = proxy(Limits { flows: 2, ..Limits::default() });
        let clients = [client(), client(), client()];
        let first = clients.each_ref().map(|client| ask(client, address, &target));
        settled(&proxy, 2);
        assert_eq!(ask(&clients[1], address, &target), first[1], "it stays");
        assert_ne!(ask(&clients[0], address, &target), first[0], "it was the one");
        settled(&proxy, 2);
        assert_eq!(ask(&clients[1], address, &target), first[1], "the third was silent longest then");
        stop.say();
    }
}
