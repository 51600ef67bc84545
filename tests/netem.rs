//! The shaper beside the kernel's netem at the same settings: how delays and runs of losses are distributed. netem's own
//! tables serve everywhere; the kernel's netem itself is asked where root and `sch_netem` are, and skipped elsewhere, also
//! where CI=true: a kernel cannot be installed.

mod common;

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::shape::udp;
use common::{output, skip, vstream};
use rustix::process::Signal;
use socket2::SockRef;
use vstream::clock::Time;
use vstream::shaper::{Carrier, Shaper};

/// Two samples are of one distribution where their cumulative shares are nowhere farther apart than this; samples of
/// these sizes (5000 and more) are 0.04 apart by chance once in a thousand times.
const APART: f64 = 0.05;

/// The greatest distance of two empirical distributions (Kolmogorov and Smirnov).
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values
    };
    let (a, b) = (sorted(a), sorted(b));
    let share = |values: &[f64], at: f64| values.partition_point(|&v| v <= at) as f64 / values.len() as f64;
    a.iter().chain(&b).map(|&at| (share(&a, at) - share(&b, at)).abs()).fold(0.0, f64::max)
}

/// A distribution of iproute2's, in deviations: what `tc` hands to the kernel, which draws from it evenly.
fn table(name: &str) -> Option<Vec<f64>> {
    let libraries = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let places = libraries.chain([PathBuf::from("/usr/lib"), PathBuf::from("/usr/share")]);
    let text = places.filter_map(|dir| std::fs::read_to_string(dir.join(format!("tc/{name}.dist"))).ok()).next()?;
    let figures = text.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
    Some(figures.map(|figure| figure.parse::<f64>().unwrap() / 8192.0).collect()) // NETEM_DIST_SCALE
}

#[test]
fn delays_are_drawn_as_from_netems_tables() {
    for name in ["normal", "pareto"] {
        let Some(table) = table(name) else { return skip("no tables of iproute2") };
        let mut shaper = Shaper::new(Carrier::Datagrams, 1);
        let network = format!("delay=100ms,jitter=20ms,distribution={name}").parse().unwrap();
        shaper.set(Time::from_micros(0), &network);
        let late = (0..50_000).map(|second| {
            let sent = Time::from_micros(second * 1_000_000);
            shaper.push(sent, (), vec![0]);
            let due = shaper.wake().unwrap();
            shaper.pop(due).unwrap();
            (1000.0 * due.since(sent).as_secs_f64() - 100.0) / 20.0
        });
        let found = distance(&late.collect::<Vec<_>>(), &table);
        assert!(found < APART / 2.0, "{name}: {found:.4}");
    }
}

/// Packets with this priority take the band of `prio` in which netem sits (its sixth, `TC_PRIO_INTERACTIVE`).
const PRIORITY: u32 = 6;
const INSIDE: &str = "VSTREAM_TEST_NETEM";

/// Runs this test again in a network of its own, where `lo` may be spoilt; whether this is it.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        output("ip", &["link", "set", "lo", "up"]);
        return true;
    }
    let itself = std::env::current_exe().unwrap();
    let inside = |args: &[&str]| Command::new("unshare").arg("--net").args(args).env(INSIDE, "1").output();
    if !inside(&["tc", "qdisc", "add", "dev", "lo", "root", "netem"]).is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: not root, or a kernel without netem, and none can be installed");
        return false;
    }
    let out = inside(&[itself.to_str().unwrap(), "--exact", test, "--nocapture"]).unwrap();
    eprint!("{}", String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    false
}

fn tc(words: &str) -> String {
    String::from_utf8(output("tc", &words.split(' ').collect::<Vec<_>>())).unwrap()
}

#[test]
fn tc_takes_away_what_is_its_own() {
    if !inside("tc_takes_away_what_is_its_own") {
        return;
    }
    let shape = |rate: &str| vstream(&["shape", "--tc", "lo", "--delay", "5ms", "--rate", rate]);
    let shown = || tc("qdisc show dev lo");
    let mut first = shape("5mbit");
    first.says("lo is shaped");
    assert!(shown().contains("delay 5ms") && shown().contains("rate 5Mbit"), "{}", shown());
    shape("6mbit").end().ended_with(1).saying("another `vstream shape --tc lo` is running");
    first.signal(Signal::KILL);
    drop(first);
    let mut second = shape("7mbit");
    second.says("a run that was killed");
    second.says("lo is shaped");
    assert!(shown().contains("rate 7Mbit"), "{}", shown());
    second.signal(Signal::TERM);
    second.end().ended_with(0);
    assert!(!shown().contains("netem"), "{}", shown());
    tc("qdisc add dev lo root netem delay 1ms");
    shape("8mbit").end().ended_with(1).saying("has a qdisc already, which stays");
    assert!(shown().contains("delay 1ms"), "{}", shown());
}

#[test]
fn the_kernels_netem_does_the_same() {
    if !inside("the_kernels_netem_does_the_same") {
        return;
    }
    tc("qdisc add dev lo root handle 9: prio bands 2 priomap 0 0 0 0 0 0 1 0 0 0 0 0 0 0 0 0");
    for distribution in ["uniform", "normal", "pareto"] {
        // Wide, so that what a busy machine adds by itself, a few milliseconds, moves no share by much.
        let network = format!("delay=400ms,jitter=200ms,distribution={distribution}");
        let [netem, shape] = both(&network, 8000, Duration::from_micros(1250)).map(|fates| delays(&fates));
        told(&network, &netem, &shape);
    }
    for network in ["loss=20%", "burst-loss=25%:2"] {
        let [netem, shape] = both(network, 40_000, Duration::from_micros(400));
        told(&format!("{network}: bursts"), &runs(&netem, true), &runs(&shape, true));
        told(&format!("{network}: between"), &runs(&netem, false), &runs(&shape, false));
    }
}

#[track_caller]
fn told(what: &str, netem: &[f64], shape: &[f64]) {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (apart, counts, means) = (distance(netem, shape), (netem.len(), shape.len()), (mean(netem), mean(shape)));
    eprintln!("{what}: {apart:.4} apart; {counts:?} samples, means {:.3} and {:.3}", means.0, means.1);
    assert!(apart < APART, "{what}: {apart:.4}");
}

/// What became of each packet: how long it was on its way, if it came.
type Fates = Vec<Option<Duration>>;

/// The same packets at the same times through netem and through shape.
fn both(network: &str, count: usize, pause: Duration) -> [Fates; 2] {
    let said = output(env!("CARGO_BIN_EXE_vstream"), &["shape", "--tc", "lo", "--dry-run", "--up", network]);
    let said = String::from_utf8(said).unwrap();
    let netem = said.lines().next().unwrap().split_once(" netem ").unwrap().1;
    tc(&format!("qdisc replace dev lo parent 9:2 handle 90: netem {netem}"));
    let (_shape, client, target) = udp(&["--up", network]);
    let kernel = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (end, begun) = (UdpSocket::bind("127.0.0.1:0").unwrap(), Instant::now());
    kernel.connect(end.local_addr().unwrap()).unwrap();
    SockRef::from(&kernel).set_priority(PRIORITY).unwrap();
    let ends = [end, target].map(|end| receive(end, begun, count));
    for number in 0..count as u32 {
        std::thread::sleep((pause * number).saturating_sub(begun.elapsed()));
        for socket in [&kernel, &client] {
            let mut packet = [0; 12];
            packet[..4].copy_from_slice(&number.to_be_bytes());
            packet[4..].copy_from_slice(&(begun.elapsed().as_micros() as u64).to_be_bytes());
            socket.send(&packet).unwrap();
        }
    }
    ends.map(|end| end.join().unwrap())
}

/// Takes what comes until nothing does for longer than any delay.
fn receive(socket: UdpSocket, begun: Instant, count: usize) -> JoinHandle<Fates> {
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    std::thread::spawn(move || {
        let (mut fates, mut packet) = (vec![None; count], [0; 12]);
        while socket.recv(&mut packet).is_ok() {
            let number = u32::from_be_bytes(packet[..4].try_into().unwrap());
            let sent = u64::from_be_bytes(packet[4..].try_into().unwrap());
            fates[number as usize] = Some(begun.elapsed() - Duration::from_micros(sent));
        }
        fates
    })
}

fn delays(fates: &Fates) -> Vec<f64> {
    fates.iter().flatten().map(Duration::as_secs_f64).collect()
}

/// How many in a row were lost, or came.
fn runs(fates: &Fates, lost: bool) -> Vec<f64> {
    let chunks = fates.chunk_by(|a, b| a.is_none() == b.is_none());
    chunks.filter(|run| run[0].is_none() == lost).map(|run| run.len() as f64).collect()
}
