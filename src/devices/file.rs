//! Recorded sources by their path, and stdin: what a file is, its first bytes say and not its name.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result};
use rustix::fs::{Mode, OFlags};

use crate::devices::avi::Avi;
use crate::devices::ffmpeg::banner::Banner;
use crate::devices::folder::Folder;
use crate::devices::mjpeg::Mjpeg;
use crate::devices::patient::Patient;
use crate::devices::recording::{Open, Playback, RATE_DEFAULT, Recording};
use crate::devices::trouble::Trouble;
use crate::devices::y4m::Y4m;
use crate::devices::{Wish, ffmpeg, h264, raw};
use crate::fault::Fault;
use crate::frame::Source;
use crate::stop::Stop;

/// Opens a file or folder of any kind, played at its own rate.
pub fn open(path: &Path, wish: &Wish, stop: &Stop) -> Result<Box<dyn Source>> {
    open_with(path, ffmpeg::find(), wish, stop)
}

/// As `open`, by this ffmpeg or by none.
pub fn open_with(path: &Path, ffmpeg: Option<PathBuf>, wish: &Wish, stop: &Stop) -> Result<Box<dyn Source>> {
    let meta = std::fs::metadata(path).map_err(|e| failed(path, e.into()))?;
    if meta.file_type().is_fifo() || meta.file_type().is_char_device() {
        let pipe = pipe(path).map_err(|e| failed(path, e))?;
        return piped(pipe, &path.display().to_string(), wish, stop);
    }
    let opener: Open = {
        let (path, wish, stop) = (path.to_path_buf(), wish.clone(), stop.clone());
        let mut known = None;
        Box::new(move || recording(&path, ffmpeg.as_deref(), &mut known, &wish, &stop).map_err(|e| failed(&path, e)))
    };
    Ok(Box::new(Playback::paced(opener, wish, stop)?))
}

/// Opens a named pipe without waiting for its writer.
fn pipe(path: &Path) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let pipe = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?;
    rustix::fs::fcntl_setfl(&pipe, OFlags::empty()).map_err(io::Error::from)?; // `Patient` waits by itself
    Ok(pipe.into())
}

/// Opens stdin: y4m, AVI or JPEGs by what comes first, or raw frames as `wish` says.
pub fn stdin(wish: &Wish, stop: &Stop) -> Result<Box<dyn Source>> {
    let stdin = rustix::io::dup(io::stdin().as_fd()).context("could not open stdin")?;
    piped(File::from(stdin), "stdin", wish, stop)
}

/// "could not open NAME: reason", with the hint and the exit code of the reason where it has them.
fn failed(path: &Path, error: Error) -> Error {
    let text = format!("could not open {}: {}", path.display(), crate::fault::line(&error));
    let hint = error.downcast_ref::<Fault>().and_then(|fault| fault.hint.clone());
    let fault = Fault::device(text);
    match hint {
        Some(hint) => fault.hint(hint).into(),
        None => fault.into(),
    }
}

/// What the first bytes say.
#[derive(Debug, PartialEq)]
enum Form {
    Jpeg,
    Avi,
    Y4m,
    Mp4,
    Matroska,
    Empty,
    Other,
}

/// Bytes that tell all forms apart: RIFF, a length, and "AVI ".
const SNIFF: usize = 12;

fn sniff(start: &[u8]) -> Form {
    match start {
        [] => Form::Empty,
        [0xFF, 0xD8, 0xFF, ..] => Form::Jpeg,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => Form::Avi,
        [0x1A, 0x45, 0xDF, 0xA3, ..] => Form::Matroska,
        _ if start.starts_with(b"YUV4MPEG2") => Form::Y4m,
        [_, _, _, _, code @ ..]
            if [b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"].iter().any(|c| code.starts_with(*c)) =>
        {
            Form::Mp4
        }
        _ => Form::Other,
    }
}

fn recording(
    path: &Path,
    ffmpeg: Option<&Path>,
    known: &mut Option<Banner>,
    wish: &Wish,
    stop: &Stop,
) -> Result<Box<dyn Recording>> {
    let name = path.display().to_string();
    let trouble = || Trouble::new(&name, stop);
    if path.is_dir() {
        return Ok(Box::new(Folder::open(path, wish.fps, trouble())?));
    }
    let file = || Ok::<_, io::Error>(Patient::new(File::open(path)?, stop));
    let size = std::fs::metadata(path)?.len();
    let mut start = [0; SNIFF];
    let got = raw::fill(&mut file()?, &mut start)?;
    let form = sniff(&start[..got]);
    let named_mjpeg =
        path.extension().is_some_and(|e| e.eq_ignore_ascii_case("mjpeg") || e.eq_ignore_ascii_case("mjpg"));
    match form {
        Form::Empty => return Err(Fault::device("it is empty").into()),
        Form::Y4m => return Ok(Box::new(Y4m::open(file()?, Some(size), &name, trouble())?)),
        Form::Avi => match Avi::open(file()?, &name, trouble()) {
            Ok(avi) => return Ok(Box::new(avi)),
            Err(error) if ffmpeg.is_none() => return Err(with_ffmpeg(&crate::fault::line(&error)).into()),
            Err(_) => {}
        },
        _ if form == Form::Jpeg || named_mjpeg => {
            let rate = Some(wish.fps.unwrap_or(RATE_DEFAULT));
            return Ok(Box::new(Mjpeg::new(file()?, rate, &name, trouble())));
        }
        _ => {}
    }
    if let Some(program) = ffmpeg {
        return Ok(Box::new(ffmpeg::open(program, path, known, wish.size, stop)?));
    }
    if form != Form::Mp4 && form != Form::Matroska {
        return Err(with_ffmpeg("not a video that vstream knows").into());
    }
    log::info!("decoding {name} without ffmpeg; with ffmpeg installed more files open, and faster");
    Ok(Box::new(h264::open(path, trouble())?))
}

fn with_ffmpeg(why: &str) -> Fault {
    Fault::device(why).hint("with ffmpeg installed, vstream opens whatever ffmpeg does")
}

/// A source on a pipe, taken as it comes.
fn piped(pipe: File, name: &str, wish: &Wish, stop: &Stop) -> Result<Box<dyn Source>> {
    let mut pipe = Patient::new(pipe, stop);
    let trouble = Trouble::new(name, stop);
    let recording = || -> Result<Box<dyn Recording>> {
        if let Some(form) = wish.raw {
            return Ok(Box::new(raw::Frames::new(pipe, form, trouble)?));
        }
        let mut start = vec![0; SNIFF];
        let got = raw::fill(&mut pipe, &mut start)?;
        start.truncate(got);
        let form = sniff(&start);
        let pipe = Cursor::new(start).chain(pipe);
        match form {
            Form::Y4m => Ok(Box::new(Y4m::open(pipe, None, name, trouble)?)),
            Form::Jpeg => Ok(Box::new(Mjpeg::new(pipe, wish.fps, name, trouble))),
            Form::Avi => Ok(Box::new(Avi::open(pipe, name, trouble)?)),
            Form::Empty => Err(Fault::device("nothing came").into()),
            _ => Err(Fault::device("neither y4m nor JPEG")
                .hint("raw frames need --raw i420:WxH@FPS; other files need a path, or ffmpeg -i … -f yuv4mpegpipe -")
                .into()),
        }
    };
    let recording = recording().map_err(|e| failed(Path::new(name), e))?;
    Ok(Box::new(Playback::piped(recording, wish, stop)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode::encode;
    use crate::codec::testing::noise;
    use crate::devices::Raw;
    use crate::frame::Image;
    use std::io::Write;

    fn error(path: &Path) -> String {
        let opened = open_with(path, None, &Wish::default(), &Stop::default());
        opened.err().map(|e| crate::fault::line(&e)).unwrap_or_default()
    }

    #[test]
    fn what_cannot_be_opened_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        assert!(error(&at("none.mp4")).ends_with("none.mp4: no such file or directory"), "{}", error(&at("none.mp4")));
        std::fs::write(at("a.mp4"), "It was a dark and stormy night.\n").unwrap();
        assert!(error(&at("a.mp4")).ends_with("a.mp4: not a video that vstream knows"));
        std::fs::write(at("b.mp4"), "").unwrap();
        assert!(error(&at("b.mp4")).ends_with("b.mp4: it is empty"));
        std::fs::create_dir(at("c")).unwrap();
        assert!(error(&at("c")).ends_with("c: there is no .jpg in this folder"));
        std::fs::write(at("d"), b"\0\0\0\x08ftyp").unwrap();
        assert!(error(&at("d")).starts_with("could not open "), "{}", error(&at("d")));
        let missing = open(&at("none"), &Wish::default(), &Stop::default()).err().unwrap();
        assert_eq!(missing.downcast_ref::<Fault>().map(|f| f.kind as u8), Some(3));
    }

    #[test]
    fn pipes_are_taken_as_they_come() {
        let picture = encode(&noise(64, 48, 1), 80).unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        let bytes = picture.repeat(50);
        let thread = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        let mut source = piped(file, "stdin", &Wish::default(), &Stop::default()).unwrap();
        let started = crate::clock::now();
        for _ in 0..50 {
            assert!(matches!(source.next().unwrap().unwrap().image, Image::Jpeg(jpeg) if jpeg == picture));
        }
        assert!(source.next().unwrap().is_none() && !source.about().live);
        assert!(crate::clock::now().since(started).as_secs() < 2);
        thread.join().unwrap();
    }

    #[test]
    fn raw_frames_need_their_form() {
        let open = |bytes: &'static [u8], raw| {
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(bytes).unwrap();
            drop(writer);
            let wish = Wish { raw, ..Wish::default() };
            piped(File::from(std::os::fd::OwnedFd::from(reader)), "stdin", &wish, &Stop::default())
        };
        let refused = open(&[9; 800], None).err().unwrap();
        assert_eq!(refused.to_string(), "could not open stdin: neither y4m nor JPEG");
        assert!(refused.downcast::<Fault>().unwrap().hint.unwrap().contains("--raw"));
        let mut source = open(&[9; 800], Some(Raw { width: 16, height: 16, fps: 30.0 })).unwrap();
        assert_eq!(std::iter::from_fn(|| source.next().unwrap()).count(), 2);
        assert!(open(&[], None).err().unwrap().to_string().contains("nothing came"));
    }

    #[test]
    fn a_silent_pipe_ends_when_told() {
        let (reader, _writer) = io::pipe().unwrap();
        let stop = Stop::default();
        let thread = std::thread::spawn({
            let stop = stop.clone();
            let file = File::from(std::os::fd::OwnedFd::from(reader));
            let wish = Wish { raw: Some(Raw { width: 16, height: 16, fps: 30.0 }), ..Wish::default() };
            move || piped(file, "stdin", &wish, &stop).unwrap().next().unwrap().is_none()
        });
        stop.say();
        assert!(thread.join().unwrap());
    }
}
