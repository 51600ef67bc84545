//! A vstream process as tests use it: started, read line by line, signalled, awaited. Every wait has a limit, so that a
//! hang is a failure with the process's words in it.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod disk;
pub mod folder;
pub mod rig;
pub mod shape;
pub mod way;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Far more than anything here takes, on a machine with other work.
pub const LIMIT: Duration = Duration::from_secs(60);

pub struct Vstream {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub lines: Vec<String>,
}

pub fn vstream(args: &[&str]) -> Vstream {
    start(command(args))
}

pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vstream"));
    // Certificates that are kept stay in the build's folder.
    command
        .args(args)
        .env("XDG_STATE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

pub fn start(mut command: Command) -> Vstream {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("vstream starts");
    let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    Vstream { child, lines, seen: Vec::new() }
}

impl Vstream {
    /// Waits for a line that contains this.
    pub fn says(&mut self, words: &str) -> String {
        let until = Instant::now() + LIMIT;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(words) {
                        return line;
                    }
                }
                Err(e) => panic!("{e} while waiting for {words:?}; it said:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// The address that a peer can dial.
    pub fn listening(&mut self) -> String {
        let line = self.says("listening on ");
        line.split("listening on ").nth(1).expect("an address follows").to_string()
    }

    /// Where it serves pages, as `HOST:PORT`.
    pub fn serving(&mut self) -> String {
        let line = self.says("serving http://");
        line.split("http://").nth(1).expect("an address follows").trim_end_matches('/').to_string()
    }

    /// Waits for a line of JSON stats that is as wanted.
    pub fn stats(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + LIMIT;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if let Ok(value) = serde_json::from_str::<Value>(&line)
                        && wanted(&value)
                    {
                        return value;
                    }
                }
                Err(e) => panic!("{e} while waiting for stats; it said:\n{}", self.seen.join("\n")),
            }
        }
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("the process is there");
    }

    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("stdin was piped")
    }

    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("stdout was piped")
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let until = Instant::now() + LIMIT;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end; it said:\n{}", self.seen.join("\n")),
            }
        }
        let code = self.child.wait().expect("the child can be awaited").code();
        Ended { code, lines: std::mem::take(&mut self.seen) }
    }
}

impl Drop for Vstream {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

impl Ended {
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// The totals, where the stats were JSON.
    pub fn totals(&self) -> Value {
        let last = self.lines.iter().rev().find_map(|l| serde_json::from_str::<Value>(l).ok());
        last.unwrap_or_else(|| panic!("no stats in:\n{}", self.text()))
    }

    #[track_caller]
    pub fn ended_with(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "it said:\n{}", self.text());
        assert!(!self.text().contains("panicked"), "{}", self.text());
        self
    }

    #[track_caller]
    pub fn saying(self, words: &str) -> Ended {
        assert!(self.text().contains(words), "no {words:?} in:\n{}", self.text());
        self
    }
}

/// Whether a program is there; where not, the test is skipped with a line, but never in CI.
pub fn have(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&paths).any(|dir| dir.join(program).is_file());
    if !there {
        skip(&format!("no {program} on this machine"));
    }
    there
}

/// Says why a test is skipped; in CI nothing may be.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}: CI must have it");
    eprintln!("skipped: {why}");
}

/// Runs a program to its end; its stdout.
pub fn output(program: &str, args: &[&str]) -> Vec<u8> {
    let out = Command::new(program).args(args).stdin(Stdio::null()).output();
    let out = out.unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// Frames that ffprobe decodes in a file.
pub fn probed(file: &Path) -> usize {
    let args = ["-v", "error", "-count_frames", "-select_streams", "v", "-show_entries", "stream=nb_read_frames"];
    let out = output("ffprobe", &[&args[..], &["-of", "csv=p=0", file.to_str().expect("a plain path")]].concat());
    String::from_utf8_lossy(&out).trim().parse().expect("a number of frames")
}

/// What Prometheus' own parser makes of metrics: the output of a script that has them as `families`. None where there is
/// no such parser.
pub fn prometheus(metrics: &[u8], script: &str) -> Option<String> {
    const READ: &str = "import sys\nfrom prometheus_client.parser import text_string_to_metric_families as parse\n\
                        families = list(parse(sys.stdin.read()))\n";
    // Debian's, which has Debian's packages.
    let mut command = Command::new("/usr/bin/python3");
    command
        .args(["-c", &format!("{READ}{script}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let Ok(mut python) = command.spawn() else {
        skip("no python3 on this machine");
        return None;
    };
    python.stdin.take().unwrap().write_all(metrics).unwrap();
    let out = python.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&out.stderr);
    if error.contains("No module named 'prometheus_client'") {
        skip("no prometheus_client for python3 (package python3-prometheus-client)");
        return None;
    }
    assert!(out.status.success(), "{error}\n{}", String::from_utf8_lossy(metrics));
    Some(String::from_utf8_lossy(&out.stdout).into_owned())
}
