//! The handshake: what is said before there is a connection. A caller's datagram is as long as the longest answer, and
//! who has not shown that it receives at its address gets no more than a cookie, for which nothing is remembered
//! (RFC 9000, section 8.1, does the same).

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes};
use siphasher::sip::SipHasher24;

use super::packet::MTU;
use crate::message::NoHello;

/// A change of any form here or in a packet raises it.
pub const VERSION: u16 = 3;
const MAGIC: [u8; 4] = *b"VSTU";
/// What a handshake of keys takes at most.
const PROOF_MAX: usize = 256;
/// Longer latencies are no repair but a recording.
pub const LATENCY_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    Call(Call),
    /// Say it again with this.
    Cookie {
        caller: u64,
        cookie: u64,
    },
    Answer(Answer),
    /// Another version than the caller's is spoken here.
    Version {
        caller: u64,
        version: u16,
    },
    /// The keys do not fit.
    Refused {
        caller: u64,
        why: Misfit,
    },
    /// There is no connection of this id here.
    Gone(u64),
}

/// How the keys of both sides do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The listener has none.
    NoneHere,
    /// The caller has none.
    Needed,
    Wrong,
}

impl Misfit {
    /// The same as on a stream of bytes.
    pub fn words(self) -> NoHello {
        match self {
            Misfit::NoneHere => NoHello::Sealed,
            Misfit::Needed => NoHello::Open,
            Misfit::Wrong => NoHello::Key,
        }
    }

    fn of(number: u8) -> Result<Misfit> {
        let all = [Misfit::NoneHere, Misfit::Needed, Misfit::Wrong];
        all.into_iter().find(|misfit| *misfit as u8 == number).context("refused for an unknown reason")
    }
}

/// What a handshake of keys is bound to: this protocol, its version, and the caller.
pub fn context(caller: u64) -> Vec<u8> {
    [&MAGIC[..], &VERSION.to_le_bytes(), &caller.to_le_bytes()].concat()
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The id that packets to the caller carry.
    pub caller: u64,
    /// Zero until one was given.
    pub cookie: u64,
    pub mtu: usize,
    pub latency: Duration,
    /// The caller's half of a handshake of keys.
    pub proof: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub caller: u64,
    /// The id that packets to the listener carry.
    pub listener: u64,
    pub mtu: usize,
    pub latency: Duration,
    pub proof: Bytes,
}

mod kind {
    pub const CALL: u8 = 1;
    pub const COOKIE: u8 = 2;
    pub const ANSWER: u8 = 3;
    pub const VERSION: u8 = 4;
    pub const REFUSED: u8 = 5;
    pub const GONE: u8 = 6;
}

/// Bytes of a word that tells of no connection.
pub const GONE: usize = 1 + 8 + SUM;
/// The sum at a word's end: damage on the way, no more.
const SUM: usize = 8;

impl Word {
    pub fn encode(&self) -> Vec<u8> {
        self.encode_as(VERSION)
    }

    /// The same as a vstream of another version says it.
    pub fn encode_as(&self, version: u16) -> Vec<u8> {
        let mut out = Vec::new();
        let mut mtu = 0;
        match self {
            Word::Call(call) => {
                out.push(kind::CALL);
                out.extend_from_slice(&MAGIC);
                out.extend_from_slice(&version.to_le_bytes());
                put(&mut out, &[call.caller, call.cookie]);
                terms(&mut out, call.mtu, call.latency, &call.proof);
                mtu = call.mtu;
            }
            Word::Cookie { caller, cookie } => {
                out.push(kind::COOKIE);
                put(&mut out, &[*caller, *cookie]);
            }
            Word::Answer(answer) => {
                out.push(kind::ANSWER);
                put(&mut out, &[answer.caller, answer.listener]);
                terms(&mut out, answer.mtu, answer.latency, &answer.proof);
                mtu = answer.mtu;
            }
            Word::Version { caller, version } => {
                out.push(kind::VERSION);
                put(&mut out, &[*caller]);
                out.extend_from_slice(&version.to_le_bytes());
            }
            Word::Refused { caller, why } => {
                out.push(kind::REFUSED);
                put(&mut out, &[*caller]);
                out.push(*why as u8);
            }
            Word::Gone(id) => {
                out.push(kind::GONE);
                put(&mut out, &[*id]);
            }
        }
        // Calls and answers are as long as packets will be: what is too long for the way does not come back.
        out.resize(out.len().max(mtu.saturating_sub(SUM)), 0);
        let sum = sum(&out);
        out.extend_from_slice(&sum);
        out
    }

    /// Errors: anything that is not a word, and words that were damaged.
    pub fn decode(mut data: Bytes) -> Result<Word> {
        let length = data.len();
        ensure!(length > SUM, "a word of {length} bytes");
        let told = data.split_off(length - SUM);
        ensure!(sum(&data)[..] == told[..], "a word was damaged");
        let what = data.get_u8();
        if what == kind::CALL {
            return call(data, length);
        }
        let caller = number(&mut data)?;
        Ok(match what {
            kind::COOKIE => Word::Cookie { caller, cookie: number(&mut data)? },
            kind::ANSWER => {
                let listener = number(&mut data)?;
                let (mtu, latency, proof) = take_terms(&mut data)?;
                Word::Answer(Answer { caller, listener, mtu, latency, proof })
            }
            kind::VERSION => {
                ensure!(data.len() >= 2, "a word is cut off");
                Word::Version { caller, version: data.get_u16_le() }
            }
            kind::REFUSED => {
                ensure!(!data.is_empty(), "a word is cut off");
                Word::Refused { caller, why: Misfit::of(data.get_u8())? }
            }
            kind::GONE => Word::Gone(caller),
            _ => bail!("a word of unknown type {what}"),
        })
    }
}

/// A call is padded to the length that it asks for, so that no answer is longer.
fn call(mut data: Bytes, length: usize) -> Result<Word> {
    ensure!(data.len() > 6 && data[..4] == MAGIC, "not a vstream's call");
    data.advance(4);
    let version = data.get_u16_le();
    if version != VERSION {
        let caller = number(&mut data)?;
        return Ok(Word::Version { caller, version });
    }
    let (caller, cookie) = (number(&mut data)?, number(&mut data)?);
    let (mtu, latency, proof) = take_terms(&mut data)?;
    ensure!(length >= mtu, "a call of {length} bytes wants datagrams of {mtu}");
    Ok(Word::Call(Call { caller, cookie, mtu, latency, proof }))
}

fn put(out: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

fn number(data: &mut Bytes) -> Result<u64> {
    ensure!(data.len() >= 8, "a word is cut off");
    Ok(data.get_u64_le())
}

fn terms(out: &mut Vec<u8>, mtu: usize, latency: Duration, proof: &[u8]) {
    out.extend_from_slice(&(mtu as u16).to_le_bytes());
    out.extend_from_slice(&(latency.as_micros() as u32).to_le_bytes());
    out.extend_from_slice(&(proof.len() as u16).to_le_bytes());
    out.extend_from_slice(proof);
}

fn take_terms(data: &mut Bytes) -> Result<(usize, Duration, Bytes)> {
    ensure!(data.len() >= 8, "a word is cut off");
    let mtu = usize::from(data.get_u16_le());
    let latency = Duration::from_micros(data.get_u32_le().into());
    ensure!(MTU.contains(&mtu), "datagrams of {mtu} bytes");
    ensure!(latency <= LATENCY_MAX, "a latency of {} s", latency.as_secs());
    let length = usize::from(data.get_u16_le());
    ensure!(length <= PROOF_MAX.min(data.len()), "a proof of {length} bytes");
    Ok((mtu, latency, data.split_to(length)))
}

fn sum(data: &[u8]) -> [u8; SUM] {
    SipHasher24::new().hash(data).to_le_bytes()
}

/// The address of a peer in one form, whichever kind of socket it came by.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The mtu that both sides, and so the way between them, take.
pub fn agree(theirs: usize, ours: usize) -> Result<usize> {
    let mtu = theirs.min(ours);
    MTU.contains(&mtu).then_some(mtu).context("no length of datagrams fits both sides")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(cookie: u64) -> Call {
        let proof = Bytes::from_static(b"proof");
        Call { caller: 7, cookie, mtu: 1200, latency: Duration::from_millis(160), proof }
    }

    #[test]
    fn words_survive_the_wire_and_damage_shows() {
        let Call { caller, mtu, latency, proof, .. } = sample(0);
        for word in [
            Word::Call(sample(5)),
            Word::Cookie { caller, cookie: 9 },
            Word::Answer(Answer { caller, listener: 8, mtu, latency, proof }),
            Word::Version { caller, version: 3 },
            Word::Refused { caller, why: Misfit::Wrong },
            Word::Gone(4),
        ] {
            let mut wire = word.encode();
            assert_eq!(Word::decode(wire.clone().into()).unwrap(), word);
            wire[3] ^= 1;
            assert!(Word::decode(wire.into()).is_err());
        }
    }

    #[test]
    fn no_answer_is_longer_than_its_call() {
        let call = Word::Call(sample(0)).encode();
        assert_eq!(call.len(), 1200);
        let answer = Word::Answer(Answer {
            caller: 7,
            listener: 8,
            mtu: 1200,
            latency: Duration::ZERO,
            proof: vec![0; PROOF_MAX].into(),
        });
        assert!(answer.encode().len() <= call.len() && Word::Cookie { caller: 7, cookie: 1 }.encode().len() < 40);
        let mut short = Word::Call(sample(0)).encode();
        short.truncate(600);
        let sum = sum(&short[..592]);
        short[592..].copy_from_slice(&sum);
        assert!(Word::decode(short.into()).is_err(), "a short call would be answered by more than it cost");
    }

    proptest! {
        #[test]
        fn rubbish_is_an_error_and_no_panic(data in proptest::collection::vec(any::<u8>(), 0..100), kind in 0u8..8) {
            let mut data = [&[kind], &data[..]].concat();
            data.extend(sum(&data));
            let _ = Word::decode(data.into());
        }
    }
}
