//! What the window decides without SDL's help: where the picture goes, how text breaks, what a key means.

use sdl2::keyboard::{Keycode, Mod};

use crate::devices::text::{CELL, LINE, MARGIN};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    FullScreen,
    Stats,
    Freeze,
    Snapshot,
    Quit,
}

/// The keys as the stats overlay tells them.
pub const KEYS: &str = "f full screen  s stats  space freeze  p snapshot  q quit";

/// Keys with Ctrl, Alt or the logo key belong to the desktop.
pub fn action(key: Keycode, held: Mod) -> Option<Action> {
    let desktop = Mod::LCTRLMOD | Mod::RCTRLMOD | Mod::LALTMOD | Mod::LGUIMOD | Mod::RGUIMOD;
    match key {
        _ if held.intersects(desktop) => None,
        Keycode::F => Some(Action::FullScreen),
        Keycode::S => Some(Action::Stats),
        Keycode::SPACE => Some(Action::Freeze),
        Keycode::P => Some(Action::Snapshot),
        Keycode::Q | Keycode::ESCAPE => Some(Action::Quit),
        _ => None,
    }
}

/// Left, top, width and height of the largest rectangle of the picture's shape in the middle of the window.
pub fn letterbox(picture: (usize, usize), window: (u32, u32)) -> (i32, i32, u32, u32) {
    let (pw, ph) = (picture.0.max(1) as u64, picture.1.max(1) as u64);
    let (ww, wh) = (u64::from(window.0), u64::from(window.1));
    let round = |v: u64, by: u64| (v + by / 2) / by;
    let (w, h) = if ww * ph <= wh * pw { (ww, round(ww * ph, pw).min(wh)) } else { (round(wh * pw, ph).min(ww), wh) };
    let (w, h) = (w.max(1), h.max(1));
    (((ww.max(w) - w) / 2) as i32, ((wh.max(h) - h) / 2) as i32, w as u32, h as u32)
}

/// Smallest size of a window at its start: the keys' line fits at scale 1.
const START_MIN: (u32, u32) = (480, 270);

/// The window for a first picture: as large as it, on at most 90 % of the screen.
pub fn start_size(picture: (usize, usize), screen: (u32, u32)) -> (u32, u32) {
    let most = (screen.0 / 10 * 9, screen.1 / 10 * 9);
    let (w, h) = (u32::try_from(picture.0).unwrap_or(u32::MAX), u32::try_from(picture.1).unwrap_or(u32::MAX));
    let (w, h) = if w > most.0 || h > most.1 {
        let (_, _, w, h) = letterbox(picture, most);
        (w, h)
    } else {
        (w, h)
    };
    (w.max(START_MIN.0.min(most.0)).max(1), h.max(START_MIN.1.min(most.1)).max(1))
}

/// Scale of the overlay's text: letters of 8 pixels in a window of 360 lines, 16 at 720, 24 at 1080.
pub fn text_scale(window: (u32, u32)) -> usize {
    ((window.1 / 320).min(window.0 / 480) as usize).max(1)
}

/// Lines broken to fit a window, and no more of them than fit; breaks at spaces where there are any.
pub fn fit(lines: &[String], window: (u32, u32), scale: usize) -> Vec<String> {
    // Twice the margin: around the box and in it.
    let room = |pixels: u32, each: usize| ((pixels as usize / scale).saturating_sub(4 * MARGIN) / each).max(1);
    let (columns, rows) = (room(window.0, CELL), room(window.1, LINE));
    lines.iter().flat_map(|line| wrap(line, columns)).take(rows).collect()
}

fn wrap(line: &str, columns: usize) -> Vec<String> {
    let letters: Vec<char> = line.chars().collect();
    let (mut out, mut rest) = (Vec::new(), &letters[..]);
    while rest.len() > columns {
        let cut = rest[..=columns].iter().rposition(|&c| c == ' ').filter(|&at| at > 0).unwrap_or(columns);
        out.push(rest[..cut].iter().collect::<String>().trim_end().to_string());
        let next = rest[cut..].iter().position(|&c| c != ' ').map_or(rest.len(), |skip| cut + skip);
        rest = &rest[next..];
    }
    if !rest.is_empty() || out.is_empty() {
        out.push(rest.iter().collect());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_keep_their_shape() {
        assert_eq!(letterbox((1280, 720), (1280, 720)), (0, 0, 1280, 720));
        assert_eq!(letterbox((640, 480), (1280, 720)), (160, 0, 960, 720));
        assert_eq!(letterbox((1280, 720), (701, 523)), (0, 64, 701, 394));
        assert_eq!(letterbox((1, 10_000), (300, 200)), (149, 0, 1, 200));
        for window in [(0, 0), (1, 1), (u32::MAX / 2, 3)] {
            let (x, y, w, h) = letterbox((7680, 4320), window);
            assert!(x >= 0 && y >= 0 && w > 0 && h > 0);
        }
    }

    #[test]
    fn windows_start_as_large_as_the_picture_and_fit_the_screen() {
        assert_eq!(start_size((1280, 720), (1920, 1080)), (1280, 720));
        assert_eq!(start_size((1920, 1080), (1920, 1080)), (1728, 972));
        assert_eq!(start_size((7680, 4320), (1280, 1024)), (1152, 648));
        assert_eq!(start_size((16, 16), (1920, 1080)), (480, 270));
        assert!(start_size((usize::MAX, 1), (0, 0)).0 > 0);
    }

    #[test]
    fn plain_keys_act_and_shortcuts_do_not() {
        let plain = |key| action(key, Mod::NUMMOD | Mod::CAPSMOD | Mod::LSHIFTMOD);
        assert_eq!(plain(Keycode::F), Some(Action::FullScreen));
        assert_eq!((plain(Keycode::Q), plain(Keycode::ESCAPE)), (Some(Action::Quit), Some(Action::Quit)));
        assert_eq!((plain(Keycode::SPACE), plain(Keycode::P)), (Some(Action::Freeze), Some(Action::Snapshot)));
        assert_eq!((plain(Keycode::X), action(Keycode::S, Mod::LCTRLMOD)), (None, None));
    }

    #[test]
    fn lines_break_at_spaces_and_none_is_cut() {
        assert_eq!(wrap("one two  three", 8), ["one two", "three"]);
        assert_eq!(wrap("tcp://a-long-name:9000/live", 10), ["tcp://a-lo", "ng-name:90", "00/live"]);
        assert_eq!((wrap("", 5), wrap("exact", 5)), (vec![String::new()], vec!["exact".to_string()]));
        let lines = vec!["waiting for tcp://192.168.178.123:9000/live".to_string(); 50];
        let (window, scale) = ((320, 180), text_scale((320, 180)));
        let (width, height) = crate::devices::text::boxed_size(&fit(&lines, window, scale), scale);
        assert!(width <= 320 && height <= 180 && scale == 1, "{width}x{height}");
        assert_eq!((text_scale((1280, 720)), text_scale((1920, 1080)), text_scale((1, 1))), (2, 3, 1));
        assert!(!fit(&lines, (0, 0), 1).is_empty());
    }
}
