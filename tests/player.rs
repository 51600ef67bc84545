//! The player: with hubs that are processes of their own, without a window, and in one on a virtual screen where keys
//! are pressed.

mod common;
mod desk;
mod screen;

use std::process::Stdio;

use common::{Vstream, command, have, start, vstream};
use desk::{desk, desk_in};
use rustix::process::Signal;
use screen::{keep, key, screenshot, tool, until};

fn hub(args: &[&str]) -> (Vstream, String) {
    let mut hub = vstream(&[&["hub", "--listen", "tcp://127.0.0.1:0"], args].concat());
    let to = hub.listening();
    (hub, to)
}

fn send(to: &str) -> Vstream {
    let mut send = vstream(&["send", "--from", "test?size=640x360&fps=15", "--to", to]);
    send.says("connected");
    send
}

fn headless(args: &[&str]) -> Vstream {
    let mut player = command(&[&["player", "--headless", "--stats", "json"], args].concat());
    player.stdin(Stdio::piped());
    start(player)
}

#[test]
fn scripts_watch_and_talk() {
    use std::io::Write;
    let (_hub, to) = hub(&[]);
    let talk = format!("{to}/talk");
    let _send = send(&talk);
    let mut anna = headless(&[&talk, "--user", "anna", "--rung", "240p"]);
    let line = anna.stats(|line| line["rung"] == "240p" && line["viewers"] == 1 && line["fps"].as_f64() > Some(0.0));
    assert_eq!((&line["role"], &line["stream"], &line["lost"]), (&"player".into(), &"talk".into(), &0.into()));
    assert!(line["latency_ms"].is_number() && line["rtt_ms"].is_number(), "{line}");
    let mut bob = headless(&[&talk, "--user", "bob"]);
    anna.says("bob is here");
    write!(bob.stdin(), "hello there\n{}\n", "x".repeat(100_000)).unwrap();
    anna.says("bob: hello there");
    bob.says("the rest is left out");
    anna.says(&format!("bob: {}", "x".repeat(200)));
    // A name is taken once; a stream that is not there is told with those that are.
    headless(&[&talk, "--user", "Bob"]).end().ended_with(4).saying("the name Bob is taken");
    headless(&[&format!("{to}/nope")]).end().ended_with(4).saying("there is talk");
    let totals = headless(&[&talk, "--frames", "3"]).end().ended_with(0).totals();
    assert!(totals["frames"].as_u64() >= Some(3), "{totals}");
}

#[test]
fn a_script_streams_to_a_hub_and_its_end_is_the_streams() {
    let (mut hub, to) = hub(&[]);
    let desk = format!("{to}/desk");
    let streamer = headless(&[&desk, "--user", "cleo", "--stream", "test?size=320x240&fps=10"]);
    hub.says("sends desk");
    let mut viewer = headless(&[&desk]);
    viewer.stats(|line| line["frames"].as_u64() > Some(2) && line["size"] == "320x240");
    headless(&[&desk, "--stream", "test"]).end().ended_with(4).saying("cleo streams desk already");
    let mut taking = headless(&[&desk, "--stream", "test", "--take-over"]);
    taking.says("nobody may take over where everybody could");
    taking.end().ended_with(4);
    streamer.signal(Signal::TERM);
    streamer.end().ended_with(0);
    viewer.says("is over");
    viewer.end().ended_with(0);
}

#[test]
fn who_was_put_out_is_told_so_and_does_not_call_again() {
    use std::io::Write;
    let (_hub, to) = hub(&[]);
    let desk = format!("{to}/desk");
    let mut streamer = headless(&[&desk, "--user", "cleo", "--stream", "test?size=320x240&fps=10"]);
    streamer.says("connected");
    let mut viewer = headless(&[&desk, "--user", "dan"]);
    streamer.says("dan is here");
    viewer.stats(|line| line["frames"].as_u64() > Some(0));
    writeln!(streamer.stdin(), "/kick dan").unwrap();
    let ended = viewer.end().ended_with(4).saying("cleo has put you out");
    assert!(!ended.text().contains("calling again"), "{}", ended.text());
}

#[test]
fn a_hub_that_comes_back_has_its_guests_again() {
    let (hub, to) = hub(&[]);
    let talk = format!("{to}/talk");
    let mut sending = send(&talk);
    let mut viewer = headless(&[&talk, "--user", "eve"]);
    viewer.says("eve is here");
    hub.signal(Signal::KILL);
    viewer.says("calling again");
    let _again = vstream(&["hub", "--listen", &to]);
    sending.says("connected");
    viewer.says("eve is here");
}

#[test]
fn what_cannot_be_is_told_at_once() {
    vstream(&["player", "--headless", "--rung", "7"]).end().ended_with(2).saying("a rung is auto, source, or a size");
    vstream(&["player", "--video", "a/b", "--headless"]).end().ended_with(2).saying("is not a stream's name");
    let (_hub, to) = hub(&[]);
    headless(&[&to, "--stream", "/nowhere.mp4"]).end().ended_with(3).saying("/nowhere.mp4");
    let mut send = vstream(&["send", "--listen", "tcp://127.0.0.1:0", "--from", "test"]);
    headless(&[&send.listening(), "--video", "film"]).end().ended_with(4).saying("there is no stream film here");
}

/// A hub with a small video of half a minute, ready to be watched, which moves all the time.
fn hub_with_film() -> Option<(Vstream, String, tempfile::TempDir)> {
    if !have("ffmpeg") {
        return None;
    }
    let films = tempfile::tempdir().unwrap();
    let film = films.path().join("film.mp4");
    let coder = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];
    let source = ["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=2:d=30"];
    common::output("ffmpeg", &[&source[..], &coder, &[film.to_str().unwrap()]].concat());
    let (hub, to) = hub(&["--rungs", "240p", "--prepare", "--library", films.path().to_str().unwrap()]);
    Some((hub, to, films))
}

#[test]
fn scripts_watch_videos() {
    let Some((_hub, to, _films)) = hub_with_film() else { return };
    let totals = headless(&[&to, "--video", "film", "--rung", "240p", "--frames", "2"]).end().ended_with(0).totals();
    assert_eq!((&totals["stream"], &totals["size"]), (&"film".into(), &"160x120".into()));
    headless(&[&to, "--video", "other"]).end().ended_with(4);
}

// In a window

fn tab(times: usize) {
    (0..times).for_each(|_| key("Tab"));
}

/// Whether there is a picture at a point of the screen: the test card's first bar is white.
fn white(x: usize, y: usize) -> bool {
    screenshot().at(x, y).iter().all(|&v| v > 200)
}

#[test]
fn by_keyboard_alone() {
    let (_hub, to) = hub(&["--rungs", "240p"]);
    let _send = send(&format!("{to}/talk"));
    let mut bob = headless(&[&format!("{to}/talk"), "--user", "bob"]);
    bob.says("bob is here");
    let Some(mut desk) = desk(&[]) else { return };
    desk.titled("vstream");
    desk.write(&to);
    key("Tab");
    desk.write("anna");
    keep("player-login");
    key("Return");
    desk.player.says("connected");
    // The first stream has the focus as soon as it is listed.
    let entered = || {
        key("Return");
        tool("xdotool", &["getwindowname", &desk.window.to_string()]).trim() == "talk - vstream"
    };
    keep("player-hall");
    until("the room", entered);
    bob.says("anna is here");
    assert_eq!(desk.remembered().trim(), format!(r#"{{"address":"{to}","user":"anna"}}"#));
    key("c");
    tool("xdotool", &["type", "hello from a window"]);
    key("Return");
    bob.says("anna: hello from a window");
    desk.player.says("anna: hello from a window");
    // After the chat come the rungs, once the hub has told them: auto, source, 240p.
    desk.player.stats(|line| line["viewers"].is_number());
    tab(3);
    key("Return");
    while desk.player.says("watching 240p").contains("auto") {}
    keep("player-room");
    let left = (3, screen::SIZE.1 / 2 - 200);
    assert!(!white(left.0, left.1), "the window does not fill the screen");
    key("f");
    until("full screen", || white(left.0, left.1));
    keep("player-full");
    key("Escape");
    until("the window again", || !white(left.0, left.1));
    key("Escape");
    bob.says("anna has left");
    desk.titled("vstream");
    key("ctrl+q");
    desk.player.says(r#""final":true"#);
}

#[test]
fn the_window_says_what_went_wrong_and_calls_again() {
    let (hub, to) = hub(&[]);
    let talk = format!("{to}/talk");
    let mut sending = send(&talk);
    let Some(mut desk) = desk(&[&talk, "--user", "dan"]) else { return };
    desk.titled("talk - vstream");
    desk.player.says("dan is here");
    hub.signal(Signal::KILL);
    desk.player.says("calling again");
    keep("player-called-again");
    let again = vstream(&["hub", "--listen", &to]);
    sending.says("connected");
    desk.player.says("dan is here");
    // Its sender ends: back to the list, which says why.
    sending.signal(Signal::TERM);
    desk.titled("vstream");
    keep("player-over");
    drop(again);
}

#[test]
fn the_window_streams() {
    let (mut hub, to) = hub(&[]);
    let Some(mut desk) = desk(&[&format!("{to}/desk"), "--user", "cleo", "--stream", "test?size=640x360&fps=15"])
    else {
        return;
    };
    hub.says("sends desk");
    desk.titled("desk - vstream");
    let mut viewer = headless(&[&format!("{to}/desk"), "--user", "vera"]);
    viewer.stats(|line| line["frames"].as_u64() > Some(3));
    desk.player.says("vera is here");
    keep("player-streams");
    key("Escape"); // it ends no stream: the button does
    let before = viewer.stats(|line| line["frames"].is_u64())["frames"].as_u64();
    viewer.stats(|line| line["frames"].as_u64() > before);
    key("Tab");
    key("Return");
    viewer.says("is over");
}

#[test]
fn a_video_rests_and_goes_on() {
    let Some((_hub, to, _films)) = hub_with_film() else { return };
    let Some(mut desk) = desk(&[&to, "--video", "film", "--user", "finn", "--rung", "source"]) else { return };
    desk.titled("film - vstream");
    desk.player.says("finn is here");
    until("a picture that moves", || desk.moves());
    key("space");
    until("a picture that rests", || !desk.moves());
    keep("player-video");
    // To another place, where it rests too. After the chat come the rungs (auto, 120p), the button and the bar.
    let before = desk.picture();
    desk.player.stats(|line| line["viewers"].is_number());
    key("c");
    tab(4);
    let sought = || {
        key("Right");
        desk.picture() != before
    };
    until("another place's picture", sought);
    until("a picture that rests there", || !desk.moves());
    keep("player-sought");
    assert!(desk.picture() != before, "it does not stay where it went");
    key("shift+Tab"); // the button
    key("space");
    until("a picture that moves again", || desk.moves());
}

#[test]
fn videos_are_listed_with_their_pictures() {
    let Some((_hub, to, _films)) = hub_with_film() else { return };
    let Some(mut desk) = desk(&[]) else { return };
    desk.titled("vstream");
    desk.write(&to);
    key("Return");
    desk.player.says("connected");
    // Nothing else there is as colourful as the test picture.
    let colourful = |[r, g, b]: &[u8; 3]| r.max(g).max(b) - r.min(g).min(b) > 180;
    let row = || screenshot().within(desk.window).pixels(30..101, 100..400);
    until("a picture", || row().iter().filter(|pixel| colourful(pixel)).count() > 200);
    keep("player-hall-videos");
    // It stays there for longer than a silent caller may, and Enter still opens the first.
    let now = desk.player.stats(|line| line["t"].is_number())["t"].as_f64();
    desk.player.stats(|line| line["t"].as_f64() > now.map(|now| now + 9.0));
    key("Return");
    desk.titled("film - vstream");
}

#[test]
fn a_video_plays_again_from_its_end() {
    let Some((_hub, to, _films)) = hub_with_film() else { return };
    let Some(mut desk) = desk(&[&to, "--video", "film", "--user", "finn", "--rung", "source"]) else { return };
    desk.titled("film - vstream");
    desk.player.says("finn is here");
    until("a picture that moves", || desk.moves());
    // Somewhere among what can have the focus is the bar.
    until("the end", || {
        key("Tab");
        key("End");
        !desk.moves()
    });
    keep("player-video-over");
    until("a picture that moves again", || {
        key("space"); // once, but where a slow machine looked as the end does
        desk.moves()
    });
}

#[test]
fn a_key_is_written_once_and_kept_nowhere() {
    const KEY: &str = "open sesame please";
    let (_hub, to) = hub(&["--key", KEY]);
    let Some(mut desk) = desk(&[]) else { return };
    desk.titled("vstream");
    desk.write(&to);
    tab(1);
    desk.write("anna");
    tab(1);
    desk.write(KEY);
    keep("player-key");
    key("Return");
    desk.player.says("connected");
    until("what is remembered", || desk.remembered().contains("anna"));
    assert!(!desk.remembered().contains("sesame"), "{}", desk.remembered());
}

#[test]
fn a_file_is_picked_and_streamed() {
    let Some((mut hub, to, films)) = hub_with_film() else { return };
    let Some(desk) = desk_in(films.path(), &[]) else { return };
    desk.titled("vstream");
    desk.write(&to);
    // After name, key and Join: what to do, then from where, and the list: up, the film.
    tab(4);
    key("Return");
    tab(2);
    key("Return");
    tab(3);
    key("Return");
    keep("player-file");
    tab(1);
    desk.write("picked");
    key("Return");
    hub.says("sends picked");
    let mut viewer = headless(&[&format!("{to}/picked")]);
    viewer.stats(|line| line["size"] == "160x120" && line["frames"].as_u64() > Some(0));
}
