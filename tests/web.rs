//! `--http` as its users meet it: over real sockets, by curl, ffmpeg and a browser, and with what hostile clients send.

mod browser;
mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use common::{LIMIT, Vstream, have, output, prometheus, vstream};

/// A sender of the test card that browsers can watch.
fn sender(more: &[&str]) -> (Vstream, SocketAddr) {
    let mut args = vec!["send", "--from", "test?size=640x360", "--http", ":0", "--stats", "json"];
    args[4] = "127.0.0.1:0";
    args.extend(more);
    let mut sender = vstream(&args);
    let at = serving(&mut sender);
    (sender, at)
}

fn serving(role: &mut Vstream) -> SocketAddr {
    let line = role.says("serving http://");
    let at = line.split("http://").nth(1).and_then(|rest| rest.trim_end_matches('/').parse().ok());
    at.unwrap_or_else(|| panic!("no address in {line}"))
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_string()).next()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Sends a request as it stands and reads to the end.
fn raw(at: SocketAddr, request: &str) -> Answer {
    attempt(at, request).unwrap_or_else(|| panic!("no answer to {:?}", &request[..request.len().min(200)]))
}

/// The same; none where the server hung up.
fn attempt(at: SocketAddr, request: &str) -> Option<Answer> {
    let mut stream = connect(at);
    let _ = stream.write_all(request.as_bytes()); // refused in the middle of it, it has an answer too
    let mut data = Vec::new();
    let _ = stream.read_to_end(&mut data); // a reset after the answer is an answer
    let end = data.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&data[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head, body: data[end + 4..].to_vec() })
}

fn ask(at: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    raw(
        at,
        &format!(
            "{method} {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ),
    )
}

fn get(at: SocketAddr, path: &str) -> Answer {
    ask(at, "GET", path, "", "")
}

/// Width and height of a JPEG.
fn size(jpeg: &[u8]) -> (usize, usize) {
    let picture = vstream::codec::decode::decode(&jpeg.to_vec().into()).unwrap();
    (picture.width(), picture.height())
}

#[test]
fn pages_pictures_and_figures() {
    let (_sender, at) = sender(&[]);
    let page = get(at, "/");
    assert!(page.text().contains("<canvas") && page.header("content-security-policy").is_some());
    let tag = page.header("etag").expect("a page has a tag");
    assert_eq!(ask(at, "GET", "/", &format!("If-None-Match: {tag}\r\n"), "").status, 304);
    for path in ["/style.css", "/chart.js", "/video.js", "/live.js", "/live.css", "/icon.svg"] {
        assert_eq!(get(at, path).status, 200, "{path}");
    }
    assert_eq!(get(at, "/health").text(), "ok\n");
    assert_eq!(size(&get(at, "/snapshot").body), (640, 360));
    let small = get(at, "/?action=snapshot&size=240p");
    assert_eq!(size(&small.body), (426, 240));
    assert!(small.header("x-timestamp").is_some_and(|t| t.parse::<f64>().is_ok_and(|t| t > 1.7e9)));
    let head = ask(at, "HEAD", "/snapshot", "", "");
    assert!(head.status == 200 && head.body.is_empty());
    let state = get(at, "/state").json();
    assert_eq!(state["ok"], true);
    assert_eq!(state["result"]["source"]["resolution"]["width"], 640);
    assert_eq!(state["result"]["stats"][0]["role"], "send");
}

#[test]
fn what_is_not_there_is_refused() {
    let (_sender, at) = sender(&[]);
    for (method, path, status) in [
        ("GET", "/../Cargo.toml", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "//etc/passwd", 404),
        ("GET", "/stream?size=0x0", 400),
        ("GET", "/stream?fps=-1", 400),
        ("GET", "/snapshot?size=99999x99999", 400),
        ("POST", "/", 405),
        ("DELETE", "/control", 405),
        ("PATCH", "/control", 400),
    ] {
        assert_eq!(ask(at, method, path, "", "").status, status, "{method} {path}");
    }
    assert_eq!(raw(at, "nonsense\r\n\r\n").status, 400);
}

#[test]
fn curl_and_ffmpeg_read_the_stream() {
    let (mut sender, at) = sender(&[]);
    if !have("curl") || !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    for path in ["/stream", "/video_feed", "/?action=stream"] {
        let url = format!("http://{at}{path}");
        let mut curl = Command::new("curl").args(["-sN", &url]).stdout(Stdio::piped()).spawn().unwrap();
        let mut data = vec![0; 200_000];
        curl.stdout.take().unwrap().read_exact(&mut data).unwrap();
        curl.kill().unwrap();
        curl.wait().unwrap();
        let text = String::from_utf8_lossy(&data);
        assert!(text.starts_with("--boundarydonotcross\r\nContent-Type: image/jpeg\r\nContent-Length: "), "{path}");
        assert!(text.contains("\r\n--boundarydonotcross\r\n") && text.contains("\r\nX-Timestamp: "));
    }
    let url = format!("http://{at}/stream");
    let args = ["-v", "error", "-i", &url, "-frames:v", "20", "-f", "framemd5", "-"];
    let sums = String::from_utf8(output("ffmpeg", &args)).unwrap();
    let mut frames: Vec<&str> = sums.lines().filter(|l| !l.starts_with('#')).collect();
    frames.dedup_by_key(|line| line.rsplit(' ').next());
    assert_eq!(frames.len(), 20, "moving pictures: {sums}");
    let url = format!("http://{at}/stream?size=240p&fps=5");
    let args = ["-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0", &url];
    assert_eq!(String::from_utf8_lossy(&output("ffprobe", &args)).trim(), "426,240");
    sender.stats(|line| line["viewers"] == 0); // each viewer that left was seen to leave
}

#[test]
fn a_receiver_shows_what_it_receives() {
    let mut receiver = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0", "--stats", "json"]);
    let listening = receiver.listening();
    let at = serving(&mut receiver);
    let _sender = vstream(&["send", "--to", &listening, "--from", "test?size=320x240", "--every-frame"]);
    receiver.stats(|line| line["peer"].is_string());
    // One who does not read does not hold up the others, not even where every frame matters.
    let mut idle = connect(at);
    idle.write_all(format!("GET /stream HTTP/1.1\r\nHost: {at}\r\n\r\n").as_bytes()).unwrap();
    let before = receiver.stats(|line| line["viewers"] == 1)["frames"].as_u64().unwrap();
    receiver.stats(|line| line["frames"].as_u64() > Some(before + 60));
    assert_eq!(size(&get(at, "/snapshot").body), (320, 240));
    assert_eq!(get(at, "/control").status, 404);
    let state = get(at, "/state").json();
    assert!(state["result"]["stats"][0]["latency_ms"].is_number(), "{state}");
}

#[test]
fn the_newest_picture_is_there_though_no_other_comes() {
    let mut watcher = vstream(&["recv", "--listen", "tcp://127.0.0.1:0"]);
    let next = watcher.listening();
    for (role, more) in [(&["recv"][..], &[][..]), (&["relay", "--next", &next], &["--every-frame"])] {
        let served = ["--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0", "--stats", "json"];
        let mut role = vstream(&[role, &served].concat());
        let listening = role.listening();
        let at = serving(&mut role);
        let send = vstream(&[&["send", "--from", "test?size=320x240", "--to", &listening], more].concat());
        role.stats(|line| line["frames"].as_u64() > Some(5));
        send.signal(rustix::process::Signal::KILL);
        role.says("is gone");
        for path in ["/snapshot", "/snapshot?size=240p"] {
            assert_eq!(size(&get(at, path).body), (320, 240), "{path}");
        }
    }
}

#[test]
fn what_loses_nothing_is_jpeg_to_browsers() {
    let (_sender, at) = sender(&["--codec", "lz4"]);
    assert_eq!(size(&get(at, "/snapshot").body), (640, 360));
    assert_eq!(size(&get(at, "/snapshot?size=240p").body), (426, 240));
    let refused = ask(at, "PATCH", "/control", "", r#"{"quality":60}"#);
    assert!(refused.status == 400 && refused.text().contains("loses nothing"), "{}", refused.text());
}

#[test]
fn a_sender_is_controlled_while_it_runs() {
    let (mut sender, at) = sender(&[]);
    let mut viewer = connect(at);
    viewer.write_all(format!("GET /stream HTTP/1.1\r\nHost: {at}\r\n\r\n").as_bytes()).unwrap();
    std::thread::spawn(move || std::io::copy(&mut viewer, &mut std::io::sink()));
    sender.stats(|line| line["quality"] == 80);
    let changed = ask(at, "PATCH", "/control", "", r#"{"quality":30,"size":"240p","fps":5}"#);
    assert_eq!(changed.json()["size"], "426x240");
    sender.stats(|line| line["quality"] == 30 && line["size"] == "426x240");
    let late = Instant::now() + LIMIT;
    let slow = |state: Value| state["result"]["viewers"][0]["fps"].as_f64().is_some_and(|fps| fps > 0.0 && fps < 8.0);
    while !slow(get(at, "/state").json()) {
        assert!(Instant::now() < late, "5 frames a second never came");
    }
    let refused = ask(at, "PATCH", "/control", "", r#"{"rate_max":"fast"}"#);
    assert!(refused.status == 400 && refused.text().contains("5mbit"), "{}", refused.text());
    let capped = ask(at, "PATCH", "/control", "", r#"{"rate_max":"8mbit"}"#);
    assert_eq!(capped.json()["rate_max"], "8mbit");
    let foreign = ask(at, "PATCH", "/control", "Origin: http://evil.example\r\n", r#"{"quality":1}"#);
    assert!(foreign.status == 403 && foreign.text().contains("--allow-origin http://evil.example"));
    assert_eq!(get(at, "/control").json()["quality"], 30);
}

#[test]
fn a_viewer_that_stopped_reading_does_not_hold_up_the_end() {
    let (mut sender, at) = sender(&["--frames", "60"]);
    let mut idle = connect(at);
    idle.write_all(format!("GET /stream HTTP/1.1\r\nHost: {at}\r\n\r\n").as_bytes()).unwrap();
    sender.stats(|line| line["viewers"] == 1);
    let mut viewer = connect(at);
    viewer.write_all(format!("GET /stream HTTP/1.1\r\nHost: {at}\r\n\r\n").as_bytes()).unwrap();
    let mut seen = Vec::new();
    let _ = viewer.read_to_end(&mut seen); // cut off or closed: over either way
    assert!(seen.len() > 10_000);
    sender.end().ended_with(0);
}

#[test]
fn prometheus_reads_the_metrics() {
    let (_sender, at) = sender(&[]);
    let metrics = get(at, "/metrics");
    assert!(metrics.header("content-type").is_some_and(|kind| kind.contains("version=0.0.4")));
    let script = "assert all(f.name.startswith('vstream_') and f.documentation and f.type != 'unknown' for f in families)\n\
                  print(len(families))";
    let Some(count) = prometheus(&metrics.body, script) else { return };
    assert!(count.trim().parse::<usize>().unwrap() >= 10);
}

#[test]
fn hostile_clients_cost_little() {
    let (sender, at) = sender(&[]);
    let long = raw(at, &format!("GET / HTTP/1.1\r\nHost: {at}\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)));
    assert_eq!(long.status, 431);
    let post = |expect: &str| {
        let mut stream = connect(at);
        let length = 100 << 20;
        let head = format!("PATCH /control HTTP/1.1\r\nHost: {at}\r\nContent-Length: {length}\r\n{expect}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let piece = vec![b' '; 1 << 20];
        for _ in 0..if expect.is_empty() { 100 } else { 0 } {
            stream.write_all(&piece).unwrap();
        }
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert_eq!(post(""), "HTTP/1.1 413");
    assert_eq!(post("Expect: 100-continue\r\n"), "HTTP/1.1 413");
    let resident = resident(&sender);
    assert!(resident < 100 << 10, "{resident} KiB are resident after 100 MB of body");
}

/// Memory of a process, in KiB.
fn resident(role: &Vstream) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", role.id())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn strangers_names_do_not_reach_this_machine() {
    let (_sender, at) = sender(&["--allow-origin", "http://cam.example"]);
    let asked = |host: &str, headers: &str, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
        raw(at, &request)
    };
    assert_eq!(asked("evil.example", "", "/snapshot").status, 403); // DNS rebinding
    assert_eq!(asked("cam.example", "", "/health").status, 200);
    assert_eq!(asked("localhost", "", "/health").status, 200);
    let foreign = asked("localhost", "Origin: http://evil.example\r\n", "/state");
    assert_eq!(foreign.header("access-control-allow-origin"), None);
    let friend = asked("localhost", "Origin: http://cam.example\r\n", "/state");
    assert_eq!(friend.header("access-control-allow-origin").as_deref(), Some("http://cam.example"));
    let socket = "Origin: http://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(asked("localhost", socket, "/ws").status, 403);
}

#[test]
fn slow_headers_are_given_up() {
    let (_sender, at) = sender(&[]);
    let mut slow = connect(at);
    slow.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    let mut answer = Vec::new();
    let closed = slow.read_to_end(&mut answer); // within LIMIT, or the read times out
    assert!(closed.is_ok() && !answer.starts_with(b"HTTP/1.1 200"), "{closed:?}");
}

#[test]
fn two_thousand_connections_pass() {
    let (sender, at) = sender(&[]);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let all: Vec<TcpStream> = (0..2000).map_while(|_| TcpStream::connect(at).ok()).collect();
    assert_eq!(all.len(), 2000);
    let health = format!("GET /health HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    let answer = attempt(at, &health).expect("those that ask for nothing give way");
    assert_eq!(answer.status, 200);
    drop(all);
    let resident = resident(&sender);
    assert!(resident < 100 << 10, "{resident} KiB are resident after 2000 connections");
}

#[test]
fn an_address_in_use_is_told() {
    let (_sender, at) = sender(&[]);
    let on = at.to_string();
    let second = vstream(&["send", "--from", "test", "--http", &on]).end();
    second.ended_with(1).saying(&format!("could not serve pages on http://{on}"));
    vstream(&["send", "--http", "nonsense:port"]).end().ended_with(2);
}

#[test]
fn a_browser_shows_moving_pictures() {
    let (mut sender, at) = sender(&["--listen", "tcp://127.0.0.1:0"]);
    let Some(mut page) = browser::open(&format!("http://{at}/"), 1280, 800) else { return };
    page.until("document.documentElement.dataset.frames > 10");
    let pixels = "(() => { const c = document.getElementById('video'); const d = c.getContext('2d')\
                  .getImageData(0, 0, c.width, c.height).data; let sum = 0; for (let i = 0; i < d.length; i += 97) \
                  sum = (sum * 31 + d[i]) % 1000003; return sum; })()";
    let first = page.eval(pixels);
    page.until(&format!("{pixels} !== {first}"));
    assert_eq!(page.eval("document.getElementById('video').width"), 640);
    page.until("document.getElementById('status').textContent === 'live'");
    // The controls, by keyboard.
    page.eval("document.getElementById('quality').focus()");
    page.press("ArrowLeft");
    sender.stats(|line| line["quality"] == 79);
    page.eval("document.activeElement.blur()");
    // Freezing leaves the viewers, and coming back joins them.
    page.eval("document.getElementById('pause').click()");
    sender.stats(|line| line["viewers"] == 0);
    page.eval("document.getElementById('pause').click()");
    sender.stats(|line| line["viewers"] == 1);
}

#[test]
fn the_page_suits_a_phone() {
    let (_sender, at) = sender(&["--listen", "tcp://127.0.0.1:0"]);
    for (name, width, height, dark) in [("live-390", 390, 844, true), ("live-1280", 1280, 860, false)] {
        let Some(mut page) = browser::open(&format!("http://{at}/"), width, height) else { return };
        if dark {
            page.dark();
        }
        page.until("document.documentElement.dataset.frames > 60");
        let wide = page.eval("document.documentElement.scrollWidth");
        assert!(wide.as_u64() <= Some(width.into()), "{wide} pixels wide on {width}");
        page.picture(name);
    }
}
