//! A connection of which no more is read than its other end has reason to say: what comes faster waits there.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_io::Timer;
use smol::io::{AsyncRead, AsyncWrite};

use super::stream::Stream;
use crate::allowance::Allowance;
use crate::clock;

/// Bytes at once, and a second: a page says 4 KB a second of the pictures that it shows.
const BYTES: f64 = 64.0 * 1024.0;

pub struct Slow {
    stream: Stream,
    bytes: Allowance,
    /// Until what was read is made up for.
    waits: Option<Timer>,
}

impl Slow {
    pub fn new(stream: Stream) -> Slow {
        Slow { stream, bytes: Allowance::new(BYTES, BYTES), waits: None }
    }
}

impl AsyncRead for Slow {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Some(waits) = &mut self.waits {
            std::task::ready!(Pin::new(waits).poll(cx));
            self.waits = None;
        }
        let read = std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        let wait = self.bytes.owed(clock::now(), *read.as_ref().unwrap_or(&0) as f64);
        self.waits = (wait > Duration::ZERO).then(|| Timer::after(wait));
        Poll::Ready(read)
    }
}

impl AsyncWrite for Slow {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::future::poll_once;
    use smol::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn what_comes_too_fast_waits() {
        smol::block_on(async {
            let (mut far, near) = smol::net::unix::UnixStream::pair().unwrap();
            far.write_all(&[7; 100 << 10]).await.unwrap();
            let mut slow = Slow::new(Box::new(near));
            let (mut buffer, mut read) = ([0; 1 << 10], 0);
            while let Some(count) = poll_once(slow.read(&mut buffer)).await {
                read += count.unwrap();
            }
            assert!((64 << 10..=66 << 10).contains(&read), "{read} bytes");
            slow.read_exact(&mut buffer).await.unwrap(); // the next come all the same
        });
    }
}
