//! A web server's answer that carries JPEGs, from its first byte on. Pure: bytes in, pictures out.

use anyhow::{Result, bail, ensure};
use bytes::Bytes;

use crate::codec::split::Splitter;
use crate::fault::Fault;

#[derive(Debug, Default)]
pub struct Answer {
    /// The head, until it is whole.
    head: Vec<u8>,
    kind: Option<Kind>,
    framing: Framing,
    splitter: Splitter,
    /// The body's end, for the closing boundary.
    tail: Vec<u8>,
    closing: Vec<u8>,
    over: bool,
}

/// What the server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A single picture.
    One,
    Stream,
}

/// Where the body ends (RFC 9112, section 6.3).
#[derive(Debug, Default)]
enum Framing {
    #[default]
    Closed,
    Length(u64),
    Chunked(Chunked),
}

/// Bytes of the head: Apache's limit is 8 KiB a line; cameras send 500 bytes in all.
const HEAD_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;
/// RFC 2046 allows boundaries of 70 characters.
const BOUNDARY_MAX: usize = 200;

impl Answer {
    /// Takes the next bytes, and gives the pictures that are complete with them. No bytes mean that the connection
    /// has closed. Errors say why this is no stream of pictures.
    pub fn push(&mut self, data: &[u8]) -> Result<Vec<Bytes>> {
        let mut pictures = Vec::new();
        if data.is_empty() {
            self.end(&mut pictures);
        } else if self.kind.is_some() {
            self.body(data, &mut pictures)?;
        } else {
            self.head.extend_from_slice(data);
            if let Some(length) = self.begin()? {
                let head = std::mem::take(&mut self.head);
                self.body(&head[length..], &mut pictures)?;
            }
        }
        Ok(pictures)
    }

    /// Known as soon as the head is there.
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Whether all has come as announced; an end without that is a broken connection.
    pub fn over(&self) -> bool {
        self.over
    }

    pub fn broken(&self) -> u64 {
        self.splitter.broken()
    }

    /// Parses the head once it is whole, and gives its length.
    fn begin(&mut self) -> Result<Option<usize>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let mut config = httparse::ParserConfig::default();
        config.allow_spaces_after_header_name_in_responses(true).ignore_invalid_headers_in_responses(true);
        let length = match config.parse_response(&mut response, &self.head) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => {
                ensure!(self.head.len() <= HEAD_MAX, "the answer's headers are over 64 KiB");
                return Ok(None);
            }
            Err(e) => bail!("the answer is not HTTP: {e}"),
        };
        let field = |name: &str| {
            let found = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
            found.map(|h| String::from_utf8_lossy(h.value).into_owned())
        };
        let kind = field("content-type").unwrap_or_default();
        check(response.code.unwrap_or(0), response.reason.unwrap_or(""), field("location"))?;
        self.kind = Some(kind_of(&kind)?);
        self.closing = boundary(&kind);
        self.framing = match field("transfer-encoding") {
            Some(coding) if coding.to_ascii_lowercase().contains("chunked") => Framing::Chunked(Chunked::default()),
            _ => match field("content-length").and_then(|v| v.trim().parse().ok()) {
                Some(length) if self.kind == Some(Kind::One) => Framing::Length(length),
                _ => Framing::Closed, // a stream's length cannot be true
            },
        };
        Ok(Some(length))
    }

    fn body(&mut self, mut data: &[u8], pictures: &mut Vec<Bytes>) -> Result<()> {
        while !data.is_empty() && !self.over {
            let (part, used) = match &mut self.framing {
                Framing::Closed => (data.len(), data.len()),
                Framing::Length(left) => {
                    let part = data.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= part as u64;
                    self.over = *left == 0;
                    (part, part)
                }
                Framing::Chunked(chunked) => {
                    let (part, used) = chunked.step(data)?;
                    self.over = chunked.state == State::Over;
                    (part, used)
                }
            };
            self.take(&data[..part], pictures);
            data = &data[used..];
        }
        if self.over {
            self.end(pictures);
        }
        Ok(())
    }

    fn take(&mut self, part: &[u8], pictures: &mut Vec<Bytes>) {
        self.splitter.push(part);
        pictures.extend(std::iter::from_fn(|| self.splitter.next()));
        if self.kind == Some(Kind::One) {
            self.over |= !pictures.is_empty();
            pictures.truncate(1);
        }
        let keep = self.closing.len() + 4;
        self.tail.extend_from_slice(&part[part.len().saturating_sub(keep)..]);
        self.tail.drain(..self.tail.len().saturating_sub(keep));
    }

    fn end(&mut self, pictures: &mut Vec<Bytes>) {
        if self.kind != Some(Kind::One) {
            self.splitter.finish();
            pictures.extend(self.splitter.next());
        }
        let closing = &self.closing;
        self.over |= !closing.is_empty() && memchr::memmem::find(&self.tail, closing).is_some();
    }
}

fn check(code: u16, reason: &str, location: Option<String>) -> Result<()> {
    let fault = Fault::device(format!("the server answers {code} {reason}").trim_end().to_string());
    match (code, location) {
        (200, _) => Ok(()),
        (300..=399, Some(location)) if location.contains("://") => {
            Err(fault.hint(format!("it has moved: --from {location}")).into())
        }
        (401, _) => Err(fault.hint("put the login into the address: http://USER:PASSWORD@HOST/PATH").into()),
        _ => Err(fault.into()),
    }
}

fn kind_of(content: &str) -> Result<Kind> {
    let kind = content.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "image/jpeg" | "image/jpg" | "image/pjpeg" => Ok(Kind::One),
        kind if kind.starts_with("multipart/") || kind == "video/x-motion-jpeg" || kind == "video/x-mjpeg" => {
            Ok(Kind::Stream)
        }
        "" | "application/octet-stream" => Ok(Kind::Stream), // some cameras say no more: the first picture will
        kind => Err(Fault::device(format!("the server sends {kind}, not pictures"))
            .hint("the address of the stream itself is needed, often /stream or /video")
            .into()),
    }
}

/// The bytes that close a multipart body, `--boundary--`; the boundary may be quoted and bring its own dashes.
fn boundary(content: &str) -> Vec<u8> {
    let value = content.split(';').find_map(|field| {
        let (name, value) = field.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value)
    });
    let value = value.unwrap_or_default().trim().trim_matches('"').trim_start_matches('-');
    match value.len() {
        1..=BOUNDARY_MAX => [b"--", value.as_bytes(), b"--"].concat(),
        _ => Vec::new(),
    }
}

/// The chunked transfer coding (RFC 9112, section 7.1), a piece at a time.
#[derive(Debug, Default)]
struct Chunked {
    state: State,
    left: u64,
    digits: u8,
    /// Bytes of the present line of size or trailer.
    line: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Size,
    /// After a `;` or blank in the size's line.
    Extension,
    Data,
    /// The line end after a chunk.
    End,
    Trailer,
    Over,
}

impl Chunked {
    /// How many of `data`'s first bytes are body, and how many are used up, which is at least one.
    fn step(&mut self, data: &[u8]) -> Result<(usize, usize)> {
        let byte = data[0];
        if self.state == State::Data {
            let part = data.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= part as u64;
            if self.left == 0 {
                self.state = State::End;
            }
            return Ok((part, part));
        }
        self.line += 1;
        ensure!(self.line <= HEAD_MAX, "a chunk's header is over 64 KiB");
        match (self.state, byte) {
            (State::Size | State::Extension, b'\n') => {
                ensure!(self.digits > 0, "a chunk without a size");
                (self.digits, self.line) = (0, 0);
                self.state = if self.left == 0 { State::Trailer } else { State::Data };
            }
            (State::Size, b'\r') => {}
            (State::Size, b';' | b' ' | b'\t') => self.state = State::Extension,
            (State::Size, byte) => {
                let Some(digit) = (byte as char).to_digit(16) else { bail!("a chunk's size is no number") };
                self.digits += 1;
                ensure!(self.digits <= 15, "a chunk's size is out of range");
                self.left = self.left << 4 | u64::from(digit);
            }
            (State::End, b'\n') => (self.state, self.line) = (State::Size, 0),
            (State::End, b'\r') => {}
            (State::End, _) => bail!("a chunk is longer than its size"),
            (State::Trailer, b'\n') if self.line <= 2 => self.state = State::Over,
            (State::Trailer, b'\n') => self.line = 0,
            _ => {}
        }
        Ok((0, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode::encode;
    use crate::codec::testing::noise;

    fn read(answer: &[u8], step: usize) -> Result<(Vec<Bytes>, Answer)> {
        let (mut reader, mut out) = (Answer::default(), Vec::new());
        for part in answer.chunks(step) {
            out.extend(reader.push(part)?);
        }
        out.extend(reader.push(&[])?);
        Ok((out, reader))
    }

    fn chunked(body: &[u8]) -> Vec<u8> {
        let mut out: Vec<u8> = Vec::new();
        for part in body.chunks(777) {
            out.extend_from_slice(format!("{:X};x=y\r\n", part.len()).as_bytes());
            out.extend_from_slice(part);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\nTrailer: 1\r\n\r\n");
        out
    }

    #[test]
    fn every_style_of_boundary_reads_alike() {
        let pictures: Vec<Bytes> = (0..4).map(|i| encode(&noise(64, 48, i), 80).unwrap()).collect();
        let styles = [("edge", "--edge"), ("--edge", "--edge"), ("\"my edge\"", "--my edge"), ("x", "--other")];
        for (field, line) in styles {
            for lengths in [false, true] {
                let mut body = Vec::new();
                for p in &pictures {
                    body.extend_from_slice(format!("{line}\r\nContent-Type: image/jpeg\r\n").as_bytes());
                    if lengths {
                        body.extend_from_slice(format!("Content-Length: {}\r\n", p.len()).as_bytes());
                    }
                    body.extend_from_slice(&[b"\r\n", &p[..], b"\r\n"].concat());
                }
                body.extend_from_slice(format!("{line}--\r\n").as_bytes());
                let head = format!("HTTP/1.1 200 OK\r\ncontent-type: multipart/x-mixed-replace; boundary={field}\r\n");
                let plain = [head.as_bytes(), b"\r\n", &body].concat();
                let coded = [head.as_bytes(), b"Transfer-Encoding: chunked\r\n\r\n", &chunked(&body)].concat();
                for (answer, step) in [(&plain, 1), (&plain, 999), (&coded, 1), (&coded, 64), (&coded, 1 << 20)] {
                    let (got, reader) = read(answer, step).unwrap();
                    assert!(got == pictures, "{field} {lengths} {step}: {}", got.len());
                    assert!(reader.over() || field == "x");
                }
            }
        }
    }

    #[test]
    fn a_single_picture_is_one_frame() {
        let picture = encode(&noise(64, 48, 1), 80).unwrap();
        for length in [format!("Content-Length: {}\r\n", picture.len()), String::new()] {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n{length}\r\n");
            let (got, reader) = read(&[head.as_bytes(), &picture, b"more"].concat(), 100).unwrap();
            assert_eq!((got, reader.kind(), reader.over()), (vec![picture.clone()], Some(Kind::One), true));
        }
    }

    #[test]
    fn other_answers_say_what_they_are() {
        let text = |answer: &str| read(answer.as_bytes(), 7).map(|_| ()).unwrap_err().to_string();
        assert_eq!(text("HTTP/1.1 404 Not Found\r\n\r\n"), "the server answers 404 Not Found");
        let moved = read(b"HTTP/1.1 302 Found\r\nLocation: http://b/\r\n\r\n", 99).unwrap_err();
        assert_eq!(moved.downcast::<Fault>().unwrap().hint.unwrap(), "it has moved: --from http://b/");
        assert!(text("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n").contains("text/html"));
        assert!(text("SSH-2.0-OpenSSH_9.2\r\n").contains("not HTTP"));
        assert!(text(&format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(70_000))).contains("64 KiB"));
        let bad = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
        assert_eq!(text(bad), "a chunk's size is no number");
        assert!(text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n").contains("range"));
    }
}
