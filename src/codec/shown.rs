//! What a receiver is shown of each tile: the picture as last coded. Where a source is noisy, the means of what its tiles
//! looked like while they rested are kept beside it: a mean of n frames has an nth of the noise, and no other picture is
//! nearer to the frames that come.

use rayon::prelude::*;

use crate::codec::change;
use crate::codec::tiles::{Grid, MCU};
use crate::picture::Picture;

/// What becomes of a tile in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not coded.
    Rests,
    /// It is coded as it is.
    Moved,
    /// It rests and is coded again, from its mean where means are kept.
    Refined,
}

pub struct Shown {
    picture: Picture,
    means: Option<Means>,
}

/// Sums of the samples of tiles, plane by plane, since they moved.
struct Means {
    sums: [Vec<u16>; 3],
    counts: Vec<Count>,
    /// Frames taken, of which each resting tile adds every `SHARE`th.
    taken: usize,
}

/// Frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    summed: u16,
    /// In the mean that was coded.
    coded: u16,
}

/// Frames whose sums are halved before more are added: the noise of such a mean costs less than 0.1 dB, and what changes
/// too little to be seen moving is followed within four seconds.
const SUMMED_MOST: u16 = 64;
/// Half the frames make as good a mean in twice the time, for half the work.
const SHARE: usize = 2;

impl Count {
    const MOVED: Count = Count { summed: 1, coded: 1 };

    fn after(self, verdict: Verdict) -> Count {
        let summed = if self.summed == SUMMED_MOST { SUMMED_MOST / 2 } else { self.summed } + 1;
        match verdict {
            Verdict::Rests => Count { summed, ..self },
            Verdict::Moved => Count::MOVED,
            Verdict::Refined => Count { summed, coded: summed },
        }
    }
}

impl Shown {
    pub fn new(first: &Picture) -> Shown {
        Shown { picture: first.clone(), means: None }
    }

    pub fn picture(&self) -> &Picture {
        &self.picture
    }

    /// Begins to keep means, or ends it.
    pub fn keep_means(&mut self, keep: bool) {
        if keep == self.means.is_some() {
            return;
        }
        self.means = keep.then(|| Means::new(&self.picture));
    }

    /// Of the noise that a tile differs by from its next frame, the share that is left: half of it is in that frame, half
    /// of it was coded, over so many frames.
    pub fn noisiness(&self, tile: usize) -> f64 {
        self.means.as_ref().map_or(1.0, |means| 0.5 + 0.5 / f64::from(means.counts[tile].coded))
    }

    /// Whether a tile's mean has become better by half than the one that is shown.
    pub fn can_refine(&self, tile: usize) -> bool {
        self.means.as_ref().is_some_and(|means| {
            let Count { summed, coded } = means.counts[tile];
            summed + 1 >= 2 * coded
        })
    }

    /// Takes a frame, given what becomes of each tile.
    pub fn take(&mut self, frame: &Picture, verdicts: &[Verdict]) {
        let copy = |_: usize, shown: &mut [u8], samples: &[u8]| shown.copy_from_slice(samples);
        let is = |wanted: Verdict| move |tile: usize| verdicts[tile] == wanted;
        if let Some(means) = &mut self.means {
            means.take(frame, verdicts);
        }
        for (plane, (shown, samples)) in self.picture.planes_mut().into_iter().zip(frame.planes()).enumerate() {
            let lines = Lines::new(frame, plane);
            lines.each(shown, samples, is(Verdict::Moved), copy);
            match &self.means {
                Some(Means { sums, counts, .. }) => {
                    let mean = |tile: usize, shown: &mut [u8], sums: &[u16]| mean(sums, counts[tile].summed, shown);
                    lines.each(shown, &sums[plane], is(Verdict::Refined), mean);
                }
                None => lines.each(shown, samples, is(Verdict::Refined), copy),
            }
        }
    }
}

impl Means {
    fn new(first: &Picture) -> Means {
        let sums = first.planes().map(|plane| plane.iter().map(|&sample| sample.into()).collect());
        let counts = vec![Count::MOVED; Grid::new(first.width(), first.height()).tiles()];
        Means { sums, counts, taken: 0 }
    }

    fn take(&mut self, frame: &Picture, verdicts: &[Verdict]) {
        let Means { sums, counts, taken } = self;
        *taken += 1;
        let adds = |tile: usize| verdicts[tile] != Verdict::Rests || (tile + *taken).is_multiple_of(SHARE);
        let add = |tile: usize, sums: &mut [u16], samples: &[u8]| {
            let begins = verdicts[tile] == Verdict::Moved;
            if begins || counts[tile].summed == SUMMED_MOST {
                sums.iter_mut().for_each(|sum| *sum = if begins { 0 } else { *sum / 2 });
            }
            add(sums, samples);
        };
        for (plane, (sums, samples)) in sums.iter_mut().zip(frame.planes()).enumerate() {
            Lines::new(frame, plane).each(sums, samples, adds, add);
        }
        for (tile, count) in counts.iter_mut().enumerate().filter(|(tile, _)| adds(*tile)) {
            *count = count.after(verdicts[tile]);
        }
    }
}

/// The lines of one plane.
#[derive(Clone, Copy)]
struct Lines {
    grid: Grid,
    width: usize,
    /// Samples of an MCU's side.
    side: usize,
}

impl Lines {
    fn new(picture: &Picture, plane: usize) -> Lines {
        let (width, _, shrunk) = change::shape(picture, plane);
        Lines { grid: Grid::new(picture.width(), picture.height()), width, side: MCU / shrunk }
    }

    /// Acts on each line of the tiles that are wanted, in two planes of the same size, on all cores.
    fn each<T: Send, U: Sync>(
        self,
        to: &mut [T],
        from: &[U],
        wanted: impl Fn(usize) -> bool + Sync,
        act: impl Fn(usize, &mut [T], &[U]) + Sync,
    ) {
        let Lines { grid, width, side } = self;
        let rows = to.par_chunks_mut(side * width).zip(from.par_chunks(side * width)).enumerate();
        rows.for_each(|(row, (to, from))| {
            for (tile, x, count) in grid.pieces(row).filter(|&(tile, ..)| wanted(tile)) {
                let (x, right) = (x * side, ((x + count) * side).min(width));
                for (to, from) in to.chunks_exact_mut(width).zip(from.chunks_exact(width)) {
                    act(tile, &mut to[x..right], &from[x..right]);
                }
            }
        });
    }
}

/// Compilers make vectors of this and the next only while they stand by themselves.
#[inline(never)]
fn add(sums: &mut [u16], frame: &[u8]) {
    sums.iter_mut().zip(frame).for_each(|(sum, &sample)| *sum += u16::from(sample));
}

#[inline(never)]
fn mean(sums: &[u16], count: u16, means: &mut [u8]) {
    // Rounded up, so that equal samples have themselves as their mean.
    let (half, reciprocal) = (u32::from(count / 2), (1 << 16) / u32::from(count) + 1);
    for (mean, &sum) in means.iter_mut().zip(sums) {
        *mean = (((u32::from(sum) + half) * reciprocal) >> 16) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_equal_samples_is_theirs_at_every_count() {
        for count in 1..=SUMMED_MOST {
            let samples: Vec<u8> = (0..=255).collect();
            let sums: Vec<u16> = samples.iter().map(|&sample| count * u16::from(sample)).collect();
            let mut means = vec![0; 256];
            mean(&sums, count, &mut means);
            assert_eq!(means, samples, "{count}");
        }
    }

    #[test]
    fn a_tile_shows_the_mean_of_all_it_was_since_it_moved() {
        let picture = |luma: u8| {
            let mut picture = Picture::new(333, 50);
            picture.planes_mut().into_iter().for_each(|plane| plane.fill(luma));
            picture
        };
        let mut shown = Shown::new(&picture(200));
        let tiles = Grid::new(333, 50).tiles();
        shown.keep_means(true);
        shown.take(&picture(10), &vec![Verdict::Moved; tiles]);
        assert_eq!(*shown.picture(), picture(10));
        for luma in [13, 13, 16, 16] {
            shown.take(&picture(luma), &vec![Verdict::Rests; tiles]);
            assert_eq!(*shown.picture(), picture(10), "what rests stays as it was coded");
        }
        assert!((0..tiles).all(|tile| shown.noisiness(tile) == 1.0 && shown.can_refine(tile)));
        shown.take(&picture(17), &vec![Verdict::Refined; tiles]);
        assert_eq!(*shown.picture(), picture(14));
        assert!((0..tiles).all(|tile| shown.noisiness(tile) == 0.625 && !shown.can_refine(tile)));
        (0..1000).for_each(|_| shown.take(&picture(30), &vec![Verdict::Rests; tiles]));
        shown.take(&picture(30), &vec![Verdict::Refined; tiles]);
        assert_eq!(*shown.picture(), picture(30), "what is long ago is forgotten");
    }
}
