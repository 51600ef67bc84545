//! A window with controls, by egui, and the picture of a `Feed` under them. What the controls are is a `Face`'s.

use anyhow::Result;
use egui_sdl2::EguiCanvas;
pub use egui_sdl2::egui;
use sdl2::EventPump;
use sdl2::event::{Event, WindowEvent};
use sdl2::keyboard::Keycode;
use sdl2::pixels::Color;
use sdl2::rect::Rect;
use sdl2::video::FullscreenType;

use super::feed::Screen;
use super::paint::Painter;
use super::{End, Ringing, SIZE, SLEEP_MAX, no_window, open_canvas, open_sdl};
use crate::clock::now;
use crate::stop::Stop;

/// What is drawn over and around the picture.
pub trait Face {
    /// Draws it all anew.
    fn draw(&mut self, ui: &mut egui::Ui) -> Asked;
}

/// What a face asks of its window.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub title: String,
    /// Where the picture goes, in egui's points; none where it is not to be seen.
    pub picture: Option<egui::Rect>,
    pub full_screen: bool,
    pub quit: bool,
}

/// Shows the face until it, the user or `stop` ends it. Blocks; SDL wants to be called by the main thread.
pub fn run(screen: Screen, stop: &Stop, face: &mut dyn Face) -> Result<End> {
    let (sdl, video) = open_sdl()?;
    video.text_input().start();
    let _ringing = Ringing::new(&sdl, screen.shared.clone(), stop)?;
    let mut events = sdl.event_pump().map_err(no_window)?;
    let canvas = open_canvas(&video, "vstream", SIZE)?;
    let egui = EguiCanvas::new(&canvas);
    let mut window =
        Window { painter: Painter::new(canvas), egui, screen, asked: Asked::default(), held: None, hidden: false };
    window.live(&mut events, stop, face)
}

struct Window {
    painter: Painter,
    egui: EguiCanvas,
    screen: Screen,
    asked: Asked,
    /// A key that waits for the next drawing.
    held: Option<Event>,
    /// Minimised: nobody sees what is drawn.
    hidden: bool,
}

/// The keys that came since the last drawing. What a key does to the focus is known when it was drawn, and the next key
/// goes where the focus is then; only letters that are written come together.
#[derive(Default)]
struct Keys {
    typing: bool,
    some: bool,
    moved: bool,
}

impl Keys {
    fn must_wait(&mut self, event: &Event) -> bool {
        let Event::KeyDown { keycode: Some(key), .. } = event else { return false };
        let moves = !self.typing || matches!(*key, Keycode::TAB | Keycode::RETURN | Keycode::ESCAPE);
        let waits = self.moved || (self.some && moves);
        (self.some, self.moved) = (true, moves);
        waits
    }
}

impl Window {
    fn live(&mut self, events: &mut EventPump, stop: &Stop, face: &mut dyn Face) -> Result<End> {
        loop {
            self.screen.shared.bell.heard();
            if stop.said() {
                return Ok(End::Stopped);
            }
            if !self.hidden {
                let asked = self.draw(face)?;
                if asked.quit {
                    stop.say();
                    return Ok(End::Quit);
                }
                self.answer(asked);
            }
            let next = self.egui.repaint_delay().min(SLEEP_MAX);
            let wait = || events.wait_event_timeout(next.as_micros().div_ceil(1000) as u32);
            let first = self.held.take().or_else(wait);
            let typing = self.egui.ctx.text_edit_focused();
            let mut keys = Keys { typing, ..Keys::default() };
            for event in first.into_iter().chain(events.poll_iter()) {
                if matches!(event, Event::Quit { .. }) {
                    stop.say();
                    return Ok(End::Quit);
                }
                if keys.must_wait(&event) {
                    self.held = Some(event);
                    break;
                }
                self.take(&event);
            }
        }
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::RenderTargetsReset { .. } | Event::RenderDeviceReset { .. } => {
                self.painter.forget();
                self.egui = EguiCanvas::new(&self.painter.canvas);
            }
            Event::Window { win_event: WindowEvent::Minimized | WindowEvent::Hidden, .. } => self.hidden = true,
            Event::Window { win_event: WindowEvent::Restored | WindowEvent::Shown | WindowEvent::Exposed, .. } => {
                self.hidden = false;
            }
            _ => {}
        }
        let _ = self.egui.on_event(&self.painter.canvas, event); // what it does not want, nobody does
    }

    fn draw(&mut self, face: &mut dyn Face) -> Result<Asked> {
        let fresh = self.screen.pictures.try_next();
        if let Some(shown) = &fresh {
            self.painter.load(shown)?;
        }
        let mut asked = Asked::default();
        self.egui.run_ui(|ui| asked = face.draw(ui));
        let canvas = &mut self.painter.canvas;
        canvas.set_draw_color(Color::BLACK);
        canvas.clear();
        if let Some(area) = asked.picture.and_then(|area| pixels(area, self.egui.ctx.pixels_per_point())) {
            self.painter.draw_picture(area)?;
        }
        self.egui.paint(&mut self.painter.canvas);
        self.painter.canvas.set_clip_rect(None);
        self.painter.canvas.present();
        if let Some(shown) = fresh {
            self.screen.shared.seen(now().since(shown.frame.captured));
        }
        Ok(asked)
    }

    fn answer(&mut self, asked: Asked) {
        let window = self.painter.canvas.window_mut();
        if asked.title != self.asked.title {
            let _ = window.set_title(&asked.title.replace('\0', "")); // it fails on NUL alone
        }
        if asked.full_screen != self.asked.full_screen {
            let wanted = if asked.full_screen { FullscreenType::Desktop } else { FullscreenType::Off };
            if let Err(error) = window.set_fullscreen(wanted) {
                log::warn!("could not change to or from full screen: {error}");
            }
        }
        self.asked = asked;
    }
}

fn pixels(area: egui::Rect, scale: f32) -> Option<Rect> {
    let (at, size) = (area.min * scale, area.size() * scale);
    let some = size.x >= 1.0 && size.y >= 1.0;
    some.then(|| Rect::new(at.x as i32, at.y as i32, size.x as u32, size.y as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the keys wait for a drawing between them.
    fn waits(typing: bool, keys: &[Keycode]) -> Vec<bool> {
        let mut since = Keys { typing, ..Keys::default() };
        let event = |key: &Keycode| Event::KeyDown {
            timestamp: 0,
            window_id: 0,
            keycode: Some(*key),
            scancode: None,
            keymod: sdl2::keyboard::Mod::NOMOD,
            repeat: false,
        };
        keys.iter().map(|key| since.must_wait(&event(key))).collect()
    }

    #[test]
    fn letters_come_together_and_keys_that_move_the_focus_alone() {
        assert_eq!(waits(true, &[Keycode::A, Keycode::B, Keycode::TAB]), [false, false, true]);
        assert_eq!(waits(true, &[Keycode::TAB, Keycode::A]), [false, true]);
        assert_eq!(waits(false, &[Keycode::C, Keycode::H]), [false, true]);
    }
}
