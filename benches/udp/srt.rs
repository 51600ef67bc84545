//! SRT: two of `srt-live-transmit` with a network between them. Each frame is as many datagrams as its bytes take, spread
//! over the time in which vstream would send them; a frame is whole if all of them come out.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vstream::clock::{self, Time};

use super::fates::{Fates, Shown};
use super::{Film, shape, through};

/// What a datagram of an MPEG transport stream has, which is what SRT is made for.
const DATAGRAM: usize = 1316;
const SPREAD: Duration = Duration::from_millis(8);
/// What opens the way before the first frame.
const PROBE: u64 = u64::MAX;

struct Transmit(Child);

impl Drop for Transmit {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}

pub fn is_there() -> bool {
    Command::new("srt-live-transmit").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn transmit(from: &str, to: &str) -> Transmit {
    let mut command = Command::new("srt-live-transmit");
    command.args(["-q", "-loglevel:fatal", from, to]).stdout(Stdio::null()).stderr(Stdio::null());
    Transmit(command.spawn().expect("srt-live-transmit starts"))
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port()
}

pub fn play(film: &Film, network: &str, latency: Duration) -> Fates {
    let out = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket2::SockRef::from(&out).set_recv_buffer_size(4 << 20).expect("it is only a wish");
    out.set_read_timeout(Some(Duration::from_millis(100))).expect("it is not zero");
    let (listener, input) = (free_port(), free_port());
    let ms = latency.as_millis();
    let to = format!("udp://{}", out.local_addr().expect("it is bound"));
    let _receiver = transmit(&format!("srt://127.0.0.1:{listener}?mode=listener&latency={ms}"), &to);
    let shape = shape(&format!("127.0.0.1:{listener}"), network);
    let from = format!("udp://127.0.0.1:{input}?rcvbuf=4000000");
    let _sender = transmit(&from, &format!("srt://{}?mode=caller&latency={ms}", shape.address));
    let into = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    into.connect(("127.0.0.1", input)).expect("the loopback");
    open(&into, &out);

    let over = AtomicBool::new(false);
    let (sent, bytes, shown) = std::thread::scope(|scope| {
        let came = scope.spawn(|| gather(&out, &over));
        let lengths: Vec<usize> = film.bytes().collect();
        let sent = film.play(|seq, _| send(&into, seq, lengths[seq as usize]));
        std::thread::sleep(2 * latency + Duration::from_secs(2));
        over.store(true, Ordering::Relaxed);
        (sent, lengths.iter().sum(), came.join().expect("it reads to the end"))
    });
    Fates { sent, shown, bytes, crossed: through(&shape), ..Fates::default() }
}

/// Waits until something comes out of what is put in.
fn open(into: &UdpSocket, out: &UdpSocket) {
    let mut buffer = [0; DATAGRAM];
    for _ in 0..200 {
        let _ = into.send(&datagram(PROBE, 0, 1)); // nobody may be there yet
        if out.recv(&mut buffer).is_ok() {
            return;
        }
    }
    panic!("nothing comes through SRT");
}

fn datagram(frame: u64, index: u64, count: u64) -> [u8; DATAGRAM] {
    let mut datagram = [0; DATAGRAM];
    for (at, number) in [frame, index, count].into_iter().enumerate() {
        datagram[8 * at..][..8].copy_from_slice(&number.to_le_bytes());
    }
    datagram
}

fn send(into: &UdpSocket, frame: u64, length: usize) {
    let (begun, count) = (clock::now(), length.div_ceil(DATAGRAM) as u64);
    for index in 0..count {
        std::thread::sleep((begun + SPREAD.mul_f64(index as f64 / count as f64)).since(clock::now()));
        into.send(&datagram(frame, index, count)).expect("the loopback");
    }
}

/// Frames of which all came, and when.
fn gather(out: &UdpSocket, over: &AtomicBool) -> Vec<Shown> {
    let mut frames: BTreeMap<u64, (u64, Time)> = BTreeMap::new();
    let mut wanted = BTreeMap::new();
    let mut buffer = [0; DATAGRAM];
    while !over.load(Ordering::Relaxed) {
        let Ok(DATAGRAM) = out.recv(&mut buffer) else { continue };
        let [frame, _, count] =
            std::array::from_fn(|at| u64::from_le_bytes(std::array::from_fn(|byte| buffer[8 * at + byte])));
        if frame != PROBE {
            let came = frames.entry(frame).or_insert((0, clock::now()));
            *came = (came.0 + 1, clock::now());
            wanted.insert(frame, count);
        }
    }
    let stale = |seq: &u64, came: u64| (wanted[seq] - came) as usize;
    frames.iter().map(|(seq, &(came, at))| Shown { seq: *seq, at, stale: stale(seq, came) }).collect()
}
