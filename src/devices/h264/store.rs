//! A file as a demuxer reads it: at any place, with a few of its bytes replaced in memory, and with an end that is never
//! told to be far away, so that a damaged length cannot ask for gigabytes; and only so often, as a demuxer that goes in
//! circles ends no other way.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::frame::BYTES_MAX;

/// Bytes that can be read at any place.
pub trait Store: Send + Sync {
    /// Reads at `at`; nothing beyond the end.
    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize>;
    fn len(&self) -> u64;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A file with the length it had when it was opened.
pub struct Opened {
    file: File,
    len: u64,
}

impl Opened {
    pub fn new(file: File) -> io::Result<Opened> {
        let len = file.metadata()?.len();
        Ok(Opened { file, len })
    }
}

impl Store for Opened {
    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(&self.file, out, at)
    }

    fn len(&self) -> u64 {
        self.len
    }
}

impl Store for Vec<u8> {
    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn len(&self) -> u64 {
        Vec::len(self) as u64
    }
}

/// Fills `out` from `at`, or an error when the file ends before.
pub fn read_exact_at(store: &dyn Store, mut out: &mut [u8], mut at: u64) -> io::Result<()> {
    while !out.is_empty() {
        match store.read_at(out, at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => (out, at) = (&mut out[n..], at.saturating_add(n as u64)),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// A reader over a store, as demuxers want it.
pub struct Cursor {
    store: Arc<dyn Store>,
    at: u64,
    /// Bytes read ahead, and where they begin.
    ahead: Vec<u8>,
    ahead_at: u64,
    /// What stands in place of the store's own bytes, in order of where.
    instead: Vec<(u64, Vec<u8>)>,
    patience: Patience,
}

/// How many reads a reader has left. Shared, so that it can be renewed while a demuxer holds the reader.
#[derive(Clone, Debug, Default)]
pub struct Patience(Arc<AtomicU32>);

impl Patience {
    pub fn renew(&self, reads: u32) {
        self.0.store(reads, Ordering::Relaxed);
    }

    fn spend(&self) -> io::Result<()> {
        let left = self.0.load(Ordering::Relaxed).checked_sub(1);
        self.0.store(left.ok_or_else(|| io::Error::other("it leads in circles"))?, Ordering::Relaxed);
        Ok(())
    }
}

/// Read ahead: most of what a demuxer asks for are a few bytes of headers.
const AHEAD: usize = 16 << 10;

impl Cursor {
    /// A reader that may be read from as often as `patience` has it.
    pub fn new(store: Arc<dyn Store>, patience: &Patience) -> Cursor {
        let (ahead, instead) = (Vec::new(), Vec::new());
        Cursor { store, at: 0, ahead, ahead_at: 0, instead, patience: patience.clone() }
    }

    /// With other bytes in place of those at some places, which are in order and do not overlap.
    pub fn with(self, instead: Vec<(u64, Vec<u8>)>) -> Cursor {
        Cursor { instead, ..self }
    }

    fn here(&self, begin: u64, bytes: &[u8]) -> Option<usize> {
        let within = usize::try_from(self.at.checked_sub(begin)?).ok()?;
        (within < bytes.len()).then_some(within)
    }
}

impl Read for Cursor {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.patience.spend()?;
        let next = self.instead.partition_point(|(begin, _)| *begin <= self.at);
        let replaced = next.checked_sub(1).map(|last| &self.instead[last]);
        let within = replaced.and_then(|(begin, bytes)| Some(&bytes[self.here(*begin, bytes)?..]));
        let mut source = if let Some(bytes) = within {
            bytes
        } else {
            if self.here(self.ahead_at, &self.ahead).is_none() {
                // Not into what is replaced, but all that is before it.
                let room = self.instead.get(next).map_or(AHEAD as u64, |(begin, _)| begin - self.at);
                let room = room.min(AHEAD as u64) as usize;
                self.ahead.resize(room, 0);
                let read = self.store.read_at(&mut self.ahead, self.at);
                self.ahead.truncate(*read.as_ref().unwrap_or(&0));
                self.ahead_at = self.at;
                read?;
            }
            self.here(self.ahead_at, &self.ahead).map_or(&[][..], |within| &self.ahead[within..])
        };
        let read = source.read(out)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Cursor {
    /// Places from the end are told as if the end were at most `BYTES_MAX` away: no single part of a file is longer.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => {
                let end = self.store.len().min(self.at.saturating_add(BYTES_MAX as u64));
                end.checked_add_signed(by)
            }
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_bytes_are_read_in_place_of_the_files() {
        let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        for at in [0, 1, 20_000, 99_999] {
            let mut wanted = bytes.clone();
            wanted[at] = 7;
            let patience = Patience::default();
            patience.renew(100);
            let mut cursor = Cursor::new(Arc::new(bytes.clone()), &patience).with(vec![(at as u64, vec![7])]);
            let mut got = Vec::new();
            cursor.read_to_end(&mut got).unwrap();
            assert!(got == wanted, "{at}");
            cursor.seek(SeekFrom::Start(50_000)).unwrap();
            let mut byte = [0];
            cursor.read_exact(&mut byte).unwrap();
            assert_eq!(byte[0], wanted[50_000]);
            patience.renew(0);
            assert!(cursor.read(&mut byte).is_err());
        }
        assert!(read_exact_at(&bytes, &mut [0; 2], 99_999).is_err());
    }
}
