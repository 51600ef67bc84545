//! `send` and `recv` as a user runs them: both ways round, in any order, over deaths and returns.

mod common;

use std::fs;
use std::path::Path;

use common::folder::text;
use common::{command, start, vstream};
use rustix::process::Signal;

const SMALL: &str = "test?size=160x120&fps=60";

/// The entries of a saved folder: sequence numbers, in the order of their files.
fn saved(dir: &Path) -> Vec<u64> {
    let list = fs::read_to_string(dir.join("frames.jsonl")).unwrap_or_default();
    let seq = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap();
    list.lines().map(seq).collect()
}

#[test]
fn a_sender_calls_a_receiver() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("frames");
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--save", text(&out), "--stats", "json"]);
    let to = recv.listening();
    let send = vstream(&["send", "--from", SMALL, "--to", &to, "--frames", "30", "--stats", "json"]);
    let sent = send.end().ended_with(0).totals();
    let got = recv.end().ended_with(0).saying("the source is over").totals();
    assert_eq!((&sent["final"], &got["final"]), (&true.into(), &true.into()));
    let arrived = saved(&out);
    // On a busy machine a frame may come before the last one is written.
    let (frames, slow) = (got["frames"].as_u64().unwrap(), got["dropped"]["slow"].as_u64().unwrap());
    assert_eq!(frames - slow, arrived.len() as u64, "{got}");
    assert!(arrived.len() >= 25, "{arrived:?}");
    assert!(arrived.is_sorted_by(|a, b| a < b));
    assert_eq!(fs::read_dir(&out).unwrap().count(), arrived.len() + 1);
    assert!(got["latency_ms"].as_f64().unwrap() < 1000.0 && got["latency_err_ms"].as_f64().is_some(), "{got}");
}

#[test]
fn a_receiver_calls_a_sender() {
    let mut send = vstream(&["send", "--from", SMALL, "--listen", "tcp://127.0.0.1:0/cam", "--frames", "20"]);
    let from = send.listening();
    assert!(from.ends_with("/cam"));
    vstream(&["recv", "--from", &from]).end().ended_with(0);
    send.end().ended_with(0);
}

#[test]
fn several_receivers_each_get_the_stream() {
    let mut receivers: Vec<_> = (0..3).map(|_| vstream(&["recv", "--listen", "tcp://127.0.0.1:0"])).collect();
    let to: Vec<String> = receivers.iter_mut().map(|r| r.listening()).collect();
    let args = ["send", "--from", SMALL, "--frames", "30", "--to", &to[0], "--to", &to[1], "--to", &to[2]];
    vstream(&args).end().ended_with(0);
    for receiver in receivers {
        receiver.end().ended_with(0);
    }
}

#[test]
fn any_order_and_either_side_may_die() {
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--stats", "json"]);
    let to = recv.listening();
    // The sender dies and another comes.
    let mut send = vstream(&["send", "--from", SMALL, "--to", &to]);
    send.says("connected to");
    recv.stats(|line| line["frames"].as_u64() > Some(3));
    send.signal(Signal::KILL);
    recv.says("is gone");
    let mut send = vstream(&["send", "--from", SMALL, "--to", &to]);
    send.says("connected to");
    recv.stats(|line| line["frames"].as_u64() > Some(3));
    // The receiver dies and comes back on the same port.
    recv.signal(Signal::KILL);
    send.says("is gone");
    let mut recv = vstream(&["recv", "--listen", &to, "--stats", "json"]);
    send.says("connected to");
    recv.stats(|line| line["frames"].as_u64() > Some(3));
    // A sender that is told to quit takes its receiver along.
    send.signal(Signal::INT);
    send.end().ended_with(0);
    recv.end().ended_with(0).saying("it was stopped");
}

#[test]
fn a_caller_waits_for_its_peer() {
    let port = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() };
    let url = format!("tcp://127.0.0.1:{port}");
    let mut send = vstream(&["send", "--from", SMALL, "--to", &url, "--frames", "5"]);
    send.says("waiting for");
    vstream(&["recv", "--listen", &url]).end().ended_with(0);
    send.end().ended_with(0);
}

#[test]
fn nothing_is_encoded_for_nobody() {
    let mut send = vstream(&["send", "--from", SMALL, "--listen", "tcp://127.0.0.1:0", "--stats", "json"]);
    send.listening();
    for _ in 0..2 {
        let line = send.stats(|line| line["role"] == "send");
        assert!(line.get("encode_ms").is_none() && line["frames"] == 0, "{line}");
    }
}

#[test]
fn a_second_sender_is_refused_and_told_who_holds_it() {
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0"]);
    let to = recv.listening();
    let mut first = vstream(&["send", "--from", SMALL, "--to", &to]);
    first.says("connected to");
    let second = vstream(&["send", "--from", SMALL, "--to", &to]);
    second.end().ended_with(4).saying("sends already").saying("127.0.0.1:");
}

#[test]
fn wrong_names_and_roles_are_refused_with_what_there_is() {
    let mut send = vstream(&["send", "--from", SMALL, "--listen", "tcp://127.0.0.1:0/cam"]);
    let from = send.listening();
    let other = from.replace("/cam", "/dog");
    vstream(&["recv", "--from", &other]).end().ended_with(4).saying("no stream dog here; there is cam");
    vstream(&["send", "--from", SMALL, "--to", &from]).end().ended_with(4).saying("this vstream sends");
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0/one"]);
    let to = recv.listening();
    vstream(&["recv", "--from", &to]).end().ended_with(4).saying("this vstream receives");
    let wrong = to.replace("/one", "/two");
    vstream(&["send", "--from", SMALL, "--to", &wrong]).end().ended_with(4).saying("there is one");
}

#[test]
fn every_frame_arrives_though_the_receiver_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("frames");
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--save", text(&out), "--stats", "json"]);
    let to = recv.listening();
    let mut send =
        vstream(&["send", "--from", "test?size=160x120&fps=100", "--to", &to, "--frames", "250", "--every-frame"]);
    recv.stats(|line| line["frames"].as_u64() > Some(20));
    recv.signal(Signal::KILL);
    send.says("is gone");
    let again = vstream(&["recv", "--listen", &to, "--save", text(&out)]);
    send.end().ended_with(0);
    again.end().ended_with(0);
    assert_eq!(saved(&out), (0..250).collect::<Vec<u64>>());
}

#[test]
fn every_frame_to_a_guest_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("frames");
    let from = "test?size=160x120&fps=100";
    let mut send =
        vstream(&["send", "--from", from, "--listen", "tcp://127.0.0.1:0", "--frames", "250", "--every-frame"]);
    let url = send.listening();
    let mut recv = vstream(&["recv", "--from", &url, "--save", text(&out), "--stats", "json"]);
    recv.stats(|line| line["frames"].as_u64() > Some(20));
    recv.signal(Signal::KILL);
    send.says("is gone");
    vstream(&["recv", "--from", &url, "--save", text(&out)]).end().ended_with(0);
    send.end().ended_with(0);
    assert_eq!(saved(&out), (0..250).collect::<Vec<u64>>());
}

#[test]
fn a_folder_is_one_receivers() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("frames");
    let saving = ["recv", "--listen", "tcp://127.0.0.1:0", "--stats", "json", "--save", text(&out)];
    let mut recv = vstream(&saving);
    let to = recv.listening();
    let _send = vstream(&["send", "--from", SMALL, "--to", &to]);
    recv.stats(|line| line["frames"].as_u64() > Some(3));
    vstream(&saving).end().ended_with(4).saying("frames: another vstream saves there");
    recv.signal(Signal::KILL);
    // Whoever was killed holds nothing.
    vstream(&["recv", "--listen", &to, "--frames", "3", "--save", text(&out)]).end().ended_with(0);
}

#[test]
fn signals_end_every_state_cleanly() {
    let begun = |mut process: common::Vstream, words: &str| {
        process.says(words);
        let at = std::time::Instant::now();
        process.signal(Signal::TERM);
        process.end().ended_with(0);
        assert!(at.elapsed().as_secs_f64() < 1.5, "SIGTERM took {:?}", at.elapsed());
    };
    begun(vstream(&["recv", "--listen", "tcp://127.0.0.1:0"]), "listening on");
    begun(vstream(&["send", "--from", SMALL, "--listen", "tcp://127.0.0.1:0"]), "listening on");
    begun(vstream(&["send", "--from", SMALL, "--to", "tcp://127.0.0.1:1"]), "waiting for");
    begun(vstream(&["recv", "--from", "tcp://127.0.0.1:1"]), "waiting for");
    let dir = tempfile::tempdir().unwrap();
    let avi = dir.path().join("out.avi");
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--output", text(&avi), "--stats", "json"]);
    let to = recv.listening();
    let _send = vstream(&["send", "--from", SMALL, "--to", &to]);
    recv.stats(|line| line["frames"].as_u64() > Some(10));
    begun(recv, "frames");
    if common::have("ffprobe") {
        assert!(common::probed(&avi) > 10);
    }
}

#[test]
fn limits_end_with_their_codes() {
    vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--timeout", "200ms"]).end().ended_with(124);
    vstream(&["send", "--from", SMALL, "--to", "tcp://127.0.0.1:1", "--timeout", "200ms"]).end().ended_with(124);
    vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--duration", "200ms"]).end().ended_with(0);
    // The time that was asked for has passed: that nobody was there is said.
    for more in [&[][..], &["--every-frame"]] {
        let args = ["send", "--from", SMALL, "--to", "tcp://127.0.0.1:1", "--duration", "200ms"];
        vstream(&[&args, more].concat()).end().ended_with(0).saying("tcp://127.0.0.1:1 was never there");
    }
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("frames");
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--save", text(&out), "--frames", "7"]);
    let to = recv.listening();
    let _send = vstream(&["send", "--from", SMALL, "--to", &to]);
    recv.end().ended_with(0);
    assert_eq!(saved(&out).len(), 7);
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--frames", "5"]);
    let to = recv.listening();
    let _send = vstream(&["send", "--from", SMALL, "--to", &to]);
    recv.end().ended_with(0);
}

#[test]
fn a_stream_that_runs_is_no_timeout() {
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--timeout", "1s"]);
    let to = recv.listening();
    vstream(&["send", "--from", SMALL, "--to", &to, "--frames", "150", "--timeout", "1s"]).end().ended_with(0);
    recv.end().ended_with(0);
    // A source that falls silent is one.
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0"]);
    let to = recv.listening();
    let mut silent = command(&["send", "--from", "-", "--raw", "i420:64x48@30", "--to", &to, "--timeout", "300ms"]);
    silent.stdin(std::process::Stdio::piped());
    let mut send = start(silent);
    let _held = send.stdin();
    send.end().ended_with(124);
}

#[test]
fn every_frame_waits_for_the_receiver_that_comes_last() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let port = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() };
    let late = format!("tcp://127.0.0.1:{port}");
    let mut first = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--save", text(&a)]);
    let to = first.listening();
    let args = ["send", "--from", SMALL, "--frames", "40", "--every-frame", "--to", &to, "--to", &late];
    let mut send = vstream(&args);
    send.says("waiting for");
    vstream(&["recv", "--listen", &late, "--save", text(&b)]).end().ended_with(0);
    send.end().ended_with(0);
    first.end().ended_with(0);
    assert_eq!((saved(&a).len(), saved(&b)), (40, (0..40).collect::<Vec<u64>>()));
}

#[test]
fn usage_errors_name_what_there_is() {
    vstream(&["send", "--to", "tpc://host"]).end().ended_with(2).saying("did you mean tcp?");
    vstream(&["send", "--to", "tcp://host?mtu=1"]).end().ended_with(2).saying("unknown option");
    vstream(&["send", "--to", "host:0"]).end().ended_with(2).saying("port 0 is for listening");
    vstream(&["send", "--to", "host:99999"]).end().ended_with(2).saying("0 to 65535");
    vstream(&["send", "--to", "h", "--quality", "101"]).end().ended_with(2);
    vstream(&["send", "--to", "h", "--size", "9x9"]).end().ended_with(2);
    vstream(&["send"]).end().ended_with(2);
    vstream(&["recv", "--listen", ":0", "--from", "h"]).end().ended_with(2);
    vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--output", "x.mp4"]).end().ended_with(2).saying(".mjpeg, .avi");
    vstream(&["send", "--from", "test?colour=red", "--to", "h"]).end().ended_with(2).saying("size");
}

#[test]
fn a_port_in_use_is_said_and_costs_no_file() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", held.local_addr().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("old.mjpeg");
    fs::write(&file, "precious").unwrap();
    let recv = vstream(&["recv", "--listen", &url, "--output", text(&file)]);
    recv.end().ended_with(1).saying("address already in use");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    vstream(&["send", "--from", SMALL, "--to", "tcp://no.such.host.invalid", "--timeout", "300ms"])
        .end()
        .ended_with(124)
        .saying("could not find the host");
}

#[test]
fn flags_come_from_the_environment_too() {
    let mut with = command(&["recv"]);
    with.env("VSTREAM_LISTEN", "tcp://127.0.0.1:0").env("VSTREAM_DURATION", "100ms").env("VSTREAM_STATS", "csv");
    let ended = start(with).end().ended_with(0);
    ended.saying("listening on tcp://127.0.0.1:").saying("t,role,stream");
}

#[test]
fn stats_and_log_go_to_files() {
    let dir = tempfile::tempdir().unwrap();
    let (stats, log) = (dir.path().join("stats.jsonl"), dir.path().join("log"));
    let args = ["recv", "--listen", "tcp://127.0.0.1:0", "--duration", "1200ms", "--stats", "none", "-q"];
    vstream(&[&args[..], &["--stats-file", text(&stats), "--log", text(&log)]].concat()).end().ended_with(0);
    let stats = fs::read_to_string(stats).unwrap();
    let lines: Vec<serde_json::Value> = stats.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(lines.len() == 2 && lines[1]["final"] == true, "{stats}");
    assert!(fs::read_to_string(log).unwrap().contains("listening on"));
    for file in ["--log", "--stats-file"] {
        vstream(&[&args[..], &[file, "/dev/full"]].concat()).end().ended_with(1).saying("cannot be written");
    }
}
