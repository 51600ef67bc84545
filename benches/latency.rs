//! Stamp to stamp: raw frames into a sender's stdin, raw frames out of a receiver's stdout, on one machine, in real time.
//! vstream and GStreamer in turn, several rounds, medians and ratios. `cargo bench --bench latency -- FILM.i420 [WxH] [ROUNDS]`;
//! benches/run.sh prepares the film.
//!
//! Each frame carries its number as black and white blocks, so that what comes out is known whatever was dropped. The
//! time runs from before the first byte is written to after the last is read.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A bit of the stamp is a block of this side: survives JPEG at any quality.
const BLOCK: usize = 16;
const BITS: usize = 16;
const FPS: f64 = 30.0;
/// Frames sent before the count begins: processes start, connect and warm up meanwhile.
const WARM: usize = 30;

struct Film {
    frames: Vec<Vec<u8>>,
    width: usize,
    height: usize,
}

impl Film {
    fn read(path: &str, width: usize, height: usize) -> Film {
        let data = std::fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let size = width * height * 3 / 2;
        let frames = data.chunks_exact(size).map(<[u8]>::to_vec).collect();
        Film { frames, width, height }
    }

    fn stamped(&self, number: usize) -> Vec<u8> {
        let mut frame = self.frames[number % self.frames.len()].clone();
        for bit in 0..BITS {
            let value = if number >> bit & 1 == 1 { 235 } else { 16 };
            for y in 0..BLOCK {
                frame[y * self.width + bit * BLOCK..][..BLOCK].fill(value);
            }
        }
        frame
    }

    fn number(&self, frame: &[u8]) -> usize {
        let middle = BLOCK / 2;
        (0..BITS).filter(|bit| frame[middle * self.width + bit * BLOCK + middle] > 128).map(|bit| 1 << bit).sum()
    }
}

/// A sender and a receiver of one kind, connected.
struct Pair {
    sender: Child,
    receiver: Child,
}

type Start = fn(&Film, u16) -> Pair;

fn spawn(program: &str, words: &str) -> Child {
    let mut command = Command::new(program);
    command.args(words.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|e| panic!("{program}: {e}"))
}

fn vstream(film: &Film, port: u16) -> Pair {
    let program = env!("CARGO_BIN_EXE_vstream");
    let (w, h) = (film.width, film.height);
    Pair {
        receiver: spawn(program, &format!("recv --listen tcp://127.0.0.1:{port} --output - --raw i420 --stats none")),
        sender: spawn(
            program,
            &format!("send --from - --raw i420:{w}x{h}@30 --to tcp://127.0.0.1:{port} --stats none"),
        ),
    }
}

fn gstreamer(film: &Film, port: u16) -> Pair {
    let (w, h) = (film.width, film.height);
    let receiver = spawn(
        "gst-launch-1.0",
        &format!("-q tcpserversrc host=127.0.0.1 port={port} ! jpegparse ! jpegdec ! fdsink sync=false"),
    );
    std::thread::sleep(Duration::from_secs(1)); // it says nothing when it listens, and its client does not wait
    let source =
        format!("fdsrc blocksize={} ! rawvideoparse format=i420 width={w} height={h} framerate=30/1", w * h * 3 / 2);
    let sink = format!("jpegenc quality=80 ! tcpclientsink host=127.0.0.1 port={port}");
    Pair { sender: spawn("gst-launch-1.0", &format!("-q {source} ! {sink}")), receiver }
}

struct Round {
    p50: f64,
    p95: f64,
    missing: usize,
}

/// Plays the film once; milliseconds of each frame that came out.
fn play(film: &Film, mut pair: Pair, count: usize) -> Round {
    let mut input = pair.sender.stdin.take().expect("stdin is piped");
    let mut output = pair.receiver.stdout.take().expect("stdout is piped");
    let size = film.width * film.height * 3 / 2;
    let begun = Instant::now() + Duration::from_millis(500);
    let due = move |number: usize| begun + Duration::from_secs_f64(number as f64 / FPS);
    let frames: Vec<Vec<u8>> = (0..count + WARM).map(|n| film.stamped(n)).collect();
    let writer = std::thread::spawn(move || {
        let mut sent = Vec::new();
        for (number, frame) in frames.iter().enumerate() {
            std::thread::sleep(due(number).saturating_duration_since(Instant::now()));
            sent.push(Instant::now());
            input.write_all(frame).expect("the sender reads");
        }
        std::thread::sleep(Duration::from_millis(500)); // what is still on its way
        sent
    });
    let reader = {
        let film = Film { frames: Vec::new(), ..*film };
        std::thread::spawn(move || {
            let mut came = Vec::new();
            let mut frame = vec![0; size];
            while output.read_exact(&mut frame).is_ok() {
                came.push((film.number(&frame), Instant::now()));
            }
            came
        })
    };
    let sent = writer.join().expect("the writer ends");
    let _ = pair.sender.kill(); // the film is over
    let _ = pair.receiver.kill();
    let came = reader.join().expect("the reader ends");
    let mut ms: Vec<f64> = came
        .iter()
        .filter(|(number, _)| (WARM..sent.len()).contains(number))
        .map(|&(number, at)| (at - sent[number]).as_secs_f64() * 1000.0)
        .collect();
    ms.sort_by(f64::total_cmp);
    let _ = (pair.sender.wait(), pair.receiver.wait());
    let at = |q: f64| ms.get((ms.len() as f64 * q) as usize).copied().unwrap_or(f64::NAN);
    Round { p50: at(0.5), p95: at(0.95), missing: count - ms.len().min(count) }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let Some(path) = args.first() else {
        println!("latency: no film given; benches/run.sh prepares one");
        return;
    };
    let (width, height) = vstream::units::size(args.get(1).map_or("720p", String::as_str)).expect("a size");
    let rounds: usize = args.get(2).map_or(5, |r| r.parse().expect("a number of rounds"));
    let film = Film::read(path, width, height);
    let count = 180;
    let mut table: Vec<(&str, Start, Vec<Round>)> =
        vec![("vstream", vstream, Vec::new()), ("GStreamer", gstreamer, Vec::new())];
    for _ in 0..rounds {
        for (_, start, results) in &mut table {
            results.push(play(&film, start(&film, free_port()), count));
        }
    }
    println!(
        "| {width}x{height} at 30 fps, stamp to stamp | p50 ms | p95 ms | missing of {count} |\n|---|---|---|---|"
    );
    let mut p50 = Vec::new();
    for (name, _, results) in &table {
        p50.push(median(results.iter().map(|r| r.p50).collect()));
        let p95 = median(results.iter().map(|r| r.p95).collect());
        let missing: Vec<String> = results.iter().map(|r| r.missing.to_string()).collect();
        println!("| {name} | {:.1} | {p95:.1} | {} |", p50[p50.len() - 1], missing.join(", "));
    }
    let ratios = table[0].2.iter().zip(&table[1].2).map(|(a, b)| a.p50 / b.p50).collect();
    println!("\np50, vstream to GStreamer, round by round: {:.2} (median)", median(ratios));
}
