//! What `recv` writes, read by others; full disks and closed pipes.

mod common;

use std::fs;
use std::io::Read;
use std::process::Stdio;

use common::disk::with_small_disk;
use common::folder::text;
use common::{have, output, probed, vstream};

const SMALL: &str = "test?size=162x122&fps=60";

#[test]
fn others_read_every_recording_and_find_every_frame() {
    if !have("ffprobe") || !have("ffmpeg") || !have("djpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let files = ["a.mjpeg", "a.avi", "a.y4m"].map(path);
    let frames = path("frames");
    let mut args = vec!["recv", "--listen", "tcp://127.0.0.1:0", "--save", text(&frames)];
    files.iter().for_each(|f| args.extend(["--output", text(f)]));
    let mut recv = vstream(&args);
    let to = recv.listening();
    vstream(&["send", "--from", SMALL, "--to", &to, "--frames", "40", "--every-frame"]).end().ended_with(0);
    recv.end().ended_with(0);
    for file in &files {
        assert_eq!(probed(file), 40, "{}", file.display());
    }
    // The folder makes the video again, and djpeg opens each picture.
    let pattern = frames.join("frame_%06d.jpg");
    let again = path("again.y4m");
    output("ffmpeg", &["-nostdin", "-v", "error", "-i", text(&pattern), "-pix_fmt", "yuvj420p", text(&again)]);
    assert_eq!(probed(&again), 40);
    let ppm = output("djpeg", &[text(&frames.join("frame_000040.jpg"))]);
    assert!(ppm.starts_with(b"P6\n162 122\n"));
    // Our pixels are ffmpeg's, but for rounding in the inverse transform.
    let ours = fs::read(&files[2]).unwrap();
    let args = ["-nostdin", "-v", "error", "-i", text(&files[0]), "-f", "rawvideo", "-pix_fmt", "yuvj420p", "-"];
    let theirs = output("ffmpeg", &args);
    let size = 162 * 122 * 3 / 2;
    let header = ours.iter().position(|&b| b == b'\n').unwrap() + 1;
    for (i, (mine, other)) in ours[header..].chunks(size + 6).zip(theirs.chunks(size)).enumerate() {
        let worst = mine[6..].iter().zip(other).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(3), "frame {i}: off by {worst:?}");
    }
    assert_eq!(theirs.len(), 40 * size);
}

#[test]
fn stdout_carries_frames_and_nothing_else() {
    let mut command = common::command(&["recv", "--listen", "tcp://127.0.0.1:0", "--output", "-", "--raw", "i420"]);
    command.stdout(Stdio::piped());
    let mut recv = common::start(command);
    let mut stdout = recv.stdout();
    let to = recv.listening();
    let reading = std::thread::spawn(move || {
        let mut data = Vec::new();
        stdout.read_to_end(&mut data).unwrap();
        data
    });
    vstream(&["send", "--from", SMALL, "--to", &to, "--frames", "10", "--every-frame"]).end().ended_with(0);
    recv.end().ended_with(0);
    assert_eq!(reading.join().unwrap().len(), 10 * 162 * 122 * 3 / 2);
}

#[test]
fn a_closed_stdout_ends_it_well() {
    let mut command = common::command(&["recv", "--listen", "tcp://127.0.0.1:0", "--output", "-"]);
    command.stdout(Stdio::piped());
    let mut recv = common::start(command);
    let to = recv.listening();
    let _send = vstream(&["send", "--from", SMALL, "--to", &to]);
    let mut stdout = recv.stdout();
    stdout.read_exact(&mut [0; 1000]).unwrap();
    drop(stdout);
    recv.end().ended_with(0).saying("stdout was closed");
}

#[test]
fn dev_full_is_said_and_the_other_output_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let frames = dir.path().join("frames");
    let args = ["recv", "--listen", "tcp://127.0.0.1:0", "--raw", "i420", "--output", "/dev/full", "--save"];
    let mut recv = vstream(&[&args[..], &[text(&frames)]].concat());
    let to = recv.listening();
    vstream(&["send", "--from", SMALL, "--to", &to, "--frames", "30", "--every-frame"]).end().ended_with(0);
    recv.end().ended_with(1).saying("the output /dev/full ended").saying("no space left on device");
    assert_eq!(fs::read_dir(&frames).unwrap().count(), 31);
}

#[test]
fn a_disk_that_fills_leaves_whole_files() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let (frames, avi) = (disk.join("frames"), disk.join("a.avi"));
    let outside = dir.path().join("outside.mjpeg");
    let listen = ["recv", "--listen", "tcp://127.0.0.1:0", "--save", text(&frames)];
    let args = [&listen[..], &["--output", text(&avi), "--output", text(&outside)]].concat();
    let Some(mut recv) = with_small_disk(&disk, &args) else { return };
    let to = recv.listening();
    vstream(&["send", "--from", "test?size=320x240&fps=100", "--to", &to, "--frames", "120", "--every-frame"])
        .end()
        .ended_with(0);
    recv.end().ended_with(1).saying("no space left on device");
    let kept = dir.path().join("disk.kept");
    let mut pictures = 0;
    for entry in fs::read_dir(kept.join("frames")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "jpg") {
            vstream::codec::decode::decode(&fs::read(&path).unwrap().into()).unwrap();
            pictures += 1;
        }
    }
    assert!(pictures > 3);
    let list = fs::read_to_string(kept.join("frames/frames.jsonl")).unwrap();
    assert!(list.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()), "{list}");
    if have("ffprobe") {
        assert!(probed(&kept.join("a.avi")) > 3);
        assert_eq!(probed(&outside), 120);
    }
}

#[test]
fn a_receiver_that_is_killed_leaves_a_readable_recording() {
    if !have("ffprobe") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let avi = dir.path().join("a.avi");
    let args = ["recv", "--listen", "tcp://127.0.0.1:0", "--stats", "json", "--output", text(&avi)];
    let mut recv = vstream(&args);
    let to = recv.listening();
    let _send = vstream(&["send", "--from", SMALL, "--to", &to]);
    recv.stats(|line| line["frames"].as_u64() > Some(90));
    recv.signal(rustix::process::Signal::KILL);
    assert_eq!(recv.end().code, None);
    assert!(probed(&avi) > 60);
}

#[test]
fn playout_holds_frames_and_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    let frames = dir.path().join("frames");
    let args = ["recv", "--listen", "tcp://127.0.0.1:0", "--playout", "2s", "--save", text(&frames)];
    let mut recv = vstream(&args);
    let to = recv.listening();
    vstream(&["send", "--from", SMALL, "--to", &to, "--frames", "40", "--every-frame"]).end().ended_with(0);
    recv.end().ended_with(0);
    assert_eq!(fs::read_dir(&frames).unwrap().count(), 41);
}

#[test]
fn a_pipe_that_nobody_reads_does_not_hold_the_end_up() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    output("mkfifo", &[text(&pipe)]);
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--raw", "i420", "--output", text(&pipe)]);
    recv.listening();
    recv.signal(rustix::process::Signal::TERM);
    recv.end().ended_with(0);
}

#[test]
fn a_slow_reader_gets_all_that_came_before_the_end() {
    let args = ["recv", "--listen", "tcp://127.0.0.1:0", "--output", "-", "--raw", "i420"];
    let mut command = common::command(&args);
    command.stdout(Stdio::piped());
    let mut recv = common::start(command);
    let mut stdout = recv.stdout();
    let to = recv.listening();
    let from = "test?size=640x360&fps=60";
    let send = vstream(&["send", "--from", from, "--to", &to, "--frames", "8", "--every-frame"]);
    // Its pipe is full long before it begins to read: the sender has to wait for it, and nothing is cut off.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let mut data = Vec::new();
    stdout.read_to_end(&mut data).unwrap();
    send.end().ended_with(0);
    recv.end().ended_with(0);
    assert_eq!(data.len(), 8 * 640 * 360 * 3 / 2);
}

/// A relay that may open few files, and callers that take those there are.
fn short_of_files(folder: &std::path::Path) -> Option<(common::Vstream, String)> {
    if !have("prlimit") {
        return None;
    }
    let mut command = std::process::Command::new("prlimit");
    let args = ["relay", "--listen", "tcp://127.0.0.1:0", "--stats", "json", "--save", text(folder)];
    command.args(["--nofile=28:28", env!("CARGO_BIN_EXE_vstream")]).args(args).stdin(Stdio::null());
    let mut relay = common::start(command);
    let to = relay.listening();
    Some((relay, to))
}

#[test]
fn callers_that_use_up_the_files_cost_frames_but_not_the_relay() {
    let dir = tempfile::tempdir().unwrap();
    for (every, words) in [(false, "frames are left out"), (true, "a frame waits")] {
        let folder = dir.path().join(words);
        let Some((mut relay, to)) = short_of_files(&folder) else { return };
        let more: &[&str] = if every { &["--every-frame"] } else { &[] };
        let send = vstream(&[&["send", "--from", SMALL, "--frames", "300", "--to", &to], more].concat());
        relay.stats(|line| line["frames"].as_u64() > Some(5));
        let call = |_| std::net::TcpStream::connect(&to["tcp://".len()..]).unwrap();
        let callers: Vec<_> = (0..24).map(call).collect();
        assert!(relay.says(words).contains("too many open files"));
        drop(callers);
        send.end().ended_with(0);
        let totals = relay.end().ended_with(0).totals();
        let (saved, slow) = (common::folder::saved(&folder).len() as u64, totals["dropped"]["slow"].as_u64().unwrap());
        assert_eq!(Some(saved + slow), totals["frames"].as_u64(), "{totals}");
        assert!(saved > 30 && (saved == 300) == every, "{saved} frames were saved");
    }
}
