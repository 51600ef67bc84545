//! A hub over links: one streamer a stream, viewers at their own quality, words, limits, and guests that mean no good.

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use common::{Vstream, vstream};
use rustix::process::Signal;
use smol::block_on;
use smol::future::or;
use vstream::draft::Part;
use vstream::endpoint::Endpoint;
use vstream::merge::Merge;
use vstream::message::{Hello, Message, Side, Visit};
use vstream::path::{Hop, Path};
use vstream::stats::Board;
use vstream::stop::Stop;
use vstream::word::{Talk, Word};
use vstream::{greet, transports, watch};

const FILM: &str = "test?size=640x480&fps=30";

fn hub(args: &[&str]) -> (Vstream, String) {
    let mut hub = vstream(&[&["hub", "--listen", "tcp://127.0.0.1:0"], args].concat());
    let to = hub.listening();
    (hub, to)
}

fn send(to: &str, args: &[&str]) -> Vstream {
    let mut send = vstream(&[&["send", "--from", FILM, "--to", to], args].concat());
    send.says("connected");
    send
}

fn recv(from: &str) -> Vstream {
    vstream(&["recv", "--from", from, "--stats", "json"])
}

fn size_of(frame: &vstream::frame::Frame) -> (usize, usize) {
    vstream::codec::size(&frame.coded.head, &frame.coded.bytes).unwrap()
}

/// A guest in this process, as the player is one.
struct Guest {
    say: async_channel::Sender<Word>,
    told: async_channel::Receiver<Word>,
    frames: vstream::latest::Latest<vstream::draft::Draft>,
    _running: smol::Task<()>,
}

fn hello(role: Side, user: Option<&str>, rung: Option<&str>) -> Hello {
    let visit = Visit { user: user.map(Into::into), rung: rung.map(Into::into), take_over: false };
    let (listening, stream) = Default::default();
    Hello { role, name: None, agent: "test".into(), instance: fastrand::u64(..), listening, visit, stream }
}

/// Greets a hub; the answer's error is the refusal.
fn call(to: &str, hello: Hello) -> anyhow::Result<vstream::link::Link> {
    let to = Endpoint::parse(to).unwrap();
    let mut link = block_on(transports::find(&to.scheme).unwrap().connect(&to))?;
    let named = Hello { name: hello.name.clone().or(to.name.clone()), ..hello };
    block_on(greet::call(&mut link, named))?;
    Ok(link)
}

fn guest(to: &str, user: &str, rung: &str) -> Guest {
    let link = call(to, hello(Side::Watch, Some(user), Some(rung))).unwrap();
    let merge = Arc::new(Merge::new(false));
    let frames = merge.out.subscribe();
    let ((say, saying), (heard, told)) = (async_channel::bounded(8), async_channel::bounded(256));
    let running = smol::spawn(async move {
        let (path, peer, stop) = (Path::new(Hop::default()), Board::new("recv").join("hub"), Stop::default());
        let talk = Talk { heard, told: saying };
        let stops = (&stop, &stop);
        let ended = watch::watch(link, &merge, &path, &peer, stops, Some(&talk), |_, _| true).await;
        eprintln!("the guest's link ended: {ended:?}");
    });
    Guest { say, told, frames, _running: running }
}

impl Guest {
    fn hears(&self, wanted: impl Fn(&Word) -> bool) -> Word {
        let heard = async {
            loop {
                let word = self.told.recv().await.expect("the link stands");
                if wanted(&word) {
                    return Some(word);
                }
            }
        };
        let late = async {
            async_io::Timer::after(common::LIMIT).await;
            None
        };
        block_on(or(heard, late)).expect("the word comes")
    }

    fn hears_line(&self, wanted: &str) {
        let line = |word: &Word| match word {
            Word::Said(said) => format!("{}: {}", said.from, said.text),
            Word::Told { text } => text.clone(),
            _ => String::new(),
        };
        self.hears(|word| line(word).contains(wanted));
    }

    fn says(&self, text: &str) {
        block_on(self.say.send(Word::Say { text: text.into() })).unwrap();
    }

    fn sees(&mut self, wanted: (usize, usize)) {
        self.sees_within(usize::MAX, wanted);
    }

    /// One of the next pictures is so large.
    fn sees_within(&mut self, pictures: usize, wanted: (usize, usize)) {
        let seen = async {
            for _ in 0..pictures {
                let Some(mut draft) = self.frames.next().await else { return false };
                while let Part::Lots(_) = draft.grown().await {}
                let frame = draft.frame().await;
                if frame.is_some_and(|frame| size_of(&frame) == wanted) {
                    return true;
                }
            }
            false
        };
        let late = async {
            async_io::Timer::after(common::LIMIT).await;
            false
        };
        assert!(block_on(or(seen, late)), "no picture of {wanted:?} comes");
    }
}

#[test]
fn one_streams_many_watch_and_the_next_may_stream_when_it_is_gone() {
    let (mut hub, to) = hub(&["--stats", "json"]);
    recv(&to).end().ended_with(4).saying("nobody streams here now");
    let to = format!("{to}/talk");
    let first = send(&to, &[]);
    let mut viewers = [recv(&to), recv(&to)];
    viewers.iter_mut().for_each(|viewer| _ = viewer.stats(|line| line["frames"].as_u64() > Some(3)));
    vstream(&["send", "--from", FILM, "--to", &to]).end().ended_with(4).saying("streamer 1 streams talk already");
    recv(&to.replace("talk", "walk")).end().ended_with(4).saying("there is talk");
    hub.stats(|line| line["viewers"] == 2);
    // One that dies leaves the picture and the room to who comes next; viewers stay.
    first.signal(Signal::KILL);
    hub.says("is gone");
    let second = send(&to, &[]);
    let before = viewers[0].stats(|_| true)["frames"].as_u64();
    viewers.iter_mut().for_each(|viewer| _ = viewer.stats(|line| line["frames"].as_u64() > before.map(|n| n + 5)));
    // One that ends ends it for all.
    second.signal(Signal::INT);
    second.end().ended_with(0);
    for mut viewer in viewers {
        viewer.says("is over");
        viewer.end().ended_with(0);
    }
    hub.signal(Signal::INT);
    hub.end().ended_with(0);
}

#[test]
fn who_comes_late_to_a_picture_at_rest_sees_it_at_once() {
    let (_hub, to) = hub(&[]);
    let mut command = common::command(&["send", "--from", "-", "--raw", "i420:320x240@30", "--to", &to]);
    command.stdin(std::process::Stdio::piped());
    let mut send = common::start(command);
    send.says("connected");
    let mut first = recv(&to);
    first.says("connected");
    let mut pipe = send.stdin();
    pipe.write_all(&[128; 320 * 240 * 3 / 2]).unwrap(); // and no other
    first.stats(|line| line["frames"] == 1);
    let mut late = guest(&to, "late", "source");
    late.sees((320, 240));
    let mut small = guest(&to, "small", "240p");
    small.sees((320, 240));
}

#[test]
fn each_viewer_has_its_own_rung_and_changes_it() {
    let (_hub, to) = hub(&[]);
    let _send = send(&to, &[]);
    let mut anna = guest(&to, "anna", "360p");
    let mut bob = guest(&to, "bob", "source");
    anna.sees((480, 360));
    bob.sees((640, 480));
    let rungs =
        |word: &Word| matches!(word, Word::Room(room) if room.rungs == ["source", "360p", "240p"] && room.count == 2);
    let Word::Room(room) = anna.hears(rungs) else { unreachable!() };
    assert_eq!(room.streamer.as_ref().unwrap().name, "streamer 1");
    block_on(bob.say.send(Word::Choose { rung: "240p".into() })).unwrap();
    bob.hears(|word| matches!(word, Word::Rung { rung, auto: false, .. } if rung == "240p"));
    bob.sees((320, 240));
    anna.sees((480, 360));
    block_on(bob.say.send(Word::Choose { rung: "1080p".into() })).unwrap();
    bob.sees((640, 480)); // never up
    block_on(bob.say.send(Word::Choose { rung: "9p".into() })).unwrap();
    bob.hears_line("there is no rung `9p` here: choose auto, source, 360p, 240p");
    // The network takes all of it, which what plays has still to show.
    for rung in ["240p", "auto"] {
        block_on(bob.say.send(Word::Choose { rung: rung.into() })).unwrap();
    }
    bob.hears(|word| matches!(word, Word::Rung { rung, auto: true, .. } if rung == "240p"));
    bob.hears(|word| matches!(word, Word::Rung { rung, auto: true, why } if rung == "source" && !why.is_empty()));
}

#[test]
fn who_lags_behind_a_slow_network_gets_another_rung_all_the_same() {
    let (_hub, to) = hub(&[]);
    let _send = send(&to, &[]);
    let (_shape, slow) = common::shape::shape(to.split("://").nth(1).unwrap(), &["--both", "--rate", "1mbit"]);
    let mut anna = guest(&format!("tcp://{slow}"), "anna", "source");
    anna.sees((640, 480));
    block_on(anna.say.send(Word::Choose { rung: "240p".into() })).unwrap();
    anna.sees_within(20, (320, 240));
}

#[test]
fn who_comes_before_the_first_picture_is_told_when_it_is_lower() {
    let (_hub, to) = hub(&[]);
    let silent = call(&to, Hello { name: Some("talk".into()), ..hello(Side::Publish, None, None) }).unwrap();
    let early = guest(&format!("{to}/talk"), "early", "auto");
    early.hears(|word| matches!(word, Word::Rung { rung, .. } if rung == "480p"));
    drop(silent);
    let _send = send(&format!("{to}/talk"), &["--size", "320x180"]);
    early.hears(
        |word| matches!(word, Word::Rung { rung, why, .. } if rung == "source" && why == "the source is no larger than 480p"),
    );
}

#[test]
fn viewers_of_a_hub_that_is_stopped_come_back_and_wait_for_the_stream() {
    let (first, to) = hub(&[]);
    let to = format!("{to}/talk");
    let streamer = send(&to, &[]);
    let mut viewer = recv(&to);
    viewer.stats(|line| line["frames"].as_u64() > Some(3));
    first.signal(Signal::TERM);
    viewer.says("left: it was stopped");
    drop((first, streamer));
    let mut second = vstream(&["hub", "--listen", to.trim_end_matches("/talk")]);
    second.says("was refused: there is no stream talk");
    let _streamer = send(&to, &[]);
    viewer.says("connected to");
    viewer.stats(|line| line["fps"].as_f64() > Some(0.0));
}

#[test]
fn guests_talk_and_the_hub_keeps_the_peace() {
    let (_hub, to) = hub(&["--chat-history", "2"]);
    let _send = send(&to, &[]);
    let anna = guest(&to, "anna", "source");
    let refused = call(&to, hello(Side::Watch, Some("Anna"), None)).err().unwrap();
    assert!(format!("{refused:#}").contains("the name Anna is taken"), "{refused:#}");
    (0..3).for_each(|i| anna.says(&format!("line {i}")));
    anna.hears_line("anna: line 2");
    let bob = guest(&to, "bob", "source");
    let first = bob.hears(|word| matches!(word, Word::Said(_)));
    assert!(matches!(first, Word::Said(said) if said.text == "line 1"), "two lines are kept");
    bob.says("/msg anna psst");
    anna.hears_line("bob: psst");
    anna.says("/kick bob");
    anna.hears_line("only the streamer may /kick");
    // What is no guest's to say is passed over, and the link stands.
    block_on(anna.say.send(Word::Seek { to: -1e300 })).unwrap();
    block_on(anna.say.send(Word::Entered { user: "root".into() })).unwrap();
    anna.says("still here");
    bob.hears_line("anna: still here");
    drop(anna);
    bob.hears_line("anna has left");
}

#[test]
fn places_are_limited() {
    let (_hub, to) = hub(&["--viewers-max", "2", "--viewers-per-stream", "1"]);
    let _sends = [send(&format!("{to}/a"), &[]), send(&format!("{to}/b"), &[])];
    let watch = |name: &str| call(&format!("{to}/{name}"), hello(Side::Watch, None, None));
    let first = watch("a").unwrap();
    assert!(format!("{:#}", watch("a").err().unwrap()).contains("all 1 places of a"));
    let _second = watch("b").unwrap();
    assert!(format!("{:#}", watch("b").err().unwrap()).contains("all 2 places of this hub"));
    drop(first);
    let late = std::time::Instant::now() + common::LIMIT;
    while watch("a").is_err() {
        assert!(std::time::Instant::now() < late, "the place does not come back");
    }
}

#[test]
fn with_a_key_the_streamer_can_be_taken_over_and_without_one_nobody() {
    let take = || Hello {
        visit: Visit { take_over: true, ..Visit::default() },
        name: Some("live".into()),
        ..hello(Side::Publish, None, None)
    };
    let (_open, to) = hub(&[]);
    let _send = send(&to, &[]);
    let refused = call(&to, take()).err().unwrap();
    assert!(format!("{refused:#}").contains("start the hub with a key"), "{refused:#}");
    let (mut hub, to) = hub(&["--key", "a long enough key"]);
    let to = format!("{to}?key=a long enough key");
    let mut first = send(&to, &[]);
    // Whoever could not stay puts nobody out.
    let _anna = guest(&to, "anna", "source");
    let named = Hello { visit: Visit { user: Some("anna".into()), ..take().visit }, ..take() };
    let refused = call(&to, named).err().unwrap();
    assert!(format!("{refused:#}").contains("the name anna is taken"), "{refused:#}");
    vstream(&["send", "--from", FILM, "--to", &to]).end().ended_with(4).saying("already");
    let _second = call(&to, take()).unwrap();
    hub.says("was left for another link");
    first.says("already");
    first.end().ended_with(4);
}

#[test]
fn a_key_may_be_for_streaming_alone() {
    // Two doors: which of them is told first is the order of the flags.
    let (mut hub, open) = hub(&["--listen", "tcp://127.0.0.1:0?key=a long enough key", "--stats", "json"]);
    let keyed = hub.listening();
    let both = format!("{open} {keyed}");
    hub.stats(|line| line["listening"] == both.as_str());
    let keyed = format!("{keyed}?key=a long enough key");
    vstream(&["send", "--from", FILM, "--to", &open]).end().ended_with(4).saying("streaming needs the key here");
    let _send = send(&keyed, &[]);
    recv(&open).stats(|line| line["frames"].as_u64() > Some(3));
    recv(&keyed).stats(|line| line["frames"].as_u64() > Some(3));
}

#[test]
fn guests_that_mean_no_good_hurt_nobody() {
    let (mut hub, to) = hub(&[]);
    let mut sending = send(&to, &["--stats", "json"]);
    let mut viewer = recv(&to);
    viewer.stats(|line| line["frames"].as_u64() > Some(3));
    // Connections that say nothing, a word of a megabyte, words where none are due.
    let address = to.trim_start_matches("tcp://").to_string();
    let _silent: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(&address).unwrap()).collect();
    hub.says("too many silent callers at once");
    let mut link = call(&to, hello(Side::Watch, Some("long"), None)).expect("the silent ones give way");
    let text = "x".repeat(1 << 20);
    _ = block_on(link.tx.send(Message::Word(Word::Say { text })));
    hub.says("(long) is gone");
    let mut mute = call(&to, hello(Side::Watch, None, None)).unwrap();
    block_on(mute.tx.send(Message::Word(Word::Say { text: "x".into() }))).unwrap();
    hub.says("is no guest here");
    for name in ["", "a\nb", "../x"] {
        let wanted = Hello { name: Some(name.into()), ..hello(Side::Publish, None, None) };
        assert!(call(&to, wanted).is_err(), "{name:?}");
    }
    let before = viewer.stats(|_| true)["frames"].as_u64();
    viewer.stats(|line| line["frames"].as_u64() > before.map(|n| n + 5));
    sending.stats(|line| line["fps"].as_f64() > Some(0.0));
}

#[test]
fn videos_are_watched_where_and_how_each_viewer_likes() {
    if !common::have("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let clip = dir.path().join("clip.mp4");
    let source = ["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=10:duration=4"];
    common::output("ffmpeg", &[&source[..], &["-pix_fmt", "yuv420p", clip.to_str().unwrap()]].concat());
    let library = dir.path().to_str().unwrap();
    let (mut hub, to) = hub(&["--library", library, "--prepare", "--rungs", "240p,360p", "--announce"]);
    hub.says("is for this machine alone: it is not announced");
    let at = format!("{to}/clip");
    recv(&format!("{to}/none")).end().ended_with(4).saying("there is clip"); // though nobody watches it yet
    // To its end, at its own speed; a machine that is late leaves frames out.
    let totals = recv(&at).end().ended_with(0).totals();
    assert!(totals["frames"].as_u64() > Some(9), "{totals}");
    let (mut anna, mut bob) = (guest(&at, "anna", "source"), guest(&at, "bob", "240p"));
    anna.sees((640, 360));
    bob.sees((426, 240));
    anna.hears(|word| matches!(word, Word::Room(room) if room.title.as_deref() == Some("clip")));
    block_on(anna.say.send(Word::Choose { rung: "240p".into() })).unwrap();
    anna.sees((426, 240));
    // Each has a place of its own in it, and goes on from the end when it jumps.
    block_on(anna.say.send(Word::Seek { to: 3.5 })).unwrap();
    anna.hears(|word| matches!(word, Word::At(at) if at.position >= 3.5 && (3.9..4.1).contains(&at.duration)));
    block_on(bob.say.send(Word::Pause { paused: true })).unwrap();
    bob.hears(|word| matches!(word, Word::At(at) if at.paused));
    block_on(anna.say.send(Word::Seek { to: 0.5 })).unwrap();
    anna.hears(|word| matches!(word, Word::At(at) if at.position < 3.5));
    anna.sees((426, 240));
    anna.says("nice film");
    bob.hears_line("anna: nice film");
    vstream(&["send", "--from", FILM, "--to", &at]).end().ended_with(4).saying("clip is a video of the library");
    hub.signal(Signal::INT);
    drop((anna, bob));
    hub.says("has gone");
}
