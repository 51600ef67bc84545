//! The chat of a room, and the line that is being written.

use super::super::session::Order;
use super::super::view::{Line, View};
use super::{Face, style};
use crate::chat::LINE;
use crate::devices::window::controls::egui::text::LayoutJob;
use crate::devices::window::controls::egui::{
    Align, Color32, FontId, Id, Key, Label, Layout, Margin, ScrollArea, TextEdit, TextFormat, Ui,
};
use crate::word::Word;

/// Of those who speak, told apart by their names.
const COLOURS: [Color32; 6] = [
    style::ACCENT,
    style::BLUE,
    style::WARM,
    Color32::from_rgb(0xf4, 0x9a, 0xc2),
    Color32::from_rgb(0xa3, 0xe6, 0x35),
    Color32::from_rgb(0xc4, 0xb5, 0xfd),
];

pub fn field() -> Id {
    Id::new("chat")
}

impl Face {
    pub fn draw_chat(&mut self, ui: &mut Ui, view: &View) {
        ui.with_layout(Layout::bottom_up(Align::LEFT), |ui| {
            let hint =
                if self.call.user.is_some() { "Say something, or /help" } else { "Only guests with a name may talk" };
            let edit = TextEdit::singleline(&mut self.line).id(field()).hint_text(hint).char_limit(LINE);
            let edit = edit.desired_width(f32::INFINITY).margin(Margin::symmetric(9, 6));
            let response = ui.add_enabled(self.call.user.is_some(), edit);
            if response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) {
                let text = std::mem::take(&mut self.line);
                if !text.trim().is_empty() {
                    self.order(Order::Tell(Word::Say { text }));
                }
                response.request_focus(); // the next line follows
            }
            ui.add_space(4.0);
            ui.with_layout(Layout::top_down(Align::LEFT), |ui| {
                ScrollArea::vertical().auto_shrink(false).stick_to_bottom(true).show(ui, |ui| {
                    view.chat.iter().for_each(|line| _ = ui.add(Label::new(job(line)).wrap()));
                });
            });
        });
    }
}

fn job(line: &Line) -> LayoutJob {
    let mut job = LayoutJob::default();
    let mut add =
        |text: &str, colour, size| job.append(text, 0.0, TextFormat::simple(FontId::proportional(size), colour));
    match line {
        Line::Told(text) => add(text, style::QUIET, 13.0),
        Line::Said(said) => {
            let sum: usize = said.from.bytes().map(usize::from).sum();
            add(&said.from, COLOURS[sum % COLOURS.len()], 14.0);
            if let Some(to) = &said.to {
                add(&format!(" to {to}"), style::QUIET, 14.0); // the font has no arrow
            }
            add(&format!("  {}", said.text), style::TEXT, 14.0);
        }
    }
    job
}
