//! The stats as text: JSON, CSV, a line for people, and the live line of a terminal.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::clock;
use crate::greet::printable;
use crate::log;
use crate::path::Added;
use crate::stats::{Board, Line, SENDER, Shaped};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A live line on a terminal, else a line a second
    Human,
    /// One object a line, a line a second
    Json,
    /// A header, then a line a second
    Csv,
    /// Nothing
    None,
}

pub struct Report {
    form: Form,
    /// The live line of a terminal.
    live: Option<ProgressBar>,
    file: Option<File>,
    headed: bool,
    /// The last line had no peer.
    alone: bool,
    /// The file could not be written.
    pub failed: bool,
}

/// The columns of CSV, which never change within a run.
const COLUMNS: [&str; 40] = [
    "t",
    "role",
    "stream",
    "peer",
    "listening",
    "frames",
    "fps",
    "bytes",
    "bitrate",
    "frame_bytes",
    "latency_ms",
    "latency_err_ms",
    "rtt_ms",
    "lost",
    "lost_pct",
    "stale_pct",
    "dropped.slow",
    "dropped.late",
    "dropped.corrupt",
    "recovered.fec",
    "recovered.resend",
    "rung",
    "bitrate_target",
    "quality",
    "size",
    "viewers",
    "encode_ms",
    "decode_ms",
    "proxy",
    "way",
    "connections",
    "packets",
    "queue_ms",
    "duplicated",
    "reordered",
    "corrupted",
    "upstream",
    "added_ms",
    "added_err_ms",
    "final",
];

impl Report {
    pub fn new(form: Form, file: Option<&Path>) -> Result<Report> {
        let create = |path: &Path| File::create(path).with_context(|| format!("could not write {}", path.display()));
        let live = (form == Form::Human && std::io::stderr().is_terminal()).then(|| {
            let bar = log::live().add(ProgressBar::new(0));
            bar.set_style(ProgressStyle::with_template("{wide_msg}").expect("a fixed template is valid"));
            bar
        });
        Ok(Report { form, live, file: file.map(create).transpose()?, headed: false, alone: false, failed: false })
    }

    /// The figures of the last second; `last` are the totals.
    pub fn tell(&mut self, board: &Board, last: bool) {
        let now = clock::now();
        let lines = if last { vec![board.total(now)] } else { board.lines(now) };
        let (position, length) = board.progress();
        if let Some(bar) = &self.live {
            progress(bar, position, length);
            bar.set_message(live(&lines));
            if last {
                bar.finish_and_clear();
            }
        }
        for line in &lines {
            let text = match self.form {
                Form::Json => json(line),
                Form::Csv => csv(line),
                Form::Human if last => human(line),
                // That nobody is there is said once, not every second.
                Form::Human if self.live.is_none() && (line.peer.is_some() || !self.alone) => human(line),
                _ => continue,
            };
            if self.form == Form::Csv && !self.headed {
                log::plain(&COLUMNS.join(","));
            }
            self.headed = true;
            log::plain(&text);
        }
        self.alone = lines.iter().all(|line| line.peer.is_none());
        self.tell_file(&lines);
    }

    fn tell_file(&mut self, lines: &[Line]) {
        let Some(file) = &mut self.file else { return };
        let mut text: String =
            lines.iter().map(|l| if self.form == Form::Csv { csv(l) } else { json(l) } + "\n").collect();
        if self.form == Form::Csv && file.metadata().is_ok_and(|m| m.len() == 0) {
            text.insert_str(0, &(COLUMNS.join(",") + "\n"));
        }
        if let Err(error) = file.write_all(text.as_bytes()) {
            ::log::error!("the stats file cannot be written any more: {error}");
            (self.file, self.failed) = (None, true);
        }
    }
}

/// One line for all peers: the worst off, and how many there are.
fn live(lines: &[Line]) -> String {
    let worst = lines.iter().min_by(|a, b| a.fps.unwrap_or(0.0).total_cmp(&b.fps.unwrap_or(0.0)));
    let worst = worst.map(human).unwrap_or_default();
    if lines.iter().any(|line| line.shaped.is_some()) {
        return lines.iter().map(human).collect::<Vec<_>>().join("  |  ");
    }
    if lines.iter().any(|line| line.peer.is_some() && line.role == SENDER && line.hop.is_some()) {
        return lines.iter().filter_map(hop).collect::<Vec<_>>().join("  |  ");
    }
    if lines.len() > 1 { format!("{} peers, the slowest: {worst}", lines.len()) } else { worst }
}

/// A peer of a coordinator, short: they share one line.
fn hop(line: &Line) -> Option<String> {
    let Added { upstream, added_ms, .. } = line.hop.as_ref()?;
    let upstream = or_nobody(upstream);
    let (name, fps) = (line.peer.as_ref()?, line.fps.unwrap_or(0.0));
    let latency = line.latency_ms.map_or(String::new(), |ms| format!(" {ms:.1} ms"));
    let added = added_ms.map_or(String::new(), |ms| format!(" ({ms:+.1})"));
    Some(format!("{upstream} → {name} {fps:.1} fps{latency}{added}"))
}

/// A bar for a source whose length is known.
fn progress(bar: &ProgressBar, position: u64, length: Option<u64>) {
    let Some(length) = length.filter(|&l| l > 0) else { return };
    if bar.length() != Some(length) {
        bar.set_length(length);
        let template = "{bar:20} {pos}/{len} frames, {eta} left  {wide_msg}";
        bar.set_style(ProgressStyle::with_template(template).expect("a fixed template is valid"));
    }
    bar.set_position(position);
}

fn json(line: &Line) -> String {
    serde_json::to_string(line).expect("a line of numbers and strings always serialises")
}

fn csv(line: &Line) -> String {
    let value = serde_json::to_value(line).expect("a line of numbers and strings always serialises");
    let cell = |column: &&str| match value.pointer(&format!("/{}", column.replace('.', "/"))) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if text.contains([',', '"', '\n']) => format!("\"{}\"", text.replace('"', "\"\"")),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    COLUMNS.iter().map(cell).collect::<Vec<_>>().join(",")
}

/// A line for people.
pub fn human(line: &Line) -> String {
    let mut parts = Vec::new();
    match (&line.shaped, line.frames.filter(|_| line.last)) {
        (Some(shaped), _) => parts.push(way(shaped, line)),
        (None, Some(frames)) => parts.push(format!("{frames} frames in {:.1} s", line.t)),
        (None, None) => {}
    }
    parts.extend(line.rung.clone().or(line.size.clone()));
    parts.extend(line.fps.map(|fps| format!("{fps:.1} fps")));
    parts.push(format!("{:.2} Mbit/s", line.bitrate as f64 / 1e6));
    if let Some(ms) = line.latency_ms {
        parts.push(format!("latency {ms:.1} ±{:.1} ms", line.latency_err_ms.unwrap_or(0.0)));
    }
    if let Some(Added { upstream, added_ms, added_err_ms }) = &line.hop {
        let added = added_ms.map(|ms| format!(" adds {ms:.1} ±{:.1} ms", added_err_ms.unwrap_or(0.0)));
        parts.push(format!("from {}{}", or_nobody(upstream), added.unwrap_or_default()));
    }
    if let Some(ms) = line.rtt_ms {
        parts.push(format!("rtt {ms:.1} ms"));
    }
    for (what, ms) in [("encode", line.encode_ms), ("decode", line.decode_ms)] {
        parts.extend(ms.map(|ms| format!("{what} {ms:.1} ms")));
    }
    if let Some(shaped) = &line.shaped {
        parts.push(format!("queue {:.1} ms", shaped.queue_ms));
        let counts =
            [("duplicated", shaped.duplicated), ("reordered", shaped.reordered), ("corrupted", shaped.corrupted)];
        parts.extend(counts.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{what} {n}")));
    }
    for (what, n) in [("slow", line.dropped.slow), ("late", line.dropped.late), ("corrupt", line.dropped.corrupt)] {
        if n > 0 {
            parts.push(format!("dropped {n} {what}"));
        }
    }
    if let Some(recovered) = line.recovered {
        parts.push(format!("recovered {} by fec, {} by resend", recovered.fec, recovered.resend));
    }
    parts.extend(line.stale_pct.filter(|&share| share > 0.0).map(|share| format!("stale {share:.1} %")));
    parts.extend(line.lost.filter(|&n| n > 0).map(|n| format!("lost {n}")));
    match &line.peer {
        Some(peer) => format!("{}  {peer}", parts.join("  ")),
        None if line.last => parts.join("  "),
        None => format!("{}: no peer", line.role),
    }
}

fn or_nobody(peer: &str) -> &str {
    if peer.is_empty() { "nobody" } else { peer }
}

/// Which way of which proxy a line is about.
fn way(shaped: &Shaped, line: &Line) -> String {
    if line.last {
        return format!("{} bytes both ways in {:.1} s", line.bytes, line.t);
    }
    format!("{} {}  {} open", printable(&shaped.proxy), shaped.way, shaped.connections)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Recovered;

    #[test]
    fn every_field_has_its_column() {
        let line = Line {
            stream: Some("a,b".into()),
            peer: Some("p".into()),
            listening: Some("l".into()),
            frame_bytes: Some(1),
            latency_ms: Some(1.0),
            latency_err_ms: Some(1.0),
            rtt_ms: Some(1.0),
            lost: Some(0),
            lost_pct: Some(0.0),
            stale_pct: Some(0.0),
            rung: Some("1p1 q80".into()),
            bitrate_target: Some(1),
            quality: Some(80),
            size: Some("1x1".into()),
            viewers: Some(1),
            encode_ms: Some(1.0),
            decode_ms: Some(1.0),
            frames: Some(0),
            fps: Some(0.0),
            shaped: Some(Shaped::default()),
            recovered: Some(Recovered::default()),
            hop: Some(Added { added_ms: Some(1.0), added_err_ms: Some(1.0), ..Added::default() }),
            last: true,
            ..Line::default()
        };
        let Value::Object(fields) = serde_json::to_value(&line).unwrap() else { panic!() };
        for name in fields.keys().filter(|n| !["dropped", "recovered"].contains(&n.as_str())) {
            assert!(COLUMNS.contains(&name.as_str()), "{name}");
        }
        assert!(csv(&line).starts_with("0.0,,\"a,b\",p,l,0,"));
        assert_eq!(fields.len() - 2 + 3 + 2, COLUMNS.len());
    }
}
