//! A hub and its viewers: `cargo bench --bench hub -- 1080p30.mp4` (four rungs of it), `-- FILM.i420 1280x720` (fan-out).
//!
//! Without a film a crowd (300 viewers of 360p at 15 frames a second, then one more that reads nothing): whole frames at each
//! viewer, time from capture to viewer, the hub's memory. A raw film at 30 frames a second to 50 viewers: how many bits the
//! hub sends for a second of processor time, beside GStreamer's tcpserversink with as many readers of such a stream.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use vstream::endpoint::Endpoint;
use vstream::link::Link;
use vstream::message::{Message, Report, Visit};
use vstream::{clock, exchange};

mod processes;

use processes::viewer;

const CROWD: usize = 300;
const VIEWERS: usize = 50;
const SPAN: Duration = Duration::from_secs(6);
/// Of all that are compared.
const ROUNDS: usize = 5;
const VSTREAM: &str = env!("CARGO_BIN_EXE_vstream");

fn main() {
    let args: Vec<String> = std::env::args().filter(|arg| !arg.starts_with("--bench")).collect();
    match &args[..] {
        [_, film, size] => fan_out(film, size),
        [_, film] => rungs(film),
        _ => crowd(),
    }
}

/// A process that ends with its value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // With what a shell has started; it may have ended by itself.
        _ = rustix::process::kill_process_group(
            rustix::process::Pid::from_child(&self.0),
            rustix::process::Signal::KILL,
        );
        _ = self.0.wait();
    }
}

impl Running {
    fn start(program: &str, args: &[&str]) -> Running {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        Running(command.spawn().unwrap_or_else(|error| panic!("{program}: {error}")))
    }

    /// Seconds of processor time so far.
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |i: usize| fields.get(i).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        (ticks(11) + ticks(12)) / 100.0 // USER_HZ, the same on every Linux
    }

    /// Megabytes that are resident now.
    fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn hub(source: &[&str]) -> (Running, Running, Endpoint) {
    let to = format!("tcp://127.0.0.1:{}", free_port());
    let hub = Running::start(VSTREAM, &["hub", "--listen", &to, "--viewers-max", "1000"]);
    let send = Running::start(VSTREAM, &[&["send", "--to", &to], source].concat());
    (hub, send, Endpoint::parse(&to).unwrap())
}

/// What one viewer has seen.
#[derive(Default)]
struct Seen {
    frames: u64,
    /// Milliseconds from capture.
    latency: Vec<f64>,
    slow: u64,
}

struct Viewer {
    seen: Arc<Mutex<Seen>>,
    _task: smol::Task<()>,
}

fn connect(to: &Endpoint, rung: &str) -> Link {
    viewer::connect(to, &Visit { rung: Some(rung.to_string()), ..Visit::default() })
}

fn view(to: &Endpoint) -> Viewer {
    view_at(to, "source")
}

fn view_at(to: &Endpoint, rung: &str) -> Viewer {
    let seen = Arc::<Mutex<Seen>>::default();
    let (writes, mut last) = (seen.clone(), None);
    let task = viewer::view(connect(to, rung), None, move |frame| {
        let mut seen = writes.lock().unwrap();
        seen.frames += 1;
        seen.latency.push(clock::now().since(frame.captured).as_secs_f64() * 1000.0);
        seen.slow += last.replace(frame.seq).map_or(0, |last| frame.seq.saturating_sub(last + 1));
    });
    Viewer { seen, _task: task }
}

/// A viewer that does no more than it must, so that the machine is the hub's: it reads, counts, and reports what it got.
struct Reader {
    /// Whole frames, and bytes of segments.
    got: Arc<(AtomicU64, AtomicU64)>,
    _task: smol::Task<()>,
}

fn read(to: &Endpoint) -> Reader {
    let got = Arc::<(AtomicU64, AtomicU64)>::default();
    let (mut link, count) = (connect(to, "source"), got.clone());
    let task = vstream::tasks::spawn(async move {
        let mut began = clock::now();
        while let Ok(Some(message)) = link.rx.recv().await {
            let answer = match message {
                Message::Begin(_) => {
                    began = clock::now();
                    continue;
                }
                Message::Runs(runs) => {
                    count.1.fetch_add(runs.body.len() as u64, Ordering::Relaxed);
                    continue;
                }
                Message::End(end) => {
                    count.0.fetch_add(1, Ordering::Relaxed);
                    Message::Report(Report { acknowledged: end.number, began, arrived: clock::now() })
                }
                Message::Ping(sent) => exchange::stamped(exchange::answer(sent)),
                _ => continue,
            };
            if link.tx.send(answer).await.is_err() {
                return;
            }
        }
    });
    Reader { got, _task: task }
}

/// What all viewers saw meanwhile: frames, the middle and the 99th of a hundred latencies, frames left out.
fn watch_for(viewers: &[Viewer], span: Duration) -> (u64, f64, f64, u64) {
    viewers.iter().for_each(|viewer| *viewer.seen.lock().unwrap() = Seen::default());
    std::thread::sleep(span);
    seen_by(viewers)
}

/// The same since they were last looked at.
fn seen_by(viewers: &[Viewer]) -> (u64, f64, f64, u64) {
    let (mut frames, mut slow, mut latency) = (0, 0, Vec::new());
    for viewer in viewers {
        let seen = std::mem::take(&mut *viewer.seen.lock().unwrap());
        (frames, slow) = (frames + seen.frames, slow + seen.slow);
        latency.extend(seen.latency);
    }
    latency.sort_by(f64::total_cmp);
    let at = |share: f64| latency.get((latency.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    (frames, at(0.5), at(0.99), slow)
}

fn crowd() {
    let (hub, _send, to) = hub(&["--from", "test?size=640x360&fps=15"]);
    let begun = Instant::now();
    let first = view(&to);
    while first.seen.lock().unwrap().frames == 0 {
        std::thread::sleep(Duration::from_micros(200));
    }
    let joined = begun.elapsed();
    let viewers: Vec<Viewer> = (0..CROWD).map(|_| view(&to)).collect();
    watch_for(&viewers, Duration::from_secs(1));
    let before = hub.memory();
    let (frames, p50, p99, slow) = watch_for(&viewers, SPAN);
    println!("| {CROWD} viewers, 360p at 15 a second | frames a viewer | left out | p50 | p99 | memory |");
    println!("|---|---|---|---|---|---|");
    let each = frames as f64 / CROWD as f64;
    println!("| all read | {each:.1} | {slow} | {p50:.1} ms | {p99:.1} ms | {before:.0} MB |");
    let stopped = connect(&to, "source");
    let (frames, p50, p99, slow) = watch_for(&viewers, SPAN);
    let each = frames as f64 / CROWD as f64;
    println!(
        "| one more reads nothing | {each:.1} | {slow} | {p50:.1} ms | {p99:.1} ms | {:+.1} MB |",
        hub.memory() - before
    );
    drop(stopped);
    println!("\nfirst call to first picture, the stream beginning meanwhile: {} ms\n", joined.as_millis());
}

/// Four rungs of a film at once.
fn rungs(film: &str) {
    const RUNGS: [&str; 4] = ["720p", "480p", "360p", "240p"];
    let (hub, _send, to) = hub(&["--from", film, "--loop"]);
    let viewers = RUNGS.map(|rung| view_at(&to, rung));
    watch_for(&viewers, Duration::from_secs(2));
    let cpu = hub.cpu();
    std::thread::sleep(SPAN);
    let spent = (hub.cpu() - cpu) / SPAN.as_secs_f64();
    println!("| rung | frames a second | p50 |");
    println!("|---|---|---|");
    for (rung, viewer) in RUNGS.iter().zip(&viewers) {
        let (frames, p50, ..) = seen_by(std::slice::from_ref(viewer));
        println!("| {rung} | {:.1} | {p50:.0} ms |", frames as f64 / SPAN.as_secs_f64());
    }
    println!("\nthe hub takes {spent:.2} of a core\n");
}

/// Medians of some rounds, of the ratios too: a machine is not as fast from one minute to the next.
fn fan_out(film: &str, size: &str) {
    let round = |_| {
        let [tcp, tls] = ["tcp", "tls"].map(|transport| through_hub(transport, film, size));
        let rates = [tcp.rate, tls.rate, gstreamer(film, size), bare(tcp.frame_bytes)];
        (rates, [tcp.fps, tls.fps])
    };
    let rounds: Vec<([f64; 4], [f64; 2])> = (0..ROUNDS).map(round).collect();
    let median = |of: &dyn Fn(&[f64; 4]) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(|(rates, _)| of(rates)).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let least = |of: usize| rounds.iter().map(|(_, fps)| fps[of]).fold(f64::INFINITY, f64::min);
    let names = [
        format!("vstream hub (at least {:.1} whole frames a second at each)", least(0)),
        format!("vstream hub, tls ({:.1})", least(1)),
        "tcpserversink".to_string(),
        "a loop that only writes".to_string(),
    ];
    println!(
        "| {size} film to {VIEWERS} viewers | Gbit for a second of processor time | to GStreamer's | to the loop's |"
    );
    println!("|---|---|---|---|");
    for (at, name) in names.iter().enumerate() {
        let [rate, gst, bare] = [median(&|r| r[at]), median(&|r| r[at] / r[2]), median(&|r| r[at] / r[3])];
        println!("| {name} | {rate:.1} | {gst:.2} | {bare:.2} |");
    }
}

/// What a hub sent.
struct Fanned {
    /// Gbit for a second of its processor time.
    rate: f64,
    /// Whole frames a second at each reader.
    fps: f64,
    frame_bytes: usize,
}

fn through_hub(transport: &str, film: &str, size: &str) -> Fanned {
    let raw = format!("i420:{size}@30");
    let sum = |readers: &[Reader], of: fn(&Reader) -> &AtomicU64| -> u64 {
        readers.iter().map(|reader| of(reader).load(Ordering::Relaxed)).sum()
    };
    let [inner, outer] =
        [("tcp", free_port()), (transport, free_port())].map(|(t, port)| format!("{t}://127.0.0.1:{port}"));
    let hub = Running::start(VSTREAM, &["hub", "--listen", &inner, "--listen", &outer]);
    let mut send = Command::new("sh");
    // The film again and again, at its own rate: a pipe gives as fast as it is asked.
    let loops = format!(
        "ffmpeg -v error -re -stream_loop -1 -f rawvideo -pix_fmt yuv420p -s {size} -r 30 -i '{film}' -f rawvideo - \
         | exec '{VSTREAM}' send --from - --raw {raw} --no-adapt --gate off --to {inner}"
    );
    send.args(["-c", &loops]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let _send = Running(send.spawn().unwrap());
    let options = if transport == "tls" { "?insecure" } else { "" };
    let to = Endpoint::parse(&format!("{outer}{options}")).unwrap();
    let readers: Vec<Reader> = (0..VIEWERS).map(|_| read(&to)).collect();
    std::thread::sleep(Duration::from_secs(1));
    let counts = || (sum(&readers, |reader| &reader.got.0), sum(&readers, |reader| &reader.got.1), hub.cpu());
    let before = counts();
    std::thread::sleep(SPAN);
    let after = counts();
    let (frames, bytes) = (after.0 - before.0, after.1 - before.1);
    Fanned {
        rate: bytes as f64 * 8e-9 / (after.2 - before.2),
        fps: frames as f64 / VIEWERS as f64 / SPAN.as_secs_f64(),
        frame_bytes: (bytes / frames.max(1)) as usize,
    }
}

/// What it costs to write as many bytes as often to as many sockets, and to do nothing else.
fn bare(frame_bytes: usize) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let drains = Drains::new(listener.local_addr().unwrap().port());
    let mut sockets: Vec<TcpStream> = (0..VIEWERS).map(|_| listener.accept().unwrap().0).collect();
    let writing = std::thread::spawn(move || {
        let (frame, begun) = (vec![0x55; frame_bytes], Instant::now());
        let spent = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let before = spent();
        let frames = 30 * SPAN.as_secs() as u32;
        for n in 0..frames {
            std::thread::sleep((Duration::from_secs(1) / 30 * n).saturating_sub(begun.elapsed()));
            sockets.iter_mut().for_each(|socket| socket.write_all(&frame).unwrap());
        }
        let after = spent();
        let seconds = (after.tv_sec - before.tv_sec) as f64 + (after.tv_nsec - before.tv_nsec) as f64 * 1e-9;
        frames as f64 * (VIEWERS * frame_bytes) as f64 * 8e-9 / seconds
    });
    let rate = writing.join().unwrap();
    drains.end();
    rate
}

/// Readers that throw away what they get.
struct Drains {
    total: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Drains {
    fn new(port: u16) -> Drains {
        let (total, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let read = || {
            let (total, over) = (total.clone(), over.clone());
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
            stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            std::thread::spawn(move || {
                let mut buffer = vec![0; 256 << 10];
                while !over.load(Ordering::Relaxed) {
                    total.fetch_add(stream.read(&mut buffer).unwrap_or(0) as u64, Ordering::Relaxed);
                }
            })
        };
        let readers = (0..VIEWERS).map(|_| read()).collect();
        Drains { total, over, readers }
    }

    fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        self.readers.into_iter().for_each(|reader| reader.join().unwrap());
    }
}

/// GStreamer sends the film as JPEG to as many readers. The encoder runs in a process of its own, as vstream's does.
fn gstreamer(film: &str, size: &str) -> f64 {
    let (width, height) = size.split_once('x').expect("WIDTHxHEIGHT");
    let (inner, outer) = (free_port().to_string(), free_port());
    let source = format!(
        "while :; do cat '{film}'; done | exec gst-launch-1.0 -q fdsrc ! rawvideoparse format=i420 width={width} height={height} \
         framerate=30/1 ! videorate ! clocksync ! jpegenc quality=80 ! tcpserversink host=127.0.0.1 port={inner} sync=false"
    );
    let mut command = Command::new("sh");
    command.args(["-c", &source]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let _source = Running(command.spawn().unwrap());
    std::thread::sleep(Duration::from_secs(1));
    let sink = format!(
        "tcpclientsrc host=127.0.0.1 port={inner} ! jpegparse ! tcpserversink host=127.0.0.1 port={outer} sync=false"
    );
    let server = Running::start(
        "gst-launch-1.0",
        &["-q".to_string()].iter().map(String::as_str).chain(sink.split(' ')).collect::<Vec<_>>(),
    );
    std::thread::sleep(Duration::from_secs(1));
    let drains = Drains::new(outer);
    std::thread::sleep(Duration::from_secs(1));
    let (cpu, sent) = (server.cpu(), drains.total());
    std::thread::sleep(SPAN);
    let rate = (drains.total() - sent) as f64 * 8e-9 / (server.cpu() - cpu);
    drains.end();
    rate
}
