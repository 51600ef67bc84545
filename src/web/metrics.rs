//! `/metrics`: the figures as Prometheus reads them (text format 0.0.4), in base units.

use std::fmt::Write;

use crate::clock;
use crate::stats::{Board, Line};

pub const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics of the streams of one program.
struct Text<'a> {
    text: String,
    streams: &'a [Stream],
}

/// What one stream counts.
struct Stream {
    name: String,
    total: Line,
    lines: Vec<Line>,
    links: usize,
    viewers: usize,
}

impl Text<'_> {
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        _ = writeln!(self.text, "# HELP vstream_{name} {help}\n# TYPE vstream_{name} {kind}"); // a String takes all
    }

    fn sample(&mut self, name: &str, stream: &Stream, labels: &[(&str, &str)], value: f64) {
        // Where there is only ever one stream its name stands in `vstream_info`.
        let of = (stream.total.role == "hub").then_some(("stream", &*stream.name));
        self.value(name, of.iter().chain(labels), value);
    }

    fn value<'a>(&mut self, name: &str, labels: impl IntoIterator<Item = &'a (&'a str, &'a str)>, value: f64) {
        let labels = labels.into_iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value)));
        let labels = labels.collect::<Vec<String>>().join(",");
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        _ = writeln!(self.text, "vstream_{name}{labels} {value}");
    }

    /// A metric with one sample for each stream that has it.
    fn each(&mut self, name: &str, kind: &str, help: &str, of: impl Fn(&Stream) -> Option<f64>) {
        if self.streams.iter().any(|stream| of(stream).is_some()) {
            self.metric(name, kind, help);
        }
        for stream in self.streams {
            of(stream).into_iter().for_each(|value| self.sample(name, stream, &[], value));
        }
    }

    /// A gauge of each peer that has it.
    fn peers(&mut self, name: &str, help: &str, of: impl Fn(&Line) -> Option<f64>) {
        self.metric(name, "gauge", help);
        for stream in self.streams {
            for line in &stream.lines {
                if let (Some(peer), Some(value)) = (&line.peer, of(line)) {
                    self.sample(name, stream, &[("peer", peer)], value);
                }
            }
        }
    }
}

/// The figures of a program, and of its streams, each on its board.
pub fn of(program: &Board, boards: &[&Board]) -> String {
    let now = clock::now();
    let own = program.base(now);
    let stream = |board: &&Board| {
        let (total, lines) = (board.total(now), board.lines(now));
        let name = total.stream.clone().unwrap_or_default();
        Stream { name, total, lines, links: board.peers(), viewers: board.viewer_lines(now).len() }
    };
    let streams: Vec<Stream> = boards.iter().map(stream).collect();
    let mut text = Text { text: String::new(), streams: &streams };
    text.metric("info", "gauge", "What runs here.");
    let labels = [("role", own.role), ("version", env!("CARGO_PKG_VERSION"))];
    let stream = streams.first().filter(|_| own.role != "hub").map(|stream| ("stream", &*stream.name));
    text.value("info", labels.iter().chain(&stream), 1.0);
    text.metric("uptime_seconds", "gauge", "Time since the start.");
    text.value("uptime_seconds", [], own.t);
    text.each("peers", "gauge", "Links that carry the stream.", |s| Some(s.links as f64));
    text.each("viewers", "gauge", "Viewers: of a hub all of them, else those over HTTP.", |s| Some(s.viewers as f64));
    let frames = "Frames sent to or received from all peers.";
    text.each("frames_total", "counter", frames, |s| s.total.frames.map(|n| n as f64));
    text.each("bytes_total", "counter", "Bytes of these frames.", |s| Some(s.total.bytes as f64));
    let lost = "Frames lost by the network.";
    text.each("frames_lost_total", "counter", lost, |s| s.total.lost.map(|n| n as f64));
    text.metric("frames_dropped_total", "counter", "Frames dropped on purpose, by reason.");
    for stream in &streams {
        let dropped = stream.total.dropped;
        for (cause, count) in [("slow", dropped.slow), ("late", dropped.late), ("corrupt", dropped.corrupt)] {
            text.sample("frames_dropped_total", stream, &[("cause", cause)], count as f64);
        }
    }
    let seconds = |ms: Option<f64>| ms.map(|ms| ms / 1000.0);
    let encode = "Time to encode a frame, mean of the last second.";
    text.each("encode_seconds", "gauge", encode, |s| seconds(s.lines[0].encode_ms));
    let decode = "Time to decode a frame, mean of the last second.";
    text.each("decode_seconds", "gauge", decode, |s| seconds(s.lines[0].decode_ms));
    let quality = "Quality of the newest frame, 1 to 100.";
    text.each("jpeg_quality", "gauge", quality, |s| s.lines[0].quality.map(f64::from));
    let latency = "From capture to here, mean of the last second, clocks' offset taken out.";
    text.peers("frame_latency_seconds", latency, |line| seconds(line.latency_ms));
    text.peers("frame_latency_error_seconds", "How wrong the latency may be.", |line| seconds(line.latency_err_ms));
    let added = |line: &Line| seconds(line.hop.as_ref().and_then(|hop| hop.added_ms));
    text.peers("hop_latency_seconds", "What the way from the peer before adds to it.", added);
    text.peers("rtt_seconds", "The newest round trip.", |line| seconds(line.rtt_ms));
    let target = "What the network to this peer takes.";
    text.peers("target_bytes_per_second", target, |line| line.bitrate_target.map(|bits| bits as f64 / 8.0));
    text.peers("frames_per_second", "Frames a second over the last half second.", |line| line.fps);
    text.text
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
