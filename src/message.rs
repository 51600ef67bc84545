//! What crosses a link: the messages, and their form on the wire (docs/protocol.md has it byte by byte).
//!
//! Every message is one byte of type, four of length, then the payload; integers are little endian. No input or output
//! happens here.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::frame::{BYTES_MAX, Frame};

/// Both sides must speak the same version; a change of any message's form raises it.
pub const VERSION: u16 = 1;
const MAGIC: [u8; 4] = *b"VSTR";

pub const PREFIX: usize = 5;
/// Greetings and words fit in this; a longer one is not from a vstream.
const WORDS_MAX: usize = 4096;
const FRAME_HEADER: usize = 40;

#[derive(Clone, Debug)]
pub enum Message {
    Hello(Hello),
    Welcome(Welcome),
    Refuse(Refuse),
    /// The link's own number, counting from 0, and the frame.
    Frame(u64, Frame),
    Report(Report),
    /// When it was sent, on the sender's clock.
    Ping(Time),
    Pong(Pong),
    Bye(Bye),
}

/// The caller's first message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub role: Side,
    /// The stream, where the caller names one.
    #[serde(default)]
    pub name: Option<String>,
    /// The program and its version, for people to read.
    #[serde(default)]
    pub agent: String,
    /// A random number of the caller's process: by it a caller that comes back is known.
    #[serde(default)]
    pub instance: u64,
    #[serde(default, flatten)]
    pub stream: About,
}

/// What the publishing side says of its stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Frames a second, where the source has a rate of its own.
    #[serde(default)]
    pub rate: Option<f64>,
    /// No frame may be dropped: the receiver acknowledges what it has written, and the source waits.
    #[serde(default)]
    pub every_frame: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Publish,
    Watch,
}

/// The listener's answer to a hello it accepts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    pub name: String,
    #[serde(default)]
    pub agent: String,
    #[serde(default, flatten)]
    pub stream: About,
}

/// The answer to one that it does not; the link ends with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refuse {
    pub reason: String,
}

/// The receiver's word on what has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Every frame of this link up to this number has arrived (with every-frame: has been written).
    pub acknowledged: u64,
    /// When the newest of them arrived, on the receiver's clock.
    pub arrived: Time,
}

/// The answer to a ping: its time, and when it came and was answered on this side's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    pub sent: Time,
    pub received: Time,
    pub answered: Time,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bye {
    pub reason: String,
    /// The stream is over, not only this link.
    #[serde(default)]
    pub over: bool,
}

mod kind {
    pub const HELLO: u8 = 1;
    pub const WELCOME: u8 = 2;
    pub const REFUSE: u8 = 3;
    pub const FRAME: u8 = 4;
    pub const REPORT: u8 = 5;
    pub const PING: u8 = 6;
    pub const PONG: u8 = 7;
    pub const BYE: u8 = 8;
}

/// Why the first bytes of a caller are no hello.
#[derive(Debug, PartialEq, Eq)]
pub enum NoHello {
    /// A vstream of another version.
    Version(u16),
    /// Something else altogether.
    Stranger,
}

impl std::fmt::Display for NoHello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoHello::Version(theirs) => write!(
                f,
                "the caller speaks version {theirs} of the protocol, this vstream {VERSION}: update the older one"
            ),
            NoHello::Stranger => f.write_str("the caller does not speak vstream's protocol"),
        }
    }
}

impl std::error::Error for NoHello {}

impl Message {
    /// The bytes before the frame's own JPEG (which goes on the wire as it is), or the whole message.
    pub fn encode(&self) -> (Vec<u8>, Bytes) {
        let mut out = vec![0; PREFIX];
        let mut tail = Bytes::new();
        let put_time = |out: &mut Vec<u8>, t: Time| out.extend_from_slice(&t.micros().to_le_bytes());
        out[0] = match self {
            Message::Hello(hello) => {
                out.extend_from_slice(&MAGIC);
                out.extend_from_slice(&VERSION.to_le_bytes());
                put_json(&mut out, hello);
                kind::HELLO
            }
            Message::Welcome(welcome) => {
                put_json(&mut out, welcome);
                kind::WELCOME
            }
            Message::Refuse(refuse) => {
                put_json(&mut out, refuse);
                kind::REFUSE
            }
            Message::Frame(number, frame) => {
                for n in [*number, frame.epoch, frame.seq] {
                    out.extend_from_slice(&n.to_le_bytes());
                }
                put_time(&mut out, frame.captured);
                let error = u32::try_from(frame.error.as_micros()).unwrap_or(u32::MAX);
                out.extend_from_slice(&error.to_le_bytes());
                out.extend_from_slice(&[0; 4]);
                tail = frame.jpeg.clone();
                kind::FRAME
            }
            Message::Report(report) => {
                out.extend_from_slice(&report.acknowledged.to_le_bytes());
                put_time(&mut out, report.arrived);
                kind::REPORT
            }
            Message::Ping(sent) => {
                put_time(&mut out, *sent);
                kind::PING
            }
            Message::Pong(pong) => {
                for t in [pong.sent, pong.received, pong.answered] {
                    put_time(&mut out, t);
                }
                kind::PONG
            }
            Message::Bye(bye) => {
                put_json(&mut out, bye);
                kind::BYE
            }
        };
        let length = (out.len() - PREFIX + tail.len()) as u32;
        out[1..PREFIX].copy_from_slice(&length.to_le_bytes());
        (out, tail)
    }

    /// The payload's length from a message's first bytes; an error if no message of that type is so long.
    pub fn length(prefix: [u8; PREFIX]) -> Result<usize> {
        let [kind, length @ ..] = prefix;
        let length = u32::from_le_bytes(length) as usize;
        let allowed = match kind {
            kind::HELLO | kind::WELCOME | kind::REFUSE | kind::BYE => 0..=WORDS_MAX,
            kind::FRAME => FRAME_HEADER..=FRAME_HEADER + BYTES_MAX,
            kind::REPORT => 16..=16,
            kind::PING => 8..=8,
            kind::PONG => 24..=24,
            _ => bail!("a message of unknown type {kind}"),
        };
        ensure!(allowed.contains(&length), "a message of type {kind} claims {length} bytes");
        Ok(length)
    }

    /// Reads a payload whose length `length` allowed.
    pub fn decode(kind: u8, payload: Bytes) -> Result<Message> {
        let mut fields = Fields(&payload);
        Ok(match kind {
            kind::HELLO => Message::Hello(hello(&payload)?),
            kind::WELCOME => Message::Welcome(json(&payload)?),
            kind::REFUSE => Message::Refuse(json(&payload)?),
            kind::FRAME => {
                let (number, epoch, seq) = (fields.u64()?, fields.u64()?, fields.u64()?);
                let captured = fields.time()?;
                let error = Duration::from_micros(fields.u64()? & u64::from(u32::MAX));
                Message::Frame(number, Frame { epoch, seq, captured, error, jpeg: payload.slice(FRAME_HEADER..) })
            }
            kind::REPORT => Message::Report(Report { acknowledged: fields.u64()?, arrived: fields.time()? }),
            kind::PING => Message::Ping(fields.time()?),
            kind::PONG => {
                Message::Pong(Pong { sent: fields.time()?, received: fields.time()?, answered: fields.time()? })
            }
            kind::BYE => Message::Bye(json(&payload)?),
            _ => bail!("a message of unknown type {kind}"),
        })
    }

    /// Whether these first bytes can be a hello's: what is not is never waited for.
    pub fn begins_hello(prefix: [u8; PREFIX]) -> bool {
        prefix[0] == kind::HELLO && Message::length(prefix).is_ok()
    }
}

fn hello(payload: &[u8]) -> Result<Hello> {
    let Some((magic, rest)) = payload.split_first_chunk::<4>() else { bail!(NoHello::Stranger) };
    let Some((version, rest)) = rest.split_first_chunk::<2>() else { bail!(NoHello::Stranger) };
    ensure!(*magic == MAGIC, NoHello::Stranger);
    let version = u16::from_le_bytes(*version);
    ensure!(version == VERSION, NoHello::Version(version));
    json(rest)
}

fn put_json(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("structs of strings and numbers always serialise");
}

fn json<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T> {
    serde_json::from_slice(payload).context("a message cannot be read")
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u64(&mut self) -> Result<u64> {
        let (bytes, rest) = self.0.split_first_chunk::<8>().context("a message is too short")?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    fn time(&mut self) -> Result<Time> {
        Ok(Time::from_micros(self.u64()? as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(message: &Message) -> Message {
        let (head, tail) = message.encode();
        let (prefix, payload) = head.split_first_chunk::<PREFIX>().unwrap();
        let whole = [payload, &tail].concat();
        assert_eq!(Message::length(*prefix).unwrap(), whole.len());
        Message::decode(prefix[0], whole.into()).unwrap()
    }

    #[test]
    fn messages_survive_the_wire() {
        let stream = About { rate: Some(29.97), every_frame: true };
        let hello = Hello { role: Side::Watch, name: Some("a".into()), agent: "x".into(), instance: u64::MAX, stream };
        assert!(matches!(round(&Message::Hello(hello.clone())), Message::Hello(h) if h == hello));
        let captured = Time::from_micros(-5);
        let frame = Frame { epoch: 1, seq: 2, captured, error: Duration::from_micros(7), jpeg: vec![9; 50].into() };
        let Message::Frame(3, got) = round(&Message::Frame(3, frame)) else { panic!() };
        assert_eq!(
            (got.epoch, got.seq, got.captured, got.error.as_micros(), &got.jpeg[..]),
            (1, 2, captured, 7, &[9; 50][..])
        );
        let report = Report { acknowledged: 5, arrived: captured };
        assert!(matches!(round(&Message::Report(report)), Message::Report(r) if r == report));
        let pong = Pong { sent: captured, received: captured, answered: captured };
        assert!(matches!(round(&Message::Pong(pong)), Message::Pong(p) if p == pong));
        let bye = Bye { reason: "done".into(), over: true };
        assert!(matches!(round(&Message::Bye(bye.clone())), Message::Bye(b) if b == bye));
    }

    #[test]
    fn lengths_are_bounded_before_anything_is_read() {
        assert!(Message::length([kind::FRAME, 0xFF, 0xFF, 0xFF, 0xFF]).is_err());
        assert!(Message::length([kind::HELLO, 0, 0, 1, 0]).is_err());
        assert!(Message::length(*b"GET /").is_err());
        assert!(!Message::begins_hello(*b"GET /"));
    }

    #[test]
    fn another_version_is_told_from_a_stranger() {
        let other = [&MAGIC[..], &7u16.to_le_bytes(), b"{}"].concat();
        let error = hello(&other).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&NoHello::Version(7)));
        assert_eq!(hello(b"SSH-2.0").unwrap_err().downcast_ref(), Some(&NoHello::Stranger));
    }

    #[test]
    fn unknown_fields_are_room_for_later() {
        let json = br#"{"role":"publish","future":{"x":[1]}}"#;
        let payload = [&MAGIC[..], &VERSION.to_le_bytes(), json].concat();
        assert_eq!(hello(&payload).unwrap().role, Side::Publish);
    }
}
