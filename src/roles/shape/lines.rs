//! The stats lines of `shape`: one for each direction of each proxy, and the totals.

use std::collections::HashMap;
use std::sync::Arc;

use super::proxies::Proxies;
use super::toxic::Way;
use crate::clock::Time;
use crate::shaper::Stats;
use crate::stats::{self, Line, Lines, Shaped};

const WAYS: [(Way, &str); 2] = [(Way::Up, "up"), (Way::Down, "down")];

/// What was counted when the last line was written.
type Before = HashMap<(String, &'static str), (Time, Stats)>;

pub fn lines(proxies: Arc<Proxies>) -> Lines {
    let proxies = Arc::downgrade(&proxies); // the board outlives them
    let mut before = Before::new();
    Box::new(move |base, now| {
        let all = proxies.upgrade().map(|proxies| proxies.all()).unwrap_or_default();
        if base.last {
            let sum = all.iter().flat_map(|p| WAYS.map(|(way, _)| p.tally(way).totals())).fold(Stats::default(), add);
            let seconds = base.t.max(0.001);
            let both = Shaped { proxy: "all".to_string(), way: "both", ..Shaped::default() };
            let line = line(base, both, sum, sum);
            return vec![Line { bitrate: (line.bytes as f64 * 8.0 / seconds) as u64, ..line }];
        }
        let mut lines = Vec::new();
        for proxy in all {
            let spec = proxy.spec();
            for (way, name) in WAYS {
                let totals = proxy.tally(way).totals();
                let last = before.insert((spec.name.clone(), name), (now, totals));
                let (since, last) = last.unwrap_or((now, totals));
                let recent = subtract(totals, last);
                let shaped = Shaped {
                    proxy: spec.name.clone(),
                    way: name,
                    connections: proxy.connections(),
                    ..Shaped::default()
                };
                let mut line = line(base.clone(), shaped, totals, recent);
                let seconds = now.since(since).as_secs_f64().max(0.001);
                line.bitrate = (recent.bytes as f64 * 8.0 / seconds) as u64;
                line.peer = Some(spec.upstream.clone());
                lines.push(line);
            }
        }
        lines
    })
}

fn line(base: Line, shaped: Shaped, totals: Stats, recent: Stats) -> Line {
    let shaped = Shaped {
        packets: totals.packets,
        queue_ms: stats::round(recent.queued_us as f64 / 1000.0 / recent.packets.max(1) as f64),
        duplicated: totals.duplicated,
        reordered: totals.reordered,
        corrupted: totals.corrupted,
        ..shaped
    };
    let mut line = Line { bytes: totals.bytes, lost: Some(totals.lost), shaped: Some(shaped), ..base };
    line.lost_pct = Some(stats::percentage(totals.lost, totals.packets));
    line.dropped.slow = totals.overflowed; // the bottleneck was still busy
    line
}

fn add(a: Stats, b: Stats) -> Stats {
    each(a, b, |a, b| a + b)
}

fn subtract(a: Stats, b: Stats) -> Stats {
    each(a, b, u64::saturating_sub)
}

fn each(a: Stats, b: Stats, act: impl Fn(u64, u64) -> u64) -> Stats {
    Stats {
        packets: act(a.packets, b.packets),
        bytes: act(a.bytes, b.bytes),
        lost: act(a.lost, b.lost),
        overflowed: act(a.overflowed, b.overflowed),
        duplicated: act(a.duplicated, b.duplicated),
        reordered: act(a.reordered, b.reordered),
        corrupted: act(a.corrupted, b.corrupted),
        queued_us: act(a.queued_us, b.queued_us),
    }
}
