//! The window as a user meets it: on a virtual screen, with keys pressed and the screen's pixels compared.
//!
//! Needs Xvfb, xdotool and ImageMagick's `import`. Without the usual harness, as SDL wants the main thread: this
//! program starts a virtual screen and then itself once for each test, with that screen as its display.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use vstream::clock::now;
use vstream::codec::encode::encode;
use vstream::codec::jpeg::segments;
use vstream::devices::window::{End, Feed, feed, run};
use vstream::fault::Fault;
use vstream::frame::Frame;
use vstream::picture::Picture;
use vstream::segments::Coded;
use vstream::stop::Stop;

use crate::screen::{eventually, keep, key, screenshot, tool, until, window};

mod screen;

/// Names the test that this process is started for.
const CHOSEN: &str = "VSTREAM_WINDOW_TEST";

/// Longer than all that the script of one test waits for: SDL that hangs is a failure too.
const HUNG: Duration = Duration::from_secs(120);

const TESTS: [(&str, fn()); 8] = [
    ("colours_and_letterbox", || play(colours_script)),
    ("colours_by_software", || play(colours_script)),
    ("rows_that_changed", || play(rows_script)),
    ("keys", || play(keys_script)),
    ("full_screen", full_screen),
    ("idle_window_uses_no_processor", || play(idle_script)),
    ("stop_closes_the_window", stop_closes_the_window),
    ("no_display_is_a_clear_error", no_display_is_a_clear_error),
];

fn main() {
    if let Ok(chosen) = std::env::var(CHOSEN) {
        std::thread::spawn(|| {
            std::thread::sleep(HUNG);
            eprintln!("the test hangs");
            std::process::exit(101);
        });
        let (_, test) = TESTS.iter().find(|(name, _)| *name == chosen).expect("a test of this file");
        return test();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "--list") {
        return TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
    }
    let missing: Vec<&str> = ["Xvfb", "xdotool", "import", "xprop"].into_iter().filter(|tool| !found(tool)).collect();
    if !missing.is_empty() {
        eprintln!(
            "skipped: the window's tests need {} (packages xvfb, xdotool, imagemagick, x11-utils)",
            missing.join(", ")
        );
        std::process::exit(i32::from(std::env::var("CI").is_ok_and(|ci| ci == "true")));
    }
    let filter = arguments.iter().find(|a| !a.starts_with('-'));
    let chosen: Vec<_> = TESTS.iter().filter(|(name, _)| filter.is_none_or(|f| name.contains(f.as_str()))).collect();
    println!("\nrunning {} tests", chosen.len());
    let results: Vec<String> = chosen.iter().map(|(name, _)| result(name)).collect();
    let count = |what: &str| results.iter().filter(|r| r.starts_with(what)).count();
    let (passed, failed, skipped) = (count("ok"), count("FAILED"), count("skipped"));
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {word}. {passed} passed; {failed} failed; {skipped} skipped\n");
    std::process::exit(i32::from(failed > 0) * 101);
}

fn found(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// Runs one test in a process, a folder and a screen of its own; tells `ok`, `FAILED` or `skipped` and why.
fn result(name: &str) -> String {
    let (mut xvfb, display) = screen::start();
    let folder = tempfile::tempdir().expect("a folder for snapshots");
    let program = std::env::current_exe().expect("the path of this test");
    let mut child = Command::new(program);
    child.current_dir(folder.path()).env(CHOSEN, name).env_remove("WAYLAND_DISPLAY").env_remove("SDL_VIDEODRIVER");
    if name == "no_display_is_a_clear_error" {
        child.env_remove("DISPLAY");
    } else {
        child.env("DISPLAY", display);
    }
    if name == "colours_by_software" {
        child.env("SDL_RENDER_DRIVER", "software");
    }
    let output = child.output().expect("this test starts again");
    let _ = xvfb.kill().and_then(|()| xvfb.wait());
    let said = String::from_utf8_lossy(&output.stdout);
    let skipped = said.lines().find(|line| line.starts_with("skipped"));
    let result = if output.status.success() { skipped.unwrap_or("ok") } else { "FAILED" };
    println!("test {name} ... {result}");
    if result == "FAILED" {
        println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    }
    result.to_string()
}

// The tests

/// Runs a window on the main thread while a script acts as its feed and its user, and ends it with `q`.
fn play(script: fn(&Feed)) {
    act(move |feed| {
        script(feed);
        key("q");
    });
}

fn act(script: impl FnOnce(&Feed) + Send + 'static) {
    let ((feed, screen), stop) = (feed(), Stop::default());
    let ended = Ended(stop.clone());
    let user = std::thread::spawn(move || {
        let _ended = ended; // a script that fails closes the window
        script(&feed);
        until("the window is gone", || feed.is_closed());
    });
    let end = run("live", screen, &stop).expect("a window");
    user.join().expect("the script went well");
    assert_eq!((end, stop.said()), (End::Quit, true));
}

struct Ended(Stop);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.say();
    }
}

/// The upper half, then the lower one, then nothing: of each frame only the rows that changed are uploaded.
fn rows_script(feed: &Feed) {
    let window = window();
    let whole = patches(640, 360);
    let mut upper = whole.clone();
    upper.planes_mut()[0][640 * 180..].fill(16);
    let mut before: Option<Coded> = None;
    for (seq, picture) in [(0, &upper), (1, &whole), (2, &whole)] {
        let coded = segments(encode(picture, 80).expect("a JPEG"), seq).expect("our own");
        let coded = before.map_or(coded.clone(), |before| coded.after(&before));
        let changed = coded.versions.iter().filter(|&&version| version == seq).count();
        assert_eq!(changed, [115, 60, 0][seq as usize], "of 115 tiles, five in a row");
        let frame = Frame { epoch: 1, seq, captured: now(), error: Duration::ZERO, coded: coded.clone() };
        feed.show(Arc::new(picture.clone()), frame);
        until("the frame on the screen", || feed.lag().is_some());
        before = Some(coded);
    }
    compare(window, (640, 360), (640, 360), (0, 0, 640, 360));
}

fn colours_script(feed: &Feed) {
    feed.waiting("waiting for tcp://192.168.178.123:9000/live");
    let window = window();
    until("the text before the first picture", || {
        screenshot().bright(screen::SIZE.0 / 2, screen::SIZE.1 / 2, 300, 20) > 500
    });
    keep("waiting");
    show(feed, 0, &patches(640, 360));
    let title = || tool("xdotool", &["getwindowname", &window.to_string()]);
    until("the title", || title().trim() == "live 640x360 - vstream");
    compare(window, (640, 360), (640, 360), (0, 0, 640, 360));
    for (size, (x, y, w, h)) in [((701, 523), (0, 64, 701, 394)), ((900, 301), (182, 0, 535, 301))] {
        let [id, w_text, h_text] = [window as usize, size.0, size.1].map(|n| n.to_string());
        tool("xdotool", &["windowsize", "--sync", &id, &w_text, &h_text]);
        compare(window, (640, 360), size, (x, y, w, h));
    }
    keep("letterbox");
    // Another size in mid stream, an odd one: the window keeps its own.
    show(feed, 1, &patches(333, 211));
    compare(window, (333, 211), (900, 301), (213, 0, 475, 301));
    assert!(feed.lag().is_some_and(|lag| lag < Duration::from_secs(20)));
}

fn keys_script(feed: &Feed) {
    let window = window();
    let first = show(feed, 0, &patches(1280, 720));
    compare(window, (1280, 720), (1152, 648), (0, 0, 1152, 648)); // 90 % of the screen
    let shot = || screenshot().within(window);
    let plain = shot();
    let stats = || shot().bright(200, 20, 200, 30);
    feed.status(vec!["from tcp://192.168.178.123:9000/live".into(), "8.1 Mbit/s  rtt 1.2 ms  lost 0".into()]);
    assert!(shot().at(1, 40) == plain.at(1, 40), "no overlay before it is asked for");
    key("s");
    until("the stats overlay", || shot().at(200, 8) != plain.at(200, 8) && stats() > 300);
    keep("stats");
    key("s");
    until("no stats overlay", || shot().at(200, 8) == plain.at(200, 8));

    key("space");
    let frozen = || shot().bright(576, 620, 300, 25) > 200;
    until("the word FROZEN", frozen);
    let white =
        Picture::from_planes(1280, 720, [vec![255; 1280 * 720], vec![128; 1280 * 360]].concat()).expect("white");
    show(feed, 1, &white);
    key("p");
    until("the snapshot", || snapshot().is_some_and(|jpeg| jpeg == first));
    assert_eq!(shot().at(1000, 100), plain.at(1000, 100), "the picture stands");
    keep("frozen");
    key("space");
    until("the newest picture", || shot().at(1000, 100) == [255; 3]);
}

/// It is the window manager that makes a window full; without one this is skipped.
fn full_screen() {
    let Some(mut manager) = screen::manager() else {
        let wanted = screen::MANAGERS.join(", ");
        assert!(std::env::var_os("CI").is_none(), "CI must have a window manager, one of {wanted}");
        return println!("skipped: needs a window manager, one of {wanted}");
    };
    act(|feed| {
        let window = window();
        show(feed, 0, &patches(640, 360));
        compare(window, (640, 360), (640, 360), (0, 0, 640, 360));
        key("f");
        compare(window, (640, 360), screen::SIZE, (0, 152, 1280, 720));
        keep("full");
        key("f");
        compare(window, (640, 360), (640, 360), (0, 0, 640, 360));
        key("q");
    });
    let _ = manager.kill().and_then(|()| manager.wait());
}

fn idle_script(feed: &Feed) {
    let window = window();
    show(feed, 0, &patches(640, 360));
    until("the text of a stream that rests", || screenshot().within(window).bright(320, 340, 150, 15) > 50);
    keep("stale");
    let begun = (Instant::now(), processor_time());
    std::thread::sleep(Duration::from_secs(3)); // the time that is measured
    let used = (processor_time() - begun.1).as_secs_f64() / begun.0.elapsed().as_secs_f64();
    println!("an idle window uses {:.2} % of a processor", used * 100.0);
    assert!(used < 0.03, "{used}");
}

fn stop_closes_the_window() {
    for _ in 0..2 {
        let ((feed, screen), stop) = (feed(), Stop::default());
        let said = stop.clone();
        let other = std::thread::spawn(move || {
            window();
            said.say();
            let said_at = Instant::now();
            until("the window is gone", || feed.is_closed());
            assert!(said_at.elapsed() < Duration::from_secs(2));
        });
        assert_eq!(run("live", screen, &stop).expect("a window"), End::Stopped);
        other.join().expect("stopped in time");
    }
}

fn no_display_is_a_clear_error() {
    let (_feed, screen) = feed();
    let error = run("live", screen, &Stop::default()).expect_err("no window without a display");
    let fault = error.downcast_ref::<Fault>().expect("a fault");
    assert!(fault.to_string().starts_with("could not open a window: "), "{fault}");
    assert!(fault.kind == vstream::fault::Kind::Device && fault.hint.as_ref().is_some_and(|h| h.contains("--save")));
}

// What a script does and sees

const PATCHES: [u32; 8] = [0xFFFFFF, 0xBFBF00, 0x00BFBF, 0x00BF00, 0xBF00BF, 0xBF0000, 0x0000BF, 0x404040];

fn rgb(patch: usize) -> [u8; 3] {
    let [_, r, g, b] = PATCHES[patch].to_be_bytes();
    [r, g, b]
}

/// Four by two patches of colour.
fn patches(width: usize, height: usize) -> Picture {
    let mut picture = Picture::new(width, height);
    let (chroma_width, chroma_height) = picture.chroma();
    let sizes = [(width, height), (chroma_width, chroma_height), (chroma_width, chroma_height)];
    for (i, (plane, (w, h))) in picture.planes_mut().into_iter().zip(sizes).enumerate() {
        for (at, sample) in plane.iter_mut().enumerate() {
            let [r, g, b] = rgb(at / w * 2 / h * 4 + at % w * 4 / w).map(f64::from);
            let y = 0.299 * r + 0.587 * g + 0.114 * b;
            *sample = [y, 128.0 + (b - y) / 1.772, 128.0 + (r - y) / 1.402][i].round() as u8;
        }
    }
    picture
}

fn show(feed: &Feed, seq: u64, picture: &Picture) -> Bytes {
    let jpeg = encode(picture, 80).expect("a JPEG");
    let frame = Frame { epoch: 1, seq, captured: now(), error: Duration::ZERO, coded: Coded::whole(jpeg.clone(), seq) };
    feed.show(Arc::new(picture.clone()), frame);
    jpeg
}

/// Waits until the window has this size and the patches stand in the rectangle, with black around it.
fn compare(window: u64, picture: (usize, usize), size: (usize, usize), (x, y, w, h): (usize, usize, usize, usize)) {
    let mut wrong = String::new();
    let matches = || {
        let shot = screenshot().within(window);
        wrong = format!("{picture:?} in {size:?}: the window is {}x{}", shot.width, shot.height);
        if (shot.width, shot.height) != size {
            return false;
        }
        let centre = |i: usize| (x + w * (i % 4 * 2 + 1) / 8, y + h * (i / 4 * 2 + 1) / 4);
        let mut all: Vec<_> = (0..PATCHES.len()).map(|i| (centre(i), rgb(i))).collect();
        let beside = [(x / 2, size.1 / 2, x > 2), (size.0 - 1 - x / 2, size.1 / 2, x > 2), (size.0 / 2, y / 2, y > 2)];
        all.extend(beside.iter().filter(|b| b.2).map(|b| ((b.0, b.1), [0; 3])));
        let off = |(at, rgb): &&((usize, usize), [u8; 3])| (0..3).any(|i| shot.at(at.0, at.1)[i].abs_diff(rgb[i]) > 6);
        if let Some((at, rgb)) = all.iter().find(off) {
            wrong = format!("{picture:?} in {size:?}: {:?} at {at:?}, not {rgb:?}", shot.at(at.0, at.1));
            return false;
        }
        true
    };
    if !eventually(matches) {
        panic!("{wrong}");
    }
}

fn snapshot() -> Option<Vec<u8>> {
    let files = std::fs::read_dir(".").ok()?;
    let name = files.flatten().map(|f| f.file_name().to_string_lossy().into_owned()).find(|n| n.ends_with(".jpg"))?;
    assert!(name.starts_with("vstream-20") && name.len() == "vstream-YYYYMMDD-HHMMSS-mmm.jpg".len(), "{name}");
    std::fs::read(name).ok()
}

fn processor_time() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}
