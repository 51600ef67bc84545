//! Records whose far side sees when a frame begins. A record shows nothing before its last byte has come, so behind a long
//! one a frame would seem to begin when much of it is there, and its network to be faster than it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use smol::io::AsyncWrite;

/// It fits into a packet, also over IPv6, through a tunnel, and with what both a key and TLS add.
const PACKET: usize = 1300;

/// Writes to a stream of records, of which the first after each flush is a packet long.
pub struct First<W> {
    stream: W,
    flushed: bool,
}

impl<W> First<W> {
    pub fn new(stream: W) -> First<W> {
        First { stream, flushed: true }
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for First<W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        let most = if me.flushed { buf.len().min(PACKET) } else { buf.len() };
        let n = ready!(Pin::new(&mut me.stream).poll_write(cx, &buf[..most]))?;
        me.flushed = false;
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        ready!(Pin::new(&mut me.stream).poll_flush(cx))?;
        me.flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_close(cx)
    }
}
