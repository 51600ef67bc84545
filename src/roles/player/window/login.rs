//! The first page: where to, as whom, and what for.

use super::super::session::{Call, Order};
use super::super::view::View;
use super::files::Files;
use super::{Face, style};
use crate::devices;
use crate::devices::window::controls::egui::{self, CentralPanel, Frame, Key, RichText, ScrollArea, TextEdit, Ui};
use crate::endpoint;
use crate::key::Key as LinkKey;
use crate::transports;

/// What stands in the fields.
pub struct Login {
    address: String,
    user: String,
    key: String,
    streams: bool,
    source: Source,
    files: Files,
    name: String,
    take_over: bool,
    wrong: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Camera,
    Card,
    File,
}

const WIDTH: f32 = 440.0;

impl Login {
    pub fn new(call: &Call) -> Login {
        let source = if devices::default_name() == "camera" { Source::Camera } else { Source::Card };
        Login {
            address: call.to.to_string(),
            user: call.user.clone().unwrap_or_default(),
            key: String::new(),
            streams: false,
            source,
            files: Files::default(),
            name: call.to.name().to_string(),
            take_over: false,
            wrong: None,
        }
    }

    /// What the fields ask for. Errors: what is wrong in them.
    fn order(&self, rung: &str) -> Result<(Call, Order), String> {
        let mut to = transports::dialled(self.address.trim()).map_err(|error| format!("the address: {error}"))?;
        if !self.key.is_empty() {
            to.key = Some(LinkKey::new(&self.key)?);
        }
        let user = Some(self.user.trim().to_string()).filter(|user| !user.is_empty());
        let call = Call { to, user, rung: rung.to_string() };
        if !self.streams {
            let named = call.to.name.is_some();
            return Ok((call.clone(), if named { Order::Watch(call) } else { Order::Look(call) }));
        }
        let source = match self.source {
            Source::Camera => "camera".to_string(),
            Source::Card => "test".to_string(),
            Source::File => self.files.chosen().ok_or("choose a file to stream")?,
        };
        let name = endpoint::check_name(self.name.trim())?;
        let to = endpoint::Endpoint { name: Some(name), ..call.to.clone() };
        let there = Call { to, ..call.clone() };
        Ok((call, Order::Stream(there, source, self.take_over)))
    }

    fn fields(&mut self, ui: &mut Ui, view: &View, arrived: bool) {
        let mut field = |label: &str, hint: &str, text: &mut String, secret: bool| {
            ui.label(style::quiet(label).small());
            let edit = TextEdit::singleline(text).hint_text(hint.to_string()).password(secret);
            ui.add(edit.desired_width(f32::INFINITY).margin(egui::Margin::symmetric(9, 6)))
        };
        let address = field("Hub", "host, host:9000 or tls://host/stream", &mut self.address, false);
        field("Your name", "1 to 32 characters", &mut self.user, false);
        field("Key", "only where the hub has one", &mut self.key, true);
        if arrived {
            address.request_focus();
        }
        if !view.neighbours.is_empty() {
            ui.label(style::quiet("Hubs near by").small());
            ui.horizontal_wrapped(|ui| {
                for (name, at) in &view.neighbours {
                    if style::choice(ui, self.address == at.to_string(), name).clicked() {
                        self.address = at.to_string();
                    }
                }
            });
        }
    }

    fn sources(&mut self, ui: &mut Ui) {
        ui.label(style::quiet("Stream").small());
        ui.horizontal(|ui| {
            for (source, text) in
                [(Source::Camera, "Camera"), (Source::File, "Video file"), (Source::Card, "Test card")]
            {
                if style::choice(ui, self.source == source, text).clicked() {
                    self.source = source;
                }
            }
        });
        if self.source == Source::File {
            self.files.draw(ui);
        }
        ui.label(style::quiet("Its name at the hub").small());
        let name = TextEdit::singleline(&mut self.name).desired_width(f32::INFINITY);
        ui.add(name.margin(egui::Margin::symmetric(9, 6)));
        ui.checkbox(&mut self.take_over, "Take over from whoever streams there now");
    }
}

impl Face {
    pub fn draw_login(&mut self, ui: &mut Ui, view: &View, arrived: bool) {
        self.draw_trouble(ui, view);
        let first = arrived || ui.ctx().cumulative_frame_nr() == 0;
        let mut go = false;
        CentralPanel::default().frame(Frame::NONE.fill(style::PAGE)).show(ui, |ui| {
            ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                let side = ((ui.available_width() - WIDTH) / 2.0).max(8.0);
                ui.add_space((ui.available_height() * 0.09).max(10.0));
                ui.horizontal(|ui| {
                    ui.add_space(side);
                    ui.vertical(|ui| {
                        ui.set_width(WIDTH.min(ui.available_width() - 8.0));
                        go = self.draw_form(ui, view, first);
                    });
                });
                style::follow_focus(ui);
            });
        });
        if go {
            match self.login.order(&self.call.rung) {
                Ok((call, order)) => {
                    (self.call, self.login.wrong) = (call, None);
                    self.order(order);
                }
                Err(wrong) => self.login.wrong = Some(wrong),
            }
        }
    }

    fn draw_form(&mut self, ui: &mut Ui, view: &View, first: bool) -> bool {
        let login = &mut self.login;
        ui.label(RichText::new("vstream").size(30.0).strong().color(style::ACCENT));
        ui.label(style::quiet("Live video from one PC to others"));
        ui.add_space(8.0);
        let mut go = false;
        style::card().show(ui, |ui| {
            ui.set_width(ui.available_width());
            login.fields(ui, view, first);
            ui.add_space(4.0);
            ui.horizontal(|ui| {
                for (streams, text) in [(false, "Join"), (true, "Start streaming")] {
                    if style::choice(ui, login.streams == streams, text).clicked() {
                        login.streams = streams;
                    }
                }
            });
            if login.streams {
                login.sources(ui);
            }
            ui.add_space(4.0);
            let text = if login.streams { "Go live" } else { "See what is on" };
            let width = ui.available_width();
            go = style::primary(ui, text, width).clicked();
            if let Some(wrong) = &login.wrong {
                ui.label(RichText::new(wrong).color(style::BAD));
            }
        });
        // Enter in a field is the button too.
        let entered = ui.input(|input| input.key_pressed(Key::Enter)) && ui.ctx().text_edit_focused();
        go || entered || (style::nothing_focused(ui) && ui.input(|input| input.key_pressed(Key::Enter)))
    }
}
