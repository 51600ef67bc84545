//! A picture as coded bytes in segments, each with a version: what two of them differ by, and a whole one spliced from
//! an old one and the segments that are new. Pure, and the same for every coding.

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;

use crate::frame::BYTES_MAX;
use crate::runs::Shared;

/// Segments of the largest picture: 64 megapixels in tiles of 2048, rounded up.
pub const SEGMENTS_MAX: usize = 1 << 16;

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Any JPEG, as one segment under an empty header.
    Whole,
    /// A JPEG whose restart interval is a tile: a marker stands behind each segment.
    Tiles,
    /// Tiles packed by lz4, one after the other (`codec/lossless`).
    Lz4,
}

impl Form {
    /// The form of a number on the wire.
    pub fn of(number: u32) -> Result<Form> {
        Ok(match number {
            0 => Form::Whole,
            1 => Form::Tiles,
            2 => Form::Lz4,
            other => bail!("frames of unknown form {other}"),
        })
    }

    /// What stands behind segment `index` of `of`: RST0 to RST7 in turn, and EOI at the end (T.81, annex B).
    fn marker(self, index: usize, of: usize) -> &'static [u8] {
        const RESTARTS: &[u8; 16] = b"\xFF\xD0\xFF\xD1\xFF\xD2\xFF\xD3\xFF\xD4\xFF\xD5\xFF\xD6\xFF\xD7";
        match self {
            Form::Tiles if index + 1 == of => b"\xFF\xD9",
            Form::Tiles => &RESTARTS[index % 8 * 2..][..2],
            Form::Whole | Form::Lz4 => b"",
        }
    }
}

/// A coded picture without its segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub form: Form,
    /// The header's version. No segment under it is older: another header changes them all.
    pub since: u64,
    pub header: Bytes,
    /// How many segments stand under it, 1 to `SEGMENTS_MAX`.
    pub count: usize,
}

/// A coded picture. Cloning is free and nothing in it changes.
#[derive(Clone, Debug)]
pub struct Coded {
    pub bytes: Bytes,
    pub head: Arc<Head>,
    /// The end of each segment in the bytes, where its marker begins.
    ends: Arc<[usize]>,
    /// Of each segment: the sequence number of the frame that last changed its bytes.
    pub versions: Arc<[u64]>,
    pub shared: Arc<Shared>,
}

/// A segment on its way: its place, its version, its bytes.
pub type Segment<B> = (usize, u64, B);

impl Coded {
    /// A picture of one segment.
    pub fn whole(bytes: Bytes, version: u64) -> Coded {
        let head = Head { form: Form::Whole, since: version, header: Bytes::new(), count: 1 };
        let shared = Arc::default();
        Coded { ends: [bytes.len()].into(), versions: [version].into(), head: head.into(), bytes, shared }
    }

    /// Bytes of which each segment's end is known, all of them new.
    pub fn new(form: Form, bytes: Bytes, header: usize, ends: Vec<usize>, version: u64) -> Coded {
        let head = Head { form, since: version, header: bytes.slice(..header), count: ends.len() };
        let (versions, shared) = (vec![version; ends.len()].into(), Arc::default());
        Coded { versions, head: head.into(), ends: ends.into(), bytes, shared }
    }

    /// What came without versions gets them from its predecessor: segments of the same bytes keep theirs.
    pub fn after(self, before: &Coded) -> Coded {
        let (new, old) = (&self.head, &before.head);
        if (new.form, new.count, &new.header) != (old.form, old.count, &old.header) {
            return self;
        }
        let version = |i| if self.segment(i) == before.segment(i) { before.versions[i] } else { self.versions[i] };
        let versions = (0..self.versions.len()).map(version).collect();
        Coded { versions, head: before.head.clone(), shared: Arc::default(), ..self }
    }

    pub fn segment(&self, index: usize) -> &[u8] {
        &self.bytes[self.start(index)..self.ends[index]]
    }

    /// The segments at these places.
    pub fn at(&self, places: &[usize]) -> Vec<Segment<&[u8]>> {
        places.iter().map(|&i| (i, self.versions[i], self.segment(i))).collect()
    }

    /// The places of the segments that somebody lacks who has `had`, a picture of the same stream.
    pub fn lacking(&self, had: Option<&Coded>) -> Vec<usize> {
        match had.filter(|had| had.head == self.head) {
            Some(had) => (0..self.head.count).filter(|&i| self.versions[i] > had.versions[i]).collect(),
            None => (0..self.head.count).collect(),
        }
    }

    /// A number by which two ends of a link see that they have the same versions (FNV-1a over whole words).
    pub fn state(&self) -> u64 {
        let add = |sum: u64, version: &u64| (sum ^ version).wrapping_mul(0x100_0000_01B3);
        *self.shared.state.get_or_init(|| self.versions.iter().fold(0xCBF2_9CE4_8422_2325, add))
    }

    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(self.head.header.len(), |before| self.end_of_marker(before))
    }

    fn end_of_marker(&self, index: usize) -> usize {
        self.ends[index] + self.head.form.marker(index, self.head.count).len()
    }

    /// The bytes of neighbouring segments with the markers between and behind them.
    fn stretch(&self, of: Range<usize>) -> &[u8] {
        &self.bytes[self.start(of.start)..self.end_of_marker(of.end - 1)]
    }
}

/// A picture under `head`: the segments of `old` where it has the same head, and over them the news, of which each place
/// takes the higher version. `news` are in order of their places.
///
/// Errors: a place that nothing fills, a place beyond the end, more bytes than `BYTES_MAX`.
pub fn splice<B: AsRef<[u8]>>(old: Option<&Coded>, head: &Arc<Head>, news: &[Segment<B>]) -> Result<Coded> {
    let old = old.filter(|old| old.head == *head);
    let more: usize = news.iter().map(|n| n.2.as_ref().len() + 2).sum();
    let size = head.header.len() + old.map_or(0, |old| old.bytes.len()) + more;
    ensure!(size <= 2 * BYTES_MAX, "a picture of {size} bytes is over the limit");
    let mut bytes = Vec::with_capacity(size);
    bytes.extend_from_slice(&head.header);
    let (mut ends, mut versions) = (Vec::with_capacity(head.count), Vec::with_capacity(head.count));
    // Neighbours that stay are one stretch of the old bytes: their markers stay the same too.
    let keep = |until: usize, bytes: &mut Vec<u8>, ends: &mut Vec<usize>, versions: &mut Vec<u64>| {
        let from = ends.len();
        if from < until {
            let old = old.with_context(|| format!("segment {from} is missing"))?;
            let (was, is) = (old.start(from), bytes.len());
            bytes.extend_from_slice(old.stretch(from..until));
            ends.extend(old.ends[from..until].iter().map(|end| end - was + is));
            versions.extend_from_slice(&old.versions[from..until]);
        }
        anyhow::Ok(())
    };
    for (index, version, segment) in news {
        ensure!((ends.len()..head.count).contains(index), "segment {index} out of order or beyond {}", head.count);
        if old.is_some_and(|old| old.versions[*index] > *version) {
            continue;
        }
        keep(*index, &mut bytes, &mut ends, &mut versions)?;
        bytes.extend_from_slice(segment.as_ref());
        ends.push(bytes.len());
        versions.push(*version);
        bytes.extend_from_slice(head.form.marker(*index, head.count));
    }
    keep(head.count, &mut bytes, &mut ends, &mut versions)?;
    ensure!(bytes.len() <= BYTES_MAX, "a picture of {} bytes is over the limit", bytes.len());
    let (ends, versions, shared) = (ends.into(), versions.into(), Arc::default());
    Ok(Coded { bytes: bytes.into(), head: head.clone(), ends, versions, shared })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(count: usize) -> Arc<Head> {
        Head { form: Form::Tiles, since: 0, header: Bytes::from_static(b"head"), count }.into()
    }

    fn segment(index: usize, version: u64) -> Vec<u8> {
        vec![index as u8; 1 + (index * 7 + version as usize * 3) % 20]
    }

    /// A picture of which every segment's bytes follow from its version.
    fn picture(versions: &[u64]) -> Coded {
        let news: Vec<_> = versions.iter().enumerate().map(|(i, &v)| (i, v, segment(i, v))).collect();
        splice(None, &head(versions.len()), &news).unwrap()
    }

    proptest! {
        #[test]
        fn a_spliced_picture_is_the_one_made_at_once(
            old in proptest::collection::vec(0u64..9, 1..50), new in proptest::collection::vec(0u64..9, 50),
        ) {
            let newest: Vec<u64> = old.iter().zip(&new).map(|(&a, &b)| a.max(b)).collect();
            let (had, whole) = (picture(&old), picture(&newest));
            let news: Vec<_> = whole.lacking(Some(&had)).into_iter().map(|i| (i, newest[i], segment(i, newest[i]))).collect();
            let spliced = splice(Some(&had), &had.head, &news).unwrap();
            prop_assert_eq!(&spliced.bytes, &whole.bytes);
            prop_assert_eq!(spliced.state(), whole.state());
            prop_assert!((0..old.len()).all(|i| spliced.segment(i) == segment(i, newest[i])));
            prop_assert!(whole.lacking(Some(&spliced)).is_empty());
        }
    }

    #[test]
    fn older_news_change_nothing() {
        let standing = picture(&[5, 5, 5]);
        let late = splice(Some(&standing), &standing.head, &[(1, 4, segment(1, 4))]).unwrap();
        assert_eq!(late.bytes, standing.bytes);
    }

    #[test]
    fn holes_and_places_beyond_the_end_are_errors() {
        let news = [(0, 1, segment(0, 1))];
        assert!(splice(None, &head(2), &news).unwrap_err().to_string().contains("segment 1 is missing"));
        assert!(splice(None, &head(1), &[(1, 1, b"x")]).is_err());
        assert!(splice(None, &head(1), &[(0, 1, b"x"), (0, 1, b"x")]).is_err());
    }

    #[test]
    fn bytes_without_versions_get_them_by_comparison() {
        let first = picture(&[0, 0, 0]);
        let mut second = picture(&[0, 1, 0]);
        second.versions = [9, 9, 9].into();
        second.shared = Arc::default();
        let second = second.after(&first);
        assert_eq!(&second.versions[..], [0, 9, 0]);
        let other = Coded::whole(second.bytes.clone(), 11);
        assert_eq!(other.clone().after(&second).versions[0], 11);
        assert_eq!(Coded::whole(second.bytes.clone(), 12).after(&other).versions[0], 11);
    }
}
