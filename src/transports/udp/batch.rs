//! A socket that sends and receives several datagrams at a time where the kernel can (GSO, GRO, recvmmsg).

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use quinn_udp::{RecvMeta, Transmit, TransportErrorPayload, UdpSockRef, UdpSocketState};

use crate::lock::lock;
use crate::tasks::Source;

/// Asked for; the kernel gives what its limits allow: a frame of 4K must not overflow while another task has its turn.
const BUFFER: usize = 4 << 20;
/// Buffers of one reading; each may hold 64 KiB of datagrams that the kernel has put together.
const BUFFERS: usize = 16;
const GATHERED: usize = 64 << 10;

/// Bytes that leave in one call at most: what one datagram may have.
const TOGETHER: usize = 60_000;

pub struct Socket {
    io: Source<UdpSocket>,
    state: UdpSocketState,
    buffers: Mutex<Vec<u8>>,
    /// There may be more than the last reading took.
    more: AtomicBool,
    /// Many peers share it: what the network says of one is no error of the others.
    shared: bool,
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
        let io = Source::new(socket)?;
        let reference = UdpSockRef::from(io.get_ref());
        // Smaller ones work too, only worse.
        let _ = state.set_recv_buffer_size(reference, BUFFER);
        let _ = state.set_send_buffer_size(UdpSockRef::from(io.get_ref()), BUFFER);
        Ok(Socket { io, state, buffers: Mutex::new(vec![0; BUFFERS * GATHERED]), more: true.into(), shared: false })
    }

    /// One for many peers, which hears what the network says of each.
    pub fn shared(socket: UdpSocket) -> io::Result<Socket> {
        let socket = Socket::new(socket)?;
        socket.state.enable_transport_errors(UdpSockRef::from(socket.io.get_ref()))?;
        Ok(Socket { shared: true, ..socket })
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
                // Said of a datagram that left before, to whomever; this one has not left.
                Err(error) if self.shared && error.kind() == ErrorKind::ConnectionRefused => {}
                sent => return sent,
            }
        }
    }

    /// Waits for datagrams and gives each of those that are there; of a shared socket also hosts of which some network says
    /// that a datagram did not arrive there.
    pub async fn receive(&self, mut each: impl FnMut(From, &[u8]), mut refused: impl FnMut(IpAddr)) -> io::Result<()> {
        loop {
            if !self.more.swap(false, Ordering::Relaxed) {
                self.io.readable().await?;
            }
            match self.read(&mut each) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted || self.is_of_another(&error) => {
                    self.more.store(true, Ordering::Relaxed);
                }
                read => return read,
            }
            if self.take_refusals(&mut refused)? {
                return Ok(());
            }
        }
    }

    /// Whether there were some. What is not taken from there would call us again at once.
    fn take_refusals(&self, refused: &mut impl FnMut(IpAddr)) -> io::Result<bool> {
        let mut heard = false;
        while self.shared
            && let Some(error) = self.state.recv_transport_error(UdpSockRef::from(self.io.get_ref()))?
        {
            let host = error.addr.filter(|_| matches!(error.payload, TransportErrorPayload::Unreachable));
            host.iter().for_each(|address| refused(address.ip()));
            heard = true;
        }
        Ok(heard)
    }

    /// Whether it tells of a datagram that left, to whomever.
    fn is_of_another(&self, error: &io::Error) -> bool {
        use ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
        self.shared && matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
    }

    fn read(&self, each: &mut impl FnMut(From, &[u8])) -> io::Result<()> {
        let mut memory = lock(&self.buffers);
        let mut metas = [RecvMeta::default(); BUFFERS];
        let mut buffers = memory.chunks_mut(GATHERED).map(IoSliceMut::new).collect::<Vec<_>>();
        let count = self.state.recv(UdpSockRef::from(self.io.get_ref()), &mut buffers, &mut metas)?;
        self.more.store(count == BUFFERS, Ordering::Relaxed);
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

/// Which of the first datagrams, of which none is shorter than the one before, may leave in one call: those of one length
/// and address. One that stands before these, the only one of its length, goes after them.
pub fn run(batch: &[(SocketAddr, Vec<u8>)], at_once: usize) -> Range<usize> {
    let alone = match batch {
        [(to, first), (other, second), ..] => {
            to == other && first.len() < second.len() && first.len() + second.len() <= TOGETHER
        }
        _ => false,
    };
    let from = usize::from(alone && at_once > 1);
    let Some((to, first)) = batch.get(from) else { return 0..0 };
    let most = (at_once - from).min((TOGETHER - from * first.len()) / first.len().max(1)).max(1);
    let alike = |(other, datagram): &&(SocketAddr, Vec<u8>)| other == to && datagram.len() == first.len();
    from..from + batch[from..].iter().take(most).take_while(alike).count()
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
            (&[][..], 0..0),
            (&[(here, 900)], 0..1),
            (&[(here, 800), (here, 800), (here, 900), (here, 900)], 0..2),
            (&[(here, 800), (here, 900), (here, 900), (here, 1000)], 1..3),
            (&[(here, 800), (there, 900)], 0..1),
            (&[(here, 30_000), (here, 30_000), (here, 30_000)], 0..2),
            (&[(here, 20_000), (here, 30_000), (here, 30_000)], 1..2),
            (&[(here, 100), (here, 65_000), (here, 65_000)], 0..1),
            (&[(here, 65_000), (here, 65_000)], 0..1),
        ] {
            assert_eq!(run(&of(lengths), 64), together, "{lengths:?}");
        }
        let many = of(&[&[(here, 800)][..], &[(here, 900); 9]].concat());
        assert_eq!(run(&many, 4), 1..4);
        assert_eq!(run(&many, 1), 0..1, "a kernel that cannot");
        assert_eq!(run(&many[1..], 4), 0..4);
    }
}
