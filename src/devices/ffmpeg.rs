//! Any video file, by the `ffmpeg` program as a child process: it decodes, converts to JPEG's colours and square
//! pixels, and writes y4m into a pipe. When each frame is due it tells on its stderr (`showinfo`), so that no frame has
//! to be doubled or dropped for the sake of a constant rate.
//!
//! The child ends with us: it is killed when the source is dropped, and dies of a closed pipe when we are.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::codec::color::Colour;
use crate::devices::ffmpeg::banner::{Banner, Lines};
use crate::devices::patient::Patient;
use crate::devices::recording::{RATE_DEFAULT, Recording, seconds};
use crate::devices::trouble::Trouble;
use crate::devices::y4m::Y4m;
use crate::fault::Fault;
use crate::frame::{About, Image};
use crate::lock::lock;
use crate::stop::Stop;

pub mod banner;

/// The program to use: `VSTREAM_FFMPEG`, or `ffmpeg` on PATH. With the variable set to nothing, none.
pub fn find() -> Option<PathBuf> {
    match std::env::var_os("VSTREAM_FFMPEG") {
        Some(path) => (!path.is_empty()).then(|| path.into()),
        None => std::env::split_paths(&std::env::var_os("PATH")?).map(|d| d.join("ffmpeg")).find(|p| runs(p)),
    }
}

fn runs(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file()
}

pub struct Film {
    child: Reaped,
    video: Y4m<Patient<ChildStdout>>,
    /// When each frame is due, as the child says.
    times: Receiver<Duration>,
    errors: Arc<Mutex<VecDeque<String>>>,
    last: Option<Duration>,
    given: u64,
    rate: f64,
    length: Option<u64>,
    stop: Stop,
    name: String,
}

/// Lines of stderr that are kept for the error message.
const ERRORS: usize = 3;
/// Times that may wait for their frames: the child runs ahead of the pipe by its filters' and threads' frames.
const AHEAD: usize = 4096;
/// A frame's time is said before the frame is written, but comes by another pipe.
const TIME_PATIENCE: Duration = Duration::from_millis(500);

/// Starts `program` on `path`. `known`: what it said of the file, so that it is asked only once. An error names what
/// ffmpeg said when it cannot read the file.
pub fn open(
    program: &Path,
    path: &Path,
    known: &mut Option<Banner>,
    size: Option<(usize, usize)>,
    stop: &Stop,
) -> Result<Film> {
    let name = path.display().to_string();
    let banner = match known {
        Some(banner) => banner,
        None => known.insert(probe(program, path, stop)?),
    };
    let mut command = ffmpeg(program);
    command.args(["-nostdin", "-hide_banner", "-nostats", "-v", "level+info", "-i"]).arg(plain(path));
    command.args(["-map", "0:v:0", "-vf", &filter(banner, size)]);
    // `-fps_mode` came with 5.1; what came before it goes away with later versions.
    command.args(if banner.before_5_1() { ["-vsync", "0"] } else { ["-fps_mode", "passthrough"] });
    command.args(["-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-"]);
    let (mut child, stdout, stderr) = start(&mut command, program, Stdio::piped())?;
    let stdout = stdout.context("no pipe to ffmpeg")?;
    let (times, errors) = listen(stderr);
    let opened = Y4m::open(Patient::new(stdout, stop), None, &name, Trouble::new(&name, stop));
    let mut video = match opened {
        Ok(video) => video,
        Err(_) => {
            child.end();
            let _ = times.recv_timeout(TIME_PATIENCE); // until the last line of stderr is there
            return Err(Fault::device(said(&errors).unwrap_or_else(|| "ffmpeg gave no picture".into())).into());
        }
    };
    video.set_colour(Colour::JPEG);
    // A file without a constant rate is given its time base as the rate, in thousands.
    let rate = video.form().rate.filter(|rate| *rate <= 240.0).or(banner.rate).unwrap_or(RATE_DEFAULT);
    let length = banner.duration.map(|d| (d * rate).round() as u64).filter(|&n| n > 0);
    Ok(Film { child, video, times, errors, last: None, given: 0, rate, length, stop: stop.clone(), name })
}

/// A path that ffmpeg cannot take for an option or a protocol.
fn plain(path: &Path) -> OsString {
    let mut out = OsString::from("file:");
    out.push(path);
    out
}

/// It needs no key of ours.
fn ffmpeg(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_remove("VSTREAM_KEY");
    command
}

/// What ffmpeg says of the file, before anything is decoded.
fn probe(program: &Path, path: &Path, stop: &Stop) -> Result<Banner> {
    let mut command = ffmpeg(program);
    command.args(["-nostdin", "-v", "level+info", "-i"]).arg(plain(path));
    let (_child, _, stderr) = start(&mut command, program, Stdio::null())?;
    let mut banner = Banner::default();
    let mut lines = Lines::new(Patient::new(stderr, stop));
    while let Some(line) = lines.line() {
        banner.read(&line);
    }
    if banner.video {
        return Ok(banner);
    }
    let why = match banner.error.take() {
        Some(error) if !banner.input => error,
        _ => "it holds no video".into(),
    };
    Err(Fault::device(why).into())
}

type Started = (Reaped, Option<ChildStdout>, ChildStderr);

fn start(command: &mut Command, program: &Path, stdout: Stdio) -> Result<Started> {
    // A group of its own: Ctrl-C is for us, who may want to finish the frame.
    command.process_group(0);
    let mut child = command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn().map_err(|e| {
        let why = crate::fault::plain(&e.to_string());
        Fault::device(format!("could not start {}: {why}", program.display())).hint("VSTREAM_FFMPEG names the program")
    })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    Ok((Reaped(child), stdout, stderr.context("no pipe to ffmpeg")?))
}

/// JPEG's colours, square pixels, and the time of each frame on stderr.
fn filter(banner: &Banner, size: Option<(usize, usize)>) -> String {
    let (width, height) = match size {
        Some((width, height)) => (width.to_string(), height.to_string()),
        // A stretched picture comes to an even width; one that is square already stays as it is.
        None => ("'if(eq(sar,1),iw,2*trunc(iw*sar/2+0.5))'".into(), "ih".into()),
    };
    // What does not say its matrix is taken for what players take it for, which is not what ffmpeg does.
    let from = if banner.guess_709() { ":in_color_matrix=bt709" } else { "" };
    format!(
        "scale=w={width}:h={height}{from}:out_range=full:out_color_matrix=bt601:flags=bicubic,setsar=1,\
         showinfo=checksum=0"
    )
}

/// Reads stderr on a thread of its own, to its end.
fn listen(stderr: ChildStderr) -> (Receiver<Duration>, Arc<Mutex<VecDeque<String>>>) {
    let (sender, times) = sync_channel(AHEAD);
    let errors = Arc::new(Mutex::new(VecDeque::new()));
    let kept = errors.clone();
    std::thread::spawn(move || {
        let (mut lines, mut base) = (Lines::new(stderr), None);
        while let Some(line) = lines.line() {
            if let Some(error) = line.error() {
                let mut kept = lock(&kept);
                kept.push_back(error);
                let over = kept.len().saturating_sub(ERRORS);
                kept.drain(..over);
            }
            base = base.or(line.time_base());
            if let Some(position) = line.position(base) {
                let _ = sender.try_send(position); // a source that was dropped needs no times
            }
        }
    });
    (times, errors)
}

/// The last lines that ffmpeg wrote about what went wrong.
fn said(errors: &Mutex<VecDeque<String>>) -> Option<String> {
    let errors = lock(errors);
    (!errors.is_empty()).then(|| Vec::from_iter(errors.iter().cloned()).join("; "))
}

/// A child that does not outlive this.
struct Reaped(Child);

impl Reaped {
    /// Ends it, if it has not ended; whether it had ended well.
    fn end(&mut self) -> bool {
        let _ = self.0.kill();
        self.0.wait().is_ok_and(|status| status.success())
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        self.end();
    }
}

impl Film {
    /// When the frame just read is due.
    fn position(&mut self) -> Duration {
        let counted = seconds(self.given as f64 / self.rate);
        // Once it did not say one, it is not waited for again.
        let patience = if self.given == 0 || self.last.is_some() { TIME_PATIENCE } else { Duration::ZERO };
        let told = self.times.recv_timeout(patience);
        let position = told.ok().unwrap_or(counted).max(self.last.unwrap_or_default());
        self.given += 1;
        self.last = told.is_ok().then_some(position);
        position
    }
}

impl Recording for Film {
    fn next(&mut self) -> Result<Option<(Duration, Image)>> {
        if let Some(picture) = self.video.picture()? {
            return Ok(Some((self.position(), Image::Picture(Arc::new(picture)))));
        }
        if self.stop.said() {
            return Ok(None);
        }
        // Who is killed says nothing.
        if let Some(status) = self.child.0.wait().ok().filter(|status| !status.success()) {
            let error = said(&self.errors).unwrap_or_else(|| status.to_string());
            if self.given == 0 {
                return Err(Fault::device(format!("{}: {error}", self.name)).into());
            }
            log::warn!("{}: ffmpeg ended early: {error}", self.name);
        }
        Ok(None)
    }

    fn about(&self) -> About {
        let form = self.video.form();
        let text = format!("{}, by ffmpeg, {}x{} at {:.2} fps", self.name, form.width, form.height, self.rate);
        About { text: text.replace(".00 fps", " fps"), rate: Some(self.rate), length: self.length, live: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let missing = Path::new("/nonexistent/ffmpeg");
        let error = open(missing, Path::new("x.mp4"), &mut None, None, &Stop::default()).err().unwrap();
        assert_eq!(error.to_string(), "could not start /nonexistent/ffmpeg: no such file or directory");
    }

    #[test]
    fn a_program_that_is_not_ffmpeg_is_an_error() {
        for program in ["/bin/true", "/bin/false", "/bin/echo"] {
            let error = open(Path::new(program), Path::new("x.mp4"), &mut None, None, &Stop::default()).err().unwrap();
            assert_eq!(error.to_string(), "it holds no video");
        }
    }

    #[test]
    fn a_silent_program_is_left_when_told() {
        let stop = Stop::default();
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("sleeper");
        std::fs::write(&script, "#!/bin/sh\nexec sleep 100\n").unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        stop.say();
        let started = crate::clock::now();
        assert!(open(&script, Path::new("x.mp4"), &mut None, None, &stop).is_err());
        assert!(crate::clock::now().since(started).as_secs() < 5);
    }
}
