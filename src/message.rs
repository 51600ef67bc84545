//! What crosses a link: the messages, and their form on the wire (docs/protocol.md has it byte by byte).
//!
//! Every message is one byte of type, four of length, then the payload; integers are little endian. No input or output
//! happens here.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::frame::BYTES_MAX;
use crate::path::Hop;
use crate::roster::{Order, Status};
use crate::segments::{Form, Head, SEGMENTS_MAX};
use crate::word::Word;

pub use opening::{NoHello, VERSION, opening};
pub use words::{About, Bye, Hello, Refuse, Side, Visit, Welcome};

mod opening;

pub const PREFIX: usize = 5;
/// Greetings and words fit in this; a longer one is not from a vstream.
const WORDS_MAX: usize = 4096;
/// A room or a hall with all that is listed of it.
pub const LIST_MAX: usize = 32 << 10;
/// Bytes of the longest header of a frame: tables of a JPEG, and what cameras add to them.
pub const HEADER_MAX: usize = 1 << 16;
const BEGIN: usize = 36;
const HEAD: usize = 16;
const RUNS: usize = 16;
/// Places, versions and lengths of segments, at up to 22 bytes each.
const RUNS_MAX: usize = 22 * SEGMENTS_MAX;

#[derive(Clone, Debug)]
pub enum Message {
    Hello(Hello),
    Welcome(Welcome),
    Refuse(Refuse),
    Begin(Begin),
    Runs(Runs),
    End(End),
    Report(Report),
    /// When it was sent, on the sender's clock.
    Ping(Time),
    Pong(Pong),
    Bye(Bye),
    /// The stream comes another way now, or its figures have changed.
    Path(Vec<Hop>),
    /// From a coordinator: where a peer gets the stream.
    Order(Order),
    /// To it: how the peer does.
    Status(Status),
    /// Of a hub and its guests.
    Word(Word),
}

/// A frame begins: what it is, without its segments.
#[derive(Clone, Debug, PartialEq)]
pub struct Begin {
    /// The link's own number, counting from 0.
    pub number: u64,
    /// As in `Frame`.
    pub epoch: u64,
    pub seq: u64,
    pub captured: Time,
    pub error: Duration,
    /// Left out where it is that of the frame before.
    pub head: Option<Head>,
}

/// Segments of the stream, in the form of `runs.rs`.
#[derive(Clone, Debug, PartialEq)]
pub struct Runs {
    pub epoch: u64,
    /// The version of the header that they belong under.
    pub since: u64,
    pub body: Bytes,
}

/// All segments of a frame are on their way that the receiver does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub number: u64,
    /// What the receiver has now, as `Coded::state` counts it.
    pub state: u64,
}

/// The receiver's word on what has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Every frame of this link up to this number has arrived (with every-frame: has been written).
    pub acknowledged: u64,
    /// When the newest of them began to arrive and when all of it had, on the receiver's clock.
    pub began: Time,
    pub arrived: Time,
}

/// The answer to a ping: its time, and when it came and was answered on this side's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    pub sent: Time,
    pub received: Time,
    pub answered: Time,
}

mod kind {
    pub const HELLO: u8 = 1;
    pub const WELCOME: u8 = 2;
    pub const REFUSE: u8 = 3;
    pub const SEAL: u8 = 4;
    pub const REPORT: u8 = 5;
    pub const PING: u8 = 6;
    pub const PONG: u8 = 7;
    pub const BYE: u8 = 8;
    pub const PATH: u8 = 9;
    pub const BEGIN: u8 = 16;
    pub const RUNS: u8 = 17;
    pub const END: u8 = 18;
    pub const ORDER: u8 = 32;
    pub const STATUS: u8 = 33;
    pub const WORD: u8 = 34;
}

/// The type of what crosses before the hello where there is a key (`sealed.rs`).
pub const SEAL: u8 = kind::SEAL;

impl Message {
    /// The bytes before the segments (which go on the wire as they are), or the whole message.
    pub fn encode(&self) -> (Vec<u8>, Bytes) {
        let mut head = Vec::new();
        let tail = self.encode_onto(&mut head);
        (head, tail)
    }

    /// The same, after what is there already.
    pub fn encode_onto(&self, out: &mut Vec<u8>) -> Bytes {
        let begin = out.len();
        out.extend_from_slice(&[0; PREFIX]);
        let mut tail = Bytes::new();
        let put_time = |out: &mut Vec<u8>, t: Time| out.extend_from_slice(&t.micros().to_le_bytes());
        out[begin] = match self {
            Message::Hello(hello) => {
                out.extend_from_slice(&opening());
                put_json(out, kind::HELLO, hello)
            }
            Message::Welcome(welcome) => put_json(out, kind::WELCOME, welcome),
            Message::Refuse(refuse) => put_json(out, kind::REFUSE, refuse),
            Message::Begin(begin) => {
                for n in [begin.number, begin.epoch, begin.seq] {
                    out.extend_from_slice(&n.to_le_bytes());
                }
                put_time(out, begin.captured);
                let error = u32::try_from(begin.error.as_micros()).unwrap_or(u32::MAX);
                out.extend_from_slice(&error.to_le_bytes());
                if let Some(head) = &begin.head {
                    out.extend_from_slice(&head.since.to_le_bytes());
                    out.extend_from_slice(&(head.count as u32).to_le_bytes());
                    out.extend_from_slice(&[head.form as u8, 0, 0, 0]);
                    out.extend_from_slice(&head.header);
                }
                kind::BEGIN
            }
            Message::Runs(runs) => {
                out.extend_from_slice(&runs.epoch.to_le_bytes());
                out.extend_from_slice(&runs.since.to_le_bytes());
                tail = runs.body.clone();
                kind::RUNS
            }
            Message::End(end) => {
                out.extend_from_slice(&end.number.to_le_bytes());
                out.extend_from_slice(&end.state.to_le_bytes());
                kind::END
            }
            Message::Report(report) => {
                out.extend_from_slice(&report.acknowledged.to_le_bytes());
                put_time(out, report.began);
                put_time(out, report.arrived);
                kind::REPORT
            }
            Message::Ping(sent) => {
                put_time(out, *sent);
                kind::PING
            }
            Message::Pong(pong) => {
                for t in [pong.sent, pong.received, pong.answered] {
                    put_time(out, t);
                }
                kind::PONG
            }
            Message::Bye(bye) => put_json(out, kind::BYE, bye),
            Message::Path(hops) => put_json(out, kind::PATH, hops),
            Message::Order(order) => put_json(out, kind::ORDER, order),
            Message::Status(status) => put_json(out, kind::STATUS, status),
            Message::Word(word) => put_json(out, kind::WORD, word),
        };
        let length = (out.len() - begin - PREFIX + tail.len()) as u32;
        out[begin + 1..begin + PREFIX].copy_from_slice(&length.to_le_bytes());
        tail
    }

    /// The payload's length from a message's first bytes; an error if no message of that type is so long.
    pub fn length(prefix: [u8; PREFIX]) -> Result<usize> {
        let [kind, length @ ..] = prefix;
        let length = u32::from_le_bytes(length) as usize;
        let allowed = match kind {
            kind::HELLO | kind::WELCOME | kind::REFUSE | kind::BYE | kind::PATH => 0..=WORDS_MAX,
            kind::ORDER | kind::STATUS => 0..=WORDS_MAX,
            kind::WORD => 0..=LIST_MAX,
            kind::BEGIN => BEGIN..=BEGIN + HEAD + HEADER_MAX,
            kind::RUNS => RUNS..=RUNS + BYTES_MAX + RUNS_MAX,
            kind::END => 16..=16,
            kind::PING => 8..=8,
            kind::REPORT | kind::PONG => 24..=24,
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
            kind::BEGIN => Message::Begin(Begin {
                number: fields.u64()?,
                epoch: fields.u64()?,
                seq: fields.u64()?,
                captured: fields.time()?,
                error: Duration::from_micros(fields.u32()?.into()),
                head: (!fields.0.is_empty()).then(|| fields.head(&payload)).transpose()?,
            }),
            kind::RUNS => {
                Message::Runs(Runs { epoch: fields.u64()?, since: fields.u64()?, body: payload.slice(RUNS..) })
            }
            kind::END => Message::End(End { number: fields.u64()?, state: fields.u64()? }),
            kind::REPORT => {
                let acknowledged = fields.u64()?;
                Message::Report(Report { acknowledged, began: fields.time()?, arrived: fields.time()? })
            }
            kind::PING => Message::Ping(fields.time()?),
            kind::PONG => {
                Message::Pong(Pong { sent: fields.time()?, received: fields.time()?, answered: fields.time()? })
            }
            kind::BYE => Message::Bye(json(&payload)?),
            kind::PATH => Message::Path(json(&payload)?),
            kind::ORDER => Message::Order(json(&payload)?),
            kind::STATUS => Message::Status(json(&payload)?),
            kind::WORD => Message::Word(json(&payload)?),
            _ => bail!("a message of unknown type {kind}"),
        })
    }

    /// Whether these first bytes can be a hello's: what is not is never waited for.
    pub fn begins_hello(prefix: [u8; PREFIX]) -> bool {
        prefix[0] == kind::HELLO && Message::length(prefix).is_ok()
    }

    /// Whether a caller begins so, with a key or without.
    pub fn opens(first: u8) -> bool {
        [kind::HELLO, kind::SEAL].contains(&first)
    }

    /// Whether they are a refusal's.
    pub fn begins_refuse(prefix: [u8; PREFIX]) -> bool {
        prefix[0] == kind::REFUSE
    }
}

fn hello(payload: &[u8]) -> Result<Hello> {
    let Some((opening, rest)) = payload.split_first_chunk() else { bail!(NoHello::Stranger) };
    NoHello::of(opening).map_or(Ok(()), Err)?;
    json(rest)
}

/// Adds a value's JSON; gives back the type of the message.
fn put_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, kind: u8, value: &T) -> u8 {
    serde_json::to_writer(out, value).expect("structs of strings and numbers always serialise");
    kind
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

    fn u32(&mut self) -> Result<u32> {
        let (bytes, rest) = self.0.split_first_chunk::<4>().context("a message is too short")?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    fn head(&mut self, payload: &Bytes) -> Result<Head> {
        let (since, count) = (self.u64()?, self.u32()? as usize);
        let form = Form::of(self.u32()?)?;
        Ok(Head { form, since, count, header: payload.slice(payload.len() - self.0.len()..) })
    }

    fn time(&mut self) -> Result<Time> {
        Ok(Time::from_micros(self.u64()? as i64))
    }
}

mod words;

#[cfg(test)]
mod tests;
