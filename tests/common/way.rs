//! A way across that changes under a connection, as networks do and shapers do not: it gets too narrow for long
//! datagrams, and forgets by which port it sent (a NAT's mapping that ran out).

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub struct Way {
    /// What a client calls, and where that leads.
    front: UdpSocket,
    to: SocketAddr,
    /// The socket that the target sees.
    back: Mutex<Arc<UdpSocket>>,
    client: Mutex<Option<SocketAddr>>,
    /// Bytes of the longest datagram that passes, to the target and back.
    pub up: AtomicUsize,
    pub down: AtomicUsize,
}

impl Way {
    pub fn new(to: &str) -> Arc<Way> {
        let to: SocketAddr = to.parse().unwrap();
        let (up, down, client) = (usize::MAX.into(), usize::MAX.into(), Mutex::default());
        let (front, back) = (UdpSocket::bind("127.0.0.1:0").unwrap(), Mutex::new(Arc::new(back(to))));
        let way = Arc::new(Way { front, to, back, client, up, down });
        way.clone().bring_back();
        let upward = way.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok((count, from)) = upward.front.recv_from(&mut buffer) {
                *upward.client.lock().unwrap() = Some(from);
                if count <= upward.up.load(Ordering::Relaxed) {
                    let _ = upward.back.lock().unwrap().send(&buffer[..count]); // nobody may listen there
                }
            }
        });
        way
    }

    pub fn address(&self) -> SocketAddr {
        self.front.local_addr().unwrap()
    }

    /// From now on the target sees another port, and what it sends to the old one is lost.
    pub fn move_on(self: &Arc<Self>) {
        *self.back.lock().unwrap() = Arc::new(back(self.to));
        self.clone().bring_back();
    }

    fn bring_back(self: Arc<Self>) {
        let own = self.back.lock().unwrap().clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            loop {
                let came = own.recv(&mut buffer);
                if !Arc::ptr_eq(&own, &self.back.lock().unwrap()) {
                    return;
                }
                let client = *self.client.lock().unwrap();
                if let (Ok(count), Some(client)) = (came, client)
                    && count <= self.down.load(Ordering::Relaxed)
                {
                    self.front.send_to(&buffer[..count], client).unwrap();
                }
            }
        });
    }
}

fn back(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(to).unwrap();
    socket
}
