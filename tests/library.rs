//! A folder of films as a hub has it: its rungs, their files, and viewers in them. The films are made here by ffmpeg.

mod common;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{LIMIT, have, output, probed};
use smol::future::or;
use vstream::codec;
use vstream::frame::Frame;
use vstream::roles::library::{Library, Playback, State};
use vstream::segments::Form;
use vstream::stop::Stop;

/// A second of a picture of 640x360 of which a part moves, at 25 a second.
fn film(path: &Path) {
    clip(path, "testsrc2=s=640x360:r=25:d=1");
}

fn clip(path: &Path, source: &str) {
    let path = path.to_str().unwrap();
    let coder = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];
    output("ffmpeg", &[&["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source], &coder[..], &[path]].concat());
}

fn open(dir: &Path) -> Library {
    Library::open(dir, &[120, 240, 480], &Stop::default()).unwrap()
}

fn heights(library: &Library, nth: usize) -> Vec<u32> {
    library.list()[nth].rungs.iter().map(|rung| rung.height).collect()
}

/// A hub's tasks may move from thread to thread.
fn within<T>(doing: impl Future<Output = T> + Send) -> T {
    let limit = async {
        smol::Timer::after(LIMIT).await;
        panic!("nothing came within {LIMIT:?}");
    };
    smol::block_on(or(doing, limit))
}

fn next(playback: &mut Playback) -> Option<Frame> {
    within(playback.next())
}

fn size(frame: &Frame) -> (usize, usize) {
    codec::size(&frame.coded.head, &frame.coded.bytes).unwrap()
}

/// Waits until a library says so.
fn until(library: &Library, wanted: impl Fn(&State) -> bool) {
    let started = Instant::now();
    while !wanted(&library.list()[0].state) {
        assert!(started.elapsed() < LIMIT, "it stays {:?}", library.list()[0].state);
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn file(dir: &Path, name: &str) -> PathBuf {
    dir.join(".vstream/a").join(name)
}

#[test]
fn a_film_becomes_rungs_that_any_tool_reads() {
    if !have("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    film(&dir.path().join("a.mp4"));
    let library = open(dir.path());
    assert_eq!((library.list()[0].state.clone(), library.list()[0].seconds), (State::Waiting, None));
    assert!(library.poster("a").is_none());
    library.prepare().unwrap();
    let entry = library.list().remove(0);
    assert_eq!((entry.state, entry.seconds), (State::Ready, Some(1.0)));
    let sizes: Vec<_> = entry.rungs.iter().map(|rung| (rung.height, rung.size)).collect();
    assert_eq!(sizes, [(120, (214, 120)), (240, (426, 240)), (360, (640, 360))]);
    assert!(entry.rungs.is_sorted_by(|a, b| a.bitrate < b.bitrate));
    for height in [120, 240, 360] {
        assert_eq!(probed(&file(dir.path(), &format!("{height}p.mjpeg"))), 25);
    }
    let poster = vstream::codec::decode::decode(&library.poster("a").unwrap()).unwrap();
    assert_eq!((poster.width(), poster.height()), (214, 120));
    let left: Vec<_> = std::fs::read_dir(file(dir.path(), "")).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_str().unwrap().ends_with("part")), "{left:?}");
}

#[test]
fn a_viewer_gets_each_frame_and_only_what_changed() {
    if !have("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    film(&dir.path().join("a.mp4"));
    let library = open(dir.path());
    library.prepare().unwrap();
    let mut playback = library.play("a").unwrap();
    playback.choose(1080);
    let mut frames: Vec<Frame> = std::iter::from_fn(|| next(&mut playback)).collect();
    // A busy machine is late, and then gets the newest only.
    assert!((1..=25).contains(&frames.len()), "{} frames", frames.len());
    assert!(frames.is_sorted_by(|a, b| a.captured <= b.captured));
    assert_eq!((playback.at().seconds, playback.at().duration), (1.0, 1.0));

    // Back from the end, picture by picture.
    playback.pause(true);
    for nth in 0..25 {
        playback.seek(f64::from(nth) / 25.0);
        frames.push(next(&mut playback).unwrap());
    }
    assert!(frames.iter().zip(0..).all(|(frame, nth)| frame.seq == nth && frame.epoch == frames[0].epoch));
    assert_eq!((size(&frames[0]), frames[0].coded.head.form), ((640, 360), Form::Tiles));
    let all = frames[0].coded.head.count;
    let fewer = frames.windows(2).filter(|two| (1..all).contains(&two[1].lacking(Some(&two[0])).len())).count();
    assert!(fewer >= 24, "{fewer} of {} have fewer than all {all} tiles", frames.len());

    // To another rung at a whole picture.
    playback.seek(0.5);
    frames.push(next(&mut playback).unwrap());
    assert_eq!((playback.at().seconds, playback.at().paused), (0.5, true));
    playback.choose(240);
    frames.push(next(&mut playback).unwrap());
    let [.., before, after] = &frames[..] else { unreachable!("two were pushed") };
    assert_eq!((size(before), size(after), playback.height()), ((640, 360), (426, 240), Some(240)));
    assert!(after.epoch != before.epoch && after.seq == before.seq + 1);
    assert_eq!(after.lacking(Some(before)).len(), after.coded.head.count);
    assert!(library.play("b").err().unwrap().to_string().contains("no video b"));
}

#[test]
fn what_is_played_is_made_first() {
    if !have("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    film(&dir.path().join("a.mp4"));
    let library = open(dir.path());
    let mut playback = library.play("a").unwrap();
    playback.choose(120);
    let first = next(&mut playback).unwrap();
    assert_eq!(size(&first), (214, 120));
    until(&library, |state| *state == State::Ready);
    assert_eq!(heights(&library, 0), [120, 240, 360]);
    playback.choose(360);
    playback.seek(0.0);
    assert_eq!(size(&next(&mut playback).unwrap()), (640, 360));
}

#[test]
fn how_long_a_video_is_is_told_before_it_is_made() {
    if !have("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    film(&dir.path().join("a.mp4"));
    std::fs::write(dir.path().join("b.mp4"), "no film").unwrap();
    let library = open(dir.path());
    let started = Instant::now();
    while library.list()[0].seconds.is_none() {
        assert!(started.elapsed() < LIMIT, "nobody tells how long it is");
        std::thread::sleep(Duration::from_millis(10));
    }
    let [film, other] = library.list().try_into().unwrap();
    assert_eq!((film.seconds, film.rungs.len(), film.state), (Some(1.0), 0, State::Waiting));
    assert_eq!((other.seconds, other.state), (None, State::Waiting), "that it is none is told when it is played");
    assert!(!dir.path().join(".vstream").exists(), "nothing is written for that");
}

#[test]
fn rungs_that_are_there_are_kept_and_stale_ones_made_anew() {
    if !have("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    film(&dir.path().join("a.mp4"));
    open(dir.path()).prepare().unwrap();
    let made = || std::fs::metadata(file(dir.path(), "240p.mjpeg")).unwrap().modified().unwrap();
    let before = made();
    open(dir.path()).prepare().unwrap();
    assert_eq!(made(), before);
    assert_eq!(open(dir.path()).list()[0].state, State::Ready);
    clip(&dir.path().join("a.mp4"), "testsrc2=s=320x180:r=10:d=3");
    let library = open(dir.path());
    assert_eq!((library.list()[0].state.clone(), heights(&library, 0)), (State::Waiting, vec![]));
    library.prepare().unwrap();
    assert_eq!((heights(&library, 0), library.list()[0].seconds), (vec![120, 180], Some(3.0)));
    assert!(!file(dir.path(), "360p.mjpeg").exists(), "what the new film has not is gone");
}

#[test]
fn a_rung_broken_off_goes_on_where_it_was() {
    if !have("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    film(&dir.path().join("a.mp4"));
    open(dir.path()).prepare().unwrap();
    let [jpegs, index] = ["360p.mjpeg", "360p.index"].map(|name| file(dir.path(), name));
    let (whole, said) = (std::fs::read(&jpegs).unwrap(), std::fs::read(&index).unwrap());
    // As the power went: 15 frames in the index, of which the JPEGs end within the eleventh.
    std::fs::remove_file(&jpegs).unwrap();
    std::fs::remove_file(&index).unwrap();
    let begun = said.len() - 8 - 10 * 16;
    let cut = whole.len() * 11 / 25;
    std::fs::write(index.with_extension("index.part"), &said[..begun]).unwrap();
    std::fs::write(jpegs.with_extension("mjpeg.part"), &whole[..cut]).unwrap();
    let library = open(dir.path());
    assert_eq!((library.list()[0].state.clone(), heights(&library, 0)), (State::Waiting, vec![120, 240]));
    library.prepare().unwrap();
    assert_eq!((heights(&library, 0), probed(&jpegs)), (vec![120, 240, 360], 25));
    let again = std::fs::read(&jpegs).unwrap();
    assert_eq!(again[..cut / 2], whole[..cut / 2]);
    // Coded anew it would be the same bytes: going on begins with a whole picture, which is others.
    assert_ne!(again, whole);
}

#[test]
fn files_by_the_names_of_rungs_are_one_video() {
    if !have("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    clip(&dir.path().join("a_180p.mp4"), "testsrc2=s=320x180:r=25:d=1");
    film(&dir.path().join("a_360p.mp4"));
    clip(&dir.path().join("a_720p.mp4"), "testsrc2=s=640x360:r=25:d=1");
    let library = open(dir.path());
    library.prepare().unwrap();
    let sizes: Vec<_> = library.list()[0].rungs.iter().map(|rung| (rung.height, rung.size)).collect();
    assert_eq!((library.list().len(), sizes), (1, vec![(180, (320, 180)), (360, (640, 360)), (720, (640, 360))]));
}

#[test]
fn what_is_no_film_says_why_and_the_others_are_made() {
    if !have("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.mp4"), "It was a dark and stormy night.\n").unwrap();
    film(&dir.path().join("b.mp4"));
    let library = open(dir.path());
    let told = library.prepare().unwrap_err().to_string();
    assert_eq!(told, "1 of 2 videos could not be prepared: the others are served");
    let State::Failed(why) = &library.list()[0].state else { panic!("{:?}", library.list()[0].state) };
    assert!(why.contains("a.mp4: ") && !why.contains(dir.path().to_str().unwrap()), "{why}");
    assert_eq!(library.list()[1].state, State::Ready);
    assert!(library.play("a").err().unwrap().to_string().contains("cannot be played"));

    // Whoever plays it before anybody knows is told too.
    let library = open(dir.path());
    let mut playback = library.play("a").unwrap();
    assert!(next(&mut playback).is_none() && playback.trouble().is_some());

    // Lists find out by themselves.
    let library = open(dir.path());
    until(&library, |state| matches!(state, State::Failed(_)));
    assert!(library.play("a").err().unwrap().to_string().contains("cannot be played"));
}

#[test]
fn a_file_that_shrinks_under_a_viewer_ends_no_program() {
    if !have("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    film(&dir.path().join("a.mp4"));
    let library = open(dir.path());
    library.prepare().unwrap();
    let mut playback = library.play("a").unwrap();
    playback.choose(360);
    assert_eq!(size(&next(&mut playback).unwrap()), (640, 360));
    let rung = std::fs::File::options().write(true).open(file(dir.path(), "360p.mjpeg")).unwrap();
    rung.set_len(5000).unwrap();
    playback.pause(true);
    playback.seek(0.9);
    assert_eq!(size(&next(&mut playback).unwrap()), (426, 240));
    assert_eq!(library.list()[0].state, State::Waiting);
    let _again = library.play("a").unwrap();
    until(&library, |state| *state == State::Ready);
    assert_eq!(heights(&library, 0), [120, 240, 360]);
}

#[test]
fn two_hubs_on_one_folder_do_the_work_once() {
    if !have("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    film(&dir.path().join("a.mp4"));
    let libraries = [(); 2].map(|()| open(dir.path()));
    std::thread::scope(|scope| {
        for library in &libraries {
            scope.spawn(|| library.prepare().unwrap());
        }
    });
    for library in &libraries {
        assert_eq!((library.list()[0].state.clone(), heights(library, 0)), (State::Ready, vec![120, 240, 360]));
    }
    assert_eq!(probed(&file(dir.path(), "360p.mjpeg")), 25);
}

#[test]
fn a_strangers_folder_is_made_anew_and_nothing_is_written_elsewhere() {
    if !have("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    film(&dir.path().join("a.mp4"));
    open(dir.path()).prepare().unwrap();
    // JPEGs that are none, an index of nonsense, and a link to what is somebody's.
    let length = std::fs::metadata(file(dir.path(), "120p.mjpeg")).unwrap().len();
    std::fs::write(file(dir.path(), "120p.mjpeg"), vec![b'x'; length as usize]).unwrap();
    std::fs::write(file(dir.path(), "240p.index"), "vstreamI and so on, and so on, and so on").unwrap();
    std::fs::write(file(dir.path(), "99999999999p.index"), "").unwrap();
    let precious = dir.path().join("precious.txt");
    std::fs::write(&precious, "precious").unwrap();
    std::os::unix::fs::symlink(&precious, file(dir.path(), "240p.mjpeg.part")).unwrap();
    let library = open(dir.path());
    assert!(!heights(&library, 0).contains(&240));
    let mut playback = library.play("a").unwrap();
    next(&mut playback).unwrap();
    until(&library, |state| *state == State::Ready);
    assert_eq!(heights(&library, 0), [120, 240, 360]);
    assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
    for height in [120, 240] {
        assert_eq!(probed(&file(dir.path(), &format!("{height}p.mjpeg"))), 25);
    }
}

/// Where the small disk is, for the process that has one.
const DISK: &str = "VSTREAM_SMALL_DISK";

#[test]
fn a_disk_that_fills_keeps_the_low_rungs() {
    if let Some(disk) = std::env::var_os(DISK) {
        return on_small_disk(Path::new(&disk));
    }
    if !have("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    film(&dir.path().join("a.mp4"));
    let Some(mut command) = common::disk::on_small_disk(&disk, &std::env::current_exe().unwrap()) else { return };
    command.args(["--exact", "a_disk_that_fills_keeps_the_low_rungs", "--nocapture"]).env(DISK, &disk);
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()));
    assert_eq!(probed(&dir.path().join("disk.kept/.vstream/a/120p.mjpeg")), 25);
    let left = std::fs::read_dir(dir.path().join("disk.kept/.vstream/a")).unwrap();
    let mut left: Vec<_> = left.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, [".lock", "120p.index", "120p.mjpeg", "poster.jpg"]);
}

fn on_small_disk(disk: &Path) {
    std::fs::copy(disk.with_file_name("a.mp4"), disk.join("a.mp4")).unwrap();
    let library = open(disk);
    assert_eq!(library.prepare().unwrap_err().to_string(), "1 of 1 videos are served without some of their rungs");
    let State::Failed(why) = &library.list()[0].state else { panic!("{:?}", library.list()[0].state) };
    assert!(why.starts_with("left out at 360p, 240p: could not write to "), "{why}");
    assert!(why.contains(": no space left on device"), "{why}");
    assert_eq!(heights(&library, 0), [120]);
    assert!(library.play("a").is_ok(), "what is there can be played");
}
