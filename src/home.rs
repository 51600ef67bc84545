//! Where vstream keeps what it remembers of a user from one run to the next.

use std::path::PathBuf;

/// $XDG_STATE_HOME/vstream, as its specification has it.
pub fn state() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    Some(state.join("vstream"))
}
