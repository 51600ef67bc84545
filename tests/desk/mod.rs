//! A player in a window on a virtual screen, for tests that press its keys and look at it.

use std::path::Path;
use std::process::Child;

use crate::common::{Vstream, command, have, skip, start};
use crate::screen::{self, key, screenshot, tool, until};

/// A screen with a window manager, and a player on it.
pub struct Desk {
    xvfb: Child,
    manager: Child,
    pub player: Vstream,
    pub window: u64,
    _state: tempfile::TempDir,
}

impl Drop for Desk {
    fn drop(&mut self) {
        for child in [&mut self.manager, &mut self.xvfb] {
            let _ = child.kill().and_then(|()| child.wait()); // it may have ended by itself
        }
    }
}

pub fn desk(args: &[&str]) -> Option<Desk> {
    desk_in(Path::new("."), args)
}

/// The same with the player started in a folder.
pub fn desk_in(folder: &Path, args: &[&str]) -> Option<Desk> {
    if !["Xvfb", "xdotool", "import", "xprop"].into_iter().all(have) {
        return None;
    }
    let (xvfb, display) = screen::start();
    screen::look_at(&display);
    let Some(manager) = screen::manager() else {
        skip("no small window manager on this machine");
        return None;
    };
    let state = tempfile::tempdir().unwrap();
    let mut player = command(&[&["player", "--stats", "json"], args].concat());
    player
        .current_dir(folder)
        .env("DISPLAY", &display)
        .env("XDG_STATE_HOME", state.path())
        .env_remove("WAYLAND_DISPLAY");
    let player = start(player);
    Some(Desk { xvfb, manager, player, window: screen::window(), _state: state })
}

impl Desk {
    pub fn titled(&self, title: &str) {
        let id = self.window.to_string();
        until(title, || tool("xdotool", &["getwindowname", &id]).trim() == title);
    }

    /// Writes into the field that has the focus, in place of what stands there.
    pub fn write(&self, text: &str) {
        key("ctrl+a");
        tool("xdotool", &["type", "--delay", "15", text]);
    }

    /// Whether the picture changes within a second.
    pub fn picture(&self) -> Vec<[u8; 3]> {
        screenshot().within(self.window).pixels(10..700, 120..480)
    }

    pub fn moves(&self) -> bool {
        let before = self.picture();
        let late = std::time::Instant::now() + std::time::Duration::from_secs(1);
        while std::time::Instant::now() < late {
            if self.picture() != before {
                return true;
            }
        }
        false
    }

    pub fn remembered(&self) -> String {
        std::fs::read_to_string(self._state.path().join("vstream/player.json")).unwrap_or_default()
    }
}
