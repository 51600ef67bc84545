//! The index beside a rung's JPEGs, as bytes (docs/library.md): what it was made of, and of each frame when it is shown,
//! how long it is and a check. What is read may be a stranger's: every figure is checked before it is used.

use std::hash::Hasher;

use anyhow::{Result, ensure};
use bytes::{Buf, BufMut};
use siphasher::sip::SipHasher13;

use crate::frame::BYTES_MAX;

const MAGIC: &[u8; 8] = b"vstreamI";
const VERSION: u32 = 1;
/// Bytes of what is said of a frame, and of the sum at the end.
pub const RECORD: usize = 16;
const SUM: usize = 8;
/// An index of 64 MiB has four million frames: 38 hours at 30 a second.
pub const BYTES: u64 = 64 << 20;
/// A name of a file in Linux, with three folders above it.
const NAME_MAX: usize = 1024;
/// Bytes that the head is within, and those of the last frame's record and the sum.
pub const HEAD: usize = 30 + 16 + NAME_MAX;
pub const END: usize = RECORD + SUM;
/// Longer than any film, and far from where sums of microseconds overflow.
const MICROS_MAX: u64 = 1000 * 3600 * 1_000_000;

/// A source as it was when a rung was made of it: with another size or time the rung is stale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its path below the library's folder.
    pub name: String,
    pub bytes: u64,
    /// In nanoseconds since 1970.
    pub modified: i64,
}

/// What stands before the frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Width and height of the pictures, and of the source's.
    pub size: (u32, u32),
    pub source: (u32, u32),
    pub stamp: Stamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it is shown, in microseconds from the first one.
    pub time: u64,
    pub bytes: u32,
    /// Of the JPEG.
    pub check: u32,
}

/// A frame's check: the low half of its sum.
pub fn check(jpeg: &[u8]) -> u32 {
    sum(jpeg) as u32
}

fn sum(bytes: &[u8]) -> u64 {
    let mut sum = SipHasher13::new();
    sum.write(bytes);
    sum.finish()
}

impl Head {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::from(&MAGIC[..]);
        let sides = [self.size.0, self.size.1, self.source.0, self.source.1];
        [VERSION].iter().chain(&sides).for_each(|n| out.put_u32_le(*n));
        out.put_u64_le(self.stamp.bytes);
        out.put_i64_le(self.stamp.modified);
        out.put_u16_le(self.stamp.name.len() as u16);
        out.put_slice(self.stamp.name.as_bytes());
        out
    }

    /// Takes the head off the front of `bytes`.
    fn decode(bytes: &mut &[u8]) -> Result<Head> {
        ensure!(bytes.starts_with(MAGIC), "not an index of vstream");
        bytes.advance(MAGIC.len());
        let version = bytes.try_get_u32_le()?;
        ensure!(version == VERSION, "an index of version {version}: this vstream reads {VERSION}");
        let mut side = || anyhow::Ok(bytes.try_get_u32_le()?);
        let (size, source) = ((side()?, side()?), (side()?, side()?));
        let (length, modified) = (bytes.try_get_u64_le()?, bytes.try_get_i64_le()?);
        let name = usize::from(bytes.try_get_u16_le()?);
        ensure!(name <= NAME_MAX && name <= bytes.len(), "a name of {name} bytes");
        let (name, rest) = bytes.split_at(name);
        *bytes = rest;
        Ok(Head { size, source, stamp: Stamp { name: std::str::from_utf8(name)?.into(), bytes: length, modified } })
    }
}

impl Record {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(RECORD);
        out.put_u64_le(self.time);
        out.put_u32_le(self.bytes);
        out.put_u32_le(self.check);
        out
    }

    /// What `RECORD` bytes say.
    fn decode(mut bytes: &[u8]) -> Record {
        Record { time: bytes.get_u64_le(), bytes: bytes.get_u32_le(), check: bytes.get_u32_le() }
    }

    fn follows(&self, before: Option<&Record>) -> bool {
        let bytes = (1..=BYTES_MAX).contains(&(self.bytes as usize));
        bytes && (before.map_or(0, |before| before.time)..=MICROS_MAX).contains(&self.time)
    }
}

/// What closes an index whose rung is complete.
pub fn seal(index: &[u8]) -> [u8; SUM] {
    sum(index).to_le_bytes()
}

/// What can be said of a complete rung by the first `HEAD` bytes of its index, the last `END` and its length: its head,
/// its frames and the time of the last one. It is not certain: `read` is.
pub fn glance(mut start: &[u8], end: &[u8], length: u64) -> Result<(Head, u64, u64)> {
    let head = Head::decode(&mut start)?;
    let records = length.saturating_sub((head.encode().len() + SUM) as u64);
    ensure!(
        length <= BYTES && records > 0 && records.is_multiple_of(RECORD as u64) && end.len() == END,
        "not complete"
    );
    let last = Record::decode(&end[..RECORD]);
    ensure!(last.follows(None), "damaged at its end");
    Ok((head, records / RECORD as u64, last.time))
}

/// Reads the index of a complete rung.
pub fn read(bytes: &[u8]) -> Result<(Head, Vec<Record>)> {
    let body = &bytes[..bytes.len().saturating_sub(SUM)];
    ensure!(bytes[body.len()..] == seal(body), "its sum is wrong");
    let (head, records) = begun(body)?;
    let complete = head.encode().len() + records.len() * RECORD == body.len();
    ensure!(complete && !records.is_empty(), "damaged at frame {}", records.len());
    Ok((head, records))
}

/// Reads the index of a rung that was broken off, as far as it is good.
pub fn begun(mut bytes: &[u8]) -> Result<(Head, Vec<Record>)> {
    let head = Head::decode(&mut bytes)?;
    let mut records = Vec::with_capacity(bytes.len() / RECORD);
    for record in bytes.chunks_exact(RECORD).map(Record::decode) {
        if !record.follows(records.last()) {
            break;
        }
        records.push(record);
    }
    Ok((head, records))
}

/// The fuzzers' entry: how many frames an index has, complete or not.
pub fn replay(bytes: &[u8]) -> usize {
    let _ = glance(bytes, &bytes[bytes.len().saturating_sub(END)..], bytes.len() as u64); // `read` says the same in full
    let sealed = read(&[bytes, &seal(bytes)].concat());
    let begun = begun(bytes).map_or(0, |(_, records)| records.len());
    sealed.map_or(0, |(_, records)| records.len()) + begun
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head() -> Head {
        let stamp = Stamp { name: "a/b.mp4".into(), bytes: 123, modified: -4 };
        Head { size: (426, 240), source: (1920, 1080), stamp }
    }

    fn index(records: &[Record]) -> Vec<u8> {
        records.iter().fold(head().encode(), |index, record| [index, record.encode()].concat())
    }

    fn records(steps: &[(u64, u32)]) -> Vec<Record> {
        let mut time = 0;
        let record = |&(step, bytes): &(u64, u32)| {
            time += step;
            Record { time, bytes, check: bytes ^ 5 }
        };
        steps.iter().map(record).collect()
    }

    fn sealed(index: Vec<u8>) -> Vec<u8> {
        let sum = seal(&index);
        [index, sum.to_vec()].concat()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(steps in proptest::collection::vec((0u64..1_000_000, 1u32..9_000_000), 1..50)) {
            let records = records(&steps);
            let whole = sealed(index(&records));
            prop_assert_eq!(read(&whole).unwrap(), (head(), records.clone()));
            let (frames, last) = (records.len() as u64, records.last().unwrap().time);
            let glance = glance(&whole[..HEAD.min(whole.len())], &whole[whole.len() - END..], whole.len() as u64);
            prop_assert_eq!(glance.unwrap(), (head(), frames, last));
            prop_assert_eq!(begun(&index(&records)).unwrap(), (head(), records));
        }

        #[test]
        fn a_cut_is_no_complete_rung_but_as_far_as_it_goes_one_that_was_begun(count in 1usize..20, cut in 1usize..400) {
            let records = records(&vec![(40_000, 1000); count]);
            let whole = index(&records);
            let cut = &whole[..whole.len().saturating_sub(cut)];
            prop_assert!(read(cut).is_err());
            if let Ok((_, found)) = begun(cut) {
                prop_assert_eq!(&found[..], &records[..(cut.len() - head().encode().len()) / RECORD]);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), from in 0usize..80) {
            let whole = index(&records(&[(1, 1), (2, 2)]));
            replay(&bytes);
            replay(&[&whole[..from.min(whole.len())], &bytes[..]].concat());
        }
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        let wrong = |records: &[Record]| read(&sealed(index(records))).unwrap_err().to_string();
        let good = Record { time: 7, bytes: 9, check: 0 };
        assert_eq!(wrong(&[]), "damaged at frame 0");
        assert_eq!(wrong(&[Record { bytes: 0, ..good }]), "damaged at frame 0");
        assert_eq!(wrong(&[good, Record { bytes: u32::MAX, ..good }]), "damaged at frame 1");
        assert_eq!(wrong(&[good, Record { time: 6, ..good }]), "damaged at frame 1");
        assert_eq!(wrong(&[Record { time: u64::MAX, ..good }]), "damaged at frame 0");
        let mut other = sealed(index(&[good]));
        other[40] ^= 1;
        assert_eq!(read(&other).unwrap_err().to_string(), "its sum is wrong");
        assert!(read(b"").is_err());
        let mut later = index(&[good]);
        later[8] = 9;
        assert_eq!(read(&sealed(later)).unwrap_err().to_string(), "an index of version 9: this vstream reads 1");
        let mut endless = head().encode();
        let at = endless.len() - head().stamp.name.len() - 2;
        endless[at..at + 2].fill(0xFF);
        assert_eq!(read(&sealed(endless)).unwrap_err().to_string(), "a name of 65535 bytes");
    }
}
