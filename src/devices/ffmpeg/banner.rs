//! What the `ffmpeg` program says on its stderr with `-v level+info`: the file's length and rate, the times of frames,
//! and errors. Its words are not a documented format, so whatever is not understood is left alone.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use crate::devices::recording::seconds;

/// What it says of the file when it opens it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Banner {
    /// A file was understood, and a video stream found in it.
    pub input: bool,
    pub video: bool,
    /// Seconds.
    pub duration: Option<f64>,
    pub rate: Option<f64>,
    height: usize,
    /// The stream says by which matrix its colours were made, or that they are RGB.
    matrix: bool,
    version: Option<(u32, u32)>,
    /// The last error.
    pub error: Option<String>,
}

/// A line of stderr.
#[derive(Debug, PartialEq)]
pub struct Line(String);

/// Lines are cut to this: a stream's metadata may be printed in full.
const LINE_MAX: usize = 4096;

/// Reads lines of any length in bounded memory.
pub struct Lines<R> {
    reader: BufReader<R>,
}

impl<R: Read> Lines<R> {
    pub fn new(reader: R) -> Lines<R> {
        Lines { reader: BufReader::new(reader) }
    }

    /// The next line; `None` at the end, for whatever reason.
    pub fn line(&mut self) -> Option<Line> {
        let mut line = Vec::new();
        let mut any = false;
        loop {
            let data = match self.reader.fill_buf() {
                Ok([]) | Err(_) => break,
                Ok(data) => data,
            };
            any = true;
            let end = memchr::memchr2(b'\n', b'\r', data);
            let part = &data[..end.unwrap_or(data.len())];
            line.extend_from_slice(&part[..part.len().min(LINE_MAX - line.len())]);
            let used = end.map_or(data.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        any.then(|| Line(String::from_utf8_lossy(&line).into_owned()))
    }
}

impl Line {
    /// What went wrong, without the name of the part that says so: "Invalid data found when processing input".
    pub fn error(&self) -> Option<String> {
        let marks = ["[error] ", "[fatal] ", "[panic] "];
        let (at, mark) = marks.iter().find_map(|mark| self.0.find(mark).map(|at| (at, mark)))?;
        let text = self.0[at + mark.len()..].trim();
        (!text.is_empty()).then(|| text.to_string())
    }

    /// `[Parsed_showinfo_2 @ 0x…] [info] config in time_base: 1/15360, frame_rate: 30/1`: seconds of a tick.
    pub fn time_base(&self) -> Option<f64> {
        let value = self.showinfo()?.strip_prefix("config in time_base:")?;
        let (over, under) = value.split(',').next()?.trim().split_once('/')?;
        let base = over.parse::<f64>().ok()? / under.parse::<f64>().ok()?;
        base.is_normal().then_some(base)
    }

    /// `… n:   1 pts:    512 pts_time:0.0333333 …`: the frame's time.
    pub fn position(&self, base: Option<f64>) -> Option<Duration> {
        let rest = self.showinfo()?.strip_prefix("n:")?;
        let field = |name: &str| rest.split_once(name)?.1.split_whitespace().next()?.parse::<f64>().ok();
        let ticks = base.and_then(|base| Some(field(" pts:")? * base));
        ticks.or_else(|| field(" pts_time:")).map(seconds)
    }

    fn showinfo(&self) -> Option<&str> {
        let rest = self.0.strip_prefix("[Parsed_showinfo")?;
        Some(rest.split_once("[info] ")?.1.trim_start())
    }
}

impl Banner {
    pub fn read(&mut self, line: &Line) {
        let text = line.0.trim_start();
        let text = text.strip_prefix("[info]").unwrap_or(text).trim_start();
        if let Some(version) = text.strip_prefix("ffmpeg version ") {
            self.version = version_of(version);
        } else if text.starts_with("Input #0") {
            self.input = true;
        } else if let Some(rest) = text.strip_prefix("Duration: ") {
            self.duration = self.duration.or(clock_time(rest));
        } else if text.starts_with("Stream #0:") && !self.video {
            if let Some((_, stream)) = text.split_once(": Video: ") {
                self.stream(stream);
            }
        } else if let Some(error) = line.error() {
            // "file:x.mp4: Invalid data …": the name is said already.
            self.error = Some(error.rsplit_once(": ").map_or(error.clone(), |(_, why)| crate::fault::plain(why)));
        }
    }

    /// `h264 (High) (avc1 / 0x31637661), yuv420p(tv, bt709, progressive), 1280x720 [SAR 1:1 DAR 16:9], …, 30 fps, …`
    fn stream(&mut self, text: &str) {
        self.video = true;
        let names =
            ["bt709", "bt470bg", "smpte170m", "bt2020", "smpte240m", "fcc", "gbr", "rgb", "bgr", "pal8", "ycgco"];
        self.matrix = names.iter().any(|name| text.contains(name)) || text.contains("yuvj") || text.contains("(pc");
        for field in text.split(", ") {
            let mut words = field.split_whitespace();
            let (Some(first), second) = (words.next(), words.next()) else { continue };
            if let Some((width, height)) = first.split_once('x')
                && width.parse::<usize>().is_ok()
                && self.height == 0
            {
                self.height = height.parse().unwrap_or(0);
            }
            if second == Some("fps") {
                self.rate = thousands(first).filter(|rate| (0.01..=1000.0).contains(rate));
            }
        }
    }

    /// Whether BT.709 has to be assumed: high definition that does not say.
    pub fn guess_709(&self) -> bool {
        !self.matrix && self.height >= 720
    }

    pub fn before_5_1(&self) -> bool {
        self.version.is_some_and(|version| version < (5, 1))
    }
}

/// `5.1.9-0+deb12u1 Copyright …`, `n7.1`, or a name of a development build.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim_start_matches('n').split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0)))
}

/// `00:00:05.28, start: …` in seconds; `N/A` is none.
fn clock_time(text: &str) -> Option<f64> {
    let mut parts = text.split(',').next()?.trim().split(':');
    let mut part = || parts.next()?.parse::<f64>().ok();
    Some(part()? * 3600.0 + part()? * 60.0 + part()?)
}

/// `29.97`, or `1k` for a thousand.
fn thousands(text: &str) -> Option<f64> {
    match text.strip_suffix('k') {
        Some(text) => Some(text.parse::<f64>().ok()? * 1000.0),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner(text: &str) -> Banner {
        let (mut banner, mut lines) = (Banner::default(), Lines::new(text.as_bytes()));
        while let Some(line) = lines.line() {
            banner.read(&line);
        }
        banner
    }

    #[test]
    fn a_file_is_understood() {
        let b = banner(
            "[info] ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026 the FFmpeg developers\n\
             [info] Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 't.mp4':\n[info]   Duration: 00:01:02.50, start: 0.0\n\
             [info]   Stream #0:0[0x1](und): Audio: aac (LC), 48000 Hz, 9 fps\n\
             [info]   Stream #0:1[0x2](und): Video: h264 (High) (avc1 / 0x31637661), yuv420p(progressive), 1280x720 \
             [SAR 1:1 DAR 16:9], 252 kb/s, 29.97 fps, 30 tbr, 15360 tbn (default)\n\
             [fatal] At least one output file must be specified\n",
        );
        assert!(b.input && b.video && b.guess_709() && !b.before_5_1());
        assert_eq!((b.duration, b.rate), (Some(62.5), Some(29.97)));
        let tagged = banner("[info]   Stream #0:0: Video: h264, yuv420p(tv, bt709, progressive), 1280x720, 30 fps\n");
        assert!(!tagged.guess_709());
        assert!(banner("[info] ffmpeg version 4.4.2 Copyright\n").before_5_1());
        assert!(!banner("[info] ffmpeg version N-12345-gabc Copyright\n").before_5_1());
    }

    #[test]
    fn errors_and_times_are_found() {
        let b = banner("[error] file:/tmp/x: Invalid data found when processing input\n");
        assert_eq!(b.error.as_deref(), Some("invalid data found when processing input"));
        let line = |text: &str| Line(text.into());
        let base = line("[Parsed_showinfo_2 @ 0x5] [info] config in time_base: 1/15360, frame_rate: 30/1").time_base();
        let frame = line("[Parsed_showinfo_2 @ 0x5] [info] n:   1 pts:   7680 pts_time:0.5     pos: 71 fmt:yuv420p");
        assert_eq!(frame.position(base), Some(Duration::from_millis(500)));
        assert_eq!(frame.position(None), Some(Duration::from_millis(500)));
        let unset = line("[Parsed_showinfo_2 @ 0x5] [info] n:   1 pts:   NOPTS pts_time:NOPTS pos: 71");
        assert_eq!(unset.position(base), None);
        let error = line("[h264 @ 0x1] [error] error while decoding MB 3 4");
        assert_eq!(error.error().as_deref(), Some("error while decoding MB 3 4"));
    }

    #[test]
    fn long_lines_are_cut() {
        let text = "a".repeat(100_000) + "\nb\n";
        let mut lines = Lines::new(text.as_bytes());
        assert_eq!(lines.line().unwrap().0.len(), LINE_MAX);
        assert_eq!(lines.line(), Some(Line("b".into())));
        assert_eq!(lines.line(), None);
    }
}
