//! A stream at each of its rungs, and what each of them costs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::playing::Playing;
use crate::adapt::least::Least;
use crate::clock::{self, Time};
use crate::draft::Draft;
use crate::fanout::Fanout;
use crate::frame::Frame;
use crate::latest::Latest;
use crate::lock::lock;
use crate::stats::Board;
use crate::units;
use crate::web::sizes::Sizes;
use crate::web::views::Views;

/// The rung of the stream as it comes.
pub const SOURCE: &str = "source";
/// The choice is the hub's.
pub const AUTO: &str = "auto";
/// Bits of a picture grow with its pixels, by less than they do (measured on film at quality 80: 240p to 1080p).
const GROWTH: f64 = 0.8;
/// What a scene took is remembered for so long, and for half of it at least: the next one may take as much.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What rungs take.
#[derive(Debug, Default)]
pub struct Costs {
    /// In bits a second, the cheapest first.
    pub rungs: Vec<(String, f64)>,
    /// How many times as much scenes of the last minute did; 1 where this is the busiest.
    pub busiest: f64,
}

pub struct Pictures {
    source: Arc<Fanout<Draft>>,
    views: Arc<Views>,
    sizes: Sizes,
    board: Arc<Board>,
    /// Of the hub, by name, the highest first.
    rungs: Vec<String>,
    /// Bits a second of the source, negative: the least of these is the most that it took.
    took: Mutex<Least>,
}

impl Pictures {
    pub fn new(
        source: &Arc<Fanout<Draft>>,
        views: &Arc<Views>,
        sizes: Sizes,
        board: &Arc<Board>,
        rungs: &[String],
    ) -> Pictures {
        let (source, views, board) = (source.clone(), views.clone(), board.clone());
        let took = Mutex::new(Least::new(REMEMBERED));
        Pictures { source, views, sizes, board, rungs: rungs.to_vec(), took }
    }

    /// What can be chosen now, the source's first: never above its size, once that is known.
    pub fn rungs(&self) -> Vec<String> {
        let own = self.board.whole().size;
        let lower = |rung: &&String| own.is_none_or(|own| size(rung).is_some_and(|size| size.1 < own.1));
        [SOURCE.to_string()].into_iter().chain(self.rungs.iter().filter(lower).cloned()).collect()
    }

    /// Whether a rung is among the hub's, be the source lower or not.
    pub fn offers(&self, rung: &str) -> bool {
        rung == SOURCE || self.rungs.iter().any(|one| one == rung)
    }

    /// The frames of a rung, or the source's where there is no such rung below it; as JPEGs, or as they come.
    pub fn playing(&self, rung: &str, jpegs: bool) -> Playing {
        match self.lower(rung) {
            Some(frames) => Playing::Whole(frames),
            None if jpegs => Playing::Whole(self.views.subscribe()),
            None => Playing::Drafts(self.source.subscribe()),
        }
    }

    fn lower(&self, rung: &str) -> Option<Latest<Frame>> {
        let own = self.board.whole().size;
        let size = self.rungs.iter().find(|one| *one == rung).and_then(|rung| size(rung))?;
        if own.is_some_and(|own| size.1 >= own.1) { None } else { self.sizes.subscribe(size) }
    }

    /// Remembers what the source takes now: to be called about once a second.
    pub fn remember(&self, now: Time) {
        let (bits, _) = self.rates(now);
        lock(&self.took).add(now, -bits as i64);
    }

    /// Bits and frames a second of the source.
    fn rates(&self, now: Time) -> (f64, f64) {
        let lines = self.board.lines(now);
        let bits = lines.iter().map(|line| line.bitrate as f64).fold(0.0, f64::max);
        (bits, lines.iter().filter_map(|line| line.fps).fold(0.0, f64::max))
    }

    /// The rungs that may be chosen by themselves and what each costs, by what the source and the rung that is watched do.
    pub fn costs(&self, watched: &str, frame_bytes: Option<f64>) -> Costs {
        let own = self.board.whole().size;
        let pixels = |rung: &str| {
            let size = if rung == SOURCE { own } else { size(rung) };
            size.map_or(1.0, |(width, height)| (width * height) as f64)
        };
        let (source, fps) = self.rates(clock::now());
        let (from, bits) = match frame_bytes {
            Some(bytes) => (pixels(watched), bytes * 8.0 * fps),
            None => (pixels(SOURCE), source),
        };
        let cost = |rung: String| {
            let bits = if rung == SOURCE { source } else { bits * (pixels(&rung) / from).powf(GROWTH) };
            (rung, bits)
        };
        let most = lock(&self.took).get().map_or(source, |least| source.max(-least as f64));
        Costs { rungs: self.rungs().into_iter().rev().map(cost).collect(), busiest: most / source.max(1.0) }
    }
}

fn size(rung: &str) -> Option<(usize, usize)> {
    units::size(rung).ok()
}
