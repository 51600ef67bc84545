//! Every segment is in parts that fit, most parts are full, and copies of a header fit together.

use super::*;
use crate::clock::Time;
use crate::datagrams::items::{Item, items, places};
use crate::segments::{Form, Head};
use proptest::prelude::*;

proptest! {
    #[test]
    fn every_segment_is_in_parts_that_fit(
        sizes in proptest::collection::vec(prop_oneof![0usize..400, 1000usize..3000], 1..150),
        room in 400usize..2000, header in 0usize..3000,
    ) {
        let begin = Begin {
            number: 7, epoch: 1 << 60, seq: 9, captured: Time::from_micros(5), error: Default::default(), head: None,
        };
        let head = Head { form: Form::Tiles, since: 3, header: vec![1; header].into(), count: sizes.len() };
        let mut cutter = Cutter::new(room, begin.clone(), 3, Some(head));
        let version = |place: usize| 3 + place as u64 / 10;
        let segments: Vec<_> = sizes.iter().enumerate().map(|(i, &n)| (i, version(i), vec![i as u8; n])).collect();
        let mut strips: Vec<_> = segments.chunks(40).collect();
        strips.reverse();
        for strip in strips {
            cutter.runs(Runs { epoch: 1 << 60, since: 3, body: runs::encode_segments(strip).into() }).unwrap();
        }
        cutter.end(End { number: 7, state: 11 });
        let cuts = cutter.take();
        let (mut begins, mut ends, mut found, mut changed) = (0, 0, 0, 0);
        let mut pieces = std::collections::BTreeMap::new();
        for (i, cut) in cuts.iter().enumerate() {
            prop_assert!(cut.bytes.len() <= room);
            prop_assert_eq!(cut.last, i + 1 == cuts.len());
            let mut inside = Vec::new();
            for item in items(cut.bytes.clone()).unwrap() {
                match item {
                    Item::Begin(start) => {
                        prop_assert_eq!((&start.begin, start.since), (&begin, 3));
                        begins += 1;
                    }
                    Item::Runs(body) => for (place, version, bytes) in runs::decode(body).unwrap() {
                        prop_assert_eq!((version, &bytes[..]), (segments[place].1, &segments[place].2[..]));
                        inside.push((place, version));
                        found += bytes.len();
                    }
                    Item::Piece(piece) => {
                        inside.push((piece.place, piece.version));
                        if piece.place == sizes.len() {
                            pieces.entry(piece.offset).or_insert_with(Vec::new).push(piece.bytes.len());
                        } else {
                            found += piece.bytes.len();
                        }
                    }
                    Item::End(end) => { prop_assert_eq!(end.state, 11); ends += 1; }
                    Item::Changed(body) => changed += places(body).unwrap().iter().map(|r| r.len()).sum::<usize>(),
                }
            }
            prop_assert_eq!(&inside, &cut.segments);
        }
        prop_assert_eq!(found, sizes.iter().sum::<usize>());
        // Pieces of the first copy of the header and of the last make one.
        prop_assert_eq!(pieces.values().map(|copies| copies[0]).sum::<usize>(), header);
        for copies in pieces.values() {
            prop_assert_eq!(copies, &vec![copies[0]; if cuts.len() > 1 { 2 } else { 1 }]);
        }
        prop_assert_eq!((begins, ends, changed), (if cuts.len() > 1 { 2 } else { 1 }, 1, sizes.len()));
    }
}

#[test]
fn parts_are_full_and_a_relay_passes_them_on_as_they_are() {
    let mut random = fastrand::Rng::with_seed(1);
    let segments: Vec<_> = (0..1000).map(|place| (place, 9, vec![1; 40 + random.usize(..480)])).collect();
    let begin =
        Begin { number: 7, epoch: 1, seq: 9, captured: Time::from_micros(5), error: Default::default(), head: None };
    let cut = |bodies: Vec<Bytes>, error: u64| {
        let error = std::time::Duration::from_micros(error);
        let mut cutter = Cutter::new(1200, Begin { error, ..begin.clone() }, 3, None);
        bodies.into_iter().for_each(|body| cutter.runs(Runs { epoch: 1, since: 3, body }).unwrap());
        cutter.end(End { number: 7, state: 11 });
        cutter.take()
    };
    let runs = |cuts: &[Cut]| -> Vec<Bytes> {
        let items = cuts.iter().flat_map(|cut| items(cut.bytes.clone()).unwrap());
        items.filter_map(|item| if let Item::Runs(body) = item { Some(body) } else { None }).collect()
    };
    let full = |cuts: &[Cut]| cuts.iter().filter(|cut| 1200 - cut.bytes.len() <= waste(1200)).count();
    let first = cut(segments.chunks(20).map(|strip| runs::encode_segments(strip).into()).collect(), 0);
    assert!(full(&first) * 100 >= first.len() * 80, "{} of {}", full(&first), first.len());
    let second = cut(runs(&first), 700);
    assert!(first.len().abs_diff(second.len()) <= 1, "{} and {}", first.len(), second.len());
    let second = runs(&second);
    let same = runs(&first).iter().filter(|body| second.contains(body)).count();
    assert!(same * 100 >= first.len() * 75, "{same} of {} are as they were", first.len());
}
