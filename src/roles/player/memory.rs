//! What the player remembers from one run to the next: where it called and under which name. Never a key.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::fault;
use crate::home;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    pub address: Option<String>,
    pub user: Option<String>,
}

fn file() -> Option<PathBuf> {
    Some(home::state()?.join("player.json"))
}

impl Memory {
    /// What was kept; nothing where that cannot be read.
    pub fn load() -> Memory {
        let text = file().and_then(|file| fs::read_to_string(file).ok());
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// Keeps it, if it is new.
    pub fn keep(&self) {
        let Some(file) = file().filter(|_| *self != Memory::load()) else { return };
        let text = serde_json::to_string(self).unwrap_or_default();
        let kept = fs::create_dir_all(file.parent().unwrap_or(&file)).and_then(|()| fs::write(&file, text + "\n"));
        if let Err(error) = kept {
            log::warn!("could not remember this in {}: {}", file.display(), fault::plain(&error.to_string()));
        }
    }
}
