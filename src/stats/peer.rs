//! What is counted of one link.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::{Board, Recovered};
use crate::adapt::Rate;
use crate::clock::Offset;
use crate::lock::lock;
use crate::meter::{Mean, Meter};

/// One at the other end, and its figures.
#[derive(Debug)]
pub struct Peer {
    pub name: String,
    /// Its frames are counted elsewhere already.
    pub again: bool,
    inner: Mutex<Link>,
}

/// Figures of one link.
#[derive(Debug, Default)]
pub struct Link {
    pub meter: Meter,
    /// Signs of life of who publishes, counted while it is waited for them.
    pub heard: Option<u64>,
    pub offset: Offset,
    /// Milliseconds from capture to here.
    pub latency_ms: Mean,
    pub latency_error: Option<Duration>,
    /// Frames of the stream that this link skipped.
    pub slow: u64,
    /// The newest that it sent: what the source has given since then waits, or is being skipped.
    pub sent: Option<u64>,
    /// Gaps in the link's own numbers.
    pub lost: u64,
    /// What a sender knows of the network to this peer.
    pub rate: Rate,
    /// Of a link that loses parts of frames: what was repaired, what was refused, what is older than it should be.
    pub recovered: Option<Recovered>,
    pub refused: u64,
    pub stale_pct: Mean,
    /// What a viewer of a hub watches; of a page also its newest round trip.
    pub rung: Option<String>,
    pub round_trip: Option<Duration>,
}

impl Peer {
    pub fn new(name: &str) -> Peer {
        Peer { name: name.to_string(), again: false, inner: Mutex::default() }
    }

    pub fn counted_elsewhere(self, again: bool) -> Peer {
        Peer { again, ..self }
    }

    pub fn link(&self) -> MutexGuard<'_, Link> {
        lock(&self.inner)
    }
}

impl Board {
    /// Signs of life of one, where they are counted.
    pub fn heard(&self, name: &str) -> Option<u64> {
        lock(&self.peers).iter().find(|peer| peer.name == name)?.link().heard
    }
}
