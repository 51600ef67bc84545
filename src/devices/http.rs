//! Network cameras and others that serve `multipart/x-mixed-replace`: a client that asks once and takes the pictures as
//! they come. Boundaries and part headers are not needed for that: a JPEG says itself where it ends, so that every
//! style of boundary, right or wrong, reads alike.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64ct::{Base64, Encoding};
use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use socket2::{Domain, Protocol, Socket, Type};

use crate::clock;
use crate::devices::http::answer::{Answer, Kind};
use crate::devices::mjpeg::completed;
use crate::devices::patient::readable;
use crate::devices::trouble::Trouble;
use crate::fault::Fault;
use crate::frame::{About, Image, Shot, Source};
use crate::stop::Stop;

pub mod answer;

/// How long a camera may take to answer, and then to send the next bytes: some give a frame in several seconds.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// The word to stop is heard within this.
const LOOK: Duration = Duration::from_millis(100);

struct Camera {
    socket: TcpStream,
    answer: Answer,
    /// Pictures that came with one read.
    ready: VecDeque<Bytes>,
    chunk: Vec<u8>,
    host: String,
    stop: Stop,
    trouble: Trouble,
}

/// Opens `http://[user:password@]host[:port]/path`.
pub fn open(url: &str, stop: &Stop) -> Result<Box<dyn Source>> {
    let place = Place::parse(url)?;
    let name = place.shown();
    let camera = connect(&place, stop).with_context(|| format!("could not open {name}"))?;
    Ok(Box::new(camera))
}

fn connect(place: &Place, stop: &Stop) -> Result<Camera> {
    let mut socket = dial(&place.host, place.port, stop)?;
    socket.set_write_timeout(Some(SILENCE_MAX))?;
    socket.write_all(place.request().as_bytes())?;
    let mut camera = Camera {
        socket,
        answer: Answer::default(),
        ready: VecDeque::new(),
        chunk: vec![0; 64 << 10], // a pipe's or socket buffer's usual piece
        host: place.shown(),
        stop: stop.clone(),
        trouble: Trouble::new(&place.shown(), stop),
    };
    while camera.answer.kind().is_none() {
        ensure!(camera.read()?, "the connection closed before an answer");
    }
    Ok(camera)
}

/// What stands in an `http://` address.
#[derive(Debug, PartialEq)]
struct Place {
    host: String,
    port: u16,
    path: String,
    login: Option<String>,
}

impl Place {
    fn parse(url: &str) -> Result<Place> {
        let wrong = |why: &str| Fault::usage(format!("{url}: {why}")).hint("http://HOST[:PORT]/PATH");
        let rest = url.strip_prefix("http://").ok_or_else(|| wrong("only http:// can be opened"))?;
        let (place, path) = rest.find(['/', '?']).map_or((rest, "/"), |at| rest.split_at(at));
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
        let (login, place) = place.rsplit_once('@').map_or((None, place), |(login, rest)| (Some(login.into()), rest));
        let (host, port) = match place.rfind(':').filter(|&at| !place[at..].contains(']')) {
            Some(at) => (&place[..at], place[at + 1..].parse().map_err(|_| wrong("this is no port"))?),
            None => (place, 80),
        };
        let clear = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        if host.is_empty() || !clear(host) || !clear(&path) {
            return Err(wrong("this is no address").into());
        }
        Ok(Place { host: host.into(), port, path, login })
    }

    /// Without the password.
    fn shown(&self) -> String {
        format!("http://{}:{}{}", self.host, self.port, self.path)
    }

    fn request(&self) -> String {
        let Place { host, port, path, login } = self;
        let host = if *port == 80 { host.clone() } else { format!("{host}:{port}") };
        let login = login
            .as_ref()
            .map_or(String::new(), |l| format!("Authorization: Basic {}\r\n", Base64::encode_string(l.as_bytes())));
        format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: vstream\r\n{login}\
             Accept: multipart/x-mixed-replace, image/jpeg;q=0.9, */*;q=0.1\r\nConnection: close\r\n\r\n"
        )
    }
}

/// Connects to the first address of `host` that takes the call.
fn dial(host: &str, port: u16, stop: &Stop) -> Result<TcpStream> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let mut last = anyhow::anyhow!("the name has no address");
    for address in (bare, port).to_socket_addrs()? {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address.into()) {
            Err(e) if e.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => last = e.into(),
            _ => match connected(&socket, stop) {
                Ok(()) => {
                    socket.set_nonblocking(false)?;
                    return Ok(socket.into());
                }
                Err(e) => last = e,
            },
        }
    }
    Err(last)
}

/// Waits for a call to be taken.
fn connected(socket: &Socket, stop: &Stop) -> Result<()> {
    let started = clock::now();
    let look = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() };
    while clock::now().since(started) < SILENCE_MAX {
        ensure!(!stop.said(), "stopped");
        let mut fds = [PollFd::new(socket, PollFlags::OUT)];
        match poll(&mut fds, Some(&look)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(socket.take_error()?.map_or(Ok(()), Err)?),
            Err(e) => return Err(e.into()),
        }
    }
    bail!("no answer within {} s", SILENCE_MAX.as_secs())
}

impl Camera {
    /// Takes the next bytes; false when there are no more.
    fn read(&mut self) -> Result<bool> {
        let started = clock::now();
        while !readable(&self.socket.as_fd(), LOOK)? {
            if self.stop.said() {
                return Ok(false);
            }
            ensure!(clock::now().since(started) < SILENCE_MAX, "no data for {} s", SILENCE_MAX.as_secs());
        }
        let read = self.socket.read(&mut self.chunk)?;
        let before = self.answer.broken();
        self.ready.extend(self.answer.push(&self.chunk[..read])?);
        self.trouble.add(self.answer.broken() - before, "damaged pictures skipped");
        Ok(read > 0)
    }

    fn picture(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.stop.said() {
                return Ok(None);
            }
            match self.ready.pop_front().map(completed) {
                Some(Ok(picture)) => return Ok(Some(picture)),
                Some(Err(_)) => self.trouble.add(1, "damaged pictures skipped"),
                None if self.answer.over() => return Ok(None),
                None => {
                    let more = self.read()?;
                    ensure!(more || self.stop.said() || self.answer.over(), "the connection closed");
                }
            }
        }
    }
}

impl Source for Camera {
    fn next(&mut self) -> Result<Option<Shot>> {
        let picture = self.picture().with_context(|| format!("lost {}", self.host))?;
        Ok(picture.map(|jpeg| Shot { captured: clock::now(), image: Image::Jpeg(jpeg) }))
    }

    fn about(&self) -> About {
        let what = if self.answer.kind() == Some(Kind::One) { "one JPEG" } else { "MJPEG" };
        About {
            text: format!("{}, {what}", self.host),
            live: self.answer.kind() != Some(Kind::One),
            ..About::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode::encode;
    use crate::codec::testing::noise;
    use std::net::TcpListener;

    /// Serves one caller `answer` and gives back what was asked.
    fn serve(answer: Vec<u8>) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://a:b@{}/stream?x=1", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut asked = vec![0; 4096];
            let read = socket.read(&mut asked).unwrap();
            answer.chunks(1000).for_each(|part| socket.write_all(part).unwrap());
            String::from_utf8_lossy(&asked[..read]).into_owned()
        });
        (url, thread)
    }

    #[test]
    fn a_stream_is_asked_for_and_read_to_its_end() {
        let picture = encode(&noise(64, 48, 1), 80).unwrap();
        let part = [b"--e\r\nContent-Type: image/jpeg\r\n\r\n", &picture[..], b"\r\n"].concat();
        let head = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=e\r\n\r\n";
        let (url, server) = serve([&head[..], &part.repeat(3), b"--e--\r\n"].concat());
        let mut source = open(&url, &Stop::default()).unwrap();
        assert!(source.about().live);
        for _ in 0..3 {
            assert!(matches!(source.next().unwrap().unwrap().image, Image::Jpeg(jpeg) if jpeg == picture));
        }
        assert!(source.next().unwrap().is_none());
        let asked = server.join().unwrap();
        assert!(asked.starts_with("GET /stream?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"), "{asked}");
        assert!(asked.contains("Authorization: Basic YTpi\r\n"));
    }

    #[test]
    fn a_connection_that_breaks_is_an_error() {
        let picture = encode(&noise(64, 48, 1), 80).unwrap();
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=\"e\"\r\n\r\n--e\r\n\r\n";
        let (url, _server) = serve([&head[..], &picture, b"\r\n--e\r\n\r\n", &picture[..50]].concat());
        let mut source = open(&url, &Stop::default()).unwrap();
        assert!(source.next().unwrap().is_some());
        let error = crate::fault::line(&source.next().unwrap_err());
        assert!(error.starts_with("lost http://127.0.0.1:") && error.ends_with("the connection closed"), "{error}");
    }

    #[test]
    fn a_silent_camera_is_left_when_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (url, stop) = (format!("http://{}/", listener.local_addr().unwrap()), Stop::default());
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || open(&url, &stop).err().map(|e| crate::fault::line(&e))
        });
        let _held = listener.accept().unwrap();
        stop.say();
        assert!(thread.join().unwrap().is_some());
    }

    #[test]
    fn addresses_are_parsed() {
        let place = |url: &str| Place::parse(url).map(|p| (p.host, p.port, p.path)).map_err(|e| e.to_string());
        assert_eq!(place("http://cam"), Ok(("cam".into(), 80, "/".into())));
        assert_eq!(place("http://cam:81?action=stream"), Ok(("cam".into(), 81, "/?action=stream".into())));
        assert_eq!(place("http://[::1]:8080/a#b"), Ok(("[::1]".into(), 8080, "/a".into())));
        assert_eq!(place("http://u:p@x@cam/a"), Ok(("cam".into(), 80, "/a".into())));
        assert!(place("http://cam:99999/").is_err() && place("http://").is_err() && place("http://c/a b").is_err());
        let asks = Place::parse("http://user:pass@cam").unwrap().request();
        assert!(asks.contains("Authorization: Basic dXNlcjpwYXNz\r\n"), "{asks}"); // RFC 7617's form
    }
}
