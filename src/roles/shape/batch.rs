//! Datagrams by the batch: many are read with one call (recvmmsg), and neighbours of one size are sent with one (GSO).
//! Sockets stay as they were opened: quinn-udp's own options would forbid fragments, and a proxy passes whatever comes.

use std::io::{ErrorKind, IoSliceMut, Result};
use std::net::{SocketAddr, UdpSocket};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use socket2::SockRef;

/// No datagram is longer (its length has 16 bits).
const LONGEST: usize = 65_535;
/// Longer ones might not fit a network's frame, and what the kernel cuts from one piece must: Ethernet's 1500 bytes
/// without IPv6's header and UDP's.
const FRAME: usize = 1452;
/// What one call takes, also where it is cut later.
const ROOM: usize = 65_000;

/// The kernel's calls for many datagrams.
pub struct Calls(UdpSocketState);

impl Calls {
    pub fn new() -> Result<Calls> {
        let other = UdpSocket::bind("127.0.0.1:0")?; // it is what gets quinn-udp's options
        Ok(Calls(UdpSocketState::new((&other).into())?))
    }

    fn read(&self, socket: &UdpSocket, buffers: &mut [IoSliceMut<'_>], metas: &mut [RecvMeta]) -> Result<usize> {
        self.0.recv(socket.into(), buffers, metas)
    }
}

/// What was read with one call.
pub struct Inbox {
    bytes: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
    count: usize,
}

impl Inbox {
    pub fn new() -> Inbox {
        Inbox { bytes: vec![0; BATCH_SIZE * LONGEST], metas: [RecvMeta::default(); BATCH_SIZE], count: 0 }
    }

    /// Reads as many as there are; whether there may be more.
    pub fn read(&mut self, calls: &Calls, socket: &UdpSocket) -> Result<bool> {
        self.count = 0;
        let mut buffers: Vec<IoSliceMut<'_>> = self.bytes.chunks_exact_mut(LONGEST).map(IoSliceMut::new).collect();
        self.count = calls.read(socket, &mut buffers, &mut self.metas)?;
        Ok(self.count == BATCH_SIZE)
    }

    pub fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let buffers = self.bytes.chunks_exact(LONGEST);
        self.metas[..self.count].iter().zip(buffers).map(|(meta, buffer)| (meta.addr, &buffer[..meta.len]))
    }
}

/// Datagrams of one size for one peer, to be sent with one call.
#[derive(Default)]
pub struct Run {
    bytes: Vec<u8>,
    size: usize,
    count: usize,
}

impl Run {
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Puts a datagram behind the others, if it goes with them. A shorter one may be the last.
    pub fn add(&mut self, calls: &Calls, datagram: &[u8]) -> bool {
        let fits = || {
            let full = self.bytes.len() == self.count * self.size;
            let most = self.count < calls.0.max_gso_segments() && self.bytes.len() + datagram.len() <= ROOM;
            full && most && self.size <= FRAME && (1..=self.size).contains(&datagram.len())
        };
        if !self.is_empty() && !fits() {
            return false;
        }
        if self.is_empty() {
            self.size = datagram.len();
        }
        self.bytes.extend_from_slice(datagram);
        self.count += 1;
        true
    }

    /// Sends them all; how many the socket had no room for, and what the network said of earlier ones.
    pub fn send(&mut self, calls: &Calls, socket: &UdpSocket, to: SocketAddr) -> (u64, Result<()>) {
        let (whole, count) = (self.count > 1, self.count as u64);
        let mut sent = if whole { self.at_once(calls, socket, to) } else { one(socket, &self.bytes, to) };
        let mut said = Ok(());
        if matches!(&sent, Err(error) if error.kind() == ErrorKind::ConnectionRefused) {
            // It was about an earlier datagram, and these have not been sent.
            said = sent;
            sent = if whole { self.at_once(calls, socket, to) } else { one(socket, &self.bytes, to) };
        }
        let lost = match sent {
            Err(error) if error.kind() == ErrorKind::WouldBlock => count,
            // A way that takes no such pieces; what one by one fails is what a network does to datagrams.
            Err(_) if whole => self.each().filter(|datagram| is_full(one(socket, datagram, to))).count() as u64,
            _ => 0,
        };
        self.bytes.clear();
        self.count = 0;
        (lost, said)
    }

    fn each(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks(self.size.max(1))
    }

    fn at_once(&self, calls: &Calls, socket: &UdpSocket, destination: SocketAddr) -> Result<()> {
        let segment_size = Some(self.size);
        let transmit = Transmit { destination, ecn: None, contents: &self.bytes, segment_size, src_ip: None };
        calls.0.try_send(socket.into(), &transmit)
    }
}

fn one(socket: &UdpSocket, datagram: &[u8], to: SocketAddr) -> Result<()> {
    SockRef::from(socket).send_to(datagram, &to.into()).map(drop)
}

fn is_full(sent: Result<()>) -> bool {
    sent.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Calls, UdpSocket, UdpSocket) {
        let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
        (Calls::new().unwrap(), socket(), socket())
    }

    /// Sends these as few runs as possible, reads them by the batch; how many calls it took to send them.
    fn through(sizes: &[usize]) -> usize {
        let (calls, out, target) = pair();
        let to = target.local_addr().unwrap();
        let datagrams: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(n, &size)| vec![n as u8; size]).collect();
        let (mut run, mut sends) = (Run::default(), 0);
        for datagram in &datagrams {
            if !run.add(&calls, datagram) {
                sends += 1;
                assert_eq!(run.send(&calls, &out, to).0, 0);
                assert!(run.add(&calls, datagram));
            }
        }
        run.send(&calls, &out, to).1.unwrap();
        target.set_nonblocking(true).unwrap(); // what this machine sends itself is there at once
        let (mut inbox, mut found) = (Inbox::new(), Vec::new());
        while found.len() < datagrams.len() {
            inbox.read(&calls, &target).unwrap();
            for (from, bytes) in inbox.datagrams() {
                assert_eq!(from, out.local_addr().unwrap());
                found.push(bytes.to_vec());
            }
        }
        assert_eq!(found, datagrams, "{sizes:?}");
        sends + 1
    }

    #[test]
    fn datagrams_keep_their_borders_and_their_order() {
        assert_eq!(through(&[100]), 1);
        assert_eq!(through(&[0, 0, 5, 5]), 3, "an empty one goes alone");
        assert_eq!(through(&[9000, 9000]), 2, "what may not fit a frame is left to the kernel's fragments");
        let (calls, ..) = pair();
        if calls.0.max_gso_segments() > 1 {
            assert_eq!(through(&[1200; 40]), 1);
            assert_eq!(through(&[1200, 1200, 7, 1200]), 2, "a shorter one is the last");
            assert_eq!(through(&[7, 1200]), 2);
        }
    }

    #[test]
    fn a_target_that_is_back_gets_the_first_datagram() {
        let (calls, out, target) = pair();
        let to = target.local_addr().unwrap();
        drop(target);
        out.connect(to).unwrap();
        let send = |text: &[u8]| {
            let mut run = Run::default();
            assert!(run.add(&calls, text));
            run.send(&calls, &out, to)
        };
        assert!(send(b"nobody").1.is_ok());
        let target = UdpSocket::bind(to).unwrap();
        let (lost, said) = send(b"you");
        assert_eq!((lost, said.unwrap_err().kind()), (0, ErrorKind::ConnectionRefused));
        target.set_nonblocking(true).unwrap();
        assert_eq!(target.recv(&mut [0; 9]).unwrap(), 3);
    }
}
