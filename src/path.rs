//! The way that a stream has come: its source and the relays since, each with its figures. By it loops are seen, and
//! every peer can tell what each hop adds.

use std::sync::Mutex;

use anyhow::{Result, ensure};
use event_listener::{Event, listener};
use serde::{Deserialize, Serialize};

use crate::lock::lock;
use crate::stats::round;

/// More hops than a network of people has; a longer way is a mistake.
pub const HOPS_MAX: usize = 16;
/// A name's longest form: as for streams.
pub const NAME_MAX: usize = 32;

/// One peer that a stream came through.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hop {
    /// The random number of its process, as in its hello.
    pub id: u64,
    #[serde(default)]
    pub name: String,
    /// Milliseconds from capture to there, and the bound of its error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_ms: Option<f64>,
}

/// What the last hop of a way adds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Added {
    /// The name of the peer before it.
    pub upstream: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_err_ms: Option<f64>,
}

/// By the latencies of two neighbours and the bounds of their errors, of which the later one's contains the earlier's.
pub fn added(upstream: String, before: (Option<f64>, Option<f64>), own: (Option<f64>, Option<f64>)) -> Added {
    let added_ms = own.0.zip(before.0).map(|(own, before)| round(own - before));
    let added_err_ms = added_ms.and(own.1).map(|own| round((own - before.1.unwrap_or(0.0)).abs()));
    Added { upstream, added_ms, added_err_ms }
}

/// The way to here, which changes with the peer that the stream comes from, and with the figures of all.
#[derive(Debug)]
pub struct Path {
    hops: Mutex<(u64, Vec<Hop>)>,
    changed: Event,
    is_source: bool,
}

impl Path {
    /// `own` is the last hop: this process.
    pub fn new(own: Hop) -> Path {
        Path { hops: Mutex::new((0, vec![own])), changed: Event::new(), is_source: false }
    }

    /// The way of a stream that begins here.
    pub fn source(own: Hop) -> Path {
        Path { is_source: true, ..Path::new(own) }
    }

    /// From the source to here.
    pub fn hops(&self) -> Vec<Hop> {
        lock(&self.hops).1.clone()
    }

    /// The way up to the peer before this one, as it tells it. Errors: a loop, too many hops.
    pub fn extend(&self, before: Vec<Hop>) -> Result<()> {
        let mut hops = lock(&self.hops);
        let own = hops.1[hops.1.len() - 1].clone();
        let way = || before.iter().map(|hop| crate::greet::printable(&hop.name)).collect::<Vec<_>>().join(" → ");
        ensure!(before.iter().all(|hop| hop.id != own.id), "a loop: the stream comes from here, by {}", way());
        ensure!(before.len() < HOPS_MAX, "the stream has come over {} hops, and {HOPS_MAX} are the most", before.len());
        ensure!(before.iter().all(|hop| hop.name.len() <= NAME_MAX), "a hop with a name of more than {NAME_MAX} bytes");
        let way: Vec<Hop> = before.into_iter().chain([own]).collect();
        if way != hops.1 {
            *hops = (hops.0 + 1, way);
            self.changed.notify(usize::MAX);
        }
        Ok(())
    }

    /// Whether the stream begins here. A relay that nothing has come to yet is on no way at all.
    pub fn is_source(&self) -> bool {
        self.is_source
    }

    /// What this hop adds; none at the source.
    pub fn added(&self) -> Option<Added> {
        let hops = lock(&self.hops);
        let [earlier @ .., before, own] = &*hops.1 else { return None };
        let source = earlier.is_empty().then_some(0.0);
        let before_ms = (before.latency_ms.or(source), before.error_ms);
        Some(added(crate::greet::printable(&before.name), before_ms, (own.latency_ms, own.error_ms)))
    }

    /// The figures of this hop.
    pub fn measured(&self, latency_ms: Option<f64>, error_ms: Option<f64>) {
        let mut hops = lock(&self.hops);
        if let Some(own) = hops.1.last_mut() {
            (own.latency_ms, own.error_ms) = (latency_ms, error_ms);
        }
        hops.0 += 1;
        self.changed.notify(usize::MAX);
    }

    /// The way, once it is another than the one of this number, which then is the new one's.
    pub async fn newer(&self, than: &mut u64) -> Vec<Hop> {
        loop {
            listener!(self.changed => changed);
            {
                let hops = lock(&self.hops);
                if hops.0 > *than {
                    *than = hops.0;
                    return hops.1.clone();
                }
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(id: u64) -> Hop {
        Hop { id, name: format!("peer{id}"), ..Hop::default() }
    }

    #[test]
    fn a_way_through_here_is_a_loop() {
        let path = Path::new(hop(3));
        path.extend(vec![hop(1), hop(2)]).unwrap();
        assert_eq!(path.hops(), [hop(1), hop(2), hop(3)]);
        let error = path.extend(vec![hop(1), hop(3), hop(2)]).unwrap_err().to_string();
        assert_eq!(error, "a loop: the stream comes from here, by peer1 → peer3 → peer2");
        assert!(path.extend((10..10 + HOPS_MAX as u64).map(hop).collect()).is_err());
    }

    #[test]
    fn changes_are_told_once() {
        let path = Path::new(hop(3));
        let mut seen = 0;
        path.extend(vec![hop(1)]).unwrap();
        assert_eq!(smol::block_on(path.newer(&mut seen)).len(), 2);
        path.extend(vec![hop(1)]).unwrap();
        path.measured(Some(5.0), None);
        assert_eq!(smol::block_on(path.newer(&mut seen))[1].latency_ms, Some(5.0));
        assert_eq!(seen, 2);
        assert_eq!(path.added().unwrap().added_ms, Some(5.0));
    }
}
