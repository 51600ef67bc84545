//! `/metrics`: the figures as Prometheus reads them (text format 0.0.4), in base units.

use std::fmt::Write;

use crate::clock;
use crate::stats::{Board, Line};

pub const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

struct Text(String);

impl Text {
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        _ = writeln!(self.0, "# HELP vstream_{name} {help}\n# TYPE vstream_{name} {kind}"); // a String takes all
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        _ = writeln!(self.0, "vstream_{name}{labels} {value}");
    }

    /// A metric with one sample, where there is one.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into() {
            self.metric(name, kind, help);
            self.sample(name, &[], value);
        }
    }

    /// A gauge of each peer that has it.
    fn peers(&mut self, name: &str, help: &str, lines: &[Line], of: impl Fn(&Line) -> Option<f64>) {
        self.metric(name, "gauge", help);
        for line in lines {
            if let (Some(peer), Some(value)) = (&line.peer, of(line)) {
                self.sample(name, &[("peer", peer)], value);
            }
        }
    }
}

pub fn of(board: &Board) -> String {
    let now = clock::now();
    let (total, lines) = (board.total(now), board.lines(now));
    let mut text = Text(String::new());
    text.metric("info", "gauge", "What runs here.");
    let stream = total.stream.clone().unwrap_or_default();
    let labels = [("role", total.role), ("stream", &*stream), ("version", env!("CARGO_PKG_VERSION"))];
    text.sample("info", &labels, 1.0);
    text.one("uptime_seconds", "gauge", "Time since the start.", total.t);
    text.one("peers", "gauge", "Links that carry the stream.", board.peers() as f64);
    text.one("viewers", "gauge", "Viewers over HTTP.", board.viewer_lines(now).len() as f64);
    text.one("frames_total", "counter", "Frames sent to or received from all peers.", total.frames.map(|n| n as f64));
    text.one("bytes_total", "counter", "Bytes of these frames.", total.bytes as f64);
    text.one("frames_lost_total", "counter", "Frames lost by the network.", total.lost.map(|n| n as f64));
    text.metric("frames_dropped_total", "counter", "Frames dropped on purpose, by reason.");
    let dropped = total.dropped;
    for (cause, count) in [("slow", dropped.slow), ("late", dropped.late), ("corrupt", dropped.corrupt)] {
        text.sample("frames_dropped_total", &[("cause", cause)], count as f64);
    }
    let recent = &lines[0];
    let seconds = |ms: Option<f64>| ms.map(|ms| ms / 1000.0);
    text.one("encode_seconds", "gauge", "Time to encode a frame, mean of the last second.", seconds(recent.encode_ms));
    text.one("decode_seconds", "gauge", "Time to decode a frame, mean of the last second.", seconds(recent.decode_ms));
    text.one("jpeg_quality", "gauge", "Quality of the newest frame, 1 to 100.", recent.quality.map(f64::from));
    let latency = "From capture to here, mean of the last second, clocks' offset taken out.";
    text.peers("frame_latency_seconds", latency, &lines, |line| seconds(line.latency_ms));
    let error = "How wrong the latency may be.";
    text.peers("frame_latency_error_seconds", error, &lines, |line| seconds(line.latency_err_ms));
    let added = |line: &Line| seconds(line.hop.as_ref().and_then(|hop| hop.added_ms));
    text.peers("hop_latency_seconds", "What the way from the peer before adds to it.", &lines, added);
    text.peers("rtt_seconds", "The newest round trip.", &lines, |line| seconds(line.rtt_ms));
    let target = "What the network to this peer takes.";
    text.peers("target_bytes_per_second", target, &lines, |line| line.bitrate_target.map(|bits| bits as f64 / 8.0));
    text.peers("frames_per_second", "Frames a second over the last half second.", &lines, |line| line.fps);
    text.0
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
