//! What passed each direction of a proxy, for the stats lines and the API.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::shaper::Stats;

/// One direction's totals.
#[derive(Debug, Default)]
pub struct Tally {
    packets: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicU64,
    overflowed: AtomicU64,
    duplicated: AtomicU64,
    reordered: AtomicU64,
    corrupted: AtomicU64,
    queued_us: AtomicU64,
}

impl Tally {
    /// Adds what a shaper counted since it was last asked.
    pub fn add(&self, stats: &mut Stats) {
        let stats = std::mem::take(stats);
        if stats == Stats::default() {
            return;
        }
        for (total, more) in [
            (&self.packets, stats.packets),
            (&self.bytes, stats.bytes),
            (&self.lost, stats.lost),
            (&self.overflowed, stats.overflowed),
            (&self.duplicated, stats.duplicated),
            (&self.reordered, stats.reordered),
            (&self.corrupted, stats.corrupted),
            (&self.queued_us, stats.queued_us),
        ] {
            if more > 0 {
                total.fetch_add(more, Ordering::Relaxed);
            }
        }
    }

    pub fn totals(&self) -> Stats {
        let get = |total: &AtomicU64| total.load(Ordering::Relaxed);
        Stats {
            packets: get(&self.packets),
            bytes: get(&self.bytes),
            lost: get(&self.lost),
            overflowed: get(&self.overflowed),
            duplicated: get(&self.duplicated),
            reordered: get(&self.reordered),
            corrupted: get(&self.corrupted),
            queued_us: get(&self.queued_us),
        }
    }
}
