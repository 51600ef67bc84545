//! Relays in a row and side by side: every frame once and in order, also when one is killed; no loops; nobody waits for a
//! slow one.

mod common;

use common::disk::with_small_disk;
use common::folder::{saved, text};
use common::shape::shape;
use common::{Vstream, vstream};
use rustix::process::Signal;

const SMALL: &str = "test?size=160x120&fps=100";

fn receiver(more: &[&str]) -> (Vstream, String) {
    let mut recv = vstream(&[&["recv", "--listen", "tcp://127.0.0.1:0", "--stats", "json"], more].concat());
    let url = recv.listening();
    (recv, url)
}

/// A relay that listens, and passes on to `next`.
fn relay(next: &str, more: &[&str]) -> (Vstream, String) {
    let args = ["relay", "--listen", "tcp://127.0.0.1:0", "--stats", "json", "--next", next];
    let mut relay = vstream(&[&args, more].concat());
    let url = relay.listening();
    (relay, url)
}

#[test]
fn every_frame_crosses_four_relays_though_one_in_the_middle_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (first, last) = (dir.path().join("first"), dir.path().join("last"));
    let (recv, to) = receiver(&["--save", text(&last)]);
    let (d, to_d) = relay(&to, &["--peer", "d"]);
    let (mut c, to_c) = relay(&to_d, &["--peer", "c"]);
    let (b, to_b) = relay(&to_c, &["--peer", "b"]);
    let (a, to_a) = relay(&to_b, &["--peer", "a", "--save", text(&first)]);
    let send = vstream(&["send", "--from", SMALL, "--frames", "300", "--every-frame", "--to", &to_a]);
    c.stats(|line| line["frames"].as_u64() > Some(50));
    c.signal(Signal::KILL);
    drop(c);
    let c = vstream(&["relay", "--listen", &to_c, "--next", &to_d, "--peer", "c"]);
    for process in [send, a, b, c, d, recv] {
        process.end().ended_with(0);
    }
    let (first, last) = (saved(&first), saved(&last));
    assert_eq!((first.len(), last.len()), (300, 300));
    assert!(first == last, "the same bytes in the same order");
}

#[test]
fn every_frame_crosses_a_chain_of_three_transports() {
    let dir = tempfile::tempdir().unwrap();
    let (first, last) = (dir.path().join("first"), dir.path().join("last"));
    let mut recv = vstream(&["recv", "--listen", "tls://127.0.0.1:0", "--save", text(&last)]);
    let to = recv.listening();
    let mut b = vstream(&["relay", "--listen", "udp://127.0.0.1:0", "--next", &to, "--peer", "b"]);
    let (a, to) = relay(&b.listening(), &["--save", text(&first), "--peer", "a"]);
    let send = vstream(&["send", "--from", SMALL, "--frames", "200", "--every-frame", "--to", &to]);
    for process in [send, a, b, recv] {
        process.end().ended_with(0);
    }
    let (first, last) = (saved(&first), saved(&last));
    assert_eq!((first.len(), last.len()), (200, 200));
    assert!(first == last, "the same bytes in the same order");
}

#[test]
fn the_last_frame_of_a_stream_comes_through_a_slow_network() {
    let dir = tempfile::tempdir().unwrap();
    let (first, last) = (dir.path().join("first"), dir.path().join("last"));
    let (recv, to) = receiver(&["--save", text(&last)]);
    let (_shape, narrow) = shape(&to["tcp://".len()..], &["--rate", "500kbit"]);
    // Its own folder is complete long before the next peer has that frame.
    let (relay, to) = relay(&format!("tcp://{narrow}"), &["--save", text(&first)]);
    vstream(&["send", "--from", "test?size=640x360", "--frames", "30", "--to", &to]).end().ended_with(0);
    relay.end().ended_with(0);
    recv.end().ended_with(0).saying("the source is over");
    assert!(saved(&first).last() == saved(&last).last(), "the same frame");
}

#[test]
fn two_ways_to_one_stream_are_one_stream_and_one_of_them_may_break() {
    let mut send = vstream(&["send", "--from", SMALL, "--listen", "tcp://127.0.0.1:0"]);
    let source = send.listening();
    let way = |name| {
        let args = ["relay", "--from", &source, "--listen", "tcp://127.0.0.1:0", "--peer", name];
        let mut relay = vstream(&args);
        let url = relay.listening();
        (relay, url)
    };
    let ((left, by_left), (_right, by_right)) = (way("left"), way("right"));
    let (mut recv, to) = receiver(&[]);
    let join = ["relay", "--from", &by_left, "--from", &by_right, "--next", &to, "--stats", "json"];
    let mut join = vstream(&join);
    let both =
        |line: &serde_json::Value| line["peer"] == by_right["tcp://".len()..] && line["frames"].as_u64() > Some(20);
    let line = join.stats(both);
    assert_eq!(line["added_ms"].is_number(), line["latency_ms"].is_number(), "{line}");
    recv.stats(|line| line["frames"].as_u64() > Some(50));
    left.signal(Signal::KILL);
    join.says("is gone");
    let there = recv.stats(|line| line["fps"].as_f64() > Some(50.0));
    assert!(there["fps"].as_f64() < Some(150.0), "no frame comes twice: {there}");
    // It came by two links and went on by one, and is counted once.
    send.signal(Signal::INT);
    let (had, passed) = (recv.end().ended_with(0).totals(), join.end().ended_with(0).totals());
    assert!(passed["frames"].as_u64() < Some(had["frames"].as_u64().unwrap() * 3 / 2), "{passed} and {had}");
}

#[test]
fn two_sources_are_no_one_stream_and_that_is_told() {
    let source = || {
        let mut send = vstream(&["send", "--from", SMALL, "--listen", "tcp://127.0.0.1:0"]);
        let url = send.listening();
        (send, url)
    };
    let ((one, by_one), (other, by_other)) = (source(), source());
    let (mut recv, to) = receiver(&[]);
    let mut join = vstream(&["relay", "--from", &by_one, "--from", &by_other, "--next", &to]);
    let told = join.says("brings another stream than the one that goes on here");
    // The one that is left out takes over when the other has gone.
    let goes_on = if told.contains(&by_one["tcp://".len()..]) { other } else { one };
    goes_on.signal(Signal::KILL);
    let had = recv.stats(|line| line["frames"].as_u64() > Some(0))["frames"].as_u64();
    recv.stats(|line| line["frames"].as_u64() > had.map(|had| had + 300));
}

#[test]
fn a_slow_peer_holds_up_neither_the_others_nor_the_relay() {
    let (mut slow, to_slow) = receiver(&[]);
    let (mut fast, to_fast) = receiver(&[]);
    let (relay, to) = relay(&to_slow, &["--next", &to_fast]);
    let _send = vstream(&["send", "--from", "test?size=640x360&fps=60", "--to", &to]);
    fast.stats(|line| line["frames"].as_u64() > Some(30));
    slow.signal(Signal::STOP);
    let then = fast.stats(|_| true)["frames"].as_u64().unwrap();
    let line = fast.stats(|line| line["frames"].as_u64() > Some(then + 120));
    assert!(line["latency_ms"].as_f64() < Some(200.0), "{line}");
    // What the slow one missed is told once.
    slow.signal(Signal::CONT);
    slow.stats(|line| line["frames"].as_u64() > Some(then + 30));
    relay.signal(Signal::TERM);
    let totals = relay.end().totals();
    let (frames, missed) = (totals["frames"].as_u64().unwrap(), totals["dropped"]["slow"].as_u64().unwrap());
    assert!(missed > 60 && missed < frames, "{missed} of {frames}");
}

/// An address that nobody listens on any more.
fn free() -> String {
    receiver(&[]).1
}

#[test]
fn a_relay_that_is_pointed_at_itself_says_so() {
    let url = free();
    let relay = vstream(&["relay", "--listen", &url, "--next", &url]);
    let _send = vstream(&["send", "--from", SMALL, "--to", &url]);
    relay.end().ended_with(4).saying("a loop");
}

#[test]
fn a_loop_over_three_relays_is_told_and_broken() {
    let first = free();
    let (mut c, to_c) = relay(&first, &["--peer", "c"]);
    let (b, to_b) = relay(&to_c, &["--peer", "b"]);
    let _a = vstream(&["relay", "--listen", &first, "--next", &to_b, "--peer", "a"]);
    let _send = vstream(&["send", "--from", SMALL, "--to", &to_c]);
    c.says("a loop: the stream comes from here");
    b.end().ended_with(4).saying("a loop");
}

#[test]
fn a_stream_of_another_source_is_refused_while_one_is_there() {
    let (_recv, to) = receiver(&[]);
    let (mut relay, to) = relay(&to, &[]);
    let _send = vstream(&["send", "--from", SMALL, "--to", &to]);
    relay.says("sends live");
    vstream(&["send", "--from", SMALL, "--to", &to]).end().ended_with(4).saying("sends already");
}

#[test]
fn a_relay_that_leaves_before_there_is_a_stream_ends_none() {
    let mut relay = vstream(&["relay", "--listen", "tcp://127.0.0.1:0"]);
    let url = relay.listening();
    let mut recv = vstream(&["recv", "--from", &url, "--stats", "json"]);
    relay.says("watches");
    relay.signal(Signal::TERM);
    relay.end().ended_with(0);
    recv.says("left: it was stopped");
    let _send = vstream(&["send", "--from", SMALL, "--listen", &url]);
    recv.stats(|line| line["frames"].as_u64() > Some(0));
}

#[test]
fn a_next_peer_that_refuses_is_told_of_and_the_others_have_every_frame() {
    let dir = tempfile::tempdir().unwrap();
    let mut strict = vstream(&["recv", "--listen", "tcp://127.0.0.1:0/other"]);
    let url = strict.listening();
    let (recv, to) = receiver(&["--save", text(dir.path())]);
    let (relay, to) = relay(&to, &["--next", &url.replace("/other", "/live")]);
    let send = vstream(&["send", "--from", SMALL, "--frames", "100", "--every-frame", "--to", &to]);
    send.end().ended_with(0);
    recv.end().ended_with(0);
    relay.end().ended_with(4).saying("there is no stream live here; there is other");
    assert_eq!(saved(dir.path()).len(), 100);
}

#[test]
fn a_next_peer_that_refuses_is_told_of_at_once_and_called_again() {
    let (strict, to_strict) = receiver(&["--key", "a key that only it has"]);
    let (mut fine, to_fine) = receiver(&[]);
    let (mut relay, to) = relay(&to_strict, &["--next", &to_fine]);
    let send = vstream(&["send", "--from", SMALL, "--to", &to]);
    let told = relay.says("the rest goes on, and it is called again now and then");
    assert!(told.contains(&to_strict) && told.contains("key"), "{told}");
    fine.stats(|line| line["frames"].as_u64() > Some(10));
    strict.signal(Signal::KILL);
    drop(strict);
    let mut open = vstream(&["recv", "--listen", &to_strict, "--stats", "json"]);
    open.stats(|line| line["frames"].as_u64() > Some(10));
    send.signal(Signal::INT);
    // It is served in the end: nothing is left to complain of.
    for process in [send, fine, open, relay] {
        process.end().ended_with(0);
    }
}

#[test]
fn a_full_disk_cuts_off_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let (mut recv, next) = receiver(&[]);
    let full = disk.join("frames");
    let args = ["relay", "--listen", "tcp://127.0.0.1:0", "--next", &next, "--save", text(&full)];
    let Some(mut relay) = with_small_disk(&disk, &args) else { return };
    let to = relay.listening();
    let send = vstream(&["send", "--from", "test?size=640x480&fps=60", "--to", &to]);
    relay.says("no space left on device");
    let had = recv.stats(|_| true)["frames"].as_u64();
    recv.stats(|line| line["frames"].as_u64() > had.map(|had| had + 60));
    send.signal(Signal::INT);
    send.end();
    relay.end().ended_with(1);
    recv.end().ended_with(0);
}

#[test]
fn a_relay_that_all_have_refused_ends() {
    let (_a, to_a) = receiver(&["--key", "a key that only it has"]);
    let (_b, to_b) = receiver(&["--key", "another"]);
    let (relay, to) = relay(&to_a, &["--next", &to_b]);
    let _send = vstream(&["send", "--from", SMALL, "--to", &to]);
    relay.end().ended_with(4).saying("key");
}

#[test]
fn a_source_that_refuses_is_told_of_and_another_is_enough() {
    let source = |more: &[&str]| {
        let mut send = vstream(&[&["send", "--from", SMALL, "--listen", "tcp://127.0.0.1:0"], more].concat());
        let url = send.listening();
        (send, url)
    };
    let ((_strict, by_strict), (fine, by_fine)) = (source(&["--key", "a key that only it has"]), source(&[]));
    let (mut recv, to) = receiver(&[]);
    let mut both = vstream(&["relay", "--from", &by_strict, "--from", &by_fine, "--next", &to]);
    both.says("the rest goes on");
    recv.stats(|line| line["frames"].as_u64() > Some(10));
    fine.signal(Signal::INT);
    for process in [fine, both, recv] {
        process.end().ended_with(0);
    }
    let (_other, by_other) = source(&["--key", "another"]);
    vstream(&["relay", "--from", &by_strict, "--from", &by_other]).end().ended_with(4).saying("key");
}

#[test]
fn segments_go_on_before_their_frame_has_come() {
    let narrow = |to: &str| {
        let (shape, to) = shape(&to["tcp://".len()..], &["--rate", "1mbit"]);
        (shape, format!("tcp://{to}"))
    };
    let (mut recv, to) = receiver(&[]);
    let (_after, to) = narrow(&to);
    let (mut relay, to) = relay(&to, &[]);
    let (_before, to) = narrow(&to);
    let _send = vstream(&["send", "--from", "test?size=640x360&fps=2", "--gate", "off", "--to", &to]);
    let latency = |line: &serde_json::Value| line["latency_ms"].as_f64().filter(|_| line["frames"].as_u64() > Some(4));
    let once = relay.stats(|line| latency(line).is_some());
    let twice = recv.stats(|line| latency(line).is_some());
    // A relay that waited for whole frames would double it.
    let (once, twice) = (latency(&once).unwrap(), latency(&twice).unwrap());
    assert!(twice < 1.5 * once, "{once} ms to the relay, {twice} ms over it");
}

#[test]
fn a_host_that_nobody_knows_is_told_before_there_is_a_stream() {
    let (mut relay, _) = relay("tcp://no.such.host.invalid:9000", &[]);
    relay.says("could not find the host no.such.host.invalid");
    relay.signal(Signal::INT);
    relay.end().ended_with(0);
}

#[test]
fn a_receiver_that_is_called_by_two_addresses_gets_the_stream_all_the_same() {
    let (recv, to) = receiver(&[]);
    let port = to.rsplit_once(':').unwrap().1.to_string();
    let mut send = vstream(
        &[
            &["send", "--from", "test?size=160x120&fps=30", "--frames", "120", "--to", &to, "--to"][..],
            &[&format!("tcp://localhost:{port}")],
        ]
        .concat(),
    );
    send.says("leaves again and again");
    send.end().ended_with(0);
    let frames = recv.end().totals()["frames"].as_u64().unwrap();
    assert!(frames > 90, "{frames} of 120");
}
