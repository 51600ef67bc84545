//! A bad network as a pure, seeded value: `push` what arrives, `pop` what has passed, `wake` when to look again. The
//! `shape` role and the tests share it.
//!
//! A packet is lost, damaged or doubled where it arrives, waits in the queue for the bottleneck's rate, and is then on
//! its way for delay and jitter. Of datagrams this is all. A stream (tcp) shows its reader nothing of the sort: there
//! jitter never reorders, a loss (and damage, which a checksum would find) is the delay of a retransmission, and a
//! full queue is no loss but a source that must wait.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;

use crate::clock::Time;
use crate::lock::lock;

mod chance;
pub mod pacer;
pub mod profiles;
pub mod script;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod trace;

use chance::{Chance, Fate};
use pacer::{Nanos, Pacer};
use settings::{Queue, Settings};

/// What passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    Datagrams,
    Stream,
}

/// `T` says where a packet belongs.
#[derive(Debug)]
pub struct Shaper<T> {
    carrier: Carrier,
    settings: Settings,
    chance: Chance,
    queue: VecDeque<Waiting<T>>,
    queued: usize,
    /// When the head of the queue has left the bottleneck, once that is known.
    leaves: Option<Nanos>,
    /// The bottleneck had done with the one before.
    ready: Nanos,
    own: Pacer,
    shared: Arc<Mutex<Pacer>>,
    flight: BinaryHeap<Reverse<Flying<T>>>,
    flying: usize,
    /// Arrivals so far: packets due at the same time keep their order.
    order: u64,
    /// When a stream's newest piece is due: none overtakes it.
    last: Nanos,
    pub stats: Stats,
}

#[derive(Debug)]
struct Waiting<T> {
    to: T,
    bytes: Vec<u8>,
    arrived: Nanos,
    fate: Fate,
    late: f64,
}

#[derive(Debug)]
struct Flying<T> {
    due: Nanos,
    /// Of a stream: when it would be due without losses, how often it was sent in vain, and how long its first timeout is.
    lossless: Nanos,
    fate: Fate,
    timeout: Duration,
    order: u64,
    queued_us: u64,
    to: T,
    bytes: Vec<u8>,
}

/// What happened since they were last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Packets (of a stream: pieces) and bytes that came out at the other end.
    pub packets: u64,
    pub bytes: u64,
    /// By chance.
    pub lost: u64,
    /// By a full queue.
    pub overflowed: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub corrupted: u64,
    /// Microseconds that packets waited for the rate, in all.
    pub queued_us: u64,
}

/// What one direction keeps at most, whatever its delay: 100 ms at 1.3 Gbit/s.
const HELD: usize = 16 << 20;
/// A full segment on an Ethernet: what of a stream is lost at a time.
const SEGMENT: usize = 1460;
/// What is read of a stream at a time at most.
pub const PIECE: usize = 64 << 10;
/// At a rate, pieces take this long at most, so that it is even: two full segments at 50 Mbit/s.
const EVEN: Duration = Duration::from_micros(500);
/// Linux's shortest and longest retransmission timeout (TCP_RTO_MIN, TCP_RTO_MAX).
const RETRANSMIT: Duration = Duration::from_millis(200);
const RETRANSMIT_MAX: Duration = Duration::from_secs(120);
/// How long a reordered packet is held back where there is no delay that it could be spared.
const OVERTAKEN: Duration = Duration::from_millis(10);

fn nanos(time: Duration) -> Nanos {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

fn at(time: Time) -> Nanos {
    time.micros().saturating_mul(1000)
}

impl<T: Clone> Shaper<T> {
    /// A network with a bottleneck of its own.
    pub fn new(carrier: Carrier, seed: u64) -> Shaper<T> {
        Shaper::sharing(carrier, seed, Arc::default())
    }

    /// A network whose rate is shared with whoever has the same bottleneck.
    pub fn sharing(carrier: Carrier, seed: u64, shared: Arc<Mutex<Pacer>>) -> Shaper<T> {
        Shaper {
            carrier,
            settings: Settings::default(),
            chance: Chance::new(seed),
            queue: VecDeque::new(),
            queued: 0,
            leaves: None,
            ready: 0,
            own: Pacer::default(),
            shared,
            flight: BinaryHeap::new(),
            flying: 0,
            order: 0,
            last: 0,
            stats: Stats::default(),
        }
    }

    /// Holds from now on: a rate for what waits already, a delay for what leaves the queue.
    pub fn set(&mut self, now: Time, settings: &Settings) {
        let now = at(now);
        self.advance(now);
        let fixed = |rate: u64| settings::Rate::Fixed(rate);
        if (&self.settings.rate, self.settings.bandwidth) != (&settings.rate, settings.bandwidth) {
            self.own.set(now, settings.bandwidth.map(fixed));
            lock(&self.shared).set(now, settings.rate.clone());
            (self.leaves, self.ready) = (None, now);
        }
        let before = std::mem::replace(&mut self.settings, settings.clone());
        let losses = |settings: &Settings| (settings.loss, settings.burst_loss, settings.corrupt);
        if self.carrier == Carrier::Stream && losses(&before) != losses(settings) {
            self.retransmit(now);
        }
    }

    /// What is sent again from now on is lost by the settings of now: an outage ends for what it had stopped too.
    fn retransmit(&mut self, now: Nanos) {
        let waits = self.queue.iter_mut().filter(|waiting| waiting.fate.lost > 0);
        waits.for_each(|waiting| waiting.fate.throw_again(0, &self.settings));
        let mut flight = std::mem::take(&mut self.flight).into_vec();
        flight.sort_unstable_by_key(|Reverse(flying)| flying.order);
        self.last = 0;
        for Reverse(flying) in &mut flight {
            let due = |lost| flying.lossless.saturating_add(nanos(retransmission(flying.timeout, lost)));
            let in_vain = (0..flying.fate.lost).take_while(|&lost| due(lost) <= now).count() as u32;
            if flying.fate.lost > 0 {
                flying.fate.throw_again(in_vain.max(1), &self.settings);
            }
            flying.due = due(flying.fate.lost).max(self.last);
            self.last = flying.due;
        }
        self.flight = flight.into();
    }

    /// A packet arrives, or a piece of a stream.
    pub fn push(&mut self, now: Time, to: T, mut bytes: Vec<u8>) {
        let now = at(now);
        self.advance(now);
        let mut fate = self.chance.throw(&self.settings);
        if self.carrier == Carrier::Stream {
            fate.lost += u32::from(fate.corrupt);
            (fate.corrupt, fate.twice, fate.reorder) = (false, false, false);
            self.stats.lost += u64::from(fate.lost > 0);
            return self.enter(now, to, bytes, fate, 0);
        }
        if fate.lost > 0 {
            self.stats.lost += 1;
            return;
        }
        if fate.corrupt && !bytes.is_empty() {
            let bit = (fate.bit % (bytes.len() as u64 * 8)) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
            self.stats.corrupted += 1;
        }
        if fate.twice {
            self.stats.duplicated += 1;
            self.enter(now, to.clone(), bytes.clone(), fate, 1);
        }
        self.enter(now, to, bytes, fate, 0);
    }

    fn enter(&mut self, now: Nanos, to: T, bytes: Vec<u8>, fate: Fate, copy: usize) {
        // An empty queue takes whatever comes: a packet that is longer than it may still be sent.
        let room = if self.queue.is_empty() { HELD.saturating_sub(self.held()) } else { self.space() };
        if self.carrier == Carrier::Datagrams && bytes.len() > room {
            self.stats.overflowed += 1;
            return;
        }
        self.queued += bytes.len();
        self.queue.push_back(Waiting { to, bytes, arrived: now, fate, late: fate.late[copy] });
        self.advance(now);
    }

    /// What has passed by now, one at a time.
    pub fn pop(&mut self, now: Time) -> Option<(T, Vec<u8>)> {
        let now = at(now);
        self.advance(now);
        if self.flight.peek()?.0.due > now {
            return None;
        }
        let Reverse(flying) = self.flight.pop()?;
        self.flying -= flying.bytes.len();
        self.stats.packets += 1;
        self.stats.bytes += flying.bytes.len() as u64;
        self.stats.queued_us += flying.queued_us;
        self.stats.lost += u64::from(flying.fate.lost.saturating_sub(1)); // the first was counted when it was lost
        Some((flying.to, flying.bytes))
    }

    /// When `pop` may have more; none while nothing is held. Ask after `pop` gave nothing.
    pub fn wake(&self) -> Option<Time> {
        let due = self.flight.peek().map(|flying| flying.0.due);
        // Rounded up: looking a moment early would find nothing.
        self.leaves.into_iter().chain(due).min().map(|at| Time::from_micros(at.saturating_add(999) / 1000))
    }

    /// Bytes that wait and that are on their way.
    pub fn held(&self) -> usize {
        self.queued + self.flying
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.flight.is_empty()
    }

    /// Whether packets pass untouched and at once.
    pub fn is_clear(&self) -> bool {
        self.is_empty() && self.settings.is_clean()
    }

    /// Bytes of a stream to read next; none while the network is full, until something was popped.
    pub fn room(&self) -> usize {
        let lossy = self.settings.loss > 0.0 || self.settings.burst_loss.is_some() || self.settings.corrupt > 0.0;
        let even = self.rate().map_or(PIECE, |rate| Queue::Time(EVEN).bytes(rate).clamp(SEGMENT, PIECE));
        let piece = if lossy { SEGMENT } else { even };
        // A queue that is shorter than a piece must not keep the bottleneck idle.
        let alone = self.queue.is_empty() && HELD.saturating_sub(self.held()) >= piece;
        if alone || self.space() >= piece { piece } else { 0 }
    }

    /// The narrower of both rates.
    fn rate(&self) -> Option<u64> {
        self.settings.rate.as_ref().map(settings::Rate::mean).into_iter().chain(self.settings.bandwidth).min()
    }

    /// Bytes that still fit.
    fn space(&self) -> usize {
        let queue = self.settings.queue.unwrap_or(Queue::DEFAULT);
        let waiting = self.rate().map_or(HELD, |rate| queue.bytes(rate).min(HELD));
        waiting.saturating_sub(self.queued).min(HELD.saturating_sub(self.held()))
    }

    /// Moves what has left the bottleneck by now from the queue on its way.
    fn advance(&mut self, now: Nanos) {
        while let Some(head) = self.queue.front() {
            let leaves = self.leaves.unwrap_or_else(|| {
                let ready = head.arrived.max(self.ready);
                self.own.reserve(ready, head.bytes.len()).max(lock(&self.shared).reserve(ready, head.bytes.len()))
            });
            if leaves > now {
                self.leaves = Some(leaves);
                return;
            }
            (self.leaves, self.ready) = (None, leaves);
            if let Some(head) = self.queue.pop_front() {
                self.queued -= head.bytes.len();
                self.depart(leaves, head);
            }
        }
        self.leaves = None;
    }

    fn depart(&mut self, now: Nanos, packet: Waiting<T>) {
        let delay = nanos(self.settings.delay);
        let mut on_the_way = (delay + (nanos(self.settings.jitter) as f64 * packet.late) as i64).max(0);
        if packet.fate.reorder {
            on_the_way = if delay > 0 { 0 } else { nanos(OVERTAKEN) };
            self.stats.reordered += 1;
        }
        let lossless = now.saturating_add(on_the_way);
        let timeout = 2 * self.settings.delay + RETRANSMIT;
        let mut due = lossless;
        if self.carrier == Carrier::Stream {
            due = due.saturating_add(nanos(retransmission(timeout, packet.fate.lost))).max(self.last);
            self.last = due;
        }
        self.order += 1;
        self.flying += packet.bytes.len();
        let queued_us = (now - packet.arrived).max(0) as u64 / 1000;
        let Waiting { to, bytes, fate, .. } = packet;
        self.flight.push(Reverse(Flying { due, lossless, fate, timeout, order: self.order, queued_us, to, bytes }));
    }
}

/// What a stream's reader sees of losses: a timeout of a round trip (twice the delay) and 200 ms, doubling each time.
fn retransmission(timeout: Duration, lost: u32) -> Duration {
    let timeouts = (0..lost).map(|n| (timeout * (1 << n.min(16))).min(RETRANSMIT_MAX));
    timeouts.sum()
}

impl<T> PartialEq for Flying<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Flying<T> {}

impl<T> PartialOrd for Flying<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Flying<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}
