//! Redundancy over the parts of a frame (Reed–Solomon): how much the losses ask for, made here, and used here.

use std::cell::Cell;

use bytes::Bytes;
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

use super::flight::Losses;
use super::packet::BLOCK_MAX;

/// Parts that are protected together: of a film's frame all. With their parities they stay under `BLOCK_MAX`.
pub const BLOCK: usize = 200;
/// Parities against the longest bursts are this share of the parts at most: small frames would double.
const BURST_MOST: f64 = 0.25;
/// And against all losses: who loses more has a network that is too narrow, and parities make it narrower.
const MOST: f64 = 0.5;
/// Frames of fewer parts get no parity while nothing is lost: it would be the most of them.
const SMALL: usize = 16;

/// Bytes of a frame for whose like memory is kept.
const KEPT: usize = 1 << 20;

/// How much redundancy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// As the losses ask.
    Auto,
    /// Parities per part.
    Fixed(f64),
}

/// What a frame may count on besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing: what is lost now is old when it comes.
    None,
    /// There is time to send again.
    Resend,
}

impl Share {
    /// Parities for a block of so many parts.
    ///
    /// The number of losses is taken as normal, of the variance that bursts of a mean length give; the parities are as many
    /// as are exceeded in one frame of 1000, or in one of six where the rest can be sent again. Or they are against the
    /// longest burst that as many frames meet, where that is more.
    pub fn parities(self, parts: usize, losses: Losses, repair: Repair) -> usize {
        let n = parts as f64;
        let count = match self {
            Share::Fixed(share) => (n * share).ceil(),
            Share::Auto if losses.are_rare() && parts < SMALL => 0.0,
            Share::Auto => {
                let (deviations, missed) = if repair == Repair::None { (3.1, 0.001) } else { (1.0, 1.0 / 6.0) };
                let p = losses.share.min(0.3);
                // The parities are lost as the parts are.
                let mean = n * p / (1.0 - p);
                let variance = mean * (2.0 * losses.burst() - 1.0);
                // Of one burst, its length being geometric.
                let longest = (losses.burst() - 1.0) * (mean / losses.burst() / missed).max(1.0).ln();
                let normal = mean + deviations * variance.sqrt();
                normal.min(n * MOST).max((mean + longest).min(n * BURST_MOST)).ceil().max(1.0)
            }
        };
        (count as usize).min(parts).min(BLOCK_MAX - BLOCK)
    }
}

thread_local! {
    /// Its memory is that of a frame.
    static ENCODER: Cell<Option<ReedSolomonEncoder>> = const { Cell::new(None) };
}

/// So many parities of these parts, all of one length: two bytes and the longest part's, and even.
pub fn protect(parts: &[Bytes], count: usize) -> Vec<Bytes> {
    let longest = parts.iter().map(Bytes::len).max().unwrap_or_default();
    let size = (longest + 2).next_multiple_of(2);
    let protected = || {
        let mut encoder = match ENCODER.take() {
            Some(mut encoder) => encoder.reset(parts.len(), count, size).map(|()| encoder),
            None => ReedSolomonEncoder::new(parts.len(), count, size),
        }?;
        let mut memory = Vec::new();
        for part in parts {
            encoder.add_original_shard(shard(&mut memory, part, size))?;
        }
        let made = encoder.encode()?.recovery_iter().map(Bytes::copy_from_slice).collect();
        if parts.len() * size <= KEPT {
            ENCODER.set(Some(encoder));
        }
        Ok::<_, reed_solomon_simd::Error>(made)
    };
    if count == 0 { Vec::new() } else { protected().expect("so many parts of that size can be protected") }
}

/// The length, the part, and zeros.
fn shard<'a>(shard: &'a mut Vec<u8>, part: &[u8], size: usize) -> &'a [u8] {
    shard.clear();
    shard.extend_from_slice(&(part.len() as u16).to_le_bytes());
    shard.extend_from_slice(part);
    shard.resize(size, 0);
    shard
}

/// The missing ones of `count` parts from the others and some of `of` parities; none where they do not fit together.
pub fn recover<'a>(
    count: usize,
    parts: impl Iterator<Item = (usize, &'a Bytes)>,
    of: usize,
    parities: impl Iterator<Item = (usize, &'a Bytes)> + Clone,
) -> Option<Vec<(usize, Bytes)>> {
    let size = parities.clone().next()?.1.len();
    let mut decoder = ReedSolomonDecoder::new(count, of, size).ok()?;
    let mut memory = Vec::new();
    for (index, part) in parts {
        if part.len() + 2 > size {
            return None;
        }
        decoder.add_original_shard(index, shard(&mut memory, part, size)).ok()?;
    }
    for (index, parity) in parities {
        decoder.add_recovery_shard(index, parity).ok()?;
    }
    let decoded = decoder.decode().ok()?;
    let part = |(index, shard): (usize, &[u8])| {
        let (length, rest) = shard.split_first_chunk()?;
        Some((index, Bytes::copy_from_slice(rest.get(..u16::from_le_bytes(*length).into())?)))
    };
    decoded.restored_original_iter().map(part).collect()
}

/// Makes the tables, which takes some milliseconds: not when the first frame waits for them.
pub fn warm_up() {
    protect(&[Bytes::from_static(b"warm"), Bytes::from_static(b"up")], 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn any_parts_and_parities_are_enough(
            lengths in proptest::collection::vec(0usize..300, 1..80), count in 1usize..20, seed in any::<u64>(),
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let parts: Vec<Bytes> = lengths.iter().map(|&n| (0..n).map(|_| random.u8(..)).collect()).collect();
            let parities = protect(&parts, count);
            let mut shards: Vec<usize> = (0..parts.len() + count).collect();
            random.shuffle(&mut shards);
            shards.truncate(parts.len());
            let n = parts.len();
            let kept = shards.iter().filter(|&&i| i < n).map(|&i| (i, &parts[i]));
            let extra = shards.iter().filter(|&&i| i >= n).map(|&i| (i - n, &parities[i - n]));
            if extra.clone().next().is_some() {
                let recovered = recover(n, kept, count, extra).unwrap();
                prop_assert_eq!(recovered.len(), n - shards.iter().filter(|&&i| i < n).count());
                for (index, part) in recovered {
                    prop_assert_eq!(&part, &parts[index]);
                }
            }
        }
    }

    #[test]
    fn parities_that_lie_recover_nothing() {
        let (part, odd) = (Bytes::from(vec![1; 50]), Bytes::from(vec![1; 31]));
        for parity in [&odd, &Bytes::new(), &Bytes::from(vec![1; 20])] {
            assert!(recover(2, [(0, &part)].into_iter(), 1, [(0, parity)].into_iter()).is_none());
        }
        assert!(recover(2, [(5, &part)].into_iter(), 1, [(0, &Bytes::from(vec![9; 60]))].into_iter()).is_none());
    }

    #[test]
    fn the_share_follows_the_losses() {
        let auto = |share, repair| Share::Auto.parities(120, Losses::of(share, 1.0), repair);
        assert_eq!(
            (auto(0.0, Repair::None), Share::Fixed(0.1).parities(120, Losses::default(), Repair::None)),
            (1, 12)
        );
        assert!((12..20).contains(&auto(0.05, Repair::None)), "{}", auto(0.05, Repair::None));
        assert!((7..12).contains(&auto(0.05, Repair::Resend)));
        let bursts = Share::Auto.parities(120, Losses::of(0.02, 8.0), Repair::None);
        assert!((25..=30).contains(&bursts), "{bursts}");
        assert_eq!(Share::Auto.parities(3, Losses::of(0.0, 1.0), Repair::None), 0);
    }
}
