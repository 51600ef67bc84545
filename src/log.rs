//! Words to the user: one line each on stderr, above the live line where there is one, and to `--log FILE`.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use anyhow::{Context, Result};
use indicatif::MultiProgress;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::clock;
use crate::lock::lock;

struct Logger {
    level: LevelFilter,
    colour: bool,
    file: Option<Mutex<File>>,
}

/// The terminal's live lines, which every other line must be printed above.
pub fn live() -> &'static MultiProgress {
    static LIVE: OnceLock<MultiProgress> = OnceLock::new();
    LIVE.get_or_init(MultiProgress::new)
}

/// Starts logging. `level`: -1 errors, 0 what happens, 1 details, 2 everything.
pub fn start(level: i8, file: Option<&Path>) -> Result<()> {
    let level = match level {
        i8::MIN..=-1 => LevelFilter::Error,
        0 => LevelFilter::Info,
        1 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    let open = |path: &Path| {
        let file = File::options().create(true).append(true).open(path);
        file.with_context(|| format!("could not open the log {}", path.display()))
    };
    let file = file.map(open).transpose()?.map(Mutex::new);
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    log::set_max_level(if file.is_some() { level.max(LevelFilter::Info) } else { level });
    log::set_boxed_logger(Box::new(Logger { level, colour, file })).context("the log was started twice")
}

/// Whether the file of `--log` could not be written.
static FAILED: AtomicBool = AtomicBool::new(false);

pub fn failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// A line of output proper (not a message): stats in a form for programs.
pub fn plain(line: &str) {
    live().suspend(|| {
        let whole = format!("{line}\n"); // in one piece, also beside other programs on the terminal
        let _ = std::io::stderr().lock().write_all(whole.as_bytes()); // a closed stderr is the user's wish
    });
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with("vstream") && metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let (prefix, colour) = match record.level() {
            Level::Error => ("error: ", "\x1b[1;31m"),
            Level::Warn => ("warning: ", "\x1b[33m"),
            _ => ("", ""),
        };
        if record.level() <= self.level {
            let reset = if colour.is_empty() { "" } else { "\x1b[0m" };
            let (colour, reset) = if self.colour { (colour, reset) } else { ("", "") };
            plain(&format!("{colour}{prefix}{reset}{}", record.args()));
        }
        if let Some(file) = &self.file {
            let wall = clock::now().unix_micros();
            let mut file = lock(file);
            let line = format!("{}.{:06} {prefix}{}\n", wall / 1_000_000, wall % 1_000_000, record.args());
            let written = file.write_all(line.as_bytes());
            if let Err(error) = written
                && !FAILED.swap(true, Ordering::Relaxed)
            {
                plain(&format!("error: the log cannot be written: {}", crate::fault::plain(&error.to_string())));
            }
        }
    }

    fn flush(&self) {}
}

/// Leave to speak, once a second: for what happens again and again.
#[derive(Debug, Default)]
pub struct OnceASecond {
    told: Option<clock::Time>,
}

impl OnceASecond {
    /// Whether it is time to speak; the second begins anew when it is.
    pub fn due(&mut self, now: clock::Time) -> bool {
        let due = self.told.is_none_or(|told| now.since(told).as_secs() >= 1);
        if due {
            self.told = Some(now);
        }
        due
    }
}

/// Trouble that repeats: counted, and told at most once a second.
#[derive(Debug, Default)]
pub struct Repeated {
    count: u64,
    leave: OnceASecond,
}

impl Repeated {
    /// Counts one more; the number to tell now, if it is time to tell.
    pub fn again(&mut self, now: clock::Time) -> Option<u64> {
        self.count += 1;
        self.leave.due(now).then(|| std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_counted_and_told_once_a_second() {
        let at = |ms: i64| clock::Time::from_micros(ms * 1000);
        let mut trouble = Repeated::default();
        assert_eq!(trouble.again(at(0)), Some(1));
        assert_eq!((trouble.again(at(10)), trouble.again(at(999))), (None, None));
        assert_eq!(trouble.again(at(1000)), Some(3));
    }
}
