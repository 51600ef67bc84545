//! A stream at each of its rungs, and what each of them costs.

use std::sync::Arc;

use super::playing::Playing;
use crate::clock;
use crate::draft::Draft;
use crate::fanout::Fanout;
use crate::frame::Frame;
use crate::latest::Latest;
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

pub struct Pictures {
    source: Arc<Fanout<Draft>>,
    views: Arc<Views>,
    sizes: Sizes,
    board: Arc<Board>,
    /// Of the hub, by name, the highest first.
    rungs: Vec<String>,
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
        Pictures { source, views, sizes, board, rungs: rungs.to_vec() }
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

    /// The rungs that may be chosen by themselves and what each costs in bits a second, the cheapest first, by what the
    /// source and the rung that is watched cost.
    pub fn costs(&self, watched: &str, frame_bytes: Option<f64>) -> Vec<(String, f64)> {
        let own = self.board.whole().size;
        let pixels = |rung: &str| {
            let size = if rung == SOURCE { own } else { size(rung) };
            size.map_or(1.0, |(width, height)| (width * height) as f64)
        };
        let now = clock::now();
        let lines = self.board.lines(now);
        let source = lines.iter().map(|line| line.bitrate as f64).fold(0.0, f64::max);
        let fps = lines.iter().filter_map(|line| line.fps).fold(0.0, f64::max);
        let (from, bits) = match frame_bytes {
            Some(bytes) => (pixels(watched), bytes * 8.0 * fps),
            None => (pixels(SOURCE), source),
        };
        let cost = |rung: String| {
            let bits = if rung == SOURCE { source } else { bits * (pixels(&rung) / from).powf(GROWTH) };
            (rung, bits)
        };
        self.rungs().into_iter().rev().map(cost).collect()
    }
}

fn size(rung: &str) -> Option<(usize, usize)> {
    units::size(rung).ok()
}
