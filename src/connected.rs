//! A TCP connection as a stream of bytes. The kernel is asked for them only when it has said that there are some: a task
//! that waits for several things is polled for each of them, and would ask in vain every time.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use smol::io::{AsyncRead, AsyncWrite};

use crate::clock::{self, Time};
use crate::tasks::Source;

/// One handle of a connection; a clone is another, to be read or written beside it.
#[derive(Clone, Debug)]
pub struct Connected {
    socket: Arc<Source<TcpStream>>,
    /// What there is to read.
    bytes: There,
    /// There was no room to write.
    full: bool,
}

#[derive(Clone, Copy, Debug)]
enum There {
    /// Some, as far as is known.
    Some,
    /// None at that time.
    None(Time),
    /// None, and the kernel will say when there are some.
    Awaited,
}

/// Who comes back so late looks for bytes without having been called: they are likely to be there.
const LATE: Duration = Duration::from_millis(5);

impl Connected {
    pub fn new(socket: TcpStream) -> io::Result<Connected> {
        Ok(Connected { socket: Source::new(socket)?.into(), bytes: There::Some, full: false })
    }

    /// The first byte of what there is to read, once there is some, and leaves it there; none where the far end has closed.
    pub async fn first(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        loop {
            match self.socket.get_ref().peek(&mut first) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.socket.readable().await?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                count => return Ok((count? == 1).then_some(first[0])),
            }
        }
    }

    fn poll_with(
        &mut self,
        cx: &mut Context<'_>,
        write: impl Fn(&mut &TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.full {
                ready!(self.socket.poll_writable(cx))?;
                self.full = false;
            }
            match write(&mut self.socket.get_ref()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.full = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

impl AsyncRead for Connected {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let awaited = match self.bytes {
                There::Some => false,
                There::None(at) => clock::now().since(at) < LATE,
                There::Awaited => true,
            };
            if awaited {
                self.bytes = There::Awaited;
                ready!(self.socket.poll_readable(cx))?;
            }
            match self.socket.get_ref().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.bytes = There::Awaited,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => {
                    // Whoever gets less than it asked for has got all; of more, and of the end, the kernel tells.
                    let all = result.as_ref().is_ok_and(|n| *n < buffer.len());
                    self.bytes = if all { There::None(clock::now()) } else { There::Some };
                    return Poll::Ready(result);
                }
            }
        }
    }
}

impl AsyncWrite for Connected {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |socket| socket.write(buffer))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |socket| socket.write_vectored(buffers))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }
}
