//! Sealed records on a stream of bytes, as TLS has them: two bytes of length, then at most 16 KiB and a tag. A record's
//! number is its place in the stream, so that none can be left out, doubled or moved; an empty one is the end.

use std::io::{self, Error, ErrorKind};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use smol::io::{AsyncRead, AsyncWrite};

use crate::seal::{Sealed, TAG};

/// As in TLS: what is lost to headers and tags is a thousandth, and a record is soon there whole.
const LONGEST: usize = 16 << 10;
const HEADER: usize = 2;
/// Records sealed, and read, at once: what one system call moves.
const TOGETHER: usize = 4;
const ROOM: usize = TOGETHER * (HEADER + LONGEST + TAG);

pub struct Records<S> {
    stream: S,
    keys: Sealed,
    out: Out,
    into: In,
}

#[derive(Default)]
struct Out {
    number: u64,
    bytes: Vec<u8>,
    /// How many of them are written.
    gone: usize,
    ended: bool,
}

struct In {
    number: u64,
    buffer: Vec<u8>,
    /// What is opened and not taken yet; what has come and is not opened yet.
    plain: Range<usize>,
    raw: Range<usize>,
    ended: bool,
}

impl<S> Records<S> {
    pub fn new(stream: S, keys: Sealed) -> Records<S> {
        let into = In { number: 0, buffer: vec![0; ROOM], plain: 0..0, raw: 0..0, ended: false };
        Records { stream, keys, out: Out::default(), into }
    }

    fn seal(&mut self, piece: &[u8]) {
        let header = ((piece.len() + TAG) as u16).to_le_bytes();
        let start = self.out.bytes.len() + HEADER;
        self.out.bytes.extend_from_slice(&header);
        self.out.bytes.extend_from_slice(piece);
        let tag = self.keys.seal.seal_slice(self.out.number, &header, &mut self.out.bytes[start..]);
        self.out.bytes.extend_from_slice(&tag);
        self.out.number += 1;
    }

    /// Opens the next record where a whole one is there.
    fn open(&mut self) -> io::Result<bool> {
        let Range { start, end } = self.into.raw;
        let Some(header) = self.into.buffer[start..end].first_chunk::<HEADER>().copied() else { return Ok(false) };
        let length = usize::from(u16::from_le_bytes(header));
        if !(TAG..=LONGEST + TAG).contains(&length) {
            return Err(Error::new(ErrorKind::InvalidData, format!("a sealed record claims {length} bytes")));
        }
        let body = start + HEADER..start + HEADER + length;
        if body.end > end {
            return Ok(false);
        }
        let record = &mut self.into.buffer[body.clone()];
        let opened = self.keys.open.open_slice(self.into.number, &header, record);
        let length = opened.map_err(|forged| Error::new(ErrorKind::InvalidData, forged))?.len();
        self.into.number += 1;
        self.into.plain = body.start..body.start + length;
        self.into.raw.start = body.end;
        self.into.ended = length == 0;
        Ok(true)
    }
}

impl<S: AsyncWrite + Unpin> Records<S> {
    /// Writes what is sealed.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.out.gone < self.out.bytes.len() {
            let n = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out.bytes[self.out.gone..]))?;
            if n == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.out.gone += n;
        }
        self.out.bytes.clear();
        self.out.gone = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Records<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        while me.into.plain.is_empty() && !me.into.ended {
            if me.open()? {
                continue;
            }
            me.into.buffer.copy_within(me.into.raw.clone(), 0);
            me.into.raw = 0..me.into.raw.len();
            let room = &mut me.into.buffer[me.into.raw.end..];
            match ready!(Pin::new(&mut me.stream).poll_read(cx, room))? {
                0 => return Poll::Ready(Err(Error::new(ErrorKind::UnexpectedEof, "it broke off without its end"))),
                n => me.into.raw.end += n,
            }
        }
        let n = me.into.plain.len().min(buf.len());
        buf[..n].copy_from_slice(&me.into.buffer[me.into.plain.start..][..n]);
        me.into.plain.start += n;
        Poll::Ready(Ok(n))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Records<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        ready!(me.drain(cx))?;
        let taken = buf.len().min(TOGETHER * LONGEST);
        buf[..taken].chunks(LONGEST).for_each(|piece| me.seal(piece));
        match me.drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(taken)), // what is not written yet goes before the next
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        ready!(me.drain(cx))?;
        Pin::new(&mut me.stream).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        if !me.out.ended {
            me.out.ended = true;
            me.seal(&[]);
        }
        ready!(me.drain(cx))?;
        Pin::new(&mut me.stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests;
