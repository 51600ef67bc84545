//! Every parser of foreign bytes from its first to its last step: the one entry that the fuzzers and `tests/corpus.rs`
//! share. Each gives the number of pictures found, at most `MOST`, and never panics whatever the bytes are.

use std::cell::Cell;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use smol::io::{AsyncRead, AsyncWrite};

use crate::assembly::Assembly;
use crate::clock::Time;
use crate::codec::decode::Decoder;
use crate::codec::{decode, jpeg, split};
use crate::datagrams::connection::{Connection, Heard, Terms};
use crate::datagrams::door::Word;
use crate::datagrams::guard::Guard;
use crate::datagrams::packet::PACKET;
use crate::datagrams::parity::Share;
use crate::devices::avi::Avi;
use crate::devices::h264;
use crate::devices::http::answer::Answer;
use crate::devices::recording::Recording;
use crate::devices::trouble::Trouble;
use crate::devices::y4m::Y4m;
use crate::key::Key;
use crate::link::Rx;
use crate::message::{End, Message};
use crate::records::Records;
use crate::seal::Sealed;
use crate::sealed;
use crate::shaper::pacer::Pacer;
use crate::shaper::script::Script;
use crate::shaper::settings::{Rate, Settings};
use crate::shaper::trace::Trace;
use crate::stop::Stop;
use crate::stream::StreamRx;

/// Pictures after which an input is not followed further: the rest would be more of the same.
const MOST: usize = 64;

/// Feeds a parser with an input; how many pictures or parts it found.
pub type Parse = fn(&[u8]) -> usize;

/// The targets by name.
pub const TARGETS: [(&str, Parse); 13] = [
    ("wire", wire),
    ("datagrams", datagrams),
    ("split", split),
    ("jpeg", jpeg),
    ("avi", avi),
    ("y4m", y4m),
    ("multipart", multipart),
    ("mp4", mp4),
    ("settings", settings),
    ("script", script),
    ("trace", trace),
    ("sealed", sealed),
    ("records", records),
];

/// A caller's hello and the messages after it, as a listener reads them: how many frames they make.
pub fn wire(data: &[u8]) -> usize {
    let mut link = StreamRx::new(smol::io::Cursor::new(data));
    let (mut assembly, mut decoder, mut count) = (Assembly::default(), Decoder::default(), 0);
    smol::block_on(async {
        link.hello().await?;
        while let Some(message) = link.recv().await? {
            match message {
                Message::Begin(begin) => _ = assembly.begin(begin)?,
                Message::Runs(runs) => _ = assembly.runs(runs)?,
                Message::End(End { number, state }) => {
                    let Some(frame) = assembly.end(number, state)? else { bail!("a frame with holes") };
                    count += usize::from(count < MOST && decoder.decode(&frame).is_ok());
                }
                _ => {}
            }
        }
        anyhow::Ok(())
    })
    .map_or(count, |()| count)
}

/// A caller's bytes at a listener with a key: how many it is answered with.
pub fn sealed(data: &[u8]) -> usize {
    static KEY: LazyLock<Key> = LazyLock::new(|| Key::new("of the corpus").expect("a word is a key"));
    let said = Cell::new(0);
    let _ = smol::block_on(async {
        // how it ends is its own affair
        let mut records = sealed::answer(Line { heard: data, said: &said }, &KEY).await?;
        smol::io::copy(&mut records, &mut smol::io::sink()).await
    });
    said.get()
}

/// Records under keys that are zero: how many bytes come out of them.
pub fn records(data: &[u8]) -> usize {
    let said = Cell::new(0);
    let mut records = Records::new(Line { heard: data, said: &said }, Sealed::of(&[0; 32], &[0; 32]));
    let mut out = Vec::new();
    let _ = smol::block_on(smol::io::AsyncReadExt::read_to_end(&mut records, &mut out)); // how it ends is its own affair
    out.len()
}

/// A connection whose far side has said all this already, and takes anything.
struct Line<'a> {
    heard: &'a [u8],
    /// Bytes that were said to it.
    said: &'a Cell<usize>,
}

impl AsyncRead for Line<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.heard).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        self.said.set(self.said.get() + buf.len());
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Packets as a peer's connection opens them, each after its length in two bytes, and each as a word of the handshake
/// too: how many messages they give.
pub fn datagrams(mut data: &[u8]) -> usize {
    let (ours, theirs, latency, share) = (1, 2, Duration::ZERO, Share::Auto);
    let terms = Terms { ours, theirs, mtu: 1200, latency, share, guard: Guard::sum(ours, theirs) };
    let peer = SocketAddr::from(([127, 0, 0, 1], 9));
    let mut now = Time::from_micros(1_000_000);
    let mut connection = Connection::new(terms, peer, now);
    let (guard, mut number, mut count) = (Guard::sum(theirs, ours), 0u64, 0);
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let (body, rest) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
        data = rest;
        let _ = Word::decode(Bytes::copy_from_slice(body));
        let mut packet = [&[PACKET][..], &u64::to_le_bytes(ours), &number.to_le_bytes(), body].concat();
        guard.close(number, &mut packet);
        connection.receive(now, peer, packet);
        number += 1;
        now = now + Duration::from_millis(1);
        while connection.transmit(now).is_some() {}
        while let Ok(Heard::Message(_)) = connection.message(now) {
            count += 1;
        }
    }
    count.min(MOST)
}

/// Cuts at places that depend on the bytes, to try pieces of all lengths.
fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let length = 1 + usize::from(*rest.first()?) * 8;
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        Some(piece)
    })
}

pub fn split(data: &[u8]) -> usize {
    let (mut splitter, mut count) = (split::Splitter::default(), 0);
    for piece in pieces(data) {
        splitter.push(piece);
        count += std::iter::from_fn(|| splitter.next()).count();
    }
    splitter.finish();
    count + std::iter::from_fn(|| splitter.next()).count()
}

pub fn jpeg(data: &[u8]) -> usize {
    let Ok(whole) = jpeg::complete(data) else { return 0 };
    usize::from(decode::decode(&whole.into_owned().into()).is_ok())
}

fn all(recording: anyhow::Result<impl Recording>) -> usize {
    let Ok(mut recording) = recording else { return 0 };
    let _ = recording.about();
    std::iter::from_fn(|| recording.next().ok().flatten()).take(MOST).count()
}

fn trouble() -> Trouble {
    Trouble::new("replay", &Stop::default())
}

pub fn avi(data: &[u8]) -> usize {
    all(Avi::open(data, "replay", trouble()))
}

pub fn y4m(data: &[u8]) -> usize {
    all(Y4m::open(data, Some(data.len() as u64), "replay", trouble()))
}

/// A web server's answer.
pub fn multipart(data: &[u8]) -> usize {
    let (mut answer, mut count) = (Answer::default(), 0);
    for piece in pieces(data).chain([&[][..]]) {
        match answer.push(piece) {
            Ok(pictures) => count += pictures.len(),
            Err(_) => break,
        }
    }
    count
}

/// MP4 or Matroska, with the H.264 in it.
pub fn mp4(data: &[u8]) -> usize {
    all(h264::film(Arc::new(data.to_vec()), "replay", trouble()))
}

/// Settings of a network as `--up` and the API give them; what is read is printed and read again.
pub fn settings(data: &[u8]) -> usize {
    let text = String::from_utf8_lossy(data);
    let json = serde_json::from_slice::<Settings>(data).ok();
    let found = text.trim_end().parse::<Settings>().ok().or(json);
    found.map_or(0, |settings| {
        assert_eq!(settings.to_string().parse().as_ref(), Ok(&settings), "it is read back as it was");
        settings.fields().len()
    })
}

/// A timeline, followed for a while.
pub fn script(data: &[u8]) -> usize {
    let Ok(script) = Script::parse(&String::from_utf8_lossy(data), 2.0) else { return 0 };
    let (mut up, mut down, mut time) = (Settings::default(), Settings::default(), Duration::ZERO);
    for _ in 0..MOST {
        let Some(next) = script.next(time) else { break };
        for event in script.due(time, next) {
            event.apply(&mut up, &mut down).expect("it was checked when it was read");
        }
        time = next;
    }
    script.events.len()
}

/// A recorded link, used for a while.
pub fn trace(data: &[u8]) -> usize {
    let Ok(trace) = Trace::parse("replay", &String::from_utf8_lossy(data)) else { return 0 };
    let mut pacer = Pacer::default();
    pacer.set(0, Some(Rate::Trace(Arc::new(trace))));
    let times = (0..MOST as i64).map(|n| pacer.reserve(n * n * n * 1_000_003, 1 + n as usize * 97));
    usize::from(times.is_sorted())
}
