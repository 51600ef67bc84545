//! A virtual screen: started by Xvfb, looked at by ImageMagick's `import`, its keys pressed by xdotool.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const SIZE: (usize, usize) = (1280, 1024);
/// A loaded machine is slow; nothing waits so long when all is well.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server and the name of its display, which it chooses itself.
pub fn start() -> (Child, String) {
    try_to_start(5)
}

fn try_to_start(tries: u32) -> (Child, String) {
    let mut xvfb = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", &format!("{}x{}x24", SIZE.0, SIZE.1), "-nolisten", "tcp"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("Xvfb starts");
    let mut number = String::new();
    BufReader::new(xvfb.stdout.take().expect("piped")).read_line(&mut number).expect("Xvfb tells its display");
    if number.trim().is_empty() {
        // Two that start at once may choose the same number: one of them ends.
        let ended = xvfb.wait().expect("it has ended");
        assert!(tries > 1, "Xvfb tells no display: {ended}");
        return try_to_start(tries - 1);
    }
    (xvfb, format!(":{}", number.trim()))
}

thread_local! {
    /// The display that this thread's tools look at, where it is not that of the process.
    static DISPLAY: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on this thread's tools look at this display.
pub fn look_at(display: &str) {
    DISPLAY.set(Some(display.to_string()));
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    DISPLAY.with_borrow(|display| display.iter().for_each(|display| _ = command.env("DISPLAY", display)));
    command
}

pub struct Shot {
    pub width: usize,
    pub height: usize,
    rgb: Vec<u8>,
}

impl Shot {
    pub fn at(&self, x: usize, y: usize) -> [u8; 3] {
        self.rgb[(y * self.width + x) * 3..][..3].try_into().expect("three bytes")
    }

    /// What is in a part of it.
    pub fn pixels(&self, x: Range<usize>, y: Range<usize>) -> Vec<[u8; 3]> {
        y.flat_map(|y| x.clone().map(move |x| (x, y))).map(|(x, y)| self.at(x, y)).collect()
    }

    /// How many white pixels there are around a point: letters.
    pub fn bright(&self, x: usize, y: usize, reach_x: usize, reach_y: usize) -> usize {
        let rows = y.saturating_sub(reach_y)..(y + reach_y).min(self.height);
        let columns = x.saturating_sub(reach_x)..(x + reach_x).min(self.width);
        rows.flat_map(|y| columns.clone().map(move |x| (x, y))).filter(|&(x, y)| self.at(x, y) == [255; 3]).count()
    }

    pub fn within(&self, window: u64) -> Shot {
        let text = tool("xdotool", &["getwindowgeometry", "--shell", &window.to_string()]);
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.and_then(|v| v.parse::<usize>().ok()).unwrap_or_else(|| panic!("no {key} in {text}"))
        };
        let (x, y, width, height) = (value("X"), value("Y"), value("WIDTH"), value("HEIGHT"));
        let (width, height) = (width.min(self.width - x), height.min(self.height - y));
        let rgb =
            (y..y + height).flat_map(|row| &self.rgb[(row * self.width + x) * 3..][..width * 3]).copied().collect();
        Shot { width, height, rgb }
    }
}

pub fn screenshot() -> Shot {
    let output = command("import", &["-window", "root", "-depth", "8", "rgb:-"]).output().expect("import");
    assert_eq!(output.stdout.len(), SIZE.0 * SIZE.1 * 3, "{}", String::from_utf8_lossy(&output.stderr));
    Shot { width: SIZE.0, height: SIZE.1, rgb: output.stdout }
}

/// Keeps a screenshot where `VSTREAM_SCREENSHOTS` names a folder, to be looked at.
pub fn keep(name: &str) {
    if let Some(folder) = std::env::var_os("VSTREAM_SCREENSHOTS") {
        let file = Path::new(&folder).join(format!("{name}.png"));
        tool("import", &["-window", "root", &file.to_string_lossy()]);
    }
}

pub fn window() -> u64 {
    let mut id = None;
    until("a window", || {
        let output = command("xdotool", &["search", "--onlyvisible", "--name", "vstream"]).output();
        id = output.ok().and_then(|o| String::from_utf8_lossy(&o.stdout).lines().next()?.parse().ok());
        id.is_some()
    });
    let id: u64 = id.expect("waited for");
    tool("xdotool", &["windowfocus", "--sync", &id.to_string()]);
    id
}

/// Small programs that give windows a frame and let them fill the screen; one of them is enough.
pub const MANAGERS: [&str; 5] = ["openbox", "jwm", "icewm", "xfwm4", "metacity"];

/// One of them, once it is ready; none where there is none.
pub fn manager() -> Option<Child> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |name: &&str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    let name = MANAGERS.into_iter().find(found)?;
    let start = || command(name, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut manager = start();
    until("the window manager", || {
        if manager.try_wait().is_ok_and(|ended| ended.is_some()) {
            manager = start(); // as on a screen that was not there yet
        }
        tool("xprop", &["-root", "_NET_SUPPORTING_WM_CHECK"]).contains("window id")
    });
    Some(manager)
}

pub fn key(name: &str) {
    tool("xdotool", &["key", name]);
}

pub fn tool(program: &str, arguments: &[&str]) -> String {
    let output = command(program, arguments).output().expect("the tool starts");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn until(what: &str, condition: impl FnMut() -> bool) {
    assert!(eventually(condition), "waited in vain for {what}");
}

/// The screen has no event to wait for: it is looked at again and again.
pub fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}
