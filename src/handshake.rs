//! A stream of bytes that first shakes hands, at its first use: so taking a caller waits for nobody, and the greeting's
//! time limit holds for the handshake too.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use smol::io::{AsyncRead, AsyncWrite};

pub enum Stream<S> {
    Shaking(Pin<Box<dyn Future<Output = io::Result<S>> + Send>>),
    Ready(S),
    /// Its error has been told.
    Failed,
}

impl<S> Stream<S> {
    pub fn new(handshake: impl Future<Output = io::Result<S>> + Send + 'static) -> Stream<S> {
        Stream::Shaking(Box::pin(handshake))
    }

    fn ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut S>>>
    where
        S: Unpin,
    {
        if let Stream::Shaking(handshake) = self {
            *self = match ready!(handshake.as_mut().poll(cx)) {
                Ok(stream) => Stream::Ready(stream),
                Err(error) => {
                    *self = Stream::Failed;
                    return Poll::Ready(Err(error));
                }
            };
        }
        Poll::Ready(match self {
            Stream::Ready(stream) => Ok(Pin::new(stream)),
            _ => Err(ErrorKind::NotConnected.into()),
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.ready(cx))?.poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.ready(cx))?.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.ready(cx))?.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.ready(cx))?.poll_close(cx)
    }
}
