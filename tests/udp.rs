//! `udp://` from end to end: a sender, a bad network, a receiver, and those who mean no good.

mod common;

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::way::Way;
use common::{LIMIT, Vstream, skip, vstream};
use vstream::datagrams::door::{Call, VERSION, Word};

const CARD: &str = "test?size=640x360&fps=30";

/// A receiver with these options, a network before it, and the address to send to.
fn receiver(options: &str, network: &[&str]) -> (Vstream, Vstream, String) {
    let listen = format!("udp://127.0.0.1:0{options}");
    let mut recv = vstream(&["recv", "--listen", &listen, "--stats", "json"]);
    let to = recv.listening();
    let target = to.split("://").nth(1).unwrap().split('?').next().unwrap().to_string();
    let base = ["shape", "--listen", "127.0.0.1:0", "--to", &target, "--udp", "--seed", "1", "--http", "127.0.0.1:0"];
    let mut shape = vstream(&[&base[..], network].concat());
    let address = shape.listening();
    (recv, shape, address)
}

fn number(line: &serde_json::Value, path: &str) -> f64 {
    line.pointer(path).and_then(serde_json::Value::as_f64).unwrap_or_default()
}

#[test]
fn with_latency_frames_are_whole_on_a_bad_network() {
    let (recv, _shape, to) = receiver("?latency=160ms", &["--delay", "20ms", "--loss", "5%"]);
    vstream(&["send", "--from", CARD, "--frames", "150", "--to", &to]).end().ended_with(0);
    let totals = recv.end().ended_with(0).totals();
    assert!(number(&totals, "/frames") >= 140.0, "{totals}");
    assert!(number(&totals, "/stale_pct") < 0.2, "{totals}");
    assert!(number(&totals, "/recovered/fec") + number(&totals, "/recovered/resend") > 20.0, "{totals}");
    assert!(number(&totals, "/lost") <= 1.0, "{totals}");
}

#[test]
fn without_latency_the_newest_wins_and_the_rest_heals() {
    let (recv, _shape, to) = receiver("", &["--delay", "20ms", "--loss", "10%"]);
    vstream(&["send", "--from", CARD, "--frames", "150", "--to", &to]).end().ended_with(0);
    let totals = recv.end().ended_with(0).totals();
    assert!(number(&totals, "/frames") >= 130.0, "{totals}");
    assert!(number(&totals, "/stale_pct") < 2.0, "{totals}");
}

#[test]
fn every_frame_arrives_through_losses() {
    let dir = tempfile::tempdir().unwrap();
    let frames = dir.path().join("frames");
    let mut recv =
        vstream(&["recv", "--listen", "udp://127.0.0.1:0", "--stats", "json", "--save", frames.to_str().unwrap()]);
    let target = recv.listening().split("://").nth(1).unwrap().to_string();
    let base = ["shape", "--listen", "127.0.0.1:0", "--to", &target, "--udp", "--http", "127.0.0.1:0", "--seed", "1"];
    let mut shape = vstream(&[&base[..], &["--loss", "10%", "--reorder", "2%", "--duplicate", "2%"]].concat());
    let to = shape.listening();
    vstream(&["send", "--from", CARD, "--frames", "60", "--every-frame", "--to", &to]).end().ended_with(0);
    let totals = recv.end().ended_with(0).totals();
    assert_eq!(totals["frames"], 60, "{totals}");
    assert_eq!(
        std::fs::read_dir(frames).unwrap().filter(|e| e.as_ref().unwrap().path().extension().unwrap() == "jpg").count(),
        60
    );
}

#[test]
fn strangers_cost_nothing_and_get_less_than_they_gave() {
    let mut recv = vstream(&["recv", "--listen", "udp://127.0.0.1:0", "--stats", "json"]);
    let to = recv.listening();
    let target = to.split("://").nth(1).unwrap().to_string();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.connect(&target).unwrap();
    stranger.set_read_timeout(Some(LIMIT)).unwrap();
    let call = |caller| Call { caller, cookie: 7, mtu: 1200, latency: Duration::ZERO, proof: Default::default() };
    let mut buffer = [0; 2000];
    for caller in 0..20_000 {
        stranger.send(&Word::Call(call(caller)).encode()).unwrap();
        if caller % 100 == 0 {
            let count = stranger.recv(&mut buffer).unwrap();
            assert!(matches!(Word::decode(buffer[..count].to_vec().into()).unwrap(), Word::Cookie { .. }));
            assert!(count < 40);
        }
    }
    for rubbish in [&[][..], &[1], &[16; 17], &[16; 1400], &[255; 1400]] {
        stranger.send(rubbish).unwrap();
    }
    vstream(&["send", "--from", CARD, "--frames", "10", "--to", &to]).end().ended_with(0);
    let totals = recv.end().ended_with(0).totals();
    assert!(number(&totals, "/frames") >= 5.0, "{totals}");
}

#[test]
fn another_version_is_told_so() {
    let mut recv = vstream(&["recv", "--listen", "udp://127.0.0.1:0"]);
    let target = recv.listening().split("://").nth(1).unwrap().to_string();
    let caller = UdpSocket::bind("127.0.0.1:0").unwrap();
    caller.connect(&target).unwrap();
    caller.set_read_timeout(Some(LIMIT)).unwrap();
    let call = Call { caller: 5, cookie: 0, mtu: 1200, latency: Duration::ZERO, proof: Default::default() };
    let newer = Word::Call(call).encode_as(VERSION + 1);
    caller.send(&newer).unwrap();
    let mut buffer = [0; 2000];
    let count = caller.recv(&mut buffer).unwrap();
    assert_eq!(Word::decode(buffer[..count].to_vec().into()).unwrap(), Word::Version { caller: 5, version: VERSION });
}

#[test]
fn a_receiver_that_is_started_again_is_called_again() {
    let mut recv = vstream(&["recv", "--listen", "udp://127.0.0.1:0", "--stats", "json"]);
    let to = recv.listening();
    let mut send = vstream(&["send", "--from", CARD, "--to", &to]);
    send.says("connected to");
    recv.stats(|line| number(line, "/frames") > 5.0);
    drop(recv); // killed: it says nothing
    let mut recv = vstream(&["recv", "--listen", to.split('?').next().unwrap(), "--stats", "json"]);
    recv.stats(|line| number(line, "/frames") > 5.0);
}

/// By a way on which nobody tells that it was killed.
#[test]
fn a_sender_that_is_killed_and_started_again_sends_on() {
    let (mut recv, _shape, to) = receiver("", &["--delay", "5ms"]);
    let to = format!("udp://{}", to.split("://").nth(1).unwrap());
    let send = vstream(&["send", "--from", CARD, "--to", &to]);
    recv.stats(|line| number(line, "/frames") > 5.0);
    // One that lives keeps its place.
    vstream(&["send", "--from", CARD, "--to", &to]).end().ended_with(4).saying("sends already");
    drop(send);
    vstream(&["send", "--from", CARD, "--to", &to, "--frames", "30"]).end().ended_with(0);
    recv.says("says nothing any more");
}

#[test]
fn one_that_is_killed_is_missed_at_once_by_whom_it_called() {
    let mut send = vstream(&["send", "--from", CARD, "--listen", "udp://127.0.0.1:0"]);
    let at = send.listening();
    let mut recv = vstream(&["recv", "--from", &at, "--stats", "json"]);
    let mut other = vstream(&["recv", "--from", &at, "--stats", "json"]);
    recv.stats(|line| number(line, "/frames") > 5.0);
    let killed = std::time::Instant::now();
    drop(recv);
    send.says("is gone");
    assert!(killed.elapsed() < Duration::from_secs(5), "silence is told after 8 s");
    let then = number(&other.stats(|_| true), "/frames");
    other.stats(|line| number(line, "/frames") > then + 30.0); // the same host, and it answers
}

#[test]
fn who_has_another_key_or_none_is_refused() {
    let key = ["--key", "a key that both know"];
    let mut recv = vstream(&[&["recv", "--listen", "udp://127.0.0.1:0", "--stats", "json"][..], &key].concat());
    let to = recv.listening();
    let send =
        |args: &[&str]| vstream(&[&["send", "--from", CARD, "--frames", "20", "--to", &to][..], args].concat()).end();
    send(&["--key", "another key altogether"]).ended_with(4).saying("the key is wrong");
    send(&[]).ended_with(4).saying("a key is needed");
    send(&key).ended_with(0);
    assert!(number(&recv.end().ended_with(0).totals(), "/frames") > 5.0);
    let mut open = vstream(&["recv", "--listen", "udp://127.0.0.1:0"]);
    let to = open.listening();
    vstream(&[&["send", "--from", CARD, "--to", &to][..], &key].concat())
        .end()
        .ended_with(4)
        .saying("no key is set here");
}

/// A receiver, and a way to it.
fn behind() -> (Vstream, Arc<Way>, String) {
    let mut recv = vstream(&["recv", "--listen", "udp://127.0.0.1:0", "--stats", "json"]);
    let target = recv.listening().split("://").nth(1).unwrap().to_string();
    let way = Way::new(&target);
    let to = format!("udp://{}", way.address());
    (recv, way, to)
}

#[test]
fn a_way_that_takes_no_long_datagrams_gets_shorter_ones() {
    for (up, down, length) in [(1100, usize::MAX, 1024), (usize::MAX, 1100, 1024), (900, 900, 548)] {
        let (recv, way, to) = behind();
        way.up.store(up, Ordering::Relaxed);
        way.down.store(down, Ordering::Relaxed);
        let sent = vstream(&["send", "--from", CARD, "--frames", "20", "--to", &to]).end().ended_with(0);
        sent.saying(&format!("datagrams of 1200 bytes do not reach {}: they have {length} now", way.address()));
        let totals = recv.end().ended_with(0).totals();
        assert!(number(&totals, "/frames") > 10.0, "{totals}");
    }
}

#[test]
fn a_way_that_gets_narrow_is_noticed_and_the_stream_goes_on() {
    // Of the one all parts are too long, of the other the last of most frames is not.
    for card in [CARD, "test?size=480x360"] {
        let (mut recv, way, to) = behind();
        let mut send = vstream(&["send", "--from", card, "--no-adapt", "--to", &to]);
        recv.stats(|line| number(line, "/frames") > 5.0);
        way.up.store(700, Ordering::Relaxed);
        send.says("datagrams of 1200 bytes do not arrive any more");
        send.says("they have 548 now");
        let before = number(&recv.stats(|line| number(line, "/frames") > 0.0), "/frames");
        recv.stats(|line| number(line, "/frames") > before + 20.0);
    }
}

#[test]
fn a_sender_whose_port_moves_keeps_its_connection() {
    let (mut recv, way, to) = behind();
    let mut send = vstream(&["send", "--from", CARD, "--frames", "200", "--to", &to]);
    send.says("connected to");
    for _ in 0..3 {
        let before = number(&recv.stats(|line| number(line, "/frames") > 0.0), "/frames");
        way.move_on();
        recv.stats(|line| number(line, "/frames") > before + 20.0);
    }
    let sent = send.end().ended_with(0);
    assert_eq!(sent.lines.iter().filter(|line| line.contains("connected to")).count(), 1, "{}", sent.text());
}

#[test]
fn one_sender_serves_several_transports_and_both_internets() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return skip("no IPv6 on this machine");
    }
    let mut to = Vec::new();
    let mut receivers = Vec::new();
    for scheme in ["tcp", "tls", "udp"] {
        let mut recv = vstream(&["recv", "--listen", &format!("{scheme}://[::1]:0"), "--stats", "json"]);
        to.extend(["--to".to_string(), recv.listening()]);
        receivers.push(recv);
    }
    assert!(to.iter().all(|word| word == "--to" || word.contains("://[::1]:")), "{to:?}");
    let mut every = vstream(&["recv", "--listen", "udp://:0", "--stats", "json"]);
    let port = every.listening().rsplit(':').next().unwrap().split(['/', '?']).next().unwrap().to_string();
    to.extend(["--to".to_string(), format!("udp://127.0.0.1:{port}")]);
    receivers.push(every);
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    vstream(&[&["send", "--from", CARD, "--frames", "60"][..], &to].concat()).end().ended_with(0);
    for recv in receivers {
        let totals = recv.end().ended_with(0).totals();
        assert!(number(&totals, "/frames") > 20.0, "{totals}");
    }
}

#[test]
fn options_that_are_none_are_usage_errors() {
    vstream(&["recv", "--listen", "udp://:0?mtu=10"]).end().ended_with(2).saying("576 to 65507");
    vstream(&["send", "--to", "udp://127.0.0.1:9?fec=lots"]).end().ended_with(2).saying("percentages are from");
    vstream(&["send", "--to", "udp://127.0.0.1:9?speed=1"]).end().ended_with(2).saying("there are mtu, latency, fec");
}

/// Nothing is lost for good there, so what is JPEG already is not made of tiles.
#[test]
fn jpegs_pass_untouched_where_every_frame_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| dir.path().join(name).to_str().unwrap().to_string());
    let through = |scheme: &str, to: &str, source: &[&str]| {
        let mut recv = vstream(&["recv", "--listen", &format!("{scheme}://127.0.0.1:0"), "--save", to]);
        let at = recv.listening();
        vstream(&[&["send", "--to", &at, "--every-frame", "--from"], source].concat()).end().ended_with(0);
        recv.end().ended_with(0);
    };
    through("tcp", &first, &["test?size=160x120&fps=60", "--frames", "5"]);
    through("udp", &second, &[&first]);
    for frame in 1..6 {
        let of = |folder: &str| std::fs::read(format!("{folder}/frame_{frame:06}.jpg")).unwrap();
        assert!(of(&first) == of(&second), "frame {frame}");
    }
}
