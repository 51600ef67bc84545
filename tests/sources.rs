//! What `send --from` takes and what it says of what it cannot take, with the real binary.

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use common::folder::text;
use common::{Ended, have, output, vstream};
use vstream::codec::encode::encode;
use vstream::picture::Picture;

/// A picture with a slope, brighter with each `step`.
fn jpeg(width: usize, height: usize, step: u8) -> Vec<u8> {
    let mut picture = Picture::new(width, height);
    for (i, sample) in picture.planes_mut()[0].iter_mut().enumerate() {
        *sample = (i % width) as u8 / 2 + step;
    }
    encode(&picture, 80).unwrap().to_vec()
}

/// Sends a source to a receiver that saves; how the sender ended and the bytes of each frame saved.
fn through(source: &[&str], stdin: Option<&[u8]>) -> (Ended, Vec<Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("frames");
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--save", text(&out)]);
    let to = recv.listening();
    let args = [&["send", "--every-frame", "--to", &to, "--from"][..], source].concat();
    let mut command = common::command(&args);
    command.stdin(Stdio::piped());
    let mut send = common::start(command);
    let mut pipe = send.stdin();
    let _ = pipe.write_all(stdin.unwrap_or_default()); // a sender that refuses its stdin closes it
    drop(pipe);
    let ended = send.end();
    recv.signal(rustix::process::Signal::TERM);
    recv.end().ended_with(0);
    let mut names: Vec<_> = fs::read_dir(&out).unwrap().map(|e| e.unwrap().path()).collect();
    names.retain(|p| p.extension().is_some_and(|e| e == "jpg"));
    names.sort();
    (ended, names.iter().map(|p| fs::read(p).unwrap()).collect())
}

#[test]
fn what_cannot_be_opened_is_a_device_error_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, data: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, data).unwrap();
        path.to_str().unwrap().to_string()
    };
    fs::create_dir(dir.path().join("empty")).unwrap();
    let cases = [
        (dir.path().join("nothing.mp4").display().to_string(), "no such file"),
        (dir.path().join("empty").display().to_string(), "there is no .jpg in this folder"),
        (write("text.mp4", b"this is not a video, it is a text\n"), "could not open"),
        (write("empty.mp4", b""), "could not open"),
        (write("cut.y4m", b"YUV4MPEG2 W16"), "could not open"),
        (write("huge.y4m", b"YUV4MPEG2 W99999999 H99999999 F30:1\nFRAME\n"), "could not open"),
        (write("cut.avi", b"RIFF\x00\x00\x00\x00AVI LIST"), "could not open"),
        ("/dev/video77".to_string(), "/dev/video77"),
        ("http://127.0.0.1:1/stream".to_string(), "127.0.0.1:1"),
    ];
    for (name, words) in cases {
        let ended = vstream(&["send", "--from", &name, "--to", "tcp://127.0.0.1:1"]).end();
        let ended = ended.ended_with(3).saying(words);
        let errors: Vec<_> = ended.lines.iter().filter(|l| l.starts_with("vstream: ")).collect();
        assert_eq!(errors.len(), 1, "{}", ended.text());
    }
}

#[test]
fn what_holds_no_picture_is_said() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.jpg"), "this is a text").unwrap();
    let file = dir.path().join("text.mjpeg");
    fs::write(&file, [&[0xFF, 0xD8][..], b"this is a text"].concat()).unwrap();
    for source in [dir.path(), &file] {
        let (ended, got) = through(&[text(source)], None);
        ended.ended_with(3).saying("no picture");
        assert_eq!(got.len(), 0);
    }
}

#[test]
fn a_source_that_says_nothing_can_be_stopped() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    for source in ["-", &url] {
        let mut command = common::command(&["send", "--from", source, "--listen", "tcp://127.0.0.1:0"]);
        command.stdin(Stdio::piped());
        let mut send = common::start(command);
        let _held = send.stdin();
        send.listening();
        send.signal(rustix::process::Signal::TERM);
        send.end().ended_with(0);
    }
    vstream(&["send", "--from", "foo://x", "--to", "h"]).end().ended_with(2).saying("is no source");
}

#[test]
fn jpeg_passes_untouched_from_folders_files_and_pipes() {
    let dir = tempfile::tempdir().unwrap();
    let pictures: Vec<Vec<u8>> = (0..12).map(|i| jpeg(64, 48, i * 10)).collect();
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    for (i, picture) in pictures.iter().enumerate() {
        fs::write(folder.join(format!("{i}.jpg")), picture).unwrap(); // 10.jpg comes after 9.jpg
    }
    let file = dir.path().join("film.mjpeg");
    fs::write(&file, pictures.concat()).unwrap();
    let (ended, got) = through(&[text(&folder), "--fps", "100"], None);
    ended.ended_with(0);
    assert!(got == pictures, "the folder");
    let (ended, got) = through(&[text(&file), "--fps", "100"], None);
    ended.ended_with(0);
    assert!(got == pictures, "the file");
    let (ended, got) = through(&["-"], Some(&pictures.concat()));
    ended.ended_with(0);
    assert!(got == pictures, "the pipe");
}

#[test]
fn a_saved_folder_and_an_avi_are_sources_again() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, avi) = (dir.path().join("frames"), dir.path().join("a.avi"));
    let args = ["recv", "--listen", "tcp://127.0.0.1:0", "--save", text(&frames), "--output", text(&avi)];
    let mut recv = vstream(&args);
    let to = recv.listening();
    let from = "test?size=64x48&fps=50";
    vstream(&["send", "--from", from, "--to", &to, "--frames", "25", "--every-frame"]).end().ended_with(0);
    recv.end().ended_with(0);
    let (ended, folder) = through(&[text(&frames)], None);
    ended.ended_with(0);
    let (ended, file) = through(&[text(&avi)], None);
    ended.ended_with(0);
    assert_eq!((folder.len(), file.len()), (25, 25));
    assert!(folder == file);
}

#[test]
fn damage_costs_pictures_not_the_stream() {
    let pictures: Vec<Vec<u8>> = (0..8).map(|i| jpeg(64, 48, i * 10)).collect();
    let mut stream = pictures.concat();
    let cut = pictures[0].len() + 300;
    stream[cut] ^= 0x40; // inside the second picture
    stream.truncate(stream.len() - 100); // the last one is cut off
    let (ended, got) = through(&["-"], Some(&stream));
    ended.ended_with(0);
    assert!((6..=8).contains(&got.len()), "{} frames", got.len());
    assert!(got[0] == pictures[0] && got.contains(&pictures[6]));
    let (ended, got) = through(&["-"], Some(b"this is no video at all, but it is long enough to be looked at twice"));
    assert_eq!((ended.ended_with(3).lines.is_empty(), got.len()), (false, 0));
}

#[test]
fn a_size_that_changes_in_mid_stream_goes_through() {
    let stream = [jpeg(64, 48, 1), jpeg(128, 96, 2), jpeg(33, 17, 3)].concat();
    let (ended, got) = through(&["-"], Some(&stream));
    ended.ended_with(0);
    let sizes: Vec<_> =
        got.iter().map(|j| vstream::codec::jpeg::parse(j).map(|h| (h.width, h.height)).unwrap()).collect();
    assert_eq!(sizes, [(64, 48), (128, 96), (33, 17)]);
}

#[test]
fn raw_frames_and_a_tail_that_is_none() {
    let frames = vec![90u8; 64 * 48 * 3 / 2 * 3 + 777];
    let (ended, got) = through(&["-", "--raw", "i420:64x48@30"], Some(&frames));
    ended.ended_with(0);
    assert_eq!(got.len(), 3);
    let (ended, got) = through(&["-", "--raw", "i420:64x48@30", "--size", "32x32"], Some(&frames[..64 * 48 * 3 / 2]));
    ended.ended_with(0);
    assert_eq!(vstream::codec::jpeg::parse(&got[0]).map(|h| (h.width, h.height)).unwrap(), (32, 32));
}

#[test]
fn films_play_with_ffmpeg_and_without() {
    if !have("ffmpeg") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("film.mp4");
    let encode = ["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=50:duration=1"];
    output("ffmpeg", &[&encode[..], &["-c:v", "libx264", "-pix_fmt", "yuv420p", text(&film)]].concat());
    let (ended, by_ffmpeg) = through(&[text(&film)], None);
    ended.ended_with(0);
    assert_eq!(by_ffmpeg.len(), 50);
    let without = temp_env(&film);
    without.ended_with(0).saying("ffmpeg");
}

/// The same film where no ffmpeg is on the path.
fn temp_env(film: &Path) -> Ended {
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--stats", "json"]);
    let to = recv.listening();
    let mut command = common::command(&["send", "--every-frame", "--from", text(film), "--to", &to]);
    command.env("PATH", "/nowhere").env_remove("VSTREAM_FFMPEG");
    let ended = common::start(command).end();
    assert_eq!(recv.end().ended_with(0).totals()["frames"], 50);
    ended
}

#[test]
fn an_ffmpeg_that_dies_or_lies_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("film.webm");
    fs::write(&film, [0x1A, 0x45, 0xDF, 0xA3, 1, 2, 3, 4]).unwrap();
    for (program, words) in
        [("/no/such/ffmpeg", "/no/such/ffmpeg"), ("/bin/false", "could not open"), ("/bin/echo", "could not open")]
    {
        let mut command = common::command(&["send", "--from", text(&film), "--to", "tcp://127.0.0.1:1"]);
        command.env("VSTREAM_FFMPEG", program);
        common::start(command).end().ended_with(3).saying(words);
    }
}
