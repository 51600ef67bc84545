//! One proxy: where it listens, whom it calls, what it does to what passes. Changes hold at once for live connections.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Result, anyhow, bail, ensure};
use event_listener::Event;
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use smol::Task;

use super::flows::Limits;
use super::tally::Tally;
use super::toxic::{Plan, Toxic, Way};
use super::{sockets, tcp, udp};
use crate::endpoint::Endpoint;
use crate::fault;
use crate::lock::lock;
use crate::shaper::pacer::Pacer;
use crate::shaper::settings::Settings;
use crate::stats::{Board, Peer};
use crate::stop::Stop;
use crate::tasks;
use crate::transports::socket;

/// What passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Both,
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Both => "both",
        }
    }
}

/// What a proxy is asked to be; as JSON it is Toxiproxy's object with our own fields besides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spec {
    pub name: String,
    pub listen: String,
    pub upstream: String,
    pub enabled: bool,
    pub protocol: Protocol,
    pub up: Settings,
    pub down: Settings,
    pub toxics: Vec<Toxic>,
}

pub struct Proxy {
    spec: Mutex<Spec>,
    /// Counts the changes; lanes look at it and `changed` wakes those that wait.
    version: AtomicU64,
    pub changed: Event,
    pacers: [Arc<Mutex<Pacer>>; 2],
    tallies: [Tally; 2],
    connections: AtomicUsize,
    seeds: Mutex<Rng>,
    board: Arc<Board>,
    /// That the target does not answer has been said.
    unreachable: AtomicBool,
    running: smol::lock::Mutex<Option<Running>>,
}

struct Running {
    stop: Stop,
    tasks: Vec<Task<()>>,
}

/// A client, counted as long as this lives.
pub struct Here {
    proxy: Arc<Proxy>,
    peer: Arc<Peer>,
}

impl Drop for Here {
    fn drop(&mut self) {
        self.proxy.connections.fetch_sub(1, Ordering::Relaxed);
        self.proxy.board.leave(&self.peer);
    }
}

/// `host:port`; before it may stand the scheme of what the proxy passes.
pub fn address(text: &str, protocol: Protocol) -> Result<Endpoint> {
    let endpoint = Endpoint::parse(text).map_err(|why| anyhow!("{text}: {why}"))?;
    let passes = match endpoint.scheme.as_str() {
        "tcp" => protocol == Protocol::Tcp || !text.contains("://"),
        "udp" => protocol == Protocol::Udp,
        other => bail!("{text}: a proxy passes bytes and datagrams: it knows tcp and udp, not {other}"),
    };
    ensure!(passes, "{text}: the proxy's protocol is {}", protocol.name());
    Ok(endpoint)
}

/// `host:port` with brackets where needed.
fn shown(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl Proxy {
    pub fn new(spec: Spec, seed: u64, board: Arc<Board>) -> Arc<Proxy> {
        Arc::new(Proxy {
            spec: Mutex::new(spec),
            version: AtomicU64::new(1),
            changed: Event::new(),
            pacers: Default::default(),
            tallies: Default::default(),
            connections: AtomicUsize::new(0),
            seeds: Mutex::new(Rng::with_seed(seed)),
            board,
            unreachable: AtomicBool::new(false),
            running: smol::lock::Mutex::new(None),
        })
    }

    pub fn spec(&self) -> Spec {
        lock(&self.spec).clone()
    }

    /// Changes settings and toxics, whole or not at all; live connections follow at once.
    pub fn change<T, E>(&self, act: impl FnOnce(&mut Spec) -> Result<T, E>) -> Result<T, E> {
        let mut spec = lock(&self.spec);
        let mut changed = spec.clone();
        let done = act(&mut changed)?;
        *spec = changed;
        drop(spec);
        self.version.fetch_add(1, Ordering::Release);
        self.changed.notify(usize::MAX);
        Ok(done)
    }

    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub fn plan(&self, way: Way, seed: u64) -> Plan {
        let spec = lock(&self.spec);
        let settings = if way == Way::Up { &spec.up } else { &spec.down };
        Plan::of(settings, &spec.toxics, way, seed)
    }

    pub fn upstream(&self) -> Endpoint {
        let spec = lock(&self.spec);
        address(&spec.upstream, spec.protocol).expect("it was read when it was set")
    }

    pub fn pacer(&self, way: Way) -> Arc<Mutex<Pacer>> {
        self.pacers[way as usize].clone()
    }

    pub fn tally(&self, way: Way) -> &Tally {
        &self.tallies[way as usize]
    }

    pub fn next_seed(&self) -> u64 {
        lock(&self.seeds).u64(..)
    }

    pub fn enter(self: &Arc<Self>, client: &str) -> Here {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Here { proxy: self.clone(), peer: self.board.join(client) }
    }

    /// Clients now.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Says once that the target does not answer, and again only after it did.
    pub fn unreachable(&self, error: Option<&anyhow::Error>) {
        let before = self.unreachable.swap(error.is_some(), Ordering::Relaxed);
        if let Some(error) = error.filter(|_| !before) {
            let Spec { upstream, protocol, .. } = self.spec();
            let meanwhile = if protocol == Protocol::Udp { "datagrams are lost" } else { "clients are reset" };
            log::warn!("could not reach {upstream}: {}: {meanwhile} until it answers", fault::line(error));
        }
    }

    /// Listens, unless it does; the addresses that clients can call.
    pub async fn start(self: &Arc<Self>) -> Result<Vec<String>> {
        let mut running = self.running.lock().await;
        if running.is_some() {
            return Ok(Vec::new());
        }
        let Spec { listen, protocol, .. } = self.spec();
        let mut on = address(&listen, protocol)?;
        let (stop, mut tasks, mut urls) = (Stop::default(), Vec::new(), Vec::new());
        if protocol != Protocol::Udp {
            let listener = sockets::listen_tcp(&on).await?;
            on = local(&on, listener.get_ref().local_addr()?);
            urls.push(format!("tcp://{}", dialled(&on)));
            tasks.push(tasks::spawn(tcp::serve(self.clone(), listener, stop.clone())));
        }
        if protocol != Protocol::Tcp {
            let socket = sockets::listen_udp(&on).await?;
            on = local(&on, socket.get_ref().local_addr()?);
            urls.push(format!("udp://{}", dialled(&on)));
            tasks.push(tasks::spawn(udp::serve(self.clone(), socket, stop.clone(), Limits::default())?));
        }
        *running = Some(Running { stop, tasks });
        let mut spec = lock(&self.spec);
        (spec.listen, spec.enabled) = (shown(&on.host, on.port), true);
        Ok(urls)
    }

    /// Stops listening and drops all connections.
    pub async fn stop(&self) {
        lock(&self.spec).enabled = false;
        if let Some(running) = self.running.lock().await.take() {
            running.stop.say();
            for task in running.tasks {
                task.cancel().await; // only then is the port free
            }
        }
    }
}

/// The address with its real port.
fn local(asked: &Endpoint, bound: std::net::SocketAddr) -> Endpoint {
    let host = if asked.host.is_empty() { bound.ip().to_string() } else { asked.host.clone() };
    Endpoint { host, port: bound.port(), ..asked.clone() }
}

/// What a peer can dial: this machine's own address where every interface is listened on.
fn dialled(on: &Endpoint) -> String {
    shown(&socket::reached_at(on), on.port)
}
