//! The key between real processes: right, wrong and missing on each side, what the wire shows, tampering, and that
//! nothing prints it.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use common::{Ended, Vstream, vstream};

const KEY: &str = "xyzzy plugh & 100% plover";

fn schemes() -> impl Iterator<Item = &'static str> {
    vstream::transports::ALL.iter().map(|t| t.scheme())
}

fn receiver(scheme: &str, args: &[&str]) -> (Vstream, String) {
    let on = format!("{scheme}://127.0.0.1:0");
    let mut recv = vstream(&[&["recv", "--listen", &on, "--stats", "json"], args].concat());
    let url = recv.listening();
    (recv, url)
}

fn sender(url: &str, args: &[&str]) -> Vstream {
    let film = ["send", "--from", "test?size=64x64&fps=60", "--frames", "5", "--timeout", "15s", "--to", url];
    vstream(&[&film, args].concat())
}

fn send(url: &str, args: &[&str]) -> Ended {
    sender(url, args).end()
}

#[test]
fn the_same_key_in_each_of_its_places() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let file = file.to_str().unwrap();
    for scheme in schemes() {
        let (recv, url) = receiver(scheme, &["--key-file", file]);
        send(&url, &["--key", KEY]).ended_with(0);
        assert!(recv.end().ended_with(0).totals()["frames"].as_u64() > Some(0));
    }
    let mut command = common::command(&["recv", "--listen", "tcp://127.0.0.1:0"]);
    command.env("VSTREAM_KEY", KEY);
    let mut recv = common::start(command);
    let url = recv.listening();
    assert!(!url.contains("key"), "{url}");
    send(&format!("{url}?key=xyzzy"), &[]).ended_with(4).saying("the key is short");
    send(&format!("{url}?key=xyzzy%20plugh%20%26%20100%25%20plover"), &[]).ended_with(0);
    recv.end().ended_with(0);
    // A sender that listens, too.
    let film = ["send", "--from", "test?size=64x64&fps=60", "--frames", "5", "--listen", "tcp://127.0.0.1:0"];
    let mut send = vstream(&[&film[..], &["--key", KEY]].concat());
    vstream(&["recv", "--key", KEY, "--from", &send.listening()]).end().ended_with(0);
    send.end().ended_with(0);
}

#[test]
fn who_has_it_not_is_refused() {
    for scheme in schemes() {
        let (mut recv, url) = receiver(scheme, &["--key", KEY]);
        send(&url, &[]).ended_with(4).saying("a key is needed");
        recv.says("was turned away");
        let wrong = send(&url, &["--key", "something else"]).ended_with(4).saying("the key is wrong");
        assert!(!wrong.text().contains("something else") && !wrong.text().contains("xyzzy"));
        recv.says("was turned away");
        send(&url, &["--key", KEY]).ended_with(0);
        recv.end().ended_with(0);

        let (recv, url) = receiver(scheme, &[]);
        send(&url, &["--key", KEY]).ended_with(4).saying("no key is set here");
        send(&url, &[]).ended_with(0);
        recv.end().ended_with(0);
    }
}

#[test]
fn keys_that_are_none_are_usage_errors() {
    vstream(&["recv", "--key", ""]).end().ended_with(2).saying("a key has 1 to 1024 bytes");
    vstream(&["recv", "--key-file", "/nowhere"]).end().ended_with(2).saying("/nowhere: no such file");
    vstream(&["recv", "--key-file", "/dev/zero"]).end().ended_with(2).saying("a key has");
    vstream(&["recv", "--key", KEY, "--key-file", "/nowhere"]).end().ended_with(2).saying("/nowhere");
    for args in [["send", "udp://h:1?key=hunter2"], ["recv", "--from=udp://h:1?KEY=hunter2"]] {
        let said = vstream(&args).end().ended_with(2).text();
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn the_warning_goes_with_a_key() {
    let warned = [(":0", &[][..], 1), ("0.0.0.0:0", &[], 1), (":0", &["--key", KEY], 0), ("127.0.0.1:0", &[], 0)];
    for (on, args, warned) in warned {
        let mut recv = vstream(&[&["recv", "--listen", on, "--stats", "json"], args].concat());
        assert!(!recv.listening().contains("0.0.0.0"), "nobody can call that");
        recv.stats(|_| true);
        recv.signal(rustix::process::Signal::INT);
        let said = recv.end().ended_with(0).text();
        assert_eq!(said.matches("no key is set").count(), warned, "{said}");
    }
}

/// What a proxy does to the bytes of a connection, of the caller's or the listener's side, from their place on.
type Touch = dyn Fn(usize, bool, usize, &mut [u8]) + Send + Sync;

/// Passes bytes on both ways and shows them to `touch` on the way.
fn proxy(to: &str, touch: Arc<Touch>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let to = to.to_string();
    std::thread::spawn(move || {
        for (number, near) in listener.incoming().enumerate() {
            let (near, far) = (near.unwrap(), TcpStream::connect(&to).unwrap());
            for (up, mut from, mut to) in
                [(true, near.try_clone().unwrap(), far.try_clone().unwrap()), (false, far, near)]
            {
                let touch = touch.clone();
                std::thread::spawn(move || {
                    let (mut data, mut place) = ([0; 4096], 0);
                    while let Ok(n @ 1..) = from.read(&mut data) {
                        touch(number, up, place, &mut data[..n]);
                        place += n;
                        if to.write_all(&data[..n]).is_err() {
                            break;
                        }
                    }
                    let _ = to.shutdown(Shutdown::Write); // it may be gone
                });
            }
        }
    });
    format!("tcp://{address}")
}

fn flip(connection: usize, upward: bool, at: usize) -> Arc<Touch> {
    Arc::new(move |number, up, place, data| {
        if (number, up) == (connection, upward) && (place..place + data.len()).contains(&at) {
            data[at - place] ^= 1;
        }
    })
}

#[test]
fn what_is_changed_on_the_way_ends_the_link_and_the_next_one_works() {
    let (mut recv, url) = receiver("tcp", &["--key", KEY]);
    // 59 bytes of handshake; the hello and the first frames behind them.
    let through = proxy(url.trim_start_matches("tcp://"), flip(0, true, 2000));
    let send = sender(&through, &["--key", KEY, "--every-frame"]);
    let line = recv.says("is gone");
    assert!(line.contains("changed on the way"), "{line}");
    send.end().ended_with(0);
    let ended = recv.end().ended_with(0);
    assert_eq!(ended.totals()["frames"], 5);
    assert_eq!(ended.text().matches("changed on the way").count(), 1, "one line");
}

#[test]
fn a_handshake_that_is_changed_on_the_way_is_tried_again() {
    // The listener's answer: what it changed into is nobody's word, so it is no refusal.
    let (recv, url) = receiver("tcp", &["--key", KEY]);
    let through = proxy(url.trim_start_matches("tcp://"), flip(0, false, 20));
    send(&through, &["--key", KEY]).ended_with(0).saying("forged");
    recv.end().ended_with(0);
}

#[test]
fn the_wire_shows_nothing_and_a_recording_of_it_opens_nothing() {
    let (mut recv, url) = receiver("tcp", &["--key", KEY, "--stay"]);
    let address = url.trim_start_matches("tcp://").to_string();
    let wire: Arc<Mutex<[Vec<u8>; 2]>> = Arc::default();
    let tap = wire.clone();
    let through =
        proxy(&address, Arc::new(move |_, up, _, data| tap.lock().unwrap()[usize::from(up)].extend_from_slice(data)));
    send(&through, &["--key", KEY]).ended_with(0);
    recv.says("is over");
    let [down, up] = wire.lock().unwrap().clone();
    assert!(down.len() > 100 && up.len() > 1000);
    // Long enough that random bytes do not hold them: the last is the JPEG's Huffman table (ITU-T T.81, K.3.1).
    let table = b"\x00\x01\x05\x01\x01\x01\x01\x01\x01";
    for words in [&b"vstream/"[..], b"publish", b"live", b"xyzzy", table] {
        for side in [&up, &down] {
            assert!(!side.windows(words.len()).any(|w| w == words), "{}", String::from_utf8_lossy(words));
        }
    }
    let mut again = TcpStream::connect(&address).unwrap();
    again.write_all(&up).unwrap();
    again.set_read_timeout(Some(common::LIMIT)).unwrap();
    let mut answer = Vec::new();
    let _ = again.read_to_end(&mut answer); // a reset is an answer too
    let line = recv.says("was turned away");
    assert!(line.contains("changed on the way"), "{line}");
    assert!(answer.len() < 100, "the handshake's answer, and nothing more");
}

#[test]
fn strangers_are_turned_away_from_a_sealed_listener() {
    let (mut recv, url) = receiver("tcp", &["--key", KEY]);
    let address = url.trim_start_matches("tcp://");
    let opening = vstream::message::opening();
    let claims =
        [&[4, 255, 255, 255, 255][..], &[4, 54, 0, 0, 0], &[4, 54, 0, 0, 0, b'N', b'O'], &[0; 70], b"GET / HT"];
    let full = [&[4, 54, 0, 0, 0][..], &opening, &[7; 48]].concat();
    for bytes in claims.into_iter().chain([&full[..]]) {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(common::LIMIT)).unwrap();
        let _ = stream.write_all(bytes); // it may have hung up in the middle
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
        recv.says("was turned away");
    }
    send(&url, &["--key", KEY]).ended_with(0);
    recv.end().ended_with(0);
}

#[test]
fn nothing_prints_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let all = ["-vv", "--log", log.to_str().unwrap()];
    let (mut recv, url) = receiver("tcp", &[&["--key", KEY, "--http", "127.0.0.1:0"][..], &all].concat());
    recv.says("serving ");
    let coded = "xyzzy%20plugh%20%26%20100%25%20plover";
    let mut said = send(&format!("{url}?key={coded}"), &["-vv", "--stats", "json"]).ended_with(0).text();
    said += &recv.end().ended_with(0).text();
    said += &std::fs::read_to_string(&log).unwrap();
    for bad in
        ["tcp://h:x?key=", "udp://h?kye=", "nonsense://h?key=", "tcp://h?mtu=3&key=", "tcp://h/a b?key=", "h:0?key="]
    {
        said += &vstream(&["send", "--to", &format!("{bad}{coded}")]).end().ended_with(2).text();
        said += &vstream(&["recv", "--listen", &format!("{bad}{coded}&x=y")]).end().ended_with(2).text();
    }
    said += &vstream(&["recv", "--key", KEY, "--http", "a b"]).end().ended_with(2).text();
    said += &vstream(&["recv", "--key", KEY, "--from", "tcp://127.0.0.1:1", "--timeout", "300ms"]).end().text();
    for words in ["xyzzy", "plugh", "plover"] {
        assert!(!said.contains(words), "{said}");
    }
}
