//! Videos of a hub as its guests see them: in the making, broken, cut short, over.

mod browser;
mod common;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Vstream, command, have, output, vstream};
use vstream::roles::library::{Library, State};
use vstream::stop::Stop;

/// A video of two pictures a second, which moves all the time.
fn clip(path: &Path, seconds: u32) {
    let source = format!("testsrc2=s=360x270:r=2:d={seconds}");
    let coder = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];
    let source = ["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", &source];
    output("ffmpeg", &[&source[..], &coder, &[path.to_str().unwrap()]].concat());
}

/// A folder with a video, where there is ffmpeg.
fn films(seconds: u32) -> Option<tempfile::TempDir> {
    have("ffmpeg").then(|| {
        let films = tempfile::tempdir().unwrap();
        clip(&films.path().join("film.mp4"), seconds);
        films
    })
}

fn hub(films: &Path, args: &[&str]) -> (Vstream, String) {
    let films = films.to_str().unwrap();
    let fixed = ["hub", "--listen", "tcp://127.0.0.1:0", "--rungs", "240p", "--library", films];
    let mut hub = vstream(&[&fixed[..], args].concat());
    let to = hub.listening();
    (hub, to)
}

fn player(args: &[&str]) -> Vstream {
    let mut player = command(&[&["player", "--headless", "--stats", "json"], args].concat());
    player.stdin(std::process::Stdio::piped());
    common::start(player)
}

/// Holds the lock under which rungs of a video are made.
fn held(films: &Path) -> File {
    let made = films.join(".vstream/film");
    std::fs::create_dir_all(&made).unwrap();
    let lock = File::create(made.join(".lock")).unwrap();
    lock.lock().unwrap();
    lock
}

fn rung(films: &Path, height: u32) -> PathBuf {
    films.join(format!(".vstream/film/{height}p.mjpeg"))
}

#[test]
fn whoever_waits_for_what_is_no_video_is_told_why() {
    let Some(films) = films(2) else { return };
    let film = std::fs::read(films.path().join("film.mp4")).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(films.path().join(name), bytes).unwrap();
    write("cut.mp4", &film[..film.len() / 2]); // its index is at the end
    write("empty.mp4", b"");
    write("noise.mkv", &(0..9999u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>());
    write("text.avi", b"hello");
    let sound = films.path().join("sound.mp4");
    output("ffmpeg", &["-v", "error", "-f", "lavfi", "-i", "sine=d=1", sound.to_str().unwrap()]);
    let (mut hub, to) = hub(films.path(), &["--http", "127.0.0.1:0"]);
    let page = hub.says("serving http://");
    // Each is the first who asks for it.
    for (name, user) in [("cut", Some("anna")), ("empty", None), ("text", Some("bob"))] {
        let user = user.map_or(vec![], |user| vec!["--user", user]);
        let ended = player(&[&[&to, "--video", name], &user[..]].concat()).end();
        let ended = ended.ended_with(4).saying(&format!("{name} cannot be played: "));
        assert!(!ended.lines.join("\n").contains("it was stopped"), "{:?}", ended.lines);
    }
    let sound = format!("{to}/sound");
    vstream(&["recv", "--from", &sound]).end().ended_with(4).saying("sound cannot be played: ");
    vstream(&["recv", "--from", &sound]).end().ended_with(4).saying("sound cannot be played: ");
    let page = format!("{}#noise", page.split("serving ").nth(1).unwrap());
    let Some(mut browser) = browser::open(&page, 900, 700) else { return };
    browser.until("document.getElementById('refused').textContent.includes('noise cannot be played: ')");
    browser.until("!document.getElementById('hall').hidden");
}

#[test]
fn the_first_who_watches_is_told_how_far_it_is_and_what_plays() {
    let Some(films) = films(20) else { return };
    let lock = held(films.path());
    let (mut hub, to) = hub(films.path(), &["--http", "127.0.0.1:0"]);
    let page = hub.says("serving http://");
    let mut anna = player(&[&to, "--video", "film", "--user", "anna", "--rung", "source"]);
    anna.says("being made ready, 0 %");
    anna.stats(|line| line["viewers"].is_number() && line["rung"].is_null()); // nothing plays yet
    let page = format!("{}#film", page.split("serving ").nth(1).unwrap());
    let mut browser = browser::open(&page, 900, 700);
    if let Some(browser) = &mut browser {
        browser.until("document.getElementById('notice').textContent === 'being made ready: 0 %'");
    }
    drop(lock);
    // Whatever is there first, in the end it is what was asked for.
    anna.stats(|line| line["rung"] == "270p" && line["size"] == "360x270");
    let mut bob = player(&[&to, "--video", "film", "--user", "bob", "--rung", "480p"]);
    bob.says("watching 270p: there is no 480p of it");
    bob.stats(|line| line["rung"] == "270p" && line["size"] == "360x270");
    if let Some(browser) = &mut browser {
        browser.until("document.documentElement.dataset.frames > 0");
        browser.until("document.getElementById('notice').hidden");
    }
}

#[test]
fn a_rung_that_is_cut_short_is_left_with_a_word() {
    let Some(films) = films(20) else { return };
    let (_hub, to) = hub(films.path(), &["--prepare"]);
    let mut anna = player(&[&to, "--video", "film", "--user", "anna", "--rung", "source"]);
    anna.stats(|line| line["rung"] == "270p" && line["size"] == "360x270");
    File::options().write(true).open(rung(films.path(), 270)).unwrap().set_len(2000).unwrap();
    anna.says("watching 240p: there is no 270p of it");
    anna.stats(|line| line["rung"] == "240p" && line["size"] == "320x240");
}

#[test]
fn a_script_ends_with_the_video() {
    let Some(films) = films(2) else { return };
    let (_hub, to) = hub(films.path(), &["--prepare"]);
    let ended = player(&[&to, "--video", "film", "--user", "anna"]).end();
    ended.ended_with(0).saying("the video is over");
}

#[test]
fn a_killed_hub_takes_nobodys_place_in_a_video() {
    use std::io::Write;
    let Some(films) = films(40) else { return };
    let (first, to) = hub(films.path(), &["--prepare"]);
    let mut anna = player(&[&to, "--video", "film", "--user", "anna"]);
    anna.stats(|line| line["size"].is_string());
    let mut stdin = anna.stdin();
    stdin.write_all(b"/pause\n/seek 38\n").unwrap();
    (0..2).for_each(|_| _ = anna.stats(|_| true)); // the hub says twice a second where that is
    first.signal(rustix::process::Signal::KILL);
    drop(first);
    anna.says("calling again");
    let again = ["hub", "--listen", &to, "--rungs", "240p", "--library", films.path().to_str().unwrap()];
    let _second = vstream(&again);
    anna.says("connected");
    (0..4).for_each(|_| _ = anna.stats(|_| true)); // it would be over if it did not stand still
    let begun = std::time::Instant::now();
    stdin.write_all(b"/play\n").unwrap();
    anna.says("the video is over");
    assert!(begun.elapsed() < Duration::from_secs(20), "it began again");
}

#[test]
fn what_is_named_wrongly_is_told_with_what_there_is() {
    let Some(films) = films(2) else { return };
    let (_hub, to) = hub(films.path(), &[]);
    let streams = ["desk", "talk"].map(|name| format!("{to}/{name}"));
    let both = format!("{to}/desk");
    player(&[&both, "--video", "film"]).end().ended_with(2).saying("the address names desk and --video names film");
    player(&[&to, "--video", "nope"]).end().ended_with(4).saying("there is no stream nope: there is film");
    let _sends = streams.map(|stream| {
        let mut send = vstream(&["send", "--from", "test?size=160x120&fps=5", "--to", &stream]);
        send.says("connected");
        send
    });
    player(&[&to]).end().ended_with(4).saying("name one of several, as HUB/NAME: there is desk, film, talk");
}

#[test]
fn preparing_that_is_told_to_stop_serves_nobody() {
    let Some(films) = films(2) else { return };
    std::fs::write(films.path().join("text.avi"), "hello").unwrap();
    let _lock = held(films.path());
    let fixed = ["hub", "--listen", "tcp://127.0.0.1:0", "--prepare", "--duration", "1s", "--library"];
    let ended = vstream(&[&fixed[..], &[films.path().to_str().unwrap()]].concat()).end();
    let lines = ended.lines.join("\n");
    ended.ended_with(0).saying("the next start goes on with that");
    assert!(!lines.contains("listening on") && !lines.contains("are served"), "{lines}");
}

#[test]
fn what_is_taken_away_is_made_again() {
    let Some(films) = films(2) else { return };
    let library = Library::open(films.path(), &[240], &Stop::default()).unwrap();
    let until = |what: &str, wanted: &dyn Fn(&State, usize) -> bool| {
        let late = std::time::Instant::now() + common::LIMIT;
        let entry = || library.list().remove(0);
        while !wanted(&entry().state, entry().rungs.len()) {
            assert!(std::time::Instant::now() < late, "{what}: it stays {:?}", entry());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    // While it is being made ...
    let lock = held(films.path());
    let playing = library.play("film").unwrap();
    assert_eq!(library.list()[0].state, State::Preparing(0.0));
    std::fs::remove_dir_all(films.path().join(".vstream")).unwrap();
    drop(lock);
    until("after the first time", &|state, rungs| *state == State::Ready && rungs == 2);
    drop(playing);
    // ... and when nobody looks.
    std::fs::remove_dir_all(films.path().join(".vstream")).unwrap();
    until("taken away", &|state, rungs| *state == State::Waiting && rungs == 0);
    let _playing = library.play("film").unwrap();
    until("after the second time", &|state, rungs| *state == State::Ready && rungs == 2);
}
