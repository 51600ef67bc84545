//! Relays in a row and side by side: every frame once and in order, also when one is killed; no loops; nobody waits for a
//! slow one.

mod common;

use std::path::Path;

use common::shape::shape;
use common::{Vstream, vstream};
use rustix::process::Signal;

const SMALL: &str = "test?size=160x120&fps=100";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The JPEGs of a folder of frames, in order.
fn saved(folder: &Path) -> Vec<Vec<u8>> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|name| name.extension().is_some_and(|e| e == "jpg"));
    names.sort();
    names.iter().map(|name| std::fs::read(name).unwrap()).collect()
}

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
    join.stats(both);
    recv.stats(|line| line["frames"].as_u64() > Some(50));
    left.signal(Signal::KILL);
    join.says("is gone");
    let there = recv.stats(|line| line["fps"].as_f64() > Some(50.0));
    assert!(there["fps"].as_f64() < Some(150.0), "no frame comes twice: {there}");
}

#[test]
fn a_slow_peer_holds_up_neither_the_others_nor_the_relay() {
    let (slow, to_slow) = receiver(&[]);
    let (mut fast, to_fast) = receiver(&[]);
    let (_relay, to) = relay(&to_slow, &["--next", &to_fast]);
    let _send = vstream(&["send", "--from", "test?size=640x360&fps=60", "--to", &to]);
    fast.stats(|line| line["frames"].as_u64() > Some(30));
    slow.signal(Signal::STOP);
    let then = fast.stats(|_| true)["frames"].as_u64().unwrap();
    let line = fast.stats(|line| line["frames"].as_u64() > Some(then + 120));
    assert!(line["latency_ms"].as_f64() < Some(200.0), "{line}");
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
