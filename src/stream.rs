//! Messages over any stream of bytes: what tcp and tls share.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use async_io::Timer;
use async_trait::async_trait;
use smol::future::or;
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter};

use crate::link::{Rx, Tx};
use crate::message::{Message, NoHello, PREFIX};

/// Both sides ping every second, so a silence this long is a peer or a path that is gone.
const SILENCE: Duration = Duration::from_secs(8);
/// Memory that a claimed length gets at once; more only as bytes come.
const TRUST: usize = 1 << 20;

/// What is gathered of one frame before it is written: small frames go out in one piece.
const GATHERED: usize = 64 << 10;

pub struct StreamTx<W>(BufWriter<W>);
pub struct StreamRx<R>(pub R);

impl<W: AsyncWrite> StreamTx<W> {
    pub fn new(stream: W) -> StreamTx<W> {
        StreamTx(BufWriter::with_capacity(GATHERED, stream))
    }
}

#[async_trait]
impl<W: AsyncWrite + Send + Unpin> Tx for StreamTx<W> {
    async fn send(&mut self, message: Message) -> Result<()> {
        let (head, tail) = message.encode();
        self.0.write_all(&head).await?;
        if !tail.is_empty() {
            self.0.write_all(&tail).await?;
        }
        match message {
            Message::Begin(_) | Message::Runs(_) => Ok(()), // its end may follow at once
            _ => self.flush().await,
        }
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(self.0.flush().await?)
    }

    async fn close(&mut self) -> Result<()> {
        Ok(self.0.close().await?)
    }
}

#[async_trait]
impl<R: AsyncRead + Send + Unpin> Rx for StreamRx<R> {
    async fn recv(&mut self) -> Result<Option<Message>> {
        let mut prefix = [0; PREFIX];
        if !self.fill(&mut prefix).await? {
            return Ok(None);
        }
        self.rest(prefix).await.map(Some)
    }

    async fn hello(&mut self) -> Result<Message> {
        let mut prefix = [0; PREFIX];
        ensure!(self.fill(&mut prefix).await?, "it left without a word");
        ensure!(Message::begins_hello(prefix), NoHello::begins(prefix));
        self.rest(prefix).await
    }

    async fn drain(&mut self) {
        let mut sink = [0; 4096];
        while soon(self.0.read(&mut sink)).await.is_ok_and(|n| n > 0) {}
    }
}

impl<R: AsyncRead + Send + Unpin> StreamRx<R> {
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
            let n = soon(self.0.read(out)).await?;
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
}

async fn soon(read: impl Future<Output = io::Result<usize>>) -> Result<usize> {
    let silence = async {
        Timer::after(SILENCE).await;
        Err(io::Error::new(ErrorKind::TimedOut, format!("nothing came for {} s", SILENCE.as_secs())))
    };
    or(read, silence).await.context("the connection was lost")
}
