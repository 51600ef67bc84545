//! A socket that sends and receives several datagrams at a time where the kernel can (GSO, GRO, recvmmsg).

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Mutex;

use async_io::Async;
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use crate::lock::lock;

/// Asked for; the kernel gives what its limits allow: a frame of 4K must not overflow while another task has its turn.
const BUFFER: usize = 4 << 20;
/// Buffers of one reading; each may hold 64 KiB of datagrams that the kernel has put together.
const BUFFERS: usize = 16;
const GATHERED: usize = 64 << 10;

/// Bytes that leave in one call at most: what one datagram may have.
const TOGETHER: usize = 60_000;

pub struct Socket {
    io: Async<UdpSocket>,
    state: UdpSocketState,
    buffers: Mutex<Vec<u8>>,
}

/// Where a datagram came from, and to which of our addresses.
#[derive(Clone, Copy, Debug)]
pub struct From {
    pub address: SocketAddr,
    pub local: Option<IpAddr>,
}

impl Socket {
    pub fn new(socket: UdpSocket) -> io::Result<Socket> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let io = Async::new(socket)?;
        let reference = UdpSockRef::from(io.get_ref());
        // Smaller ones work too, only worse.
        let _ = state.set_recv_buffer_size(reference, BUFFER);
        let _ = state.set_send_buffer_size(UdpSockRef::from(io.get_ref()), BUFFER);
        Ok(Socket { io, state, buffers: Mutex::new(vec![0; BUFFERS * GATHERED]) })
    }

    pub fn local(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// How many datagrams of one length may leave in one call.
    pub fn at_once(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Sends datagrams of `each` bytes, of which the last may be shorter.
    pub async fn send(&self, to: SocketAddr, local: Option<IpAddr>, bytes: &[u8], each: usize) -> io::Result<()> {
        let segment_size = (each < bytes.len()).then_some(each);
        let transmit = Transmit { destination: to, ecn: None, contents: bytes, segment_size, src_ip: local };
        loop {
            match self.state.try_send(UdpSockRef::from(self.io.get_ref()), &transmit) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.io.writable().await?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                sent => return sent,
            }
        }
    }

    /// Waits for datagrams and gives each of those that are there.
    pub async fn receive(&self, mut each: impl FnMut(From, &[u8])) -> io::Result<()> {
        loop {
            match self.read(&mut each) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.io.readable().await?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    fn read(&self, each: &mut impl FnMut(From, &[u8])) -> io::Result<()> {
        let mut memory = lock(&self.buffers);
        let mut metas = [RecvMeta::default(); BUFFERS];
        let mut buffers = memory.chunks_mut(GATHERED).map(IoSliceMut::new).collect::<Vec<_>>();
        let count = self.state.recv(UdpSockRef::from(self.io.get_ref()), &mut buffers, &mut metas)?;
        for (buffer, meta) in buffers.iter().zip(&metas[..count]) {
            let from = From { address: meta.addr, local: meta.dst_ip };
            if meta.len == 0 {
                each(from, &[]);
            }
            buffer[..meta.len].chunks(meta.stride.max(1)).for_each(|datagram| each(from, datagram));
        }
        Ok(())
    }
}

/// How many of the first datagrams may leave in one call: those of one length and address.
pub fn run(batch: &[(SocketAddr, Vec<u8>)], at_once: usize) -> usize {
    let Some((to, first)) = batch.first() else { return 0 };
    let most = at_once.min(TOGETHER / first.len().max(1)).max(1);
    batch.iter().take(most).take_while(|(other, datagram)| other == to && datagram.len() == first.len()).count()
}

/// Whether a datagram was longer than the way takes.
pub fn is_too_long(error: &io::Error) -> bool {
    quinn_udp::is_msg_size_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_of_one_length_leave_together() {
        let [here, there] = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let of = |lengths: &[(SocketAddr, usize)]| lengths.iter().map(|&(to, n)| (to, vec![0; n])).collect::<Vec<_>>();
        for (lengths, together) in [
            (&[][..], 0),
            (&[(here, 900)], 1),
            (&[(here, 900), (here, 900), (here, 800), (here, 900)], 2),
            (&[(here, 900), (here, 901)], 1),
            (&[(here, 900), (there, 900)], 1),
            (&[(here, 30_000), (here, 30_000), (here, 30_000)], 2),
            (&[(here, 65_000), (here, 65_000)], 1),
        ] {
            assert_eq!(run(&of(lengths), 64), together, "{lengths:?}");
        }
        assert_eq!(run(&of(&[(here, 900); 9]), 4), 4);
        assert_eq!(run(&of(&[(here, 900); 9]), 1), 1, "a kernel that cannot");
    }
}
