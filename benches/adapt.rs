//! Quality that follows the network, in real time: a film through `vstream shape` with RFC 8867's schedule 5.1 at 20 times
//! its rates, over tcp. `cargo bench --bench adapt -- FILM [VSTREAM]`; tests/adapt.rs has the same in virtual time.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// Mbit/s from these seconds on, and when the last of them ends: src/shaper/script.rs.
const RATES: [(usize, f64); 4] = [(0, 20.0), (40, 50.0), (60, 12.0), (80, 20.0)];
const END: usize = 100;
/// After this, in seconds, a change is over.
const SETTLED: usize = 6;
/// The highest quality, so that the film wants 50 Mbit/s at 720p.
const QUALITY: &str = "95";

/// A role, its stats in a file, and the address that it listens on.
fn role(vstream: &str, name: &str, words: &[&str]) -> (Child, String) {
    let file = stats_file(name);
    let mut command = Command::new(vstream);
    command.args([&[name, "--stats", "none", "--stats-file", &file], words].concat());
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("vstream starts");
    let lines = BufReader::new(child.stderr.take().expect("it was piped")).lines();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            match line.split_once("listening on tcp://") {
                Some((_, address)) => _ = sender.send(address.split([' ', '/']).next().unwrap_or("").to_string()),
                None => eprintln!("  {line}"),
            }
        }
    });
    let address = if name == "send" { None } else { receiver.recv_timeout(Duration::from_secs(10)).ok() };
    (child, address.unwrap_or_default())
}

fn stats_file(name: &str) -> String {
    std::env::temp_dir().join(format!("vstream-adapt-{}-{name}.json", std::process::id())).display().to_string()
}

/// The lines of a role's stats that are as wanted, and their times.
fn stats(name: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let text = fs::read_to_string(stats_file(name)).expect("the stats were written");
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(wanted).collect()
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let Some(film) = words.first() else { return eprintln!("which film? benches/run.sh makes one") };
    let vstream = words.get(1).map_or("target/release/vstream", String::as_str);
    for adapt in ["--no-adapt", "--adapt"] {
        play(vstream, film, adapt);
        println!("\n`{adapt}`:\n");
        tell();
    }
}

fn play(vstream: &str, film: &str, adapt: &str) {
    let receiving = ["--listen", "tcp://127.0.0.1:0", "--output", "/dev/null", "--raw", "i420"];
    let (mut recv, to) = role(vstream, "recv", &receiving);
    let script = ["--script", "rfc8867-5.1", "--scale", "20", "--seed", "1", "--http", "127.0.0.1:0"];
    let (mut shape, through) =
        role(vstream, "shape", &[&["--listen", "127.0.0.1:0", "--to", &to], &script[..]].concat());
    let sending = ["--from", film, "--loop", adapt, "--quality", QUALITY, "--to", &through, "--duration", "100s"];
    let (mut send, _) = role(vstream, "send", &sending);
    send.wait().expect("it was started");
    for child in [&mut recv, &mut shape] {
        child.kill().and_then(|()| child.wait()).expect("it was started");
    }
}

fn tell() {
    let sent = stats("send", |line| line["peer"].is_string());
    let came = stats("recv", |line| line["peer"].is_string());
    let up = stats("shape", |line| line["way"] == "up");
    println!("| seconds | capacity | used | queue, mean | latency p50, p95 of seconds | fps | rungs |");
    println!("|---|---|---|---|---|---|---|");
    let ends = RATES[1..].iter().map(|(from, _)| *from).chain([END]);
    for ((from, mbit), to) in RATES.iter().zip(ends) {
        let from = from + SETTLED;
        let within = |lines: &[Value], field: &str| -> Vec<f64> {
            let within =
                lines.iter().filter(|line| line["t"].as_f64().is_some_and(|t| (from as f64..to as f64).contains(&t)));
            within.filter_map(|line| line[field].as_f64()).collect()
        };
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let mut latency = within(&came, "latency_ms");
        latency.sort_by(f64::total_cmp);
        let at = |part: f64| latency.get((latency.len() as f64 * part) as usize).copied().unwrap_or(f64::NAN);
        let mut rungs: Vec<&str> = sent
            .iter()
            .filter(|line| line["t"].as_f64().is_some_and(|t| (from as f64..to as f64).contains(&t)))
            .filter_map(|line| line["rung"].as_str())
            .collect();
        rungs.dedup();
        println!(
            "| {from}–{to} | {mbit} Mbit/s | {:.0} % | {:.0} ms | {:.0}, {:.0} ms | {:.1} | {} |",
            100.0 * mean(within(&up, "bitrate")) / 1e6 / mbit,
            mean(within(&up, "queue_ms")),
            at(0.5),
            at(0.95),
            mean(within(&came, "fps")),
            rungs.join(", "),
        );
    }
}
