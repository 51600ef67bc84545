//! The way that a stream has come: its source and the relays since, each with its figures. By it loops are seen, and
//! every peer can tell what each hop adds.

use std::collections::VecDeque;
use std::sync::Mutex;

use anyhow::{Result, ensure};
use event_listener::Event;
use serde::{Deserialize, Serialize};

use crate::lock::lock;
use crate::stats::round;
use crate::until::until;

/// More hops than a network of people has; a longer way is a mistake.
pub const HOPS_MAX: usize = 16;
/// A name's longest form: as for streams.
pub const NAME_MAX: usize = 32;

/// Frames that are remembered: what the peer before told of a second ago is among them.
const FRAMES: usize = 256;
/// Of these every fourth is told of, and so many: a second of a film.
const EACH: usize = 4;
const TOLD: usize = 8;

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
    /// Some of the last frames, by their sequence numbers, and the milliseconds that they took: of the last hop alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<(u64, f64)>,
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

/// The way to here, which changes with the peer that the stream comes from, and with the figures of all.
#[derive(Debug)]
pub struct Path {
    hops: Mutex<(u64, Vec<Hop>)>,
    /// The last frames that came here, as a hop has them.
    frames: Mutex<VecDeque<(u64, f64)>>,
    changed: Event,
    is_source: bool,
}

impl Path {
    /// `own` is the last hop: this process.
    pub fn new(own: Hop) -> Path {
        Path { hops: Mutex::new((0, vec![own])), frames: Mutex::default(), changed: Event::new(), is_source: false }
    }

    /// The way of a stream that begins here.
    pub fn source(own: Hop) -> Path {
        Path { is_source: true, ..Path::new(own) }
    }

    /// From the source to here.
    pub fn hops(&self) -> Vec<Hop> {
        told(&lock(&self.hops).1)
    }

    /// The way up to the peer before this one, as it tells it. Errors: a loop, too many hops.
    pub fn extend(&self, before: Vec<Hop>) -> Result<()> {
        let mut hops = lock(&self.hops);
        let own = hops.1[hops.1.len() - 1].clone();
        let way = || before.iter().map(|hop| crate::greet::printable(&hop.name)).collect::<Vec<_>>().join(" → ");
        ensure!(before.iter().all(|hop| hop.id != own.id), "a loop: the stream comes from here, by {}", way());
        ensure!(before.len() < HOPS_MAX, "the stream has come over {} hops, and {HOPS_MAX} are the most", before.len());
        ensure!(before.iter().all(|hop| hop.name.len() <= NAME_MAX), "a hop with a name of more than {NAME_MAX} bytes");
        ensure!(before.iter().all(|hop| hop.frames.len() <= TOLD), "a hop that tells of more than {TOLD} frames");
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

    /// A frame came, so long after its capture.
    pub fn came(&self, seq: u64, latency_ms: f64) {
        let mut frames = lock(&self.frames);
        if frames.len() == FRAMES {
            frames.pop_front();
        }
        frames.push_back((seq, latency_ms));
    }

    /// What this hop adds, by its latency and the bound of its error; none at the source. It is the mean of the frames that the
    /// hop before told of: a network is not the same from one to the next.
    pub fn added(&self, own_ms: Option<f64>, error_ms: Option<f64>) -> Option<Added> {
        let hops = lock(&self.hops);
        let [earlier @ .., before, _] = &*hops.1 else { return None };
        let came = lock(&self.frames);
        let here = |seq: u64| came.iter().find(|(other, _)| *other == seq).map(|(_, ms)| *ms);
        let of_frames = || {
            let added = before.frames.iter().filter_map(|&(seq, ms)| Some(here(seq)? - ms)).collect::<Vec<_>>();
            (!added.is_empty()).then(|| added.iter().sum::<f64>() / added.len() as f64)
        };
        let added_ms = if earlier.is_empty() { own_ms } else { own_ms.and_then(|_| of_frames()) };
        // The later one's error contains the earlier's.
        let added_err_ms = added_ms.and(error_ms).map(|own| round((own - before.error_ms.unwrap_or(0.0)).abs()));
        Some(Added { upstream: crate::greet::printable(&before.name), added_ms: added_ms.map(round), added_err_ms })
    }

    /// The figures of this hop.
    pub fn measured(&self, latency_ms: Option<f64>, error_ms: Option<f64>) {
        let mut hops = lock(&self.hops);
        if let Some(own) = hops.1.last_mut() {
            (own.latency_ms, own.error_ms) = (latency_ms, error_ms);
            let last = lock(&self.frames);
            own.frames = last.iter().rev().step_by(EACH).take(TOLD).map(|&(seq, ms)| (seq, round(ms))).collect();
        }
        hops.0 += 1;
        self.changed.notify(usize::MAX);
    }

    /// The way, once it is another than the one of this number, which then is the new one's.
    pub async fn newer(&self, than: &mut u64) -> Vec<Hop> {
        let newer = || {
            let hops = lock(&self.hops);
            (hops.0 > std::mem::replace(than, hops.0)).then(|| told(&hops.1))
        };
        until(&self.changed, newer).await
    }
}

/// A way as the next hop is told it, who compares frames with the last of it alone.
fn told(way: &[Hop]) -> Vec<Hop> {
    let last = way.len().saturating_sub(1);
    let hop = |(at, hop): (usize, &Hop)| match at == last {
        true => hop.clone(),
        false => Hop { frames: Vec::new(), ..hop.clone() },
    };
    way.iter().enumerate().map(hop).collect()
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
        assert_eq!(path.added(Some(6.0), None).unwrap().added_ms, Some(6.0), "the source is before it");
    }

    #[test]
    fn what_a_hop_adds_is_of_the_same_frames() {
        let (before, path) = (Path::new(hop(2)), Path::new(hop(3)));
        before.extend(vec![hop(1)]).unwrap();
        for seq in 0..100 {
            let late = if seq < 90 { 50.0 } else { 2.0 }; // the network has become better
            before.came(seq, late);
            path.came(seq, late + 0.5);
        }
        before.measured(Some(26.0), Some(0.25));
        path.extend(before.hops()).unwrap();
        let added = path.added(Some(3.0), Some(0.75)).unwrap();
        assert_eq!((added.added_ms, added.added_err_ms), (Some(0.5), Some(0.5)));
        assert!(path.hops()[1].frames.is_empty(), "those who come after compare with this hop");
        let other = Path::new(hop(4));
        other.extend(before.hops()).unwrap();
        assert_eq!(other.added(Some(3.0), None).unwrap().added_ms, None, "none of these frames came here");
        let many = Hop { frames: vec![(0, 0.0); TOLD + 1], ..hop(9) };
        assert!(path.extend(vec![many]).is_err());
    }
}
