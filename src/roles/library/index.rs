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
