//! Messages over any stream of bytes: what tcp and tls share.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context as Awaits, Waker};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use bytes::{Buf, Bytes};
use smol::future::or;
use smol::io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use crate::alarm::Alarm;
use crate::clock;
use crate::link::{Rx, Tx};
use crate::message::{Message, NoHello, PREFIX};

/// Both sides ping every second, so a silence this long is a peer or a path that is gone.
const SILENCE: Duration = Duration::from_secs(8);
/// Bytes that are read at once: some messages of a frame, as it is coded.
const READ: usize = 16 << 10;
/// Memory that a claimed length gets at once; more only as bytes come.
const TRUST: usize = 1 << 20;

/// What is gathered of one frame before it is written: most go out in one piece.
const GATHERED: usize = 256 << 10;
/// Memory for what stands between segments that is kept for the next frame: some messages' heads.
const HEADS: usize = 1 << 10;
/// Pieces of it that are offered to the stream at once: one that takes a single piece is offered the others again each time.
const OFFERED: usize = 128;

/// Keeps what it gathers where it is: the segments of a frame are the same bytes for all links that send it.
pub struct StreamTx<W> {
    stream: W,
    gathered: VecDeque<Piece>,
    /// What stands between segments, and how much of it is written.
    heads: Vec<u8>,
    written: usize,
    bytes: usize,
}

enum Piece {
    /// So many bytes of the heads.
    Heads(usize),
    Segments(Bytes),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Heads(count) => *count,
            Piece::Segments(bytes) => bytes.len(),
        }
    }
}

pub struct StreamRx<R> {
    stream: BufReader<R>,
    silence: Alarm,
}

impl<W: AsyncWrite + Unpin> StreamTx<W> {
    /// On a stream that takes several buffers at once.
    pub fn new(stream: W) -> StreamTx<W> {
        StreamTx { stream, gathered: VecDeque::new(), heads: Vec::new(), written: 0, bytes: 0 }
    }

    /// Gathers a message; whether it may wait for more, as the end of a frame may follow at once.
    fn add(&mut self, message: Message) -> bool {
        let before = self.heads.len();
        let segments = message.encode_onto(&mut self.heads);
        let head = self.heads.len() - before;
        self.bytes += head + segments.len();
        match self.gathered.back_mut() {
            Some(Piece::Heads(count)) => *count += head,
            _ => self.gathered.push_back(Piece::Heads(head)),
        }
        if !segments.is_empty() {
            self.gathered.push_back(Piece::Segments(segments));
        }
        matches!(message, Message::Begin(_) | Message::Runs(_)) && self.bytes < GATHERED
    }

    async fn write(&mut self) -> io::Result<()> {
        while !self.gathered.is_empty() {
            let mut heads = &self.heads[self.written..];
            let slice = |piece| match piece {
                &Piece::Heads(count) => {
                    let (head, rest) = heads.split_at(count);
                    heads = rest;
                    IoSlice::new(head)
                }
                Piece::Segments(bytes) => IoSlice::new(bytes),
            };
            let slices: Vec<IoSlice> = self.gathered.iter().take(OFFERED).map(slice).collect();
            let n = self.stream.write_vectored(&slices).await?;
            if n == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            self.advance(n);
        }
        self.stream.flush().await
    }

    /// So many bytes are written.
    fn advance(&mut self, mut n: usize) {
        self.bytes -= n;
        while let Some(first) = self.gathered.front_mut() {
            let count = n.min(first.len());
            n -= count;
            self.written += if let Piece::Heads(_) = first { count } else { 0 };
            match first {
                whole if whole.len() == count => _ = self.gathered.pop_front(),
                Piece::Heads(left) => return *left -= count,
                Piece::Segments(bytes) => return bytes.advance(count),
            }
        }
        self.heads.clear();
        self.heads.shrink_to(HEADS);
        self.written = 0;
    }
}

#[async_trait]
impl<W: AsyncWrite + Send + Unpin> Tx for StreamTx<W> {
    async fn send(&mut self, message: Message) -> Result<()> {
        match self.add(message) {
            true => Ok(()),
            false => Ok(self.write().await?),
        }
    }

    async fn send_all(&mut self, messages: Vec<Message>) -> Result<()> {
        match messages.into_iter().fold(true, |_, message| self.add(message)) {
            true => Ok(()),
            false => Ok(self.write().await?),
        }
    }

    fn resumes(&self) -> bool {
        true
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(self.write().await?)
    }

    async fn close(&mut self) -> Result<()> {
        self.write().await?;
        Ok(self.stream.close().await?)
    }
}

#[async_trait]
impl<R: AsyncRead + Send + Unpin> Rx for StreamRx<R> {
    async fn recv(&mut self) -> Result<Option<Message>> {
        if self.stream.buffer().is_empty() {
            let read = poll_fn(|cx| Pin::new(&mut self.stream).poll_fill_buf(cx).map_ok(<[u8]>::len));
            if in_time(&mut self.silence, read).await? == 0 {
                return Ok(None);
            }
        }
        if let Some(message) = self.next_there() {
            return Ok(Some(message));
        }
        let mut prefix = [0; PREFIX];
        self.fill(&mut prefix).await?; // the first of it has been read
        self.rest(prefix).await.map(Some)
    }

    async fn hello(&mut self) -> Result<Message> {
        let mut prefix = [0; PREFIX];
        ensure!(self.fill(&mut prefix).await?, "it left without a word");
        ensure!(Message::begins_hello(prefix), NoHello::begins(prefix));
        self.rest(prefix).await
    }

    fn there(&mut self) -> Vec<Message> {
        if self.stream.buffer().is_empty() {
            // What has gone wrong is found out by who waits.
            _ = Pin::new(&mut self.stream).poll_fill_buf(&mut Awaits::from_waker(Waker::noop()));
        }
        std::iter::from_fn(|| self.next_there()).collect()
    }

    fn has_more(&self) -> bool {
        !self.stream.buffer().is_empty()
    }

    async fn drain(&mut self) {
        let mut sink = [0; 4096];
        while self.soon(&mut sink).await.is_ok_and(|n| n > 0) {}
    }
}

impl<R: AsyncRead + Send + Unpin> StreamRx<R> {
    pub fn new(stream: R) -> StreamRx<R> {
        StreamRx { stream: BufReader::with_capacity(READ, stream), silence: Alarm::default() }
    }

    /// The next message, if all of it has been read; one that is none stays.
    fn next_there(&mut self) -> Option<Message> {
        let (prefix, rest) = self.stream.buffer().split_first_chunk::<PREFIX>()?;
        let length = Message::length(*prefix).ok()?;
        let message = Message::decode(prefix[0], Bytes::copy_from_slice(rest.get(..length)?)).ok()?;
        Pin::new(&mut self.stream).consume(PREFIX + length);
        Some(message)
    }

    async fn rest(&mut self, prefix: [u8; PREFIX]) -> Result<Message> {
        let length = Message::length(prefix)?;
        let mut payload = Vec::with_capacity(length.min(TRUST));
        while payload.len() < length {
            let start = payload.len();
            let more = (length - start).min(TRUST.max(start));
            payload.resize(start + more, 0);
            ensure!(self.fill(&mut payload[start..]).await?, "the connection was cut in the middle of a message");
        }
        Message::decode(prefix[0], payload.into())
    }

    /// Fills the buffer; false if the stream ended before its first byte.
    async fn fill(&mut self, mut out: &mut [u8]) -> Result<bool> {
        let whole = out.len();
        while !out.is_empty() {
            let n = self.soon(out).await?;
            if n == 0 && out.len() == whole {
                return Ok(false);
            }
            if n == 0 {
                bail!("the connection was cut in the middle of a message");
            }
            out = &mut out[n..];
        }
        Ok(true)
    }

    async fn soon(&mut self, out: &mut [u8]) -> Result<usize> {
        in_time(&mut self.silence, self.stream.read(out)).await
    }
}

/// The other side's bytes, unless it says nothing for too long.
async fn in_time<T>(silence: &mut Alarm, bytes: impl Future<Output = io::Result<T>>) -> Result<T> {
    let silence = async {
        silence.until(Some(clock::now() + SILENCE)).await;
        Err(io::Error::new(ErrorKind::TimedOut, format!("nothing came for {} s", SILENCE.as_secs())))
    };
    or(bytes, silence).await.context("the connection was lost")
}
