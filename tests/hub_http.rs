//! A hub over HTTP as programs use it: ffmpeg reads a stream at a size, Prometheus its metrics, and what pages that mean no good
//! send on its WebSocket.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use common::{Vstream, have, output, prometheus, vstream};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

/// A hub with a stream, and where links and pages call it.
fn hub(args: &[&str]) -> (Vstream, Vstream, String) {
    let (hub, send, at, _) = hub_and_links(args);
    (hub, send, at)
}

fn hub_and_links(args: &[&str]) -> (Vstream, Vstream, String, String) {
    let mut hub = vstream(&[&["hub", "--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0"], args].concat());
    let to = hub.listening();
    let at = hub.serving();
    let mut send = vstream(&["send", "--from", "test?size=640x480&fps=30", "--to", &format!("{to}/talk")]);
    send.says("connected");
    (hub, send, at, to)
}

fn get(at: &str, path: &str) -> String {
    String::from_utf8_lossy(&output("curl", &["-sS", "--max-time", "20", &format!("http://{at}{path}")])).into_owned()
}

#[test]
fn what_all_get_together_bounds_a_stream_by_http_too() {
    const RATE: f64 = 2e6;
    let (_hub, _send, at) = hub(&["--rate-max", "2mbit"]);
    let mut stream = TcpStream::connect(&at).unwrap();
    stream.set_read_timeout(Some(common::LIMIT)).unwrap();
    stream.write_all(format!("GET /stream?name=talk HTTP/1.1\r\nHost: {at}\r\n\r\n").as_bytes()).unwrap();
    let (mut data, mut buffer, mut first) = (Vec::new(), vec![0; 1 << 20], None);
    let parts = |data: &[u8]| data.windows(18).filter(|w| w == b"boundarydonotcross").count();
    while parts(&data) < 8 {
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "it ended");
        data.extend_from_slice(&buffer[..n]);
        first.get_or_insert_with(|| (std::time::Instant::now(), data.len()));
    }
    let (begun, before) = first.unwrap();
    let least = (data.len() - before) as f64 * 8.0 / RATE;
    // The last frame's own time comes after it.
    assert!(begun.elapsed().as_secs_f64() > least * 0.7, "{least} s were to pass, {:?} did", begun.elapsed());
}

type Page = WebSocket<MaybeTlsStream<TcpStream>>;

fn page(at: &str, query: &str) -> Page {
    let (page, _) = tungstenite::connect(format!("ws://{at}/ws?{query}")).unwrap();
    if let MaybeTlsStream::Plain(stream) = page.get_ref() {
        stream.set_read_timeout(Some(common::LIMIT)).unwrap();
    }
    page
}

/// Waits for a word that is wanted; pictures on the way are answered.
fn word(page: &mut Page, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        match page.read().expect("the page is served") {
            Message::Text(text) => {
                let word: Value = serde_json::from_str(&text).unwrap();
                if wanted(&word) {
                    return word;
                }
            }
            Message::Binary(picture) => {
                let seq = u64::from_le_bytes(*picture.first_chunk().unwrap());
                page.send(Message::text(json!({ "shown": seq }).to_string())).unwrap();
            }
            _ => {}
        }
    }
}

/// Reads until the hub closes.
fn closed(mut page: Page) {
    while page.read().is_ok() {}
}

#[test]
fn the_room_of_a_video_has_its_title_and_goes_with_its_last_viewer() {
    if !have("curl") {
        return;
    }
    let films = tempfile::tempdir().unwrap();
    let title = "t\u{e4}glich ".repeat(20);
    for name in ["A film, named", title.trim()] {
        std::fs::write(films.path().join(format!("{name}.mp4")), "no film, but listed").unwrap();
    }
    let (_hub, _send, at) = hub(&["--library", films.path().to_str().unwrap()]);
    let rooms = || {
        let state: Value = serde_json::from_str(&get(&at, "/state")).unwrap();
        let named = |room: &Value| room["stream"].as_str().unwrap().to_string();
        state["result"]["rooms"].as_array().unwrap().iter().map(named).collect::<Vec<_>>()
    };
    assert!(get(&at, "/snapshot?name=A-film-named").contains("a video has no one picture"));
    assert_eq!(rooms(), ["talk"]);
    let state: Value = serde_json::from_str(&get(&at, "/state")).unwrap();
    let long = state["result"]["videos"][1]["title"].as_str().unwrap();
    assert!(long.ends_with('…') && long.chars().count() == 120, "{long}");
    let mut anna = page(&at, "name=A-film-named&user=anna");
    let out = word(&mut anna, |word| word["type"] == "out");
    assert!(out["why"].as_str().unwrap().contains("A-film-named cannot be played"), "{out}");
    closed(anna);
}

#[test]
fn programs_that_watch_have_places_too() {
    if !have("curl") {
        return;
    }
    let (_hub, _send, at) = hub(&["--viewers-max", "1"]);
    let mut first = TcpStream::connect(&at).unwrap();
    first.write_all(format!("GET /stream?name=talk HTTP/1.1\r\nHost: {at}\r\n\r\n").as_bytes()).unwrap();
    let mut begun = [0; 15];
    first.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.0 200 OK");
    for path in ["/stream?name=talk", "/video_feed?name=talk&size=240p", "/?action=stream&name=talk"] {
        assert_eq!(get(&at, path), "all 1 places of this hub are taken\n");
    }
    let refused = word(&mut page(&at, "name=talk"), |_| true);
    assert!(refused["reason"].as_str().is_some_and(|why| why.contains("all 1 places")), "{refused}");
    assert!(get(&at, "/snapshot?name=talk").len() > 1000, "who takes one picture needs no place");
    drop(first);
    let late = std::time::Instant::now() + common::LIMIT;
    loop {
        let word = word(&mut page(&at, "name=talk"), |_| true);
        if word["type"] != "refused" {
            break;
        }
        assert!(std::time::Instant::now() < late, "the place does not come back: {word}");
    }
}

/// Whoever begins with TLS gets the same by it, on the same port.
#[cfg(feature = "tls")]
#[test]
fn pages_are_there_by_https_too() {
    if !have("curl") || !have("openssl") {
        return;
    }
    let (_hub, _send, at) = hub(&[]);
    let secure = |path: &str| {
        let url = format!("https://{at}{path}");
        String::from_utf8_lossy(&output("curl", &["-skS", "--max-time", "20", &url])).into_owned()
    };
    // Some begin and say no more, one goes on with nonsense, one leaves: the others are served.
    let begin = |bytes: &[u8]| {
        let mut caller = TcpStream::connect(&at).unwrap();
        caller.write_all(bytes).unwrap();
        caller
    };
    let _silent = [begin(b""), begin(b"\x16"), begin(b"\x16\x03\x01\x02\x00")];
    let mut nonsense = begin(&[0x16; 4000]);
    _ = nonsense.read_to_end(&mut Vec::new()); // an alert, or a reset: it ends
    drop(begin(b"\x16\x03"));
    assert_eq!((&*secure("/health"), &*get(&at, "/health")), ("ok\n", "ok\n"));
    assert!(secure("/").contains("<title>vstream</title>"));
    assert!(secure("/snapshot?name=talk").len() > 1000);
    // Another certificate, where one is named; one that cannot be read is told at once.
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    let (cert, key) = (file("cert.pem"), file("key.pem"));
    let make = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=named.example"];
    let made = ["-keyout", &key, "-out", &cert, "-addext", "subjectAltName=IP:127.0.0.1"];
    output("openssl", &[&make[..], &made].concat());
    let (_hub, _send, at) = hub(&["--cert", &cert, "--cert-key", &key]);
    let url = format!("https://{at}/health");
    assert_eq!(output("curl", &["-sS", "--max-time", "20", "--cacert", &cert, &url]), b"ok\n");
    let wrong = ["hub", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--cert", &key, "--cert-key", &cert];
    vstream(&wrong).end().ended_with(2).saying("there is no certificate in it");
}

#[test]
fn programs_read_a_stream_at_any_size() {
    if !have("curl") || !have("ffmpeg") || !have("ffprobe") {
        return;
    }
    let (_hub, _send, at) = hub(&[]);
    let url = format!("http://{at}/stream?name=talk&size=240p");
    let probe = ["-v", "error", "-f", "mpjpeg", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0"];
    let shown = String::from_utf8(output("ffprobe", &[&probe[..], &[&url]].concat())).unwrap();
    assert_eq!(shown.trim(), "mjpeg,320,240");
    assert!(get(&at, "/snapshot?name=nix").contains("there is no stream nix: there is talk"));
    let state: Value = serde_json::from_str(&get(&at, "/state")).unwrap();
    assert_eq!(state["result"]["streams"][0]["name"], "talk");
    assert_eq!(state["result"]["rooms"][0]["rungs"], json!(["source", "360p", "240p"]));
    let of: Value = serde_json::from_str(&get(&at, "/state?name=talk")).unwrap();
    assert_eq!(of["result"]["source"]["resolution"], json!({ "width": 640, "height": 480 }));
}

#[test]
fn prometheus_reads_each_streams_metrics() {
    if !have("curl") {
        return;
    }
    let (_hub, _send, at, to) = hub_and_links(&[]);
    let _other = vstream(&["send", "--from", "test?size=320x240", "--to", &format!("{to}/other")]);
    let late = std::time::Instant::now() + common::LIMIT;
    while !get(&at, "/metrics").contains("stream=\"other\"") {
        assert!(std::time::Instant::now() < late, "the other stream does not come");
    }
    let script = "for f in families:\n for s in f.samples: print(s.name, s.labels.get('stream'))";
    let Some(text) = prometheus(get(&at, "/metrics").as_bytes(), script) else { return };
    for stream in ["talk", "other"] {
        assert!(text.contains(&format!("vstream_frames_total {stream}")), "{text}");
    }
    for own in ["vstream_info None", "vstream_uptime_seconds None"] {
        assert_eq!(text.matches(own).count(), 1, "{text}");
    }
}

#[test]
fn a_page_is_told_why_it_is_put_out() {
    let (_hub, _send, at) = hub(&[]);
    let refused = |page: &mut Page| word(page, |word| word["type"] == "refused")["reason"].to_string();
    let mut live = page(&at, "name=desk&live=1");
    word(&mut live, |word| word["type"] == "entered");
    live.send(Message::binary(vec![7; 40])).unwrap();
    assert!(refused(&mut live).contains("no picture"));
    let mut viewer = page(&at, "name=talk&user=anna");
    word(&mut viewer, |word| word["type"] == "entered");
    viewer.send(Message::text("no word")).unwrap();
    assert!(refused(&mut viewer).contains("cannot be read"));
}

#[test]
fn a_page_takes_over_where_there_is_a_key_and_the_other_is_told() {
    let mut hub = vstream(&["hub", "--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0", "--key", "of the house"]);
    let at = hub.serving();
    let live = |query: &str| {
        let mut request = format!("ws://{at}/ws?name=desk&live=1{query}").into_client_request().unwrap();
        request.headers_mut().insert("Authorization", "Bearer of the house".parse().unwrap());
        tungstenite::connect(request).unwrap().0
    };
    let mut first = live("&user=anna");
    word(&mut first, |word| word["type"] == "entered");
    let held = word(&mut live("&user=bob"), |word| word["type"] == "refused");
    assert!(held["reason"].as_str().is_some_and(|why| why.contains("anna streams desk already")), "{held}");
    let mut second = live("&user=bob&take_over=1");
    word(&mut second, |word| word["type"] == "entered");
    let told = word(&mut first, |word| word["type"] == "refused");
    assert!(told["reason"].as_str().is_some_and(|why| why.contains("another streams desk")), "{told}");
}

#[test]
fn a_page_gets_one_picture_at_a_time() {
    let (_hub, _send, at) = hub(&[]);
    let mut slow = page(&at, "name=talk&user=slow&rung=source");
    let picture = loop {
        if let Message::Binary(picture) = slow.read().unwrap() {
            break picture;
        }
    };
    assert_eq!(picture[16..18], [0xFF, 0xD8], "a JPEG behind sixteen bytes");
    // Until it has said that it was shown, words come, and no other picture.
    let mut rooms = 0;
    while rooms < 2 {
        match slow.read().unwrap() {
            Message::Text(text) => rooms += usize::from(text.contains("\"type\":\"room\"")),
            Message::Binary(_) => panic!("another picture came"),
            _ => {}
        }
    }
    let seq = u64::from_le_bytes(*picture.first_chunk().unwrap());
    slow.send(Message::text(json!({ "shown": seq, "ms": 1.5 }).to_string())).unwrap();
    while !matches!(slow.read().unwrap(), Message::Binary(_)) {}
}

#[test]
fn a_page_whose_network_takes_more_gets_more() {
    let (_hub, _send, at, to) = hub_and_links(&[]);
    let mut send = vstream(&["send", "--from", "test?size=1280x720&fps=5", "--to", &format!("{to}/slow")]);
    send.says("connected");
    let late = std::time::Instant::now() + common::LIMIT;
    let better = word(&mut page(&at, "name=slow&rung=auto"), |word| {
        assert!(std::time::Instant::now() < late, "it stays as it was");
        word["type"] == "rung" && word["why"] != Value::Null
    });
    assert_eq!((&better["rung"], &better["auto"]), (&json!("source"), &json!(true)));
}

#[test]
fn what_a_page_has_not_finished_saying_is_bounded() {
    let (_hub, _send, at) = hub(&[]);
    let part = |of| Message::Frame(Frame::message(vec![b'x'; 3000], OpCode::Data(of), false));
    for (query, told) in [("", false), ("name=talk&user=anna", true)] {
        let mut page = page(&at, query);
        page.send(part(Data::Text)).unwrap();
        page.send(part(Data::Continue)).unwrap();
        if told {
            let refused = word(&mut page, |word| word["type"] == "refused");
            assert_eq!(refused["reason"], "message too long: 6000 > 4096");
        }
        closed(page);
    }
}

#[test]
fn who_talks_without_end_is_read_slowly() {
    let (_hub, _send, at) = hub(&[]);
    for query in ["", "name=talk&user=anna"] {
        let mut page = page(&at, query);
        let MaybeTlsStream::Plain(stream) = page.get_ref() else { panic!("it is in the open") };
        stream.set_write_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
        let line = json!({ "type": "say", "text": "so ".repeat(150) }).to_string();
        let takes = (0..200_000).all(|_| page.send(Message::text(line.clone())).is_ok());
        assert!(!takes, "all of it was read, and no kernel holds so much");
    }
}

#[test]
fn who_only_looks_what_there_is_has_a_place_too() {
    let (_hub, _send, at) = hub(&["--viewers-per-address", "1"]);
    let mut first = page(&at, "");
    word(&mut first, |word| word["type"] == "hall");
    let refused = word(&mut page(&at, ""), |word| word["type"] == "refused");
    assert!(refused["reason"].as_str().unwrap().contains("no more may"), "{refused}");
    word(&mut page(&at, "name=talk"), |word| word["type"] == "room"); // to watch is another thing
    drop(first);
}

#[test]
fn auto_keeps_within_what_the_hub_gives_each() {
    let (_hub, _send, at) = hub(&["--rate-max", "100kbit"]);
    let bound = |why: &str| why.starts_with("the hub gives each 0.1 Mbit/s at most");
    let told = |word: &Value| word["type"] == "rung" && word["why"].as_str().is_some_and(bound);
    assert_eq!(word(&mut page(&at, "name=talk&rung=auto"), told)["rung"], "240p");
}

#[test]
fn pages_that_mean_no_good_hurt_nobody() {
    let (mut hub, _send, at) = hub(&[]);
    let mut good = page(&at, "name=talk&user=good");
    word(&mut good, |word| word["type"] == "entered" && word["user"] == "good");
    for (query, said) in [
        ("name=talk&user=a", Message::text("no json")),
        ("name=talk&user=a", Message::text("x".repeat(1 << 20))),
        ("name=talk&user=a", Message::text(r#"{"type":"seek","to":"far"}"#)),
        ("name=talk&user=a", Message::binary(vec![0; 100])),
        ("live=1&name=garbage", Message::binary(vec![0; 10])),
        ("live=1&name=garbage", Message::binary(vec![0xFF; 4000])),
        ("live=1&name=garbage", Message::binary(vec![0; 17 << 20])),
    ] {
        let mut bad = page(&at, query);
        _ = bad.send(said); // the hub may close before all of it went
        closed(bad);
        hub.says("browser) is gone");
    }
    // Refusals say why: names, streams, places.
    for (query, why) in [
        ("name=nix", "there is no stream nix"),
        ("name=talk&user=good", "the name good is taken"),
        ("name=talk&user=%1b%5b2J", "printable characters"),
        ("name=talk&rung=9p", "there is no rung `9p`"),
        ("live=1&name=talk", "streams talk already"),
        ("live=1&name=..%2fx", "1 to 32"),
        ("live=1&name=b&take_over=1", "start the hub with a key"),
    ] {
        let mut refused = page(&at, query);
        let word = word(&mut refused, |word| word["type"] == "refused");
        assert!(word["reason"].as_str().unwrap().contains(why), "{query}: {word}");
    }
    good.send(Message::text(json!({ "type": "say", "text": "<b>still</b> here" }).to_string())).unwrap();
    word(&mut good, |word| word["type"] == "said" && word["text"] == "<b>still</b> here");
}

#[test]
fn a_page_of_a_stranger_gets_no_socket() {
    if !have("curl") {
        return;
    }
    let (_hub, _send, at) = hub(&[]);
    let url = format!("http://{at}/ws?name=talk");
    let upgrade = |origin: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "1", &url]);
        curl.args(["-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13"]);
        curl.args(["-H", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "-H", &format!("Origin: {origin}")]);
        // What stands open is cut off by the time limit: the code is told all the same.
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    };
    assert_eq!(upgrade("http://evil.example"), "403");
    assert_eq!(upgrade(&format!("http://{at}")), "101");
    assert!(get(&at, "/ws?name=talk").contains("this is a WebSocket"));
}
