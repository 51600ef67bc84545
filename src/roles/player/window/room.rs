//! A room: the picture, the bars around it, and what goes on at its side.

use super::super::session::Order;
use super::super::view::{Place, View, making};
use super::hall::clock;
use super::{Face, chat, figures, style};
use crate::devices::window::controls::egui::{
    Align, CentralPanel, CursorIcon, Event, Frame, Key, Label, Layout, Margin, Modifiers, Panel, Rect, Response,
    RichText, ScrollArea, Slider, Ui,
};
use crate::greet::printable;
use crate::word::{At, Word};

const SIDE: f32 = 340.0;
/// Windows that are less wide have no side: the chat is below the picture, if there is height for it. Low ones have only the
/// seek bar there.
const WIDE: f32 = 760.0;
const HIGH: f32 = 400.0;
const LOW: f32 = 300.0;
/// What a word takes at least.
const WORD: f32 = 60.0;
/// Seconds that an arrow moves.
const STEP: f64 = 5.0;
/// What is left to be seen of a video after a jump to its end.
const LAST: f64 = 0.1;

impl Face {
    /// Draws it; where the picture goes.
    pub fn draw_room(&mut self, ui: &mut Ui, view: &View) -> Option<Rect> {
        self.figures.look(&self.session.job.board);
        self.take_keys(ui, view);
        if self.full_screen {
            ui.ctx().set_cursor_icon(CursorIcon::None);
            self.draw_trouble(ui, view);
            return Some(self.draw_stage(ui, view));
        }
        // To end a stream for all takes more than a slip.
        let back = if view.place == Place::Streaming { ("Stop", false) } else { ("< Leave", true) };
        let left = self.draw_bar(ui, back, |ui, face| face.draw_heading(ui, view));
        if left {
            self.order(Order::Look(self.call.clone()));
        }
        self.draw_trouble(ui, view);
        let window = ui.ctx().content_rect().size();
        let side = Frame::NONE.fill(style::PANEL).inner_margin(Margin::same(12));
        if window.x >= WIDE {
            Panel::right("side").resizable(false).exact_size(SIDE).frame(side).show(ui, |ui| self.draw_side(ui, view));
        } else if window.y >= HIGH {
            let below = Panel::bottom("below").resizable(false).exact_size(window.y * 0.3);
            below.frame(side).show(ui, |ui| self.draw_chat(ui, view));
        }
        if view.place == Place::Watching && window.y >= LOW {
            Panel::bottom("rungs")
                .frame(style::bar())
                .show_separator_line(false)
                .show(ui, |ui| self.draw_rungs(ui, view));
        }
        if let Some(at) = &view.at {
            Panel::bottom("seek").frame(style::bar()).show_separator_line(false).show(ui, |ui| self.draw_seek(ui, at));
        }
        Some(self.draw_stage(ui, view))
    }

    fn draw_side(&mut self, ui: &mut Ui, view: &View) {
        self.figures.draw(ui);
        ui.add_space(4.0);
        let most = ui.available_height() * 0.3;
        ScrollArea::vertical().id_salt("guests").max_height(most).show(ui, |ui| figures::guests(ui, view));
        ui.separator();
        self.draw_chat(ui, view);
    }

    fn draw_heading(&mut self, ui: &mut Ui, view: &View) {
        let streamer = view.room.streamer.as_ref();
        let by = match (view.place, streamer, &view.at) {
            (Place::Streaming, ..) => "you stream".to_string(),
            (_, Some(guest), _) => format!("by {}", printable(&guest.name)),
            (_, None, at) => match view.room.preparing {
                Some(share) => format!("from the library · {}", making(share, at.is_some())),
                None if at.is_some() => "from the library".to_string(),
                None if view.room.stream.is_empty() => String::new(), // the hub has not told yet
                None => "waiting for somebody to stream".to_string(),
            },
        };
        let size = self.session.job.board.whole().size;
        let size = size.map_or(String::new(), |(width, height)| format!(" · {width}x{height}"));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            self.full_screen |= ui.button("Full screen").on_hover_text("f or F11").clicked();
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let name = RichText::new(printable(&self.room_name(view))).strong().size(17.0);
                ui.add(Label::new(name).truncate());
                if ui.available_width() >= WORD {
                    ui.add(Label::new(style::quiet(by + &size)).truncate());
                }
            });
        });
    }

    fn draw_rungs(&mut self, ui: &mut Ui, view: &View) {
        ui.horizontal_wrapped(|ui| {
            ui.label(style::quiet("Quality"));
            let rung = view.rung.as_ref();
            let auto = rung.is_some_and(|rung| rung.auto);
            let watched = rung.map(|rung| &rung.name).filter(|_| !auto).map_or("auto", String::as_str);
            let all = std::iter::once("auto").chain(view.room.rungs.iter().map(String::as_str));
            for name in all {
                if style::choice(ui, name == watched, &printable(name)).clicked() {
                    self.call.rung = name.to_string(); // in other rooms too
                    self.order(Order::Tell(Word::Choose { rung: name.to_string() }));
                }
            }
            if let Some(rung) = rung.filter(|rung| auto || !rung.why.is_empty()) {
                let why = if rung.why.is_empty() { String::new() } else { format!(": {}", rung.why) };
                ui.add(Label::new(style::quiet(format!("now {}{why}", rung.name))).truncate());
            }
        });
    }

    fn draw_seek(&mut self, ui: &mut Ui, at: &At) {
        ui.horizontal(|ui| {
            if ui.button(if at.paused || at.is_over() { "Play" } else { "Pause" }).clicked() {
                self.play(at);
            }
            ui.label(clock(at.position));
            let end = clock(at.duration);
            ui.spacing_mut().slider_width = (ui.available_width() - 70.0).max(40.0);
            let keyed = self.seek.filter(|id| ui.memory(|memory| memory.has_focus(*id))).and_then(|_| keyed(ui, at));
            let mut to = at.position;
            let slider =
                ui.add(Slider::new(&mut to, 0.0..=at.duration.clamp(0.1, 1e8)).show_value(false).trailing_fill(true));
            style::focus_ring(ui, &slider);
            self.seek = Some(slider.id);
            let tapped = tapped(ui, &slider).map(|part| part * at.duration);
            if tapped.is_some() || slider.drag_started() {
                slider.request_focus(); // its keys follow
            }
            if let Some(to) = keyed.or(tapped).or(slider.changed().then_some(to)) {
                self.order(Order::Tell(Word::Seek { to: to.clamp(0.0, (at.duration - LAST).max(0.0)) }));
            }
            ui.label(style::quiet(end));
        });
    }

    /// Plays, or pauses; from the end a video plays again.
    fn play(&self, at: &At) {
        if at.is_over() {
            self.order(Order::Tell(Word::Seek { to: 0.0 }));
        }
        if at.paused || !at.is_over() {
            self.order(Order::Tell(Word::Pause { paused: !at.paused }));
        }
    }

    fn draw_stage(&mut self, ui: &mut Ui, view: &View) -> Rect {
        let stage = CentralPanel::default().frame(Frame::NONE).show(ui, |ui| {
            let area = ui.max_rect();
            if !view.picture {
                let making = view.room.preparing.map(|share| making(share, false));
                let text = view.notice.as_deref().or(making.as_deref()).unwrap_or("waiting for the first picture");
                ui.centered_and_justified(|ui| ui.label(style::quiet(text)));
            }
            area
        });
        stage.inner
    }

    fn take_keys(&mut self, ui: &mut Ui, view: &View) {
        let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        self.full_screen ^= pressed(Key::F11);
        if self.full_screen && pressed(Key::Escape) {
            self.full_screen = false;
        }
        if ui.ctx().text_edit_focused() {
            return;
        }
        self.full_screen ^= pressed(Key::F);
        if !self.full_screen && pressed(Key::C) {
            ui.memory_mut(|memory| memory.request_focus(chat::field()));
            ui.input_mut(|input| input.events.retain(|event| !matches!(event, Event::Text(_)))); // it is no letter here
        }
        let focused = ui.memory(|memory| memory.focused());
        let free = focused.is_none() || focused == self.seek;
        if let Some(at) = view.at.as_ref().filter(|_| free && pressed(Key::Space)) {
            self.play(at);
        }
    }
}

/// Where a bar was pressed so briefly that this was no drag for it: the part of its length.
fn tapped(ui: &Ui, bar: &Response) -> Option<f64> {
    let tap = ui.input(|input| input.pointer.primary_clicked().then(|| input.pointer.interact_pos())).flatten()?;
    let handle = bar.rect.height() / 2.5; // as egui has it: the bar ends where the handle's middle does
    let part = (tap.x - bar.rect.left() - handle) / (bar.rect.width() - 2.0 * handle);
    let on_it = bar.rect.contains(tap) && !bar.is_pointer_button_down_on() && !bar.drag_stopped();
    on_it.then(|| f64::from(part.clamp(0.0, 1.0)))
}

/// Where the keys lead in a video.
fn keyed(ui: &mut Ui, at: &At) -> Option<f64> {
    let presses = |key| ui.input_mut(|input| input.count_and_consume_key(Modifiers::NONE, key));
    let steps = presses(Key::ArrowRight) as f64 - presses(Key::ArrowLeft) as f64;
    let (home, end) = (presses(Key::Home) > 0, presses(Key::End) > 0);
    match (home, end) {
        (true, _) => Some(0.0),
        (_, true) => Some(at.duration),
        _ => (steps != 0.0).then_some(at.position + STEP * steps),
    }
}
