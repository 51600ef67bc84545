//! Segments over a link that loses, doubles, delays and reorders: no wrong tile ever stands, and nothing stays missing.

mod common;

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{command, start, vstream};
use proptest::prelude::*;
use vstream::assembly::Assembly;
use vstream::clock::Time;
use vstream::codec::encode::encode;
use vstream::draft::{Draft, Part};
use vstream::fanout::Fanout;
use vstream::frame::Frame;
use vstream::latest::Latest;
use vstream::link::Link;
use vstream::merge::Merge;
use vstream::message::{Begin, End, Message, Runs};
use vstream::path::{Hop, Path as Way};
use vstream::picture::Picture;
use vstream::publish::{Feed, publish};
use vstream::runs;
use vstream::segments::{Coded, Form, Head, splice};
use vstream::stats::Board;
use vstream::stop::Stop;
use vstream::stream::{StreamRx, StreamTx};
use vstream::watch::watch;

const TILES: usize = 12;

/// A stream's frames as a gated coder makes them: each changes some tiles; now and then header or epoch change, and all
/// tiles with them. The bytes of a tile tell its epoch, its version and its place.
struct Source {
    random: fastrand::Rng,
    epoch: u64,
    coded: Option<Coded>,
}

impl Source {
    fn next(&mut self, seq: u64) -> Frame {
        let mut begin_anew = false;
        if self.random.u8(..20) == 0 {
            (self.epoch, begin_anew) = (self.epoch + 1, true);
        }
        begin_anew |= self.random.u8(..10) == 0;
        let old = self.coded.take().filter(|_| !begin_anew);
        let head = old.as_ref().map_or_else(|| head(seq), |old| old.head.clone());
        let changed = (0..TILES).filter(|_| old.is_none() || self.random.u8(..4) == 0);
        let news: Vec<_> = changed.map(|tile| (tile, seq, bytes(self.epoch, seq, tile))).collect();
        let coded = splice(old.as_ref(), &head, &news).unwrap();
        self.coded = Some(coded.clone());
        Frame { epoch: self.epoch, seq, captured: Time::default(), error: Duration::ZERO, coded }
    }
}

fn head(since: u64) -> Arc<Head> {
    Arc::new(Head { form: Form::Tiles, since, header: since.to_le_bytes().to_vec().into(), count: TILES })
}

fn bytes(epoch: u64, version: u64, tile: usize) -> Vec<u8> {
    format!("{epoch} {version} {tile}").into_bytes()
}

/// What a link sends of a frame to a peer that certainly has `had`, each run apart so that each can be lost by itself.
fn messages(number: u64, frame: &Frame, had: Option<&Frame>) -> Vec<Message> {
    let Frame { epoch, seq, captured, error, ref coded } = *frame;
    let begin = Begin { number, epoch, seq, captured, error, head: Some((*coded.head).clone()) };
    let run = |tile| {
        let body = runs::encode(coded, &[tile]).into();
        Message::Runs(Runs { epoch, since: coded.head.since, body })
    };
    let runs = frame.lacking(had).into_iter().map(run);
    let end = Message::End(End { number, state: coded.state() });
    [Message::Begin(begin)].into_iter().chain(runs).chain([end]).collect()
}

/// Loses, doubles, and holds back until later; begin and end keep their places, as a transport's control messages do.
fn through(network: &mut VecDeque<Message>, sent: Vec<Message>, random: &mut fastrand::Rng, bad: u8) -> Vec<Message> {
    let mut arrived = Vec::new();
    for message in sent {
        if !matches!(message, Message::Runs(_)) {
            arrived.push(message);
            continue;
        }
        if random.u8(..100) < bad {
            match random.u8(..3) {
                0 => continue,
                1 => arrived.extend([message.clone(), message]),
                _ => network.push_back(message),
            }
        } else {
            arrived.push(message);
        }
        if random.bool()
            && let Some(late) = network.pop_front()
        {
            arrived.push(late);
        }
    }
    arrived
}

/// A publisher and a watcher joined by a socket; what the watcher's outputs get.
fn joined(from: &Fanout<Draft>, act: impl FnOnce(&mut Latest<Draft>)) {
    let (a, b) = smol::net::unix::UnixStream::pair().unwrap();
    let link = |stream: smol::net::unix::UnixStream| Link {
        tx: Box::new(StreamTx::new(stream.clone())),
        rx: Box::new(StreamRx::new(stream)),
        peer: "pair".to_string(),
    };
    let path = |id| Arc::new(Way::new(Hop { id, ..Hop::default() }));
    let mut feed = Feed {
        frames: from.subscribe(),
        held: VecDeque::new(),
        every: false,
        limits: Arc::default(),
        over: Stop::default(),
        path: path(1),
        talk: None,
    };
    let (into, stop) = (Arc::new(Merge::new(false)), Stop::default());
    let mut drafts = into.out.subscribe();
    let tasks = {
        let (ours, theirs, way) = (stop.clone(), stop.clone(), path(2));
        let publishing =
            smol::spawn(async move { publish(link(a), &mut feed, &Board::new("send").join("b"), &ours).await });
        let watching = smol::spawn(async move {
            watch(link(b), &into, &way, &Board::new("recv").join("a"), (&theirs, &theirs), None, |_, _| true).await
        });
        (publishing, watching)
    };
    act(&mut drafts);
    stop.say();
    smol::block_on(async { (tasks.0.await.unwrap(), tasks.1.await.unwrap()) });
}

#[test]
fn segments_cross_while_their_frame_is_in_the_making_and_abandoned_frames_leave_no_trace() {
    let from = Fanout::new(false);
    joined(&from, |drafts| {
        let mut source = Source { random: fastrand::Rng::with_seed(5), epoch: 0, coded: None };
        for seq in 0..60 {
            let frame = source.next(seq);
            let old = |tile: &usize| frame.coded.versions[*tile] == seq;
            let mut news: Vec<_> =
                (0..TILES).filter(old).map(|i| (i, seq, Bytes::copy_from_slice(frame.coded.segment(i)))).collect();
            source.random.shuffle(&mut news);
            if news.is_empty() {
                continue; // such a frame begins and ends at once
            }
            let (early, rest) = news.split_at(source.random.usize(1..=news.len()));
            let (mut pen, draft) =
                Draft::begin(frame.epoch, seq, frame.captured, frame.error, frame.coded.head.clone());
            smol::block_on(from.until_wanted());
            from.put(draft);
            pen.add(runs::lots(early.to_vec()));
            let mut crossing = drafts.next_blocking().unwrap();
            let mut crossed = Vec::new();
            while crossed.len() < early.len() {
                let Part::Lots(lots) = smol::block_on(crossing.grown()) else { panic!("it has not ended") };
                crossed.extend(lots.iter().flat_map(|lot| lot.segments.iter().cloned()));
            }
            crossed.sort();
            assert_eq!(crossed, {
                let mut early = early.to_vec();
                early.sort();
                early
            });
            pen.add(runs::lots(rest.to_vec()));
            if source.random.u8(..4) == 0 {
                drop(pen);
                continue;
            }
            pen.end(frame.clone());
            let came = smol::block_on(crossing.frame()).expect("it has ended");
            assert_eq!((came.seq, came.coded.bytes), (seq, frame.coded.bytes));
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_wrong_tile_ever_stands(seed in any::<u64>(), bad in 0u8..60) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut source = Source { random: random.fork(), epoch: 0, coded: None };
        let (mut assembly, mut network, mut had) = (Assembly::default(), VecDeque::new(), None::<Frame>);
        let (mut number, mut shown) = (0, 0);
        for seq in 0..60 {
            let frame = source.next(seq);
            if random.u8(..4) == 0 {
                continue; // the newest wins: this one is never sent
            }
            let calm = seq > 50;
            let sent = messages(number, &frame, had.as_ref());
            for message in through(&mut network, sent, &mut random, if calm { 0 } else { bad }) {
                match message {
                    Message::Begin(begin) => _ = assembly.begin(begin).unwrap(),
                    Message::Runs(runs) => _ = assembly.runs(runs).unwrap(),
                    Message::End(End { number, state }) => {
                        let Some(got) = assembly.end(number, state).unwrap() else {
                            prop_assert!(!calm, "a frame that all came of was not whole");
                            continue;
                        };
                        shown += 1;
                        prop_assert_eq!(&got.coded.bytes, &frame.coded.bytes);
                        for tile in 0..TILES {
                            let expected = bytes(frame.epoch, frame.coded.versions[tile], tile);
                            prop_assert_eq!(got.coded.segment(tile), &expected[..]);
                        }
                        // The report of it may be lost, and the peer then is thought to have less than it has.
                        if random.u8(..100) >= bad {
                            had = Some(frame.clone());
                        }
                    }
                    _ => unreachable!(),
                }
            }
            number += 1;
        }
        prop_assert!(shown > 0);
    }
}

/// A picture of letters' sharpness: random blocks.
fn sharp(seed: u64) -> Picture {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut picture = Picture::new(320, 240);
    picture.planes_mut().into_iter().for_each(|plane| plane.chunks_mut(7).for_each(|run| run.fill(random.u8(..))));
    picture
}

/// Sends these pictures with these flags; the sender's totals, and what the receiver wrote as raw planes and saved.
fn carry(pictures: &[Picture], flags: &[&str], dir: &Path) -> (serde_json::Value, Vec<u8>) {
    let (raw, frames) = (dir.join("raw"), dir.join("frames"));
    let (raw, frames) = (raw.to_str().unwrap(), frames.to_str().unwrap());
    let args = ["recv", "--listen", "tcp://127.0.0.1:0", "--output", raw, "--raw", "i420", "--save", frames];
    let mut recv = vstream(&args);
    let to = recv.listening();
    let args = ["send", "--from", "-", "--raw", "i420:320x240@30", "--every-frame", "--stats", "json", "--to", &to];
    let mut sender = command(&[&args[..], flags].concat());
    sender.stdin(Stdio::piped());
    let mut send = start(sender);
    let mut stdin = send.stdin();
    for picture in pictures {
        stdin.write_all(picture.bytes()).unwrap();
    }
    drop(stdin);
    let totals = send.end().ended_with(0).totals();
    recv.end().ended_with(0);
    (totals, std::fs::read(raw).unwrap())
}

#[test]
fn lz4_carries_every_sample_and_saves_jpeg() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = [sharp(1), sharp(1), sharp(2)];
    let (_, raw) = carry(&pictures, &["--codec", "lz4"], dir.path());
    assert!(raw == pictures.iter().flat_map(Picture::bytes).copied().collect::<Vec<_>>());
    for number in 1..=3 {
        let jpeg = std::fs::read(dir.path().join(format!("frames/frame_{number:06}.jpg"))).unwrap();
        let picture = vstream::codec::decode::decode(&jpeg.into()).unwrap();
        assert_eq!((picture.width(), picture.height()), (320, 240));
    }
}

#[test]
fn a_picture_at_rest_costs_next_to_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let once = carry(&[sharp(1)], &[], dir.path()).0["bytes"].as_u64().unwrap();
    let still = vec![sharp(1); 60];
    let (totals, raw) = carry(&still, &[], dir.path());
    assert_eq!(totals["frames"], 60);
    // How many runs a frame is sent in depends on the threads that code it; each costs a few bytes.
    let more = totals["bytes"].as_u64().unwrap().abs_diff(once);
    assert!(more < once / 100, "only the first frame has segments, and {more} bytes came besides its {once}");
    assert_eq!(raw.len(), 60 * still[0].bytes().len());
}

#[test]
fn without_a_gate_frames_are_plain_encodings() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = [sharp(1), sharp(2), sharp(3)];
    carry(&pictures, &["--gate", "off", "--quality", "70"], dir.path());
    for (number, picture) in pictures.iter().enumerate() {
        let jpeg = std::fs::read(dir.path().join(format!("frames/frame_{:06}.jpg", number + 1))).unwrap();
        assert!(jpeg == encode(picture, 70).unwrap());
    }
}

#[test]
fn a_gate_that_is_none_is_a_usage_error() {
    vstream(&["send", "--to", "127.0.0.1:9", "--gate", "tight"]).end().ended_with(2).saying("off, auto or a number");
}
