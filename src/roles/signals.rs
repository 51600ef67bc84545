//! The ways a person ends a role: Ctrl-C, SIGTERM, a closed terminal, or `quit` typed on it.

use std::io::{BufRead, IsTerminal};

use anyhow::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::stop::Stop;

/// Says `stop` at the first signal; a second one ends the program at once.
pub fn listen(stop: &Stop) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let say = stop.clone();
    std::thread::spawn(move || {
        for (count, _) in signals.forever().enumerate() {
            if count > 0 {
                std::process::exit(1);
            }
            say.say();
        }
    });
    if std::io::stdin().is_terminal() {
        let say = stop.clone();
        std::thread::spawn(move || {
            let lines = std::io::stdin().lock().lines().map_while(Result::ok);
            if lines.map(|l| l.trim().to_ascii_lowercase()).any(|l| l == "q" || l == "quit") {
                say.say();
            }
        });
    }
    Ok(())
}
