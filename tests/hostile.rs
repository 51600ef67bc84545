//! Peers that are strange, hostile or slow, spoken to the real binary byte by byte.

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::folder::{saved, text};
use common::shape::shape;
use common::{Vstream, vstream};
use rustix::process::Signal;
use vstream::clock::Time;
use vstream::codec::encode::encode;
use vstream::codec::jpeg;
use vstream::message::{Begin, Bye, End, Message, Runs, VERSION};
use vstream::picture::Picture;
use vstream::runs;
use vstream::segments::{Coded, Head, splice};

fn receiver() -> (Vstream, String) {
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--stats", "json"]);
    let url = recv.listening();
    (recv, url.trim_start_matches("tcp://").to_string())
}

/// Sends bytes and reads until the far side closes.
fn say(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(common::LIMIT)).unwrap();
    let _ = stream.write_all(bytes); // it may have hung up in the middle
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer); // a reset is an answer too
    answer
}

fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind][..], &(payload.len() as u32).to_le_bytes(), payload].concat()
}

fn hello(version: u16, json: &str) -> Vec<u8> {
    message(1, &[b"VSTR", &version.to_le_bytes()[..], json.as_bytes()].concat())
}

/// The messages of a whole frame.
fn frame(number: u64, coded: Coded) -> [Message; 3] {
    let all: Vec<usize> = (0..coded.head.count).collect();
    let (captured, error, head) = (Time::default(), Duration::ZERO, Some((*coded.head).clone()));
    [
        Message::Begin(Begin { number, epoch: 1, seq: number, captured, error, head }),
        Message::Runs(Runs { epoch: 1, since: coded.head.since, body: runs::encode(&coded, &all).into() }),
        Message::End(End { number, state: coded.state() }),
    ]
}

fn wire(messages: &[Message]) -> Vec<u8> {
    let bytes = |message: &Message| {
        let (head, tail) = message.encode();
        [&head[..], &tail].concat()
    };
    messages.iter().flat_map(bytes).collect()
}

const PUBLISH: &str = r#"{"role":"publish"}"#;

/// After whatever was said before, the receiver still takes a real sender.
fn still_works(recv: Vstream, address: &str) {
    let url = format!("tcp://{address}");
    vstream(&["send", "--from", "test?size=64x64&fps=60", "--frames", "5", "--to", &url]).end().ended_with(0);
    recv.end().ended_with(0);
}

#[test]
fn strangers_are_turned_away() {
    let (mut recv, address) = receiver();
    let answer = say(&address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(String::from_utf8_lossy(&answer).contains("does not speak vstream's protocol"));
    recv.says("was turned away");
    for bytes in
        [&[0u8; 64][..], &[0xFF; 64], b"SSH-2.0-x\r\n", &message(1, b"NOPE\x02\x00{}"), &hello(VERSION, "{"), &[1]]
    {
        say(&address, bytes);
        recv.says("was turned away");
    }
    still_works(recv, &address);
}

#[test]
fn another_version_is_told_both() {
    let (recv, address) = receiver();
    let answer = say(&address, &hello(9, PUBLISH));
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("version 9") && answer.contains(&format!("this vstream {VERSION}")), "{answer}");
    still_works(recv, &address);
}

#[test]
fn a_claim_of_four_gigabytes_ends_the_link_and_takes_no_memory() {
    let (mut recv, address) = receiver();
    let claim = [&[17u8][..], &u32::MAX.to_le_bytes()].concat();
    say(&address, &[hello(VERSION, PUBLISH), claim].concat());
    recv.says("claims 4294967295 bytes");
    let allowed = [&[17u8][..], &(64u32 << 20).to_le_bytes()].concat();
    say(&address, &[hello(VERSION, PUBLISH), allowed].concat());
    recv.says("cut in the middle");
    assert!(resident(&recv) < 60 << 20);
    still_works(recv, &address);
}

/// Resident bytes.
fn resident(process: &Vstream) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

#[test]
fn a_publisher_of_rubbish_is_counted_and_ended() {
    let (mut recv, address) = receiver();
    let frame = |number| wire(&frame(number, Coded::whole(Bytes::from_static(b"this is no JPEG"), number)));
    let answer = say(&address, &[hello(VERSION, PUBLISH), frame(0), frame(1)].concat());
    assert!(answer.starts_with(&[2]), "it was welcomed");
    recv.says("frames were no picture");
    recv.says("is gone");
    // Messages that only a watcher may send.
    say(&address, &[hello(VERSION, PUBLISH), message(5, &[0; 24])].concat());
    recv.says("only a watcher may");
    still_works(recv, &address);
}

#[test]
fn a_streamer_that_dies_within_a_frame_leaves_the_viewers_to_the_next_one() {
    let mut hub = vstream(&["hub", "--listen", "tcp://127.0.0.1:0"]);
    let url = hub.listening();
    let coded = |quality, seq| jpeg::segments(encode(&Picture::new(320, 240), quality).unwrap(), seq).unwrap();
    let (first, [begin, runs, _]) = (wire(&frame(0, coded(80, 0))), frame(1, coded(70, 1)));
    let second = wire(&[begin, runs]);
    let mut streamer = TcpStream::connect(url.trim_start_matches("tcp://")).unwrap();
    streamer.write_all(&[hello(VERSION, r#"{"role":"publish","name":"live"}"#), first.clone()].concat()).unwrap();
    hub.says("streams live");
    let (mut way, address) = shape(url.trim_start_matches("tcp://"), &[]);
    let mut viewer = vstream(&["recv", "--from", &format!("tcp://{address}/live"), "--stats", "json"]);
    viewer.stats(|line| line["frames"] == 1);
    streamer.write_all(&second).unwrap();
    let both = (first.len() + second.len()) as u64;
    way.stats(|line| line["way"] == "down" && line["bytes"].as_u64() > Some(both));
    drop(streamer);
    hub.says("is gone");
    let _next = vstream(&["send", "--from", "test?size=320x240&fps=30", "--to", &format!("{url}/live")]);
    viewer.stats(|line| line["frames"].as_u64() > Some(10));
}

#[test]
fn frames_that_do_not_fit_together_end_the_link_or_are_left_out() {
    let (mut recv, address) = receiver();
    let jpeg = encode(&Picture::new(320, 240), 80).unwrap();
    let coded = jpeg::segments(jpeg, 0).unwrap();
    let good = frame(0, coded.clone());
    let mut say = |messages: &[Message], answer: &str| {
        say(&address, &[hello(VERSION, PUBLISH), wire(messages)].concat());
        recv.says(answer);
    };
    let [Message::Begin(begin), Message::Runs(runs), end] = &good else { panic!() };
    let head = begin.head.clone().unwrap();
    say(&good[1..], "came with holes");
    say(&[Message::Begin(Begin { head: None, ..begin.clone() })], "without a header");
    say(&[good[0].clone(), end.clone()], "came with holes");
    say(&[good[0].clone(), good[1].clone(), Message::End(End { number: 0, state: 1 })], "came with holes");
    let twice = [good.to_vec(), good[2..].to_vec()].concat();
    say(&twice, "came twice");
    let beyond = Runs { body: runs::encode_segments(&[(99, 0, [1])]).into(), ..runs.clone() };
    say(&[good[0].clone(), Message::Runs(beyond)], "segment 99 of a frame of");
    let cut = Runs { body: runs.body.slice(..runs.body.len() - 1), ..runs.clone() };
    say(&[good[0].clone(), Message::Runs(cut)], "cut off");
    let many = Begin { head: Some(Head { count: 1 << 20, ..head.clone() }), ..begin.clone() };
    say(&[Message::Begin(many)], "a frame of 1048576 segments");
    // Segments that are not those of the picture that the header speaks of.
    let fewer = Arc::new(Head { count: 3, ..head });
    let news: Vec<_> = (0..3).map(|i| (i, 0, coded.segment(i))).collect();
    say(&frame(9, splice(None, &fewer, &news).unwrap()), "frames were no picture");
    still_works(recv, &address);
}

#[test]
fn frames_that_an_upstream_repeats_go_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let (first, last) = (dir.path().join("first"), dir.path().join("last"));
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--save", text(&last)]);
    let args = ["relay", "--listen", "tcp://127.0.0.1:0", "--every-frame", "--save", text(&first), "--next"];
    let mut relay = vstream(&[&args[..], &[&recv.listening()]].concat());
    let address = relay.listening().trim_start_matches("tcp://").to_string();
    let picture = |seq: u64| {
        let mut picture = Picture::new(320, 240);
        picture.planes_mut()[0].fill(40 * seq as u8);
        jpeg::segments(encode(&picture, 80).unwrap(), seq).unwrap()
    };
    let messages = [0, 1, 2, 1, 0, 2, 3, 3, 1, 4].into_iter().zip(0..).flat_map(|(seq, number)| {
        let mut messages = frame(number, picture(seq));
        if let Message::Begin(begin) = &mut messages[0] {
            begin.seq = seq;
        }
        messages
    });
    let bye = Message::Bye(Bye { reason: "over".to_string(), over: true });
    let messages: Vec<Message> = messages.chain([bye]).collect();
    say(&address, &[hello(VERSION, PUBLISH), wire(&messages)].concat());
    relay.end().ended_with(0);
    recv.end().ended_with(0);
    let pictures: Vec<_> = (0..5).map(|seq| picture(seq).bytes.to_vec()).collect();
    assert!(saved(&first) == pictures && saved(&last) == pictures, "each once and in order");
}

#[test]
fn a_stream_of_which_nothing_can_be_decoded_is_a_failure() {
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--output", "-", "--raw", "i420"]);
    let address = recv.listening().trim_start_matches("tcp://").to_string();
    let mut jpeg = encode(&Picture::new(320, 240), 80).unwrap().to_vec();
    let frame_header = jpeg.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    jpeg[frame_header + 4] = 12; // bits of a sample, which few decoders read
    let good = frame(0, jpeg::segments(jpeg.into(), 0).unwrap());
    let bye = Message::Bye(Bye { reason: "over".to_string(), over: true });
    say(&address, &[hello(VERSION, PUBLISH), wire(&good), wire(&[bye])].concat());
    recv.says("none of its 1 frames could be decoded");
    recv.end().ended_with(1);
}

#[test]
fn a_silent_caller_holds_nobody_up() {
    let (recv, address) = receiver();
    let silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(&address).unwrap()).collect();
    still_works(recv, &address);
    drop(silent);
}

#[test]
fn a_sender_killed_in_mid_frame_leaves_its_place() {
    let (mut recv, address) = receiver();
    let mut half = TcpStream::connect(&address).unwrap();
    half.write_all(&hello(VERSION, PUBLISH)).unwrap();
    half.write_all(&[17, 0, 0, 1, 0, 1, 2, 3]).unwrap();
    recv.says("sends live");
    drop(half);
    recv.says("is gone");
    still_works(recv, &address);
}

#[test]
fn a_stopped_reader_makes_the_sender_drop_and_not_lag() {
    let (recv, address) = receiver();
    let url = format!("tcp://{address}");
    let mut recv = recv;
    let mut send = vstream(&["send", "--from", "test?size=640x360&fps=60", "--to", &url, "--stats", "json"]);
    recv.stats(|line| line["frames"].as_u64() > Some(10));
    recv.signal(Signal::STOP);
    send.stats(|line| line["fps"] == 0.0 && line["frames"].as_u64() > Some(0));
    recv.signal(Signal::CONT);
    // What comes after the pause is fresh, and the pause shows as frames dropped by the sender.
    let line = send.stats(|line| line["fps"].as_f64() > Some(30.0));
    assert!(line["dropped"]["slow"].as_u64() > Some(20), "{line}");
    for _ in 0..2 {
        recv.stats(|line| line["fps"].as_f64() > Some(30.0));
    }
    let line = recv.stats(|line| line["fps"].as_f64() > Some(30.0));
    assert!(line["latency_ms"].as_f64() < Some(300.0), "{line}");
}

#[test]
fn a_stopped_receiver_does_not_delay_another() {
    let ((stopped, first), (mut other, second)) = (receiver(), receiver());
    let (first, second) = (format!("tcp://{first}"), format!("tcp://{second}"));
    let mut stopped = stopped;
    let args = ["send", "--from", "test?size=320x240&fps=30", "--to", &first, "--to", &second];
    let _send = vstream(&args);
    stopped.stats(|line| line["frames"].as_u64() > Some(10));
    stopped.signal(Signal::STOP);
    for _ in 0..3 {
        let line = other.stats(|line| line["frames"].as_u64() > Some(30));
        assert!(line["fps"].as_f64() > Some(15.0) && line["latency_ms"].as_f64() < Some(200.0), "{line}");
    }
    stopped.signal(Signal::CONT);
}

/// Passes bytes on at `rate` bytes a second, with buffers of any size the kernel gives: what makes others lag.
fn narrow_proxy(to: String, rate: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (near, _) = listener.accept().unwrap();
        let far = TcpStream::connect(to).unwrap();
        let copy = |mut from: TcpStream, mut to: TcpStream, rate: usize| {
            std::thread::spawn(move || {
                let mut data = vec![0; rate / 100];
                while let Ok(n @ 1..) = from.read(&mut data) {
                    std::thread::sleep(Duration::from_secs_f64(n as f64 / rate as f64));
                    if to.write_all(&data[..n]).is_err() {
                        break;
                    }
                }
            })
        };
        copy(near.try_clone().unwrap(), far.try_clone().unwrap(), rate);
        copy(far, near, 1 << 20);
    });
    address
}

#[test]
fn a_narrow_network_drops_frames_and_the_lag_does_not_grow() {
    let (mut recv, address) = receiver();
    // About 20 kB a frame at 60 a second, through 250 kB/s: a fifth of it.
    let url = format!("tcp://{}", narrow_proxy(address, 250_000));
    let from = "test?size=640x360&fps=60";
    let mut send = vstream(&["send", "--from", from, "--to", &url, "--no-adapt", "--stats", "json"]);
    let mut latencies = Vec::new();
    for seconds in 3..8 {
        let line = recv.stats(|line| line["t"].as_f64() > Some(f64::from(seconds)) && line["latency_ms"].is_number());
        latencies.push(line["latency_ms"].as_f64().unwrap());
    }
    assert!(latencies.iter().all(|&ms| ms < 700.0), "{latencies:?}");
    let line = send.stats(|line| line["dropped"]["slow"].as_u64() > Some(100));
    assert!(line["lost"] == 0, "{line}");
}

#[test]
fn a_listener_that_is_no_vstream_is_not_believed() {
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"", &[2, 255, 255, 255, 255], &message(2, b"[]")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        let send = vstream(&["send", "--from", "test", "--to", &url, "--timeout", "1s"]);
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut first = [0; 16];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(first[5..9], *b"VSTR");
        stream.write_all(answer).unwrap();
        drop(stream);
        drop(listener);
        send.end().ended_with(124).saying("waiting for");
    }
}

#[test]
fn reasons_of_a_peer_do_not_reach_the_terminal_raw() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    let send = vstream(&["send", "--from", "test", "--to", &url]);
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(&message(3, br#"{"reason":"\u001b[2J\u0007evil"}"#)).unwrap();
    let ended = send.end().ended_with(4).saying("evil");
    assert!(!ended.text().contains('\u{1b}') && !ended.text().contains('\u{7}'));
}
