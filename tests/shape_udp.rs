//! `vstream shape` for datagrams: flows, delays, losses and queues, measured from outside.

mod common;

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::shape::*;
use common::{LIMIT, vstream};
use socket2::SockRef;

#[test]
fn datagrams_pass_and_each_client_has_its_flow() {
    let (_shape, client, target) = udp(&[]);
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    other.connect(client.peer_addr().unwrap()).unwrap();
    other.set_read_timeout(Some(LIMIT)).unwrap();
    let mut buffer = [0; 2000];
    for (socket, name) in [(&client, b"one"), (&other, b"two")] {
        socket.send(name).unwrap();
        let (count, from) = target.recv_from(&mut buffer).unwrap();
        target.send_to(&buffer[..count], from).unwrap();
        let count = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], name);
    }
    client.send(&[]).unwrap();
    assert_eq!(target.recv_from(&mut buffer).unwrap().0, 0, "empty datagrams too");
}

#[test]
fn datagrams_are_lost_as_asked_and_counted() {
    let (mut shape, client, _target) = udp(&["--up", "loss=25%"]);
    for _ in 0..20 {
        (0..50).for_each(|_| _ = client.send(&[0; 100]).unwrap());
        std::thread::yield_now();
    }
    let line = shape.stats(|line| {
        line["way"] == "up" && line["packets"].as_u64().unwrap() + line["lost"].as_u64().unwrap() >= 1000
    });
    assert!((180..320).contains(&line["lost"].as_u64().unwrap()), "{line}");
}

/// How long each of these datagrams was on its way to the target, sent evenly; none where it was lost.
fn flow(args: &[&str], count: usize, a_second: u32, size: usize) -> Vec<Option<Duration>> {
    let (_shape, client, target) = udp(args);
    SockRef::from(&target).set_recv_buffer_size(8 << 20).unwrap();
    target.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let begun = Instant::now();
    let sender = std::thread::spawn(move || {
        let mut datagram = vec![0; size];
        for number in 0..count as u32 {
            std::thread::sleep((Duration::from_secs(1) * number / a_second).saturating_sub(begun.elapsed()));
            datagram[..4].copy_from_slice(&number.to_be_bytes());
            datagram[4..12].copy_from_slice(&(begun.elapsed().as_micros() as u64).to_be_bytes());
            client.send(&datagram).unwrap();
        }
    });
    let (mut delays, mut buffer) = (vec![None; count], [0; 2000]);
    while target.recv(&mut buffer).is_ok() {
        let sent = Duration::from_micros(u64::from_be_bytes(buffer[4..12].try_into().unwrap()));
        let number = u32::from_be_bytes(buffer[..4].try_into().unwrap());
        delays[number as usize] = Some(begun.elapsed() - sent);
        if number as usize + 1 == count {
            target.set_read_timeout(Some(Duration::from_millis(300))).unwrap(); // what jitter or reordering held back
        }
    }
    sender.join().unwrap();
    delays
}

/// Mean and deviation in milliseconds, without the hundredth on which the machine did something else.
fn spread(delays: &[Option<Duration>]) -> (f64, f64) {
    let mut delays: Vec<f64> = delays.iter().flatten().map(|delay| 1000.0 * delay.as_secs_f64()).collect();
    delays.sort_by(f64::total_cmp);
    delays.truncate(delays.len() * 99 / 100);
    let mean = delays.iter().sum::<f64>() / delays.len() as f64;
    (mean, (delays.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / delays.len() as f64).sqrt())
}

#[test]
fn datagrams_are_read_while_others_wait() {
    for (a_second, count) in [(500, 500), (3000, 6000), (20_000, 20_000)] {
        let delays = flow(&["--up", "delay=50ms"], count, a_second, 200);
        let shortest = delays.iter().flatten().min().unwrap();
        assert_eq!(delays.iter().flatten().count(), count, "{a_second} a second");
        assert!(*shortest >= Duration::from_millis(50), "{shortest:?}");
        let (mean, _) = spread(&delays);
        assert!(mean < 60.0, "{a_second} a second: {mean} ms");
    }
}

#[test]
fn delays_scatter_as_asked_at_3000_a_second() {
    for (distribution, deviation) in [("uniform", 5.77), ("normal", 10.0), ("pareto", 8.0)] {
        let network = format!("delay=50ms,jitter=10ms,distribution={distribution}");
        let (mean, found) = spread(&flow(&["--up", &network], 6000, 3000, 200));
        assert!((46.0..58.0).contains(&mean), "{distribution}: {mean} ms");
        assert!((found / deviation - 1.0).abs() < 0.4, "{distribution}: {found} ms");
    }
}

#[test]
fn a_queue_of_datagrams_is_no_longer_than_asked() {
    let delays = flow(&["--up", "rate=5mbit,queue=100ms"], 2000, 1000, 1200);
    let passed = delays.iter().flatten().count();
    assert!((1000..1150).contains(&passed), "{passed} of 2000 passed: 5 of 9.6 Mbit/s are asked for");
    let (mean, _) = spread(&delays);
    assert!(mean < 115.0, "{mean} ms");
}

#[test]
fn datagrams_are_lost_in_bursts() {
    let delays = flow(&["--up", "burst-loss=20%:5"], 5000, 10_000, 20);
    let lost = delays.iter().filter(|delay| delay.is_none()).count() as f64;
    let bursts = delays.windows(2).filter(|pair| pair[0].is_some() && pair[1].is_none()).count() as f64;
    assert!((0.15..0.25).contains(&(lost / 5000.0)), "{lost} of 5000");
    assert!((4.0..6.0).contains(&(lost / bursts)), "{lost} in {bursts}");
}

#[test]
fn an_address_says_the_protocol() {
    let target = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = format!("udp://{}", target.local_addr().unwrap());
    let mut shape = vstream(&[&["shape", "--listen", "127.0.0.1:0", "--to", &to][..], &API].concat());
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(shape.listening().strip_prefix("udp://").unwrap()).unwrap();
    client.send(b"x").unwrap();
    target.recv(&mut [0]).unwrap();
    drop(target);
    let (over, flood) = (Arc::new(AtomicBool::new(false)), client);
    let flag = over.clone();
    let flooding = std::thread::spawn(move || {
        while !flag.load(Ordering::Relaxed) {
            let _ = flood.send(b"x"); // that nobody is there comes back from the proxy's target only
            std::thread::yield_now();
        }
    });
    shape.says("datagrams are lost until it answers");
    over.store(true, Ordering::Relaxed);
    flooding.join().unwrap();
}

#[test]
fn both_protocols_share_a_port() {
    let (listener, to) = listener();
    let (mut shape, address) = shape(&to, &["--both"]);
    let udp = shape.listening();
    assert_eq!(udp, format!("udp://{address}"));
    connect(&address);
    listener.accept().unwrap();
}
