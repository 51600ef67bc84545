//! `vstream shape` over real sockets: bytes and datagrams through it, its ends, its changes while connections live.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

use common::shape::*;
use common::{LIMIT, vstream};
use rustix::process::Signal;
use socket2::SockRef;

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
    shape.serving(); // the last socket that it opens for itself
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
    let api = shape.serving();
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
    let api = shape.serving();
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
    let api = shape.serving();
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
    let api = shape.serving();
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
    assert!(text.starts_with("tc qdisc add dev eth0 root handle 7c5: netem limit 100000 delay 50000us\ntc"), "{text}");
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
    assert!(asked.len() == 2 && asked[1].starts_with("qdisc add dev eth0 root"), "{asked:?}");
    assert_eq!(ended.lines.len(), 1, "an error and no figures: {ended:?}");
    let (asked, _) = refusing_tc("tbf");
    assert_eq!((asked.len(), asked[3].as_str()), (4, "qdisc del dev eth0 root"), "{asked:?}");
}
