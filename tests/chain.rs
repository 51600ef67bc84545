//! Peers that join a coordinator: a chain or a tree that heals, whoever comes, leaves or dies.

mod common;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use common::disk::with_small_disk;
use common::folder::{saved, text, told};
use common::{LIMIT, Vstream, vstream};
use rustix::process::Signal;
use serde_json::Value;
use vstream::message::{About, Hello, Message, Side};
use vstream::roster::Status;

const SMALL: &str = "test?size=160x120&fps=100";

fn coordinator(more: &[&str]) -> (Vstream, String) {
    coordinator_on("tcp://127.0.0.1:0", more)
}

fn coordinator_on(address: &str, more: &[&str]) -> (Vstream, String) {
    let args = ["send", "--from", SMALL, "--stats", "json", "--coordinate", address];
    let mut send = vstream(&[&args, more].concat());
    let url = send.listening();
    (send, url)
}

/// A peer that has joined, before the next one does.
fn peer(to: &str, name: &str, more: &[&str]) -> Vstream {
    peer_on("tcp", to, name, more)
}

/// The same, called by another transport.
fn peer_on(transport: &str, to: &str, name: &str, more: &[&str]) -> Vstream {
    let listen = format!("{transport}://127.0.0.1:0");
    let args = ["relay", "--join", to, "--peer", name, "--listen", &listen, "--stats", "json"];
    let mut peer = vstream(&[&args, more].concat());
    peer.says("joined ");
    peer
}

fn peers_on(transport: &str, to: &str, names: &[&str], folder: &Path) -> Vec<Vstream> {
    names.iter().map(|name| peer_on(transport, to, name, &["--save", text(&folder.join(name))])).collect()
}

fn peers(to: &str, names: &[&str], folder: &Path) -> Vec<Vstream> {
    peers_on("tcp", to, names, folder)
}

fn has_frames(least: u64) -> impl Fn(&Value) -> bool {
    move |line| line["frames"].as_u64() >= Some(least)
}

/// The coordinator's transport, and that of its peers.
const WAYS: [(&str, &str); 3] = [("tcp", "tcp"), ("udp", "udp"), ("tcp", "udp")];

#[test]
fn those_that_live_have_every_frame_though_one_in_the_middle_is_killed() {
    std::thread::scope(|scope| {
        WAYS.map(|(to, between)| scope.spawn(move || kill_one_of_every_frame(to, between))).len()
    });
}

fn kill_one_of_every_frame(to: &str, between: &str) {
    let dir = tempfile::tempdir().unwrap();
    let on = format!("{to}://127.0.0.1:0");
    let (send, to) = coordinator_on(&on, &["--every-frame", "--frames", "300", "--wait-peers", "4"]);
    let mut chain = peers_on(between, &to, &["a", "b", "c", "d"], dir.path());
    chain[1].stats(has_frames(50));
    chain.remove(1).signal(Signal::KILL);
    send.end().ended_with(0).saying("b is gone");
    chain.into_iter().for_each(|peer| _ = peer.end().ended_with(0));
    let of = |name: &str| saved(&dir.path().join(name));
    let first = of("a");
    assert_eq!(first.len(), 300, "{on} {between}");
    assert!(first == of("c") && first == of("d"), "the same bytes in the same order: {on} {between}");
}

#[test]
fn a_live_stream_goes_on_within_a_second() {
    std::thread::scope(|scope| WAYS.map(|(to, between)| scope.spawn(move || kill_one_live(to, between))).len());
}

fn kill_one_live(to: &str, between: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (mut send, to) = coordinator_on(&format!("{to}://127.0.0.1:0"), &[]);
    let mut chain = peers_on(between, &to, &["a", "b", "c", "d"], dir.path());
    chain[3].stats(has_frames(100));
    let b = chain.remove(1);
    b.signal(Signal::KILL);
    send.says("b is gone");
    chain[1].says("connected to"); // to a
    let then = chain[2].stats(|_| true)["frames"].as_u64().unwrap();
    chain[2].stats(has_frames(then + 150));
    send.signal(Signal::INT);
    send.end().ended_with(0);
    for peer in chain {
        let said = peer.end().ended_with(0).text();
        assert!(!said.contains(&format!("waiting for {to}")), "{said}");
    }
    let seq = told(&dir.path().join("d")).iter().map(|line| line["seq"].as_u64().unwrap()).collect::<Vec<_>>();
    let gap = seq.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(gap < 100, "{gap} frames of 100 a second are missing in a row: {to} {between}");
    assert!(seq.is_sorted());
}

#[test]
fn one_that_is_killed_and_started_again_is_taken_again() {
    let (mut send, to) = coordinator_on("udp://127.0.0.1:0", &[]);
    let a = peer_on("udp", &to, "a", &[]);
    send.stats(|line| line["peer"] == "a" && line["fps"].as_f64() > Some(10.0));
    a.signal(Signal::KILL);
    drop(a);
    let mut again = peer_on("udp", &to, "a", &[]); // its name is not taken by the dead one
    again.stats(has_frames(20));
}

#[test]
fn who_joins_under_a_key_is_called_under_it_and_for_another_stream_not_at_all() {
    let (_send, to) = coordinator(&["--key", "one for all of us"]);
    let keyed = format!("{to}?key=one%20for%20all%20of%20us");
    let _a = peer(&keyed, "a", &[]);
    let mut b = peer(&keyed, "b", &[]);
    b.stats(has_frames(20));
    let other = keyed.replace("?key", "/other?key");
    vstream(&["relay", "--join", &other, "--peer", "c"]).end().ended_with(4).saying("there is no stream other");
}

#[test]
fn who_cannot_reach_the_one_before_gets_the_stream_from_the_source() {
    let (mut send, to) = coordinator(&[]);
    let hello = Hello {
        role: Side::Join,
        name: Some("a".into()),
        agent: String::new(),
        instance: 1,
        listening: Some("tcp://127.0.0.1:1".into()), // nobody listens there
        visit: Default::default(),
        stream: About::default(),
    };
    let mut a = TcpStream::connect(&to["tcp://".len()..]).unwrap();
    a.write_all(&Message::Hello(hello).encode().0).unwrap();
    send.says("a joins");
    let mut answers = a.try_clone().unwrap();
    std::thread::spawn(move || std::io::copy(&mut answers, &mut std::io::sink()));
    let alive = std::thread::spawn(move || {
        let status = Message::Status(Status { ready: true, ..Status::default() }).encode().0;
        while a.write_all(&status).is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(500)); // as often as peers do
        }
    });
    let mut b = peer(&to, "b", &[]);
    send.says("b cannot reach a: it gets the stream from here");
    b.stats(has_frames(20));
    drop(send);
    alive.join().unwrap();
}

#[test]
fn the_roster_tells_each_hop() {
    let (mut send, to) = coordinator(&[]);
    let (mut first, _second) = (peer(&to, "a", &[]), peer(&to, "b", &[]));
    let hop = |name: &str| {
        let (name, before) = (name.to_string(), if name == "a" { "send" } else { "a" });
        move |line: &Value| line["peer"] == *name && line["upstream"] == before && line["added_ms"].is_number()
    };
    // Of the first hop both figures are one, of the same moment.
    let line = first.stats(|line| line["added_ms"].is_number());
    assert_eq!(line["added_ms"], line["latency_ms"], "{line}");
    for name in ["a", "b"] {
        let line = send.stats(hop(name));
        assert!(line["latency_err_ms"].as_f64() >= line["added_err_ms"].as_f64(), "{line}");
        assert!(line["fps"].as_f64() > Some(20.0), "{line}");
    }
}

#[test]
fn one_that_is_told_to_quit_leaves_the_others_their_stream() {
    let (mut send, to) = coordinator(&["--every-frame"]);
    let (a, mut b, mut c) = (peer(&to, "a", &[]), peer(&to, "b", &[]), peer(&to, "c", &[]));
    c.stats(has_frames(20));
    a.signal(Signal::TERM);
    a.end().ended_with(0);
    send.says("a left");
    b.says("connected to tcp://127.0.0.1");
    for peer in [&mut b, &mut c] {
        let then = peer.stats(|_| true)["frames"].as_u64().unwrap();
        peer.stats(|line| line["fps"].as_f64() > Some(20.0) && line["frames"].as_u64() != Some(then));
    }
}

#[test]
fn nobody_waits_for_the_last_one_nor_for_one_of_a_tree() {
    let (mut send, to) = coordinator(&["--every-frame", "--fanout", "2"]);
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut tree: Vec<Vstream> = names.iter().map(|name| peer(&to, name, &[])).collect();
    tree[5].stats(has_frames(20));
    for (place, gone) in [(5, "f is gone"), (0, "a is gone")] {
        tree.remove(place).signal(Signal::KILL);
        send.says(gone);
        for peer in &mut tree {
            let then = peer.stats(|line| line["peer"].is_string())["frames"].as_u64().unwrap();
            peer.stats(|line| line["fps"].as_f64() > Some(20.0) && line["frames"].as_u64() != Some(then));
        }
    }
}

#[test]
fn a_coordinator_that_dies_and_returns_finds_its_peers_again() {
    let dir = tempfile::tempdir().unwrap();
    let (send, to) = coordinator(&["--every-frame"]);
    let mut chain = peers(&to, &["a", "b", "c"], dir.path());
    chain[2].stats(has_frames(50));
    send.signal(Signal::KILL);
    drop(send);
    let (send, _) = coordinator_on(&to, &["--every-frame", "--frames", "200", "--wait-peers", "3"]);
    send.end().ended_with(0);
    chain.drain(..).for_each(|peer| _ = peer.end().ended_with(0));
    for name in ["a", "b", "c"] {
        let told = told(&dir.path().join(name));
        let epochs: BTreeSet<u64> = told.iter().map(|line| line["epoch"].as_u64().unwrap()).collect();
        assert_eq!(epochs.len(), 2, "{name}");
        let last = told.last().unwrap()["epoch"].clone();
        assert_eq!(told.iter().filter(|line| line["epoch"] == last).count(), 200, "{name}");
    }
}

#[test]
fn a_full_disk_of_one_peer_is_its_own_affair() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let (send, to) = coordinator(&["--every-frame", "--frames", "300", "--size", "320x240", "--wait-peers", "3"]);
    let a = peer(&to, "a", &["--save", text(&dir.path().join("a"))]);
    let full = disk.join("b");
    let args = ["relay", "--join", &to, "--peer", "b", "--save", text(&full)];
    let Some(mut b) = with_small_disk(&disk, &args) else { return };
    b.says("joined tcp://");
    let c = peer(&to, "c", &["--save", text(&dir.path().join("c"))]);
    b.end().ended_with(1).saying("no space left on device");
    for process in [send, a, c] {
        process.end().ended_with(0);
    }
    let (a, c) = (saved(&dir.path().join("a")), saved(&dir.path().join("c")));
    assert_eq!(a.len(), 300);
    assert!(a == c, "the same bytes in the same order");
}

#[test]
fn a_name_is_one_peers() {
    let (mut send, to) = coordinator(&[]);
    let _a = peer(&to, "a", &[]);
    vstream(&["relay", "--join", &to, "--peer", "a"]).end().ended_with(4).saying("the name a is taken");
    vstream(&["relay", "--join", &to, "--peer", "../a"]).end().ended_with(2);
    vstream(&["relay", "--join", &to, "--peer", "send"]).end().ended_with(2).saying("the source's name");
    let hello = |name: &str, listening: Option<&str>| Hello {
        role: Side::Join,
        name: Some(name.into()),
        agent: String::new(),
        instance: 1,
        listening: listening.map(Into::into),
        visit: Default::default(),
        stream: About::default(),
    };
    for (bad, why) in [
        (hello("../../etc", Some("tcp://:7")), "is not a peer's name"),
        (hello("b", None), "says where others can call it"),
        (hello("b", Some("tcp://:0")), "port 0"),
        (hello("b", Some("nonsense://:7")), "unknown scheme"),
    ] {
        let mut stream = TcpStream::connect(&to["tcp://".len()..]).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(&Message::Hello(bad).encode().0).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.contains(why), "{answer}");
    }
    send.stats(|line| line["peer"] == "a");
}

#[test]
fn only_a_coordinator_is_joined() {
    let mut send = vstream(&["send", "--from", SMALL, "--listen", "tcp://127.0.0.1:0"]);
    let to = send.listening();
    vstream(&["relay", "--join", &to]).end().ended_with(4).saying("nobody coordinates here");
    vstream(&["send", "--from", SMALL, "--listen", ":0", "--wait-peers", "2"]).end().ended_with(2);
}

#[test]
fn who_waits_for_peers_says_how_many_are_there() {
    let (mut send, to) = coordinator(&["--wait-peers", "2"]);
    send.says("to be sent, when 2 peers are ready: test card");
    send.says("waiting for 2 peers: 0 are here");
    let a = peer(&to, "a", &[]);
    send.says("waiting for 2 peers: 1 is here");
    a.signal(Signal::KILL);
    send.says("waiting for 2 peers: 0 are here");
    let _others = [peer(&to, "b", &[]), peer(&to, "c", &[])];
    send.says("2 peers are ready");
}

#[test]
fn more_peers_than_can_join_are_not_waited_for() {
    let waiting = |peers, fanout| {
        let most = ["--duration", "100ms", "--wait-peers", peers, "--fanout", fanout];
        vstream(&[&["send", "--from", SMALL, "--coordinate", "tcp://127.0.0.1:0"], &most[..]].concat()).end()
    };
    waiting("16", "1").ended_with(2).saying("no more than 15 can join").saying("16 hops");
    waiting("257", "2").ended_with(2).saying("no more than 256 can join");
    waiting("15", "1").saying("listening on");
    waiting("16", "2").saying("listening on");
}

#[test]
fn what_a_source_changes_comes_to_the_last_one() {
    let (mut send, to) = coordinator(&["--http", "127.0.0.1:0"]);
    let at = send.serving();
    let _a = peer(&to, "a", &[]);
    let mut b = peer(&to, "b", &[]);
    b.stats(|line| line["size"] == "160x120");
    let body = r#"{"size":"320x240","quality":40,"fps":50}"#;
    let mut web = TcpStream::connect(&at).unwrap();
    let head = format!("PATCH /control HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: {}", body.len());
    web.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
    b.stats(|line| line["size"] == "320x240" && line["fps"].as_f64() < Some(60.0));
}

/// Runs the example on a port of its own; whether it ended well, and what it said.
fn example(peers: &str, out: &Path, video: Option<&Path>) -> (bool, String) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/chain.sh");
    let mut script = std::process::Command::new("timeout");
    script.args(["60", "sh", text(&example), peers, &port]).env("OUT", out);
    script.env("VSTREAM", env!("CARGO_BIN_EXE_vstream")).current_dir(out.parent().unwrap());
    script.env_remove("TMUX").env_remove("DISPLAY").env_remove("VIDEO");
    video.map(|video| script.env("VIDEO", video));
    let ended = script.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    (ended.status.success(), said)
}

#[test]
fn the_example_says_what_it_cannot_do() {
    let dir = tempfile::tempdir().unwrap();
    let (out, junk) = (dir.path().join("out"), Path::new("junk.mp4"));
    std::fs::write(dir.path().join(junk), "no film").unwrap();
    for (peers, video, why) in [
        ("1", None, "it takes 2"),
        ("16", None, "to 15"),
        ("2", Some(Path::new("nowhere.mp4")), "there is no such film"),
        ("2", Some(junk), "could not open"),
        ("2", Some(junk), "an earlier run"),
    ] {
        let (well, said) = example(peers, &out, video);
        assert!(!well && said.contains(why), "{said}");
    }
}

#[test]
fn the_example_holds_all_frames_and_they_are_a_film_again() {
    if !common::have("ffmpeg") || !common::have("ffprobe") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let (well, said) = example("3", &out, None);
    assert!(well && said.contains("all 2 others have the same frames"), "{said}");
    let (frames, film) = (out.join("peer_3_frames/frame_%06d.jpg"), out.join("again.mkv"));
    common::output("ffmpeg", &["-nostdin", "-v", "error", "-i", text(&frames), "-c", "copy", text(&film)]);
    assert_eq!(common::probed(&film), 240);
}
