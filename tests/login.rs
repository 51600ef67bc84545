//! Pages under a key: the word in a header, the login page and its cookie, and what those get who have neither.

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::vstream;

const KEY: &str = "xyzzy plugh & 100% plover";

/// One request; status and the whole answer.
fn http(address: &str, head: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(common::LIMIT)).unwrap();
    let length = body.len();
    let rest = format!("Host: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(format!("{head}\r\n{rest}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

#[test]
fn pages_ask_for_it() {
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0", "--key", KEY]);
    let address = &recv.serving();
    for path in ["/", "/state", "/stream", "/snapshot", "/metrics", "/health", "/control", "/live.js", "/nowhere"] {
        assert_eq!(http(address, &format!("GET {path} HTTP/1.1"), "").0, 401, "{path}");
    }
    let (status, page) = http(address, "GET / HTTP/1.1\r\nAccept: text/html", "");
    assert!(status == 401 && page.contains("<form") && page.contains("form-action 'self'"), "{page}");
    let bearer = |word: &str| http(address, &format!("GET /state HTTP/1.1\r\nAuthorization: Bearer {word}"), "").0;
    assert_eq!((bearer(KEY), bearer("guess"), bearer("")), (200, 401, 401));

    let login = |word: &str| http(address, "POST /login HTTP/1.1", &format!("key={word}"));
    let (status, refused) = login("guess");
    assert!(status == 401 && refused.contains("That is not the key."), "{refused}");
    let (status, entered) = login("xyzzy+plugh+%26+100%25+plover");
    assert_eq!(status, 303, "{entered}");
    let cookie = entered.lines().find_map(|l| l.strip_prefix("set-cookie: ")).unwrap().split(';').next().unwrap();
    assert_eq!(http(address, &format!("GET /state HTTP/1.1\r\nCookie: {cookie}"), "").0, 200);
    // Pages of others can neither ask nor log in.
    let foreign = "POST /login HTTP/1.1\r\nOrigin: http://evil.example";
    assert_eq!(http(address, foreign, "key=x").0, 403);
}

#[test]
fn the_warning_goes_with_a_key() {
    for (args, warned) in [(&[][..], 1), (&["--key", KEY][..], 0)] {
        let mut recv =
            vstream(&[&["recv", "--listen", "tcp://127.0.0.1:0", "--http", ":0", "--stats", "json"], args].concat());
        recv.stats(|_| true);
        recv.signal(rustix::process::Signal::INT);
        let said = recv.end().ended_with(0).text();
        assert_eq!(said.matches("no key is set").count(), warned, "{said}");
    }
}

#[test]
fn a_panel_shows_a_stream_that_has_the_same_key() {
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0", "--key", KEY]);
    let page = recv.serving();
    let proxy = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--monitor", &page, "--key", KEY];
    let mut shape = vstream(&[&["shape"], &proxy[..]].concat());
    let panel = shape.serving();
    let asked = "GET /monitors/0/state HTTP/1.1";
    assert_eq!(http(&panel, asked, "").0, 401);
    let (status, answer) = http(&panel, &format!("{asked}\r\nAuthorization: Bearer {KEY}"), "");
    assert!(status == 200 && answer.contains("\"role\""), "{answer}");
}
