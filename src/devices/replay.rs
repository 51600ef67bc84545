//! Every parser of foreign bytes from its first to its last step: the one entry that the fuzzers and `tests/corpus.rs`
//! share. Each gives the number of pictures found, at most `MOST`, and never panics whatever the bytes are.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;

use crate::assembly::Assembly;
use crate::codec::decode::Decoder;
use crate::codec::{decode, jpeg, split};
use crate::devices::avi::Avi;
use crate::devices::h264;
use crate::devices::http::answer::Answer;
use crate::devices::recording::Recording;
use crate::devices::trouble::Trouble;
use crate::devices::y4m::Y4m;
use crate::link::Rx;
use crate::message::{End, Message};
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
pub const TARGETS: [(&str, Parse); 10] = [
    ("wire", wire),
    ("split", split),
    ("jpeg", jpeg),
    ("avi", avi),
    ("y4m", y4m),
    ("multipart", multipart),
    ("mp4", mp4),
    ("settings", settings),
    ("script", script),
    ("trace", trace),
];

/// A caller's hello and the messages after it, as a listener reads them: how many frames they make.
pub fn wire(data: &[u8]) -> usize {
    let mut link = StreamRx(smol::io::Cursor::new(data));
    let (mut assembly, mut decoder, mut count) = (Assembly::default(), Decoder::default(), 0);
    smol::block_on(async {
        link.hello().await?;
        while let Some(message) = link.recv().await? {
            match message {
                Message::Begin(begin) => assembly.begin(begin)?,
                Message::Runs(runs) => assembly.runs(runs)?,
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
