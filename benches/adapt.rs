//! Quality that follows the network, in real time: a film through `vstream shape` with RFC 8867's schedule 5.1 at 20 times
//! its rates, over tcp, udp, tls and tcp with a key. `cargo bench --bench adapt -- FILM [SCHEME]`; tests/adapt.rs has the same in virtual time.

use serde_json::Value;

mod processes;

use processes::{Role, role};

/// Mbit/s from these seconds on, and when the last of them ends: src/shaper/script.rs.
const RATES: [(usize, f64); 4] = [(0, 20.0), (40, 50.0), (60, 12.0), (80, 20.0)];
const END: usize = 100;
/// After this, in seconds, a change is over.
const SETTLED: usize = 6;
/// The highest quality, so that the film wants 50 Mbit/s at 720p.
const QUALITY: &str = "95";
const KEY: &str = "?key=both-know-it";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let Some(film) = words.first() else { return eprintln!("which film? benches/run.sh makes one") };
    let all = [
        ("tcp", "", "--no-adapt"),
        ("tcp", "", "--adapt"),
        ("udp", "", "--adapt"),
        ("tls", "?insecure", "--adapt"),
        ("tcp", KEY, "--adapt"),
    ];
    for (scheme, options, adapt) in
        all.into_iter().filter(|(scheme, ..)| words.get(1).is_none_or(|only| only == scheme))
    {
        println!("\n{scheme}{options}, `{adapt}`:\n");
        play((scheme, options), film, adapt);
    }
}

fn play((scheme, options): (&str, &str), film: &str, adapt: &str) {
    let on = format!("{scheme}://127.0.0.1:0{}", if options == KEY { KEY } else { "" });
    let recv = role(&["recv", "--listen", &on, "--output", "/dev/null", "--raw", "i420"]);
    let script = ["--script", "rfc8867-5.1", "--scale", "20", "--seed", "1", "--http", "127.0.0.1:0"];
    let both = ["shape", "--both", "--listen", "127.0.0.1:0", "--to", &recv.address];
    let shape = role(&[&both[..], &script].concat());
    let to = format!("{scheme}://{}{options}", shape.address);
    let mut send =
        role(&["send", "--from", film, "--loop", adapt, "--quality", QUALITY, "--to", &to, "--duration", "100s"]);
    send.wait();
    tell(&send, &recv, &shape);
}

fn tell(send: &Role, recv: &Role, shape: &Role) {
    let stats = |role: &Role, wanted: &dyn Fn(&Value) -> bool| -> Vec<Value> {
        role.stats().into_iter().filter(|line| wanted(line)).collect()
    };
    let sent = stats(send, &|line| line["peer"].is_string());
    let came = stats(recv, &|line| line["peer"].is_string());
    let up = stats(shape, &|line| line["way"] == "up");
    println!("| seconds | capacity | used | queue, mean, p95 of seconds | latency p50, p95 of seconds | fps | rungs |");
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
        let at = |field: &[Value], name: &str, part: f64| {
            let mut values = within(field, name);
            values.sort_by(f64::total_cmp);
            values.get((values.len() as f64 * part) as usize).copied().unwrap_or(f64::NAN)
        };
        let mut rungs: Vec<&str> = sent
            .iter()
            .filter(|line| line["t"].as_f64().is_some_and(|t| (from as f64..to as f64).contains(&t)))
            .filter_map(|line| line["rung"].as_str())
            .collect();
        rungs.dedup();
        println!(
            "| {from}–{to} | {mbit} Mbit/s | {:.0} % | {:.0}, {:.0} ms | {:.0}, {:.0} ms | {:.1} | {} |",
            100.0 * mean(within(&up, "bitrate")) / 1e6 / mbit,
            mean(within(&up, "queue_ms")),
            at(&up, "queue_ms", 0.95),
            at(&came, "latency_ms", 0.5),
            at(&came, "latency_ms", 0.95),
            mean(within(&came, "fps")),
            rungs.join(", "),
        );
    }
}
