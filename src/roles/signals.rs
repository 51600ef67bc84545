//! The ways a person ends a role: Ctrl-C, SIGTERM, a closed terminal, or `quit` typed on it.

use std::io::{BufRead, IsTerminal};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::lock::lock;
use crate::stop::Stop;

/// What a role does at SIGHUP instead of ending: reading its configuration again.
pub type Hangup = Arc<Mutex<Option<Box<dyn Fn() + Send>>>>;

/// What a role does with a line that is typed.
pub type Typed = Arc<Mutex<Option<Box<dyn Fn(String) + Send>>>>;

/// Says `stop` at the first signal; a second one ends the program at once.
pub fn listen(stop: &Stop, hangup: &Hangup, typed: &Typed) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let (say, hangup) = (stop.clone(), hangup.clone());
    std::thread::spawn(move || {
        // Counted here: a first signal while the role ends by itself is not the second one.
        let mut heard = false;
        for signal in signals.forever() {
            match &*lock(&hangup) {
                Some(act) if signal == SIGHUP => act(),
                _ if heard => std::process::exit(1),
                _ => {
                    heard = true;
                    say.say();
                }
            }
        }
    });
    if std::io::stdin().is_terminal() {
        read(stop, typed);
    }
    Ok(())
}

/// Reads what is typed; `quit` on a terminal ends the role.
pub fn read(stop: &Stop, typed: &Typed) {
    let (say, typed) = (stop.clone(), typed.clone());
    std::thread::spawn(move || {
        let stdin = std::io::stdin().lock();
        let terminal = stdin.is_terminal();
        for line in stdin.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line); // whatever a pipe says, what follows is heard
            let line = line.trim_end_matches('\r').to_string();
            if terminal && ["q", "quit"].contains(&&*line.trim().to_ascii_lowercase()) {
                say.say();
            } else if let Some(act) = &*lock(&typed) {
                act(line);
            }
        }
    });
}
