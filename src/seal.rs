//! Sealed packets: a handshake that only who has the key can finish, and then authenticated encryption with explicit
//! numbers. Bytes in, bytes out; no input or output happens here.
//!
//! The handshake is Noise NNpsk0 (one message each way): fresh Diffie-Hellman keys, so that a key that leaks later opens
//! no recording, authenticated by the pre-shared key. Packets are ChaCha20-Poly1305 as everywhere in Noise, by ring (four
//! times as fast as what `snow` has), and quick too where a processor has no instructions for AES, as a Raspberry Pi 4.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use snow::{Builder, HandshakeState};
use zeroize::Zeroize;

use crate::key::Key;

/// SHA-256 and X25519 are what the rest of the program and of the world use.
const NOISE: &str = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";
/// Each handshake message: an X25519 key and a tag.
pub const HANDSHAKE: usize = 32 + TAG;
/// What sealing adds to a packet.
pub const TAG: usize = 16;

/// It is not from whoever has the key, or was changed on the way; which of them cannot be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forged;

/// Both directions of a link after the handshake.
#[derive(Debug)]
pub struct Sealed {
    pub seal: Seal,
    pub open: Open,
}

impl Sealed {
    /// The ends that keys agreed upon otherwise make: what a handshake does last.
    pub fn of(ours: &[u8; 32], theirs: &[u8; 32]) -> Sealed {
        let keyed = |bytes| UnboundKey::new(&CHACHA20_POLY1305, bytes).expect("32 bytes are such a key");
        Sealed { seal: Seal(LessSafeKey::new(keyed(ours))), open: Open(LessSafeKey::new(keyed(theirs))) }
    }
}

/// A caller that waits for the answer.
pub struct Caller(HandshakeState);

/// Begins a handshake: the caller's state, and its message. `context` is what both sides must agree on besides the key,
/// such as what was said before in the open.
pub fn call(key: &Key, context: &[u8]) -> (Caller, [u8; HANDSHAKE]) {
    let mut state = noise(key, context, |b| b.build_initiator());
    let message = written(&mut state);
    (Caller(state), message)
}

/// Answers a caller's message. Nothing proves yet that the caller is there now and not a recording of an earlier one:
/// the first sealed packet that opens does.
pub fn answer(key: &Key, context: &[u8], message: &[u8]) -> Result<(Sealed, [u8; HANDSHAKE]), Forged> {
    let mut state = noise(key, context, |b| b.build_responder());
    read(&mut state, message)?;
    let answer = written(&mut state);
    Ok((sealed(state, false), answer))
}

impl Caller {
    /// Takes the listener's answer.
    pub fn finish(mut self, answer: &[u8]) -> Result<Sealed, Forged> {
        read(&mut self.0, answer)?;
        Ok(sealed(self.0, true))
    }
}

fn noise(key: &Key, context: &[u8], build: fn(Builder) -> Result<HandshakeState, snow::Error>) -> HandshakeState {
    let builder = Builder::new(NOISE.parse().expect("it is a name of Noise's"));
    let keyed = builder.psk(0, key.bytes()).and_then(|b| b.prologue(context));
    keyed.and_then(build).expect("the pattern needs a pre-shared key and nothing else")
}

fn written(state: &mut HandshakeState) -> [u8; HANDSHAKE] {
    let mut message = [0; HANDSHAKE];
    let length = state.write_message(&[], &mut message).expect("the message has its place, and it is its turn");
    debug_assert_eq!(length, HANDSHAKE);
    message
}

fn read(state: &mut HandshakeState, message: &[u8]) -> Result<(), Forged> {
    let length = state.read_message(message, &mut [0; HANDSHAKE]).map_err(|_| Forged)?;
    if length == 0 { Ok(()) } else { Err(Forged) } // one of ours carries nothing
}

fn sealed(mut state: HandshakeState, caller: bool) -> Sealed {
    let (mut up, mut down) = state.dangerously_get_raw_split();
    let ends = if caller { Sealed::of(&up, &down) } else { Sealed::of(&down, &up) };
    up.zeroize();
    down.zeroize();
    ends
}

/// Seals packets of one direction.
#[derive(Debug)]
pub struct Seal(LessSafeKey);

/// Opens packets of the other.
#[derive(Debug)]
pub struct Open(LessSafeKey);

impl Seal {
    /// Encrypts `packet` where it stands and gives the tag that follows it. `number` must never come twice; `ad` is sent
    /// in the open and guarded all the same.
    pub fn seal_slice(&self, number: u64, ad: &[u8], packet: &mut [u8]) -> [u8; TAG] {
        let tag = self.0.seal_in_place_separate_tag(nonce(number), Aad::from(ad), packet);
        let tag = tag.expect("a packet is shorter than the 256 GiB that ChaCha20 takes");
        tag.as_ref().try_into().expect("Poly1305's tag has 16 bytes")
    }

    /// The same with the tag put behind it.
    pub fn seal(&self, number: u64, ad: &[u8], packet: &mut Vec<u8>) {
        let tag = self.seal_slice(number, ad, packet);
        packet.extend_from_slice(&tag);
    }
}

impl Open {
    /// Decrypts a packet where it stands, tag and all; what was in it.
    pub fn open_slice<'a>(&self, number: u64, ad: &[u8], packet: &'a mut [u8]) -> Result<&'a mut [u8], Forged> {
        self.0.open_in_place(nonce(number), Aad::from(ad), packet).map_err(|_| Forged)
    }

    /// The same, and the tag is cut off. What is forged is left as rubbish.
    pub fn open(&self, number: u64, ad: &[u8], packet: &mut Vec<u8>) -> Result<(), Forged> {
        let length = self.open_slice(number, ad, packet)?.len();
        packet.truncate(length);
        Ok(())
    }
}

/// As Noise makes them for ChaChaPoly.
fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[4..].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

impl fmt::Display for Forged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it was changed on the way, or is not from whoever has the key")
    }
}

impl std::error::Error for Forged {}

/// Packets further behind the newest than this are taken for replayed: of 1200 bytes each, it is 200 ms at 100 Mbit/s.
pub const WINDOW: u64 = 2048;

/// Which packets have come (RFC 6479): each number is let in once.
#[derive(Debug)]
pub struct Window {
    /// One more than the newest number.
    next: u64,
    /// A bit for each of the last `WINDOW` numbers, by number modulo `WINDOW`.
    seen: [u64; (WINDOW / 64) as usize],
}

impl Default for Window {
    fn default() -> Window {
        Window { next: 0, seen: [0; (WINDOW / 64) as usize] }
    }
}

impl Window {
    /// Whether a packet of this number may still come: worth opening.
    pub fn awaits(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        let behind = number.checked_add(WINDOW).is_none_or(|end| end >= self.next);
        behind && number < u64::MAX && (number >= self.next || self.seen[word] & bit == 0)
    }

    /// Takes a number whose packet has been opened; false for one that came before. Only then, or forged numbers would
    /// shut real ones out.
    pub fn take(&mut self, number: u64) -> bool {
        if !self.awaits(number) {
            return false;
        }
        for skipped in self.next.max(number.saturating_sub(WINDOW - 1))..=number {
            let (word, bit) = place(skipped);
            self.seen[word] &= !bit;
        }
        let (word, bit) = place(number);
        self.seen[word] |= bit;
        self.next = self.next.max(number + 1);
        true
    }
}

fn place(number: u64) -> (usize, u64) {
    let at = number % WINDOW;
    ((at / 64) as usize, 1 << (at % 64))
}

#[cfg(test)]
mod tests;
