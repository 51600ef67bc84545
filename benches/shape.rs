//! What `vstream shape` costs and how exact it is: added latency, throughput beside a plain copy loop, datagrams a second
//! of processor time, rates, memory. `cargo bench --bench shape`; every figure is of this machine in this run.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PIECE: usize = 64 << 10;

struct Shape {
    child: Child,
    address: String,
}

impl Drop for Shape {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

fn shape(to: &str, args: &[&str]) -> Shape {
    let base = ["shape", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--to", to];
    let mut command = Command::new(env!("CARGO_BIN_EXE_vstream"));
    let mut child = command.args(base).args(args).stderr(Stdio::piped()).spawn().expect("vstream starts");
    let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.split_once("listening on ").map(|(_, url)| url[6..].to_string()));
    std::thread::spawn(move || lines.for_each(drop));
    Shape { child, address: address.expect("it listens") }
}

impl Shape {
    /// Seconds of processor time so far (/proc/PID/stat counts in hundredths).
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let after = stat.rsplit(") ").next().expect("a name in brackets");
        let fields: Vec<f64> = after.split(' ').skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
        fields.iter().sum::<f64>() / 100.0
    }

    fn resident_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let kb = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        kb.expect("a resident size") / 1024.0
    }
}

/// A tcp target: each connection is served by `act` on a thread.
fn target(act: impl Fn(TcpStream) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let act = act.clone();
            std::thread::spawn(move || act(stream));
        }
    });
    address
}

fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 64];
    stream.set_nodelay(true).expect("a socket");
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        stream.write_all(&buffer[..count]).expect("the client is there");
    }
}

/// Median and 99th percentile of a round trip of one byte, in microseconds.
fn round_trips(address: &str) -> (f64, f64) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let mut times: Vec<f64> = (0..3000)
        .map(|_| {
            std::thread::sleep(Duration::from_micros(300)); // idle, not a flood
            let begun = Instant::now();
            stream.write_all(b"x").expect("it is there");
            stream.read_exact(&mut [0]).expect("it answers");
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// Seconds for so many bytes through this address into a sink.
fn pour(address: &str, bytes: usize) -> f64 {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let piece = vec![0; PIECE];
    let begun = Instant::now();
    (0..bytes / PIECE).for_each(|_| stream.write_all(&piece).expect("the sink reads"));
    stream.shutdown(std::net::Shutdown::Write).expect("it is there");
    let _ = stream.read(&mut [0]); // the sink hangs up when it has all
    begun.elapsed().as_secs_f64()
}

fn sink(count: Arc<AtomicU64>) -> impl Fn(TcpStream) + Clone + Send {
    move |mut stream| {
        let mut buffer = vec![0; PIECE];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            count.fetch_add(read as u64, Ordering::Relaxed);
        }
    }
}

/// The plain loop: read a piece, write it.
fn copy(to: String) -> impl Fn(TcpStream) + Clone + Send {
    move |mut from| {
        let mut to = TcpStream::connect(&to).expect("the sink listens");
        let mut buffer = vec![0; PIECE];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            to.write_all(&buffer[..count]).expect("the sink reads");
        }
    }
}

fn latency() {
    let to = target(echo);
    let shape = shape(&to, &[]);
    let (direct, through) = (round_trips(&to), round_trips(&shape.address));
    let added = |a: f64, b: f64| (a - b) / 2.0;
    println!("| idle latency added, one way: p50 | {:.0} µs |", added(through.0, direct.0));
    println!("| p99 | {:.0} µs |", added(through.1, direct.0));
}

/// How far a delay is off, mean of round trips of 100 ms.
fn delay() {
    let to = target(echo);
    let shape = shape(&to, &["--delay", "50ms"]);
    let mut stream = TcpStream::connect(&shape.address).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let begun = Instant::now();
    const TRIPS: u32 = 50;
    for _ in 0..TRIPS {
        stream.write_all(b"x").expect("it is there");
        stream.read_exact(&mut [0]).expect("it answers");
    }
    let off = begun.elapsed().as_secs_f64() / f64::from(TRIPS) / 2.0 - 0.05;
    println!("| error of a delay of 50 ms, one way | {:+.3} ms |", 1000.0 * off);
}

fn throughput() {
    const BYTES: usize = 2 << 30;
    let to = target(sink(Arc::default()));
    let (shape, plain) = (shape(&to, &[]), target(copy(to.clone())));
    let mut ratios: Vec<f64> = (0..3).map(|_| pour(&plain, BYTES) / pour(&shape.address, BYTES)).collect();
    ratios.sort_by(f64::total_cmp);
    let rate = BYTES as f64 * 8.0 / pour(&shape.address, BYTES) / 1e9;
    println!("| tcp throughput, to a plain copy loop's | {:.2} ({rate:.1} Gbit/s) |", ratios[1]);
}

/// Datagrams that a target gets for each second that `cpu` counts meanwhile, while somebody floods this address.
fn flooded(address: &str, target: &UdpSocket, cpu: impl Fn() -> f64) -> f64 {
    const TIME: Duration = Duration::from_secs(3);
    let client = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    client.connect(address).expect("an address");
    let over = Arc::new(AtomicBool::new(false));
    let flag = over.clone();
    let flood = std::thread::spawn(move || {
        while !flag.load(Ordering::Relaxed) {
            let _ = client.send(&[0; 1200]); // a full queue is what a flood makes
        }
    });
    target.set_read_timeout(Some(Duration::from_secs(2))).expect("a socket");
    let mut buffer = [0; 2000];
    let mut count = || {
        let (begun, mut count) = (Instant::now(), 0u32);
        while begun.elapsed() < TIME && target.recv(&mut buffer).is_ok() {
            count += 1;
        }
        f64::from(count)
    };
    count(); // until all is warm
    let before = cpu();
    let rate = count() / (cpu() - before);
    over.store(true, Ordering::Relaxed);
    flood.join().expect("the flood ends");
    rate
}

/// The plain loop in a thread: receive, send; and a look at the thread's processor time.
fn copy_datagrams(to: &str) -> (String, impl Fn() -> f64) {
    let (from, out) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    out.connect(to).expect("an address");
    let address = from.local_addr().expect("it is bound").to_string();
    let spent = Arc::new(AtomicU64::new(0));
    let shown = spent.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 2000];
        for number in 0u64.. {
            let Ok(count) = from.recv(&mut buffer) else { break };
            let _ = out.send(&buffer[..count]); // a full queue is what a flood makes
            if number % 64 == 0 {
                let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
                spent.store(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64, Ordering::Relaxed);
            }
        }
    });
    (address, move || shown.load(Ordering::Relaxed) as f64 / 1e9)
}

fn datagrams() {
    let target = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let to = target.local_addr().expect("it is bound").to_string();
    let (plain, cpu) = copy_datagrams(&to);
    let shape = shape(&to, &["--udp"]);
    let (plain, own) = (flooded(&plain, &target, cpu), flooded(&shape.address, &target, || shape.cpu()));
    println!("| datagrams a second of processor time, delivered | {own:.0} (a plain copy loop: {plain:.0}) |");
}

fn rates() {
    for (rate, name) in [(1e5, "100kbit"), (1e6, "1mbit"), (1e7, "10mbit"), (1e8, "100mbit"), (1e9, "1gbit")] {
        let count: Arc<AtomicU64> = Arc::default();
        let to = target(sink(count.clone()));
        let shape = shape(&to, &["--rate", name, "--queue", "50ms"]);
        let mut stream = TcpStream::connect(&shape.address).expect("it listens");
        std::thread::spawn(move || while stream.write_all(&vec![0; PIECE]).is_ok() {});
        std::thread::sleep(Duration::from_secs(1));
        let (begun, before) = (Instant::now(), count.load(Ordering::Relaxed));
        std::thread::sleep(Duration::from_secs(10));
        let bits = (count.load(Ordering::Relaxed) - before) as f64 * 8.0;
        println!("| {name}: error over 10 s | {:+.2} % |", 100.0 * (bits / begun.elapsed().as_secs_f64() / rate - 1.0));
    }
}

fn memory() {
    let to = target(echo);
    let shape = shape(&to, &["--delay", "1ms"]);
    let mut clients: Vec<TcpStream> =
        (0..1000).map(|_| TcpStream::connect(&shape.address).expect("it listens")).collect();
    for client in &mut clients {
        client.write_all(b"x").expect("it is there");
        client.read_exact(&mut [0]).expect("it answers");
    }
    println!("| {} idle tcp connections, resident | {:.1} MB |", clients.len(), shape.resident_mb());
}

fn main() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
        .expect("a limit may be raised to its maximum");
    println!("| vstream shape | |\n|---|---|");
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let all: [(&str, fn()); 6] = [
        ("latency", latency),
        ("delay", delay),
        ("throughput", throughput),
        ("datagrams", datagrams),
        ("memory", memory),
        ("rates", rates),
    ];
    all.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)).for_each(|(_, run)| run());
}
