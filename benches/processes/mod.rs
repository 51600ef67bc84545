//! A role of vstream's as benches run it: its address, and its stats afterwards.
#![allow(dead_code, reason = "each bench uses a part of it")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::Value;

pub mod viewer;

pub struct Role {
    child: Child,
    /// Host and port that it listens on; empty of one that only calls.
    pub address: String,
    stats: PathBuf,
}

/// Starts `vstream WORDS`, the first of which is the role; what it says goes on to stderr.
pub fn role(words: &[&str]) -> Role {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vstream"));
    command.args(words).args(["--stats", "none", "--stats-file"]);
    let stats = std::env::temp_dir().join(format!("vstream-bench-{:016x}.json", fastrand::u64(..)));
    let mut child = command.arg(&stats).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("vstream starts");
    let lines = BufReader::new(child.stderr.take().expect("it was piped")).lines();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            match line.split_once("listening on ").and_then(|(_, url)| url.split_once("://")) {
                Some((_, address)) => {
                    _ = sender.send(address.split([' ', '/', '?']).next().unwrap_or_default().to_string())
                }
                None => eprintln!("  {line}"),
            }
        }
    });
    let address = if words[0] == "send" { None } else { receiver.recv_timeout(Duration::from_secs(10)).ok() };
    Role { child, address: address.unwrap_or_default(), stats }
}

impl Role {
    pub fn wait(&mut self) {
        self.child.wait().expect("it was started");
    }

    /// The lines of its stats so far.
    pub fn stats(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.stats).expect("the stats were written");
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.stats);
    }
}
