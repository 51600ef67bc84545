//! Segments on the wire: runs of neighbours of one version. Numbers are LEB128, as in DWARF and WebAssembly.
//!
//! A run is: places left out since the last run, segments, version; the length of each segment; then their bytes.

use std::sync::{Arc, Mutex, OnceLock};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;

use crate::lock::lock;
use crate::segments::{Coded, SEGMENTS_MAX, Segment};

/// Bytes of segments in one message: a relay passes on what has come whole. At 20 Mbit/s these take 1.6 ms; their own
/// header adds 0.6 %.
const LOT: usize = 4 << 10;

/// The same for a crowd, where every message costs as many times as there are readers.
const CROWDED: usize = 64 << 10;

/// Different rests that are kept: links that are up to date lack the same, and those that leave out a frame now and then.
const RESTS: usize = 4;

/// Segments of one frame in order of their places, and their form on the wire: made once, for all links that lack them.
#[derive(Clone, Debug)]
pub struct Lot {
    pub segments: Arc<[Segment<Bytes>]>,
    pub body: Bytes,
}

/// Segments of one frame, each place once, in lots that a relay can pass on one by one.
pub fn lots(mut segments: Vec<Segment<Bytes>>) -> Vec<Lot> {
    segments.sort_by_key(|(place, ..)| *place);
    let lot = |lot: &[Segment<Bytes>]| Lot { segments: lot.into(), body: encode_segments(lot).into() };
    split(&segments, LOT).map(lot).collect()
}

/// The same, of segments that are in order, and only their form on the wire.
pub fn bodies<B: AsRef<[u8]>>(segments: &[Segment<B>], for_crowd: bool) -> Vec<Bytes> {
    split(segments, if for_crowd { CROWDED } else { LOT }).map(|lot| encode_segments(lot).into()).collect()
}

/// The places of what some lack of a picture, and its form on the wire.
type Rest = (Vec<usize>, Arc<[Bytes]>);

/// What is worked out of a picture once, for all links that send it.
#[derive(Debug, Default)]
pub struct Shared {
    rests: Mutex<Vec<Rest>>,
    /// `Coded::state`.
    pub state: OnceLock<u64>,
}

/// The segments at these places, which are in order, in their form on the wire: made once for all who lack the same.
pub fn rest(coded: &Coded, places: Vec<usize>, for_crowd: bool) -> Arc<[Bytes]> {
    let mut rests = lock(&coded.shared.rests);
    if let Some((_, rest)) = rests.iter().find(|(other, _)| *other == places) {
        return rest.clone();
    }
    let rest: Arc<[Bytes]> = bodies(&coded.at(&places), for_crowd).into();
    if rests.len() < RESTS {
        rests.push((places, rest.clone()));
    }
    rest
}

fn split<B: AsRef<[u8]>>(mut rest: &[Segment<B>], most: usize) -> impl Iterator<Item = &[Segment<B>]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let full = |segment: &Segment<B>| {
            bytes += segment.2.as_ref().len();
            bytes > most
        };
        let (lot, others) = rest.split_at_checked(rest.iter().position(full).unwrap_or(rest.len()).max(1))?;
        rest = others;
        Some(lot)
    })
}

/// The segments at these places, which are in order.
pub fn encode(coded: &Coded, places: &[usize]) -> Vec<u8> {
    encode_segments(&coded.at(places))
}

/// The same for segments that are in no picture yet.
pub fn encode_segments<B: AsRef<[u8]>>(segments: &[Segment<B>]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(&mut out, segments);
    out
}

/// The same, appended to what is there.
pub fn encode_into<B: AsRef<[u8]>>(out: &mut Vec<u8>, segments: &[Segment<B>]) {
    out.reserve(segments.iter().map(|s| s.2.as_ref().len() + 6).sum());
    let mut next = 0;
    for run in segments.chunk_by(|a, b| a.0 + 1 == b.0 && a.1 == b.1) {
        put(out, (run[0].0 - next) as u64);
        put(out, run.len() as u64);
        put(out, run[0].1);
        run.iter().for_each(|s| put(out, s.2.as_ref().len() as u64));
        run.iter().for_each(|s| out.extend_from_slice(s.2.as_ref()));
        next = run[0].0 + run.len();
    }
}

/// Reads what `encode` wrote; the segments share its memory. Errors: anything that does not fit into it.
pub fn decode(mut data: Bytes) -> Result<Vec<Segment<Bytes>>> {
    let (mut segments, mut lengths) = (Vec::new(), Vec::new());
    let mut next = 0usize;
    while !data.is_empty() {
        let (gap, count, version) = (take(&mut data)?, take(&mut data)?, take(&mut data)?);
        let first = usize::try_from(gap).ok().and_then(|gap| next.checked_add(gap)).context("a run out of range")?;
        let end = usize::try_from(count).ok().and_then(|count| first.checked_add(count));
        next = end.filter(|&end| end <= SEGMENTS_MAX).context("a run of too many segments")?;
        let from = segments.len();
        ensure!(next - first <= data.len(), "a segment is cut off");
        lengths.reserve(next - first);
        segments.reserve(next - first);
        for _ in first..next {
            lengths.push(take(&mut data)?);
        }
        for (index, length) in (first..next).zip(lengths.drain(..)) {
            ensure!(length <= data.len() as u64, "a segment is cut off");
            segments.push((index, version, data.split_to(length as usize)));
        }
        ensure!(segments.len() > from, "a run of nothing");
    }
    Ok(segments)
}

/// Appends a number.
pub fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Takes a number off.
pub fn take(data: &mut Bytes) -> Result<u64> {
    let mut n = 0;
    for (i, &byte) in data.iter().take(10).enumerate() {
        n |= u64::from(byte & 0x7F) << (7 * i);
        if byte < 0x80 {
            bytes::Buf::advance(data, i + 1);
            return Ok(n);
        }
    }
    anyhow::bail!("a number is cut off")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segments::{Form, Head, splice};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_survive_the_wire(places in proptest::collection::btree_set(0usize..2000, 0..300), seed in any::<u64>()) {
            let mut random = fastrand::Rng::with_seed(seed);
            let segments: Vec<Segment<Vec<u8>>> = places
                .into_iter()
                .map(|i| (i, if random.bool() { 7 } else { random.u64(..) }, vec![i as u8; random.usize(..300)]))
                .collect();
            let wire = encode_segments(&segments);
            let back = decode(wire.clone().into()).unwrap();
            prop_assert!(back.iter().map(|s| (s.0, s.1, s.2.to_vec())).eq(segments.iter().cloned()));
            let cut = random.usize(..=wire.len());
            let _ = decode(wire[..cut].to_vec().into());
        }

        #[test]
        fn rubbish_is_an_error_and_no_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(data.into());
        }
    }

    #[test]
    fn lots_hold_everything_once_and_in_order() {
        let segments: Vec<_> = (0..100).rev().map(|i| (i, 7, Bytes::from(vec![i as u8; 50 * i]))).collect();
        let lots = lots(segments.clone());
        let all: Vec<_> = lots.iter().flat_map(|lot| decode(lot.body.clone()).unwrap()).collect();
        assert!(all.iter().eq(segments.iter().rev()));
        assert!(lots.iter().all(|lot| lot.segments.len() == 1 || lot.body.len() < LOT + 200), "small, or one segment");
        assert!(bodies::<Bytes>(&[], false).is_empty());
    }

    #[test]
    fn who_lacks_the_same_gets_the_same_bytes_and_a_crowd_gets_larger_pieces() {
        let news: Vec<_> = (0..50).map(|i| (i, 4, vec![i as u8; 1000])).collect();
        let head = Head { form: Form::Tiles, since: 0, header: Bytes::new(), count: 50 }.into();
        let picture = || splice(None, &head, &news).unwrap();
        let (few, many) = (picture(), picture());
        let first = rest(&few, vec![0], false);
        assert!(Arc::ptr_eq(&first, &rest(&few.clone(), vec![0], true)));
        assert_eq!(decode(first[0].clone()).unwrap(), [(0, 4, Bytes::from(vec![0; 1000]))]);
        assert!(rest(&few, vec![], false).is_empty());
        let [small, large] =
            [(&few, false), (&many, true)].map(|(picture, crowd)| rest(picture, (0..50).collect(), crowd));
        assert!(small.len() > 2 * large.len(), "{} and {}", small.len(), large.len());
        let whole =
            |bodies: &[Bytes]| -> Vec<_> { bodies.iter().flat_map(|body| decode(body.clone()).unwrap()).collect() };
        assert_eq!(whole(&small), whole(&large));
    }

    #[test]
    fn lengths_are_bounded_before_allocation() {
        let mut huge = vec![0];
        put(&mut huge, u64::MAX);
        huge.push(1);
        assert!(decode(huge.into()).is_err());
    }
}
