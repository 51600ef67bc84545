//! Quality that follows the network: in virtual time, test cases of RFC 8867 at 20 times their rates, by film; and real
//! processes through a real shaper.

mod common;
mod simulation;

use std::ops::Range;

use common::shape::shape;
use common::vstream;
use simulation::film::{self, STEADY, WHOLE};
use simulation::{Stream, Tcp, run, run_through};

const MBIT: f64 = 1e6;

/// Asserts that so much of a capacity is used between these seconds.
#[track_caller]
fn uses(stream: &Stream, from: i64, to: i64, mbit: f64, part: f64) {
    let used = stream.bitrate(from, to) / MBIT;
    assert!(used >= part * mbit, "{used:.2} of {mbit} Mbit/s from {from} s to {to} s; {:?}", stream.decisions);
}

/// How often the rung changed between these seconds.
fn changes(stream: &Stream, from: i64, to: i64) -> usize {
    stream.decisions.iter().filter(|(ms, _)| (from * 1000..to * 1000).contains(ms)).count()
}

#[test]
fn a_single_flow_follows_the_capacity() {
    // RFC 8867, 5.1
    let mut streams = [Stream::new(0, STEADY)];
    run(&mut streams, None, &[(0, 20.0), (40, 50.0), (60, 12.0), (80, 20.0)], 100);
    let [stream] = &streams;
    for (from, to, mbit) in [(6, 40, 20.0), (46, 60, 50.0), (62, 80, 12.0), (86, 100, 20.0)] {
        uses(stream, from, to, mbit, 0.85);
    }
    let queue = stream.queue(0, 100, 0.95);
    assert!(queue < 100, "{queue} ms of queue");
    for (from, to) in [(62, 64), (6, 40), (46, 60), (64, 80), (86, 100)] {
        let queue = stream.queue(from, to, 0.95);
        assert!(queue < 140, "{queue} ms of queue from {from} s to {to} s");
    }
    for (from, to) in [(12, 40), (48, 60), (70, 80), (90, 100)] {
        assert!(changes(stream, from, to) == 0, "it oscillates: {:?}", stream.decisions);
    }
}

#[test]
fn content_that_comes_and_goes_is_no_queue() {
    let mut streams = [Stream::new(0, WHOLE)];
    run(&mut streams, None, &[(0, 20.0)], 60);
    let [stream] = &streams;
    let queue = stream.queue(10, 60, 0.95);
    assert!(queue < 110, "{queue} ms of queue");
    uses(stream, 10, 60, 20.0, 0.7); // frames of a third of the bytes after each cut
}

#[test]
fn a_twentieth_of_the_capacity_is_still_video() {
    let mut streams = [Stream::new(0, STEADY)];
    run(&mut streams, None, &[(0, 30.0), (10, 1.5), (50, 30.0)], 80);
    let [stream] = &streams;
    uses(stream, 20, 50, 1.5, 0.7);
    let queue = stream.queue(20, 50, 0.95);
    assert!(queue < 200, "{queue} ms of queue"); // one frame at 15 a second takes a third of that
    uses(stream, 64, 80, 30.0, 0.85);
}

#[test]
fn a_fall_that_overflows_the_queue_is_no_famine() {
    // Frames that were to pass at 40 Mbit/s are longer than the queue of 6.
    for (part, at_once) in [(STEADY, 0.75), (WHOLE, 0.9)] {
        let mut streams = [Stream::new(0, part)];
        run(&mut streams, None, &[(0, 40.0), (10, 6.0), (25, 40.0)], 40);
        let [stream] = &streams;
        uses(stream, 11, 17, 6.0, at_once);
        uses(stream, 17, 25, 6.0, 0.8); // the next rung takes more than there is
        let queue = stream.queue(12, 25, 0.95);
        assert!(queue < 120, "{queue} ms of queue");
    }
}

#[test]
fn three_flows_share() {
    // RFC 8867, 5.4
    let mut streams = [Stream::new(0, STEADY), Stream::new(20_011, STEADY), Stream::new(40_023, STEADY)];
    run(&mut streams, None, &[(0, 70.0)], 120);
    for from in [60, 80, 100] {
        let rates: Vec<f64> = streams.iter().map(|stream| stream.bitrate(from, from + 20) / MBIT).collect();
        let sum: f64 = rates.iter().sum();
        let jain = sum * sum / (3.0 * rates.iter().map(|rate| rate * rate).sum::<f64>());
        assert!(jain >= 0.9 && sum >= 0.85 * 70.0, "fairness {jain:.2}: {rates:.1?} from {from} s on");
    }
}

#[test]
fn beside_a_long_tcp_flow_neither_starves() {
    // RFC 8867, 5.6
    let (mut streams, mut tcp) = ([Stream::new(0, STEADY)], Tcp::new());
    run(&mut streams, Some(&mut tcp), &[(0, 40.0)], 120);
    for from in [20, 60, 100] {
        let (video, data) = (streams[0].bitrate(from, from + 20) / MBIT, tcp.bitrate(from, from + 20) / MBIT);
        assert!(video >= 8.0 && data >= 8.0, "{video:.1} and {data:.1} of 40 Mbit/s from {from} s on");
    }
}

/// The highest lines that fit into so many Mbit/s with a part to spare, else the lowest.
fn fitting(part: &Range<usize>, mbit: f64, spare: f64) -> usize {
    let fits = |lines: &&usize| film::bitrate(part, **lines) * spare <= mbit * MBIT;
    film::LINES.iter().rfind(fits).copied().unwrap_or(film::LINES[0])
}

#[test]
fn a_viewer_of_a_video_gets_the_rung_that_its_network_takes() {
    for part in [WHOLE, STEADY, 0..100, 100..200] {
        let mut streams = [Stream::video(part.clone())];
        // Over tcp a sender waits, however much there is.
        run_through("20s", &mut streams, None, &[(0, 20.0), (30, 2.0), (90, 20.0)], 150);
        let [stream] = &streams;
        let told = format!("{part:?}: {:?}", stream.decisions);
        let pause = stream.shown.windows(2).map(|two| two[1].0 - two[0].0).max().unwrap();
        assert!(pause < 500, "{pause} ms without a picture, {told}");
        // Down within 3 s and up within 10, and then no more.
        for (from, to, mbit) in [(33, 90, 2.0), (100, 150, 20.0)] {
            let right = [fitting(&part, mbit, 1.3), fitting(&part, mbit, 1.0)];
            let mut within = stream.shown.iter().filter(|(ms, _)| (from * 1000..to * 1000).contains(ms));
            assert!(within.all(|(_, lines)| right.contains(lines)), "{right:?} from {from} s on, {told}");
        }
        assert_eq!(changes(stream, 30, 150), 2, "{told}");
    }
}

/// A receiver, and the address of a shaper before it.
fn behind(rate: &str) -> (common::Vstream, common::Vstream, String) {
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--stats", "json"]);
    let to = recv.listening().split("://").nth(1).unwrap().to_string();
    let (shape, through) = shape(to.split('/').next().unwrap(), &["--rate", rate, "--queue", "300ms"]);
    (recv, shape, format!("tcp://{}", through.trim_end_matches('/')))
}

#[test]
fn a_sender_follows_a_real_network_and_says_why() {
    let (_recv, _shape, through) = behind("1mbit");
    let mut send = vstream(&["send", "--from", "test?size=1280x720", "--to", &through, "--stats", "json"]);
    let line = send.says("sending 720p");
    assert!(line.contains(": queue of") || line.contains(": the link takes"), "{line}");
    let lowered = send.stats(|line| line["rung"].as_str().is_some_and(|rung| rung != "720p30 q80"));
    let target = lowered["bitrate_target"].as_u64().unwrap();
    assert!(target < 2_000_000, "{target} of 1 Mbit/s");
}

#[test]
fn a_rate_is_kept_to_whatever_the_network_takes() {
    let (_recv, _shape, through) = behind("1gbit");
    let send = ["send", "--from", "test?size=1280x720", "--to", &through, "--stats", "json", "--rate-max", "500kbit"];
    let mut send = vstream(&send);
    send.says(": rate-max of 500 kbit/s");
    send.stats(|line| line["t"].as_f64() > Some(4.0) && line["bitrate"].as_u64() < Some(700_000));
}

#[test]
fn what_cannot_be_followed_is_refused() {
    for (words, why) in [
        (&["--adapt", "--every-frame"][..], "cannot be used with"),
        (&["--rate-max", "0"], "rates are written"),
        (&["--rate-max", "fast"], "rates are written"),
    ] {
        vstream(&[&["send", "--to", "127.0.0.1:1"], words].concat()).end().ended_with(2).saying(why);
    }
}
