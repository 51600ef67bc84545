//! Segments on the wire: runs of neighbours of one version. Numbers are LEB128, as in DWARF and WebAssembly.
//!
//! A run is: places left out since the last run, segments, version; the length of each segment; then their bytes.

use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;

use crate::had::Had;
use crate::lock::lock;
use crate::segments::{Coded, SEGMENTS_MAX, Segment};

/// Bytes of segments in one message: a relay passes on what has come whole. At 20 Mbit/s these take 1.6 ms; their own
/// header adds 0.6 %.
const LOT: usize = 4 << 10;

/// The same for a crowd, where every message costs as many times as there are readers.
const CROWDED: usize = 64 << 10;

/// Bytes of a short segment: room is made at once for as many as may be there.
const SHORT: usize = 128;

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

/// What some lack of a picture, and its form on the wire.
#[derive(Debug)]
struct Rest {
    places: Vec<usize>,
    bodies: Arc<[Bytes]>,
    /// Of a crowd.
    had: Option<BeforeAndAfter>,
}

/// What somebody had and has: who has what another had need not look for what it lacks.
type BeforeAndAfter = (Arc<[u64]>, Arc<[u64]>);

/// What is worked out of a picture once, for all links that send it.
#[derive(Debug, Default)]
pub struct Shared {
    rests: Mutex<Vec<Rest>>,
    /// `Coded::state`.
    pub state: OnceLock<u64>,
}

/// What is lacked of a picture, in its form on the wire: made once for all who lack the same. From now on it is had.
pub fn rest(coded: &Coded, had: &mut Had, for_crowd: bool) -> Arc<[Bytes]> {
    let mut rests = lock(&coded.shared.rests);
    let before = for_crowd.then(|| had.versions().clone());
    let same =
        |rest: &&Rest| matches!((&rest.had, &before), (Some((had, _)), Some(before)) if Arc::ptr_eq(had, before));
    if let Some(Rest { bodies, had: Some((_, has)), .. }) = rests.iter().find(same) {
        had.share(has);
        return bodies.clone();
    }
    let places = had.take_all(coded);
    let known = rests.iter().find(|rest| rest.places == places).map(|rest| rest.bodies.clone());
    let bodies = known.unwrap_or_else(|| bodies(&coded.at(&places), for_crowd).into());
    if for_crowd {
        let mut all = rests.iter().filter_map(|rest| Some(&rest.had.as_ref()?.1));
        let same = all.find(|has| *has == had.versions()).cloned();
        same.into_iter().for_each(|has| had.share(&has));
    }
    if rests.len() < RESTS {
        let had = before.map(|before| (before, had.versions().clone()));
        rests.push(Rest { places, bodies: bodies.clone(), had });
    }
    bodies
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

/// Bytes by which the code of `segments` grows at most, when this one is put before the one at `at`.
pub fn cost<B: AsRef<[u8]>>(segments: &[Segment<B>], at: usize, (place, version, bytes): &Segment<B>) -> usize {
    let before = at.checked_sub(1).is_some_and(|at| (segments[at].0 + 1, segments[at].1) == (*place, *version));
    let after = segments.get(at).is_some_and(|other| (other.0, other.1) == (place + 1, *version));
    let own = bytes.as_ref().len() + length(bytes.as_ref().len() as u64);
    // A run that it joins has a longer count by it; one of its own has a gap, a count and a version.
    own + if before || after { 1 } else { 3 + 1 + length(*version) }
}

/// Bytes of a number.
fn length(number: u64) -> usize {
    (64 - number.leading_zeros() as usize).div_ceil(7).max(1)
}

/// Reads what `encode` wrote; the segments share its memory. Errors: anything that does not fit into it.
pub fn decode(data: Bytes) -> Result<Vec<Segment<Bytes>>> {
    let mut segments = Vec::with_capacity(data.len() / SHORT + 1);
    walk(&data, |place, version, bytes| segments.push((place, version, data.slice(bytes))))?;
    Ok(segments)
}

/// The places and versions of what `encode` wrote. Errors as of `decode`.
pub fn numbers(data: &[u8], mut each: impl FnMut(usize, u64)) -> Result<()> {
    walk(data, |place, version, _| each(place, version))
}

/// Gives each segment: its place, its version, and where its bytes are.
fn walk(data: &[u8], mut each: impl FnMut(usize, u64, Range<usize>)) -> Result<()> {
    let (mut at, mut next) = (0, 0usize);
    while at < data.len() {
        let (gap, count, version) = (number(data, &mut at)?, number(data, &mut at)?, number(data, &mut at)?);
        let first = usize::try_from(gap).ok().and_then(|gap| next.checked_add(gap)).context("a run out of range")?;
        let end = usize::try_from(count).ok().and_then(|count| first.checked_add(count));
        next = end.filter(|&end| end <= SEGMENTS_MAX).context("a run of too many segments")?;
        ensure!(first < next, "a run of nothing");
        // All lengths stand before the bytes.
        let mut lengths = at;
        for _ in first..next {
            number(data, &mut at)?;
        }
        for place in first..next {
            let length = usize::try_from(number(data, &mut lengths)?).ok();
            let end = length.and_then(|length| at.checked_add(length)).filter(|&end| end <= data.len());
            let end = end.context("a segment is cut off")?;
            each(place, version, at..end);
            at = end;
        }
    }
    Ok(())
}

/// Appends a number.
pub fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends a number in so many bytes; a larger one becomes the largest that goes into them.
pub fn put_padded(out: &mut Vec<u8>, n: u64, bytes: usize) {
    let n = n.min((1 << (7 * bytes)) - 1);
    out.extend((0..bytes).map(|i| (n >> (7 * i)) as u8 & 0x7F | if i + 1 < bytes { 0x80 } else { 0 }));
}

/// Takes a number off.
pub fn take(data: &mut Bytes) -> Result<u64> {
    let mut at = 0;
    let number = number(data, &mut at)?;
    bytes::Buf::advance(data, at);
    Ok(number)
}

/// Reads the number that stands there, and goes behind it.
fn number(data: &[u8], at: &mut usize) -> Result<u64> {
    let mut n = 0;
    for (i, &byte) in data.iter().skip(*at).take(10).enumerate() {
        n |= u64::from(byte & 0x7F) << (7 * i);
        if byte < 0x80 {
            *at += i + 1;
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
            if !segments.is_empty() {
                let mut others = segments.clone();
                let at = random.usize(..segments.len());
                let one = others.remove(at);
                prop_assert!(wire.len() <= encode_segments(&others).len() + cost(&others, at, &one));
            }
            let mut found = Vec::new();
            numbers(&wire, |place, version| found.push((place, version))).unwrap();
            prop_assert!(found.into_iter().eq(segments.iter().map(|s| (s.0, s.1))));
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
        let nothing = || Had::nothing(0, head.clone());
        let all_but = |lacked: &[usize]| {
            let mut had = nothing();
            had.take((0..50).filter(|place| !lacked.contains(place)).map(|place| (place, 4, ())).collect());
            had
        };
        let first = rest(&few, &mut all_but(&[0]), false);
        assert!(Arc::ptr_eq(&first, &rest(&few.clone(), &mut all_but(&[0]), true)));
        assert_eq!(decode(first[0].clone()).unwrap(), [(0, 4, Bytes::from(vec![0; 1000]))]);
        assert!(rest(&few, &mut all_but(&[]), false).is_empty());
        let [small, large] =
            [(&few, false), (&many, true)].map(|(picture, crowd)| rest(picture, &mut nothing(), crowd));
        assert!(small.len() > 2 * large.len(), "{} and {}", small.len(), large.len());
        let whole =
            |bodies: &[Bytes]| -> Vec<_> { bodies.iter().flat_map(|body| decode(body.clone()).unwrap()).collect() };
        assert_eq!(whole(&small), whole(&large));
    }

    #[test]
    fn who_has_what_another_has_shares_it_and_gets_the_same() {
        let head: Arc<Head> = Head { form: Form::Tiles, since: 0, header: Bytes::new(), count: 50 }.into();
        let news: Vec<_> = (0..50).map(|i| (i, 4, vec![i as u8; 1000])).collect();
        let first = splice(None, &head, &news).unwrap();
        let second = splice(Some(&first), &head, &[(7, 5, vec![1])]).unwrap();
        let mut crowd: Vec<Had> = (0..10).map(|_| Had::nothing(0, head.clone())).collect();
        let mut late = Had::nothing(0, head.clone());
        for had in &mut crowd {
            assert_eq!(rest(&first, had, true).len(), 1);
        }
        assert!(crowd.iter().all(|had| Arc::ptr_eq(had.versions(), crowd[0].versions())));
        let all: Vec<_> = crowd.iter_mut().map(|had| rest(&second, had, true)).collect();
        assert_eq!(decode(all[0][0].clone()).unwrap(), [(7, 5, Bytes::from(vec![1]))]);
        assert!(all.iter().all(|bodies| Arc::ptr_eq(bodies, &all[0])));
        assert!(rest(&second, &mut late, true).iter().map(Bytes::len).sum::<usize>() > 49_000, "it lacks all");
        assert!(Arc::ptr_eq(late.versions(), crowd[0].versions()), "and has the same now");
        assert!(rest(&second, &mut late, true).is_empty());
    }

    #[test]
    fn lengths_are_bounded_before_allocation() {
        let mut huge = vec![0];
        put(&mut huge, u64::MAX);
        huge.push(1);
        assert!(decode(huge.into()).is_err());
    }
}
