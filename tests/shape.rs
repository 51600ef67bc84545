//! `vstream shape` over real sockets: bytes and datagrams through it, its ends, its changes while connections live.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{LIMIT, Vstream, vstream};
use rustix::process::Signal;
use socket2::SockRef;

const API: [&str; 2] = ["--http", "127.0.0.1:0"];

/// A shaper before this target; itself and its address.
fn shape(to: &str, args: &[&str]) -> (Vstream, String) {
    let base = ["shape", "--listen", "127.0.0.1:0", "--to", to, "--stats", "json", "--seed", "1"];
    let mut shape = vstream(&[&base[..], &API, args].concat());
    let url = shape.listening();
    (shape, url.split("://").nth(1).unwrap().to_string())
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// A client through the proxy, and the target's end of it.
fn pair(args: &[&str]) -> (Vstream, TcpStream, TcpStream) {
    let (listener, to) = listener();
    let (shape, address) = shape(&to, args);
    let client = connect(&address);
    let target = listener.accept().unwrap().0;
    target.set_read_timeout(Some(LIMIT)).unwrap();
    (shape, client, target)
}

fn udp(args: &[&str]) -> (Vstream, UdpSocket, UdpSocket) {
    let socket = || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket
    };
    let (client, target) = (socket(), socket());
    let to = target.local_addr().unwrap().to_string();
    let (shape, address) = shape(&to, &[&["--udp"], args].concat());
    client.connect(address).unwrap();
    (shape, client, target)
}

fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// One HTTP request; the body of the answer and its status.
fn ask(api: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = connect(api);
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_string())
}

fn api(shape: &mut Vstream) -> String {
    let line = shape.says("serving http://");
    line.split("http://").nth(1).unwrap().trim_end_matches('/').to_string()
}

#[test]
fn bytes_pass_untouched_both_ways_whatever_the_network() {
    for args in
        [&[][..], &["--delay", "5ms", "--jitter", "5ms", "--loss", "0.5%", "--rate", "80mbit", "--reorder", "9%"]]
    {
        let (_shape, mut client, mut target) = pair(args);
        let sent: Vec<u8> = (0..400_000u32).map(|n| (n.wrapping_mul(n) >> 3) as u8).collect();
        let copy = sent.clone();
        let mut writer = client.try_clone().unwrap();
        let thread = std::thread::spawn(move || writer.write_all(&copy).unwrap());
        assert!(read(&mut target, sent.len()) == sent);
        thread.join().unwrap();
        target.write_all(b"and back").unwrap();
        assert_eq!(read(&mut client, 8), b"and back");
    }
}

#[test]
fn half_close_passes_behind_the_data() {
    let (_shape, mut client, mut target) = pair(&["--delay", "20ms"]);
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    target.read_to_end(&mut heard).unwrap();
    target.write_all(b"answer").unwrap();
    drop(target);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!((heard, answer), (b"question".to_vec(), b"answer".to_vec()));
}

#[test]
fn a_reset_is_a_reset_on_the_other_side() {
    let (_shape, client, mut target) = pair(&[]);
    SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(target.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let (_shape, mut client, target) = pair(&["--delay", "5ms"]);
    SockRef::from(&target).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(target);
    assert_eq!(client.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_target_that_refuses_is_told_once_and_its_clients_are_reset() {
    let to = { listener().1 };
    let (shape, address) = shape(&to, &[]);
    for _ in 0..3 {
        assert_eq!(connect(&address).read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    shape.signal(Signal::INT);
    let ended = shape.end().ended_with(0).saying("connection refused");
    assert_eq!(ended.text().matches("could not reach").count(), 1);
}

#[test]
fn a_slow_reader_holds_up_its_sender_and_no_memory() {
    let (shape, client, mut target) = pair(&["--delay", "1ms"]);
    client.set_nonblocking(true).unwrap();
    let (piece, mut sent) = (vec![7; 1 << 20], 0);
    // Socket buffers and the shaper's own bound: what fits must end well before this.
    while sent < 200 << 20 {
        match (&client).write(&piece) {
            Ok(count) => sent += count,
            Err(_) if rustix::event::poll(&mut [writable(&client)], Some(&seconds(1))) == Ok(0) => break,
            Err(_) => {}
        }
    }
    assert!(sent < 200 << 20);
    let status = std::fs::read_to_string(format!("/proc/{}/status", shape.id())).unwrap();
    let peak: usize =
        status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok()).unwrap();
    assert!(peak < 80 << 10, "{peak} kB");
    assert_eq!(read(&mut target, sent).len(), sent);
}

fn writable(stream: &TcpStream) -> rustix::event::PollFd<'_> {
    rustix::event::PollFd::new(stream, rustix::event::PollFlags::OUT)
}

fn seconds(tv_sec: i64) -> rustix::event::Timespec {
    rustix::event::Timespec { tv_sec, tv_nsec: 0 }
}

#[test]
fn a_delay_is_added_each_way() {
    let (_shape, mut client, mut target) = pair(&["--up", "delay=60ms", "--down", "delay=40ms"]);
    let begun = Instant::now();
    client.write_all(b"?").unwrap();
    read(&mut target, 1);
    assert!(begun.elapsed().as_millis() >= 60);
    target.write_all(b"!").unwrap();
    read(&mut client, 1);
    assert!(begun.elapsed().as_millis() >= 100);
}

#[test]
fn connections_that_come_and_go_leave_nothing() {
    const CLIENTS: usize = 10_000;
    let (listener, to) = listener();
    let (mut shape, address) = shape(&to, &["--delay", "1ms"]);
    api(&mut shape); // the last socket that it opens for itself
    let fd = format!("/proc/{}/fd", shape.id());
    let files = || std::fs::read_dir(&fd).unwrap().count();
    let before = files();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    for n in 0..CLIENTS {
        let client = connect(&address);
        if n % 3 == 0 {
            SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        }
    }
    let until = Instant::now() + LIMIT;
    while files() > before && Instant::now() < until {
        shape.stats(|line| line["way"] == "up");
    }
    assert!(files() <= before, "{} files, {before} at first", files());
    shape.stats(|line| line["connections"] == 0);
}

#[test]
fn datagrams_pass_and_each_client_has_its_flow() {
    let (_shape, client, target) = udp(&[]);
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    other.connect(client.peer_addr().unwrap()).unwrap();
    other.set_read_timeout(Some(LIMIT)).unwrap();
    let mut buffer = [0; 2000];
    for (socket, name) in [(&client, b"one"), (&other, b"two")] {
        socket.send(name).unwrap();
        let (count, from) = target.recv_from(&mut buffer).unwrap();
        target.send_to(&buffer[..count], from).unwrap();
        let count = socket.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], name);
    }
    client.send(&[]).unwrap();
    assert_eq!(target.recv_from(&mut buffer).unwrap().0, 0, "empty datagrams too");
}

#[test]
fn datagrams_are_lost_as_asked_and_counted() {
    let (mut shape, client, _target) = udp(&["--up", "loss=25%"]);
    for _ in 0..20 {
        (0..50).for_each(|_| _ = client.send(&[0; 100]).unwrap());
        std::thread::yield_now();
    }
    let line = shape.stats(|line| {
        line["way"] == "up" && line["packets"].as_u64().unwrap() + line["lost"].as_u64().unwrap() >= 1000
    });
    assert!((180..320).contains(&line["lost"].as_u64().unwrap()), "{line}");
}

/// How long each of these datagrams was on its way to the target, sent evenly; none where it was lost.
fn flow(args: &[&str], count: usize, a_second: u32, size: usize) -> Vec<Option<Duration>> {
    let (_shape, client, target) = udp(args);
    SockRef::from(&target).set_recv_buffer_size(8 << 20).unwrap();
    target.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let begun = Instant::now();
    let sender = std::thread::spawn(move || {
        let mut datagram = vec![0; size];
        for number in 0..count as u32 {
            std::thread::sleep((Duration::from_secs(1) * number / a_second).saturating_sub(begun.elapsed()));
            datagram[..4].copy_from_slice(&number.to_be_bytes());
            datagram[4..12].copy_from_slice(&(begun.elapsed().as_micros() as u64).to_be_bytes());
            client.send(&datagram).unwrap();
        }
    });
    let (mut delays, mut buffer) = (vec![None; count], [0; 2000]);
    while target.recv(&mut buffer).is_ok() {
        let sent = Duration::from_micros(u64::from_be_bytes(buffer[4..12].try_into().unwrap()));
        let number = u32::from_be_bytes(buffer[..4].try_into().unwrap());
        delays[number as usize] = Some(begun.elapsed() - sent);
        if number as usize + 1 == count {
            target.set_read_timeout(Some(Duration::from_millis(300))).unwrap(); // what jitter or reordering held back
        }
    }
    sender.join().unwrap();
    delays
}

/// Mean and deviation in milliseconds, without the hundredth on which the machine did something else.
fn spread(delays: &[Option<Duration>]) -> (f64, f64) {
    let mut delays: Vec<f64> = delays.iter().flatten().map(|delay| 1000.0 * delay.as_secs_f64()).collect();
    delays.sort_by(f64::total_cmp);
    delays.truncate(delays.len() * 99 / 100);
    let mean = delays.iter().sum::<f64>() / delays.len() as f64;
    (mean, (delays.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / delays.len() as f64).sqrt())
}

#[test]
fn datagrams_are_read_while_others_wait() {
    for (a_second, count) in [(500, 500), (3000, 6000), (20_000, 20_000)] {
        let delays = flow(&["--up", "delay=50ms"], count, a_second, 200);
        let shortest = delays.iter().flatten().min().unwrap();
        assert_eq!(delays.iter().flatten().count(), count, "{a_second} a second");
        assert!(*shortest >= Duration::from_millis(50), "{shortest:?}");
        let (mean, _) = spread(&delays);
        assert!(mean < 60.0, "{a_second} a second: {mean} ms");
    }
}

#[test]
fn delays_scatter_as_asked_at_3000_a_second() {
    for (distribution, deviation) in [("uniform", 5.77), ("normal", 10.0), ("pareto", 8.0)] {
        let network = format!("delay=50ms,jitter=10ms,distribution={distribution}");
        let (mean, found) = spread(&flow(&["--up", &network], 6000, 3000, 200));
        assert!((46.0..58.0).contains(&mean), "{distribution}: {mean} ms");
        assert!((found / deviation - 1.0).abs() < 0.4, "{distribution}: {found} ms");
    }
}

#[test]
fn a_queue_of_datagrams_is_no_longer_than_asked() {
    let delays = flow(&["--up", "rate=5mbit,queue=100ms"], 2000, 1000, 1200);
    let passed = delays.iter().flatten().count();
    assert!((1000..1150).contains(&passed), "{passed} of 2000 passed: 5 of 9.6 Mbit/s are asked for");
    let (mean, _) = spread(&delays);
    assert!(mean < 115.0, "{mean} ms");
}

#[test]
fn datagrams_are_lost_in_bursts() {
    let delays = flow(&["--up", "burst-loss=20%:5"], 5000, 10_000, 20);
    let lost = delays.iter().filter(|delay| delay.is_none()).count() as f64;
    let bursts = delays.windows(2).filter(|pair| pair[0].is_some() && pair[1].is_none()).count() as f64;
    assert!((0.15..0.25).contains(&(lost / 5000.0)), "{lost} of 5000");
    assert!((4.0..6.0).contains(&(lost / bursts)), "{lost} in {bursts}");
}

#[test]
fn an_address_says_the_protocol() {
    let target = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = format!("udp://{}", target.local_addr().unwrap());
    let mut shape = vstream(&[&["shape", "--listen", "127.0.0.1:0", "--to", &to][..], &API].concat());
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(shape.listening().strip_prefix("udp://").unwrap()).unwrap();
    client.send(b"x").unwrap();
    target.recv(&mut [0]).unwrap();
    drop(target);
    let (over, flood) = (Arc::new(AtomicBool::new(false)), client);
    let flag = over.clone();
    let flooding = std::thread::spawn(move || {
        while !flag.load(Ordering::Relaxed) {
            let _ = flood.send(b"x"); // that nobody is there comes back from the proxy's target only
            std::thread::yield_now();
        }
    });
    shape.says("datagrams are lost until it answers");
    over.store(true, Ordering::Relaxed);
    flooding.join().unwrap();
}

#[test]
fn both_protocols_share_a_port() {
    let (listener, to) = listener();
    let (mut shape, address) = shape(&to, &["--both"]);
    let udp = shape.listening();
    assert_eq!(udp, format!("udp://{address}"));
    connect(&address);
    listener.accept().unwrap();
}

#[test]
fn a_stream_passes_a_bad_network() {
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0"]);
    let to = recv.listening();
    let (_shape, address) = shape(to.trim_start_matches("tcp://"), &["--profile", "wifi"]);
    let args = ["send", "--from", "test?size=160x120&fps=60", "--frames", "20", "--to", &format!("tcp://{address}")];
    vstream(&args).end().ended_with(0);
    recv.end().ended_with(0);
}

#[test]
fn a_script_and_the_api_change_live_connections() {
    let (mut shape, mut client, mut target) = pair(&["--script", "rfc8867-5.1", "--scale", "100"]);
    let api = api(&mut shape);
    shape.says("at 0.0 s: up rate=100mbit");
    client.write_all(b"1").unwrap();
    read(&mut target, 1);
    assert_eq!(ask(&api, "DELETE", "/script", "").0, 204);
    let (status, body) = ask(&api, "PATCH", "/proxies/shape", r#"{"up":{"delay":"1h","rate":"none"}}"#);
    assert!(status == 200 && body.contains(r#""delay":"1h""#) || body.contains("3600s"), "{status} {body}");
    client.write_all(b"2").unwrap();
    target.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    assert!(target.read(&mut [0]).is_err(), "it waits an hour");
    let toxic = r#"{"type":"reset_peer","stream":"upstream","attributes":{"timeout":0}}"#;
    assert_eq!(ask(&api, "POST", "/proxies/shape/toxics", toxic).0, 200);
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn toxics_cut_connections() {
    let (mut shape, mut client, mut target) = pair(&[]);
    let api = api(&mut shape);
    let limit = r#"{"type":"limit_data","stream":"upstream","attributes":{"bytes":5}}"#;
    assert_eq!(ask(&api, "POST", "/proxies/shape/toxics", limit).0, 200);
    client.write_all(b"123456789").unwrap();
    let mut heard = Vec::new();
    let _ = target.read_to_end(&mut heard); // a reset may follow the close
    assert_eq!(heard, b"12345");
    assert_eq!(ask(&api, "PATCH", "/proxies/shape", r#"{"enabled":false}"#).0, 200);
    assert_eq!(ask(&api, "GET", "/proxies/nobody", "").0, 404);
}

#[test]
fn a_strangers_page_changes_nothing() {
    let (mut shape, _client, _target) = pair(&[]);
    let api = api(&mut shape);
    let mut stream = connect(&api);
    let head =
        format!("POST /reset HTTP/1.1\r\nHost: {api}\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 403");
}

#[test]
fn a_configuration_is_read_again_at_sighup() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proxies.json");
    let write = |delay: &str| {
        let text =
            format!(r#"[{{"name":"a","listen":"127.0.0.1:0","upstream":"127.0.0.1:1","up":{{"delay":"{delay}"}}}}]"#);
        std::fs::write(&path, text).unwrap();
    };
    write("10ms");
    let args = ["shape", "--config", path.to_str().unwrap(), "--stats", "none"];
    let mut shape = vstream(&[&args[..], &API].concat());
    shape.listening();
    let api = api(&mut shape);
    write("20ms");
    shape.signal(Signal::HUP);
    shape.says("was read again: 1 proxies");
    assert!(ask(&api, "GET", "/proxies/a", "").1.contains("20ms"));
    write("never");
    shape.signal(Signal::HUP);
    shape.says("stays as it was: bad request body: delay `never`");
    assert!(ask(&api, "GET", "/proxies/a", "").1.contains("20ms"));
    shape.signal(Signal::TERM);
    shape.end().ended_with(0);
}

#[test]
fn nonsense_is_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name).to_str().unwrap().to_string()
    };
    let (script, trace) = (file("script", "at 1s rate 1mbit\nat 2s rat 1"), file("trace", ""));
    for (args, code, why) in [
        (&["--delay", "soon"][..], 2, "durations are written"),
        (&["--loss", "101%"], 2, "percentages are from 0% to 100%"),
        (&["--rate", "0"], 2, "above 0"),
        (&["--up", "dely=1ms"], 2, "unknown setting `dely`"),
        (&["--burst-loss", "90%:2"], 2, "at most"),
        (&["--profile", "9g"], 2, "there are gprs, edge"),
        (&["--to", "http://x"], 2, "a proxy passes bytes"),
        (&["--to", "127.0.0.1:0"], 2, "port 0 is for listening"),
        (&["--udp", "--both"], 2, "cannot be used with"),
        (&["--script", &script], 2, "line 2: unknown setting `rat`"),
        (&["--script", "no-such"], 2, "built in are rfc8867-5.1"),
        (&["--trace", &trace], 1, "is empty"),
        (&["--config", &script], 2, "bad request body"),
        (&["--script", "/dev/zero"], 2, "more than 32 MiB"),
        (&["--trace", "/dev/zero"], 1, "more than 32 MiB"),
        (&["--config", "/dev/zero"], 1, "more than 32 MiB"),
        (&["--listen", ":21000", "--to", "localhost:21000"], 2, "a proxy to itself"),
        (&["--listen", "udp://:0", "--to", "tcp://127.0.0.1:7"], 2, "do not agree"),
        (&["--both", "--to", "udp://127.0.0.1:7"], 2, "do not agree"),
        (&["--tc", "eth0", "--down", "loss=1%", "--dry-run"], 2, "cannot be used with"),
        (&["--tc", "eth0; reboot", "--dry-run"], 2, "a network device"),
    ] {
        vstream(&[&["shape"], args].concat()).end().ended_with(code).saying(why);
    }
}

#[test]
fn tc_commands_are_printed() {
    let args = ["shape", "--tc", "eth0", "--dry-run", "--delay", "50ms", "--loss", "2%", "--rate", "5mbit"];
    let text = String::from_utf8(common::output(env!("CARGO_BIN_EXE_vstream"), &args)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].contains("netem limit 100000 delay 50000us loss random 2%"), "{text}");
    assert_eq!(lines[2], "tc qdisc del dev eth0 root");
    let script = ["shape", "--tc", "eth0", "--dry-run", "--script", "rfc8867-5.1"];
    let text = String::from_utf8(common::output(env!("CARGO_BIN_EXE_vstream"), &script)).unwrap();
    assert!(text.starts_with("tc qdisc add dev eth0 root handle 1: netem limit 100000 delay 50000us\ntc"), "{text}");
    assert!(text.contains("rate 1000000bit") && text.contains("# at 40s\n"), "{text}");
}

/// What was asked of a `tc` that refuses commands with this word, and what vstream said.
fn refusing_tc(word: &str) -> (Vec<String>, common::Ended) {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (tc, asked) = (dir.path().join("tc"), dir.path().join("asked"));
    let refuse = format!("case \"$*\" in *\" {word} \"*) echo 'Error: not here.' >&2; exit 2;; esac");
    std::fs::write(&tc, format!("#!/bin/sh\necho \"$*\" >> {}\n{refuse}\n", asked.display())).unwrap();
    std::fs::set_permissions(&tc, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = common::command(&["shape", "--tc", "eth0", "--rate", "1mbit"]);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", dir.path().display()));
    let ended = common::start(command).end();
    let asked = std::fs::read_to_string(asked).unwrap();
    (asked.lines().map(str::to_string).collect(), ended)
}

#[test]
fn a_tc_that_fails_leaves_a_device_as_it_was() {
    let (asked, ended) = refusing_tc("netem");
    assert!(asked.len() == 1 && asked[0].starts_with("qdisc add dev eth0 root"), "{asked:?}");
    assert_eq!(ended.lines.len(), 1, "an error and no figures: {ended:?}");
    let (asked, _) = refusing_tc("tbf");
    assert_eq!((asked.len(), asked[2].as_str()), (3, "qdisc del dev eth0 root"), "{asked:?}");
}
