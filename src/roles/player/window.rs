//! The player's window: what there is to see of a session, and the orders that its user gives.

use std::sync::Arc;

use anyhow::{Result, bail};
use async_channel::{Receiver, Sender};

use super::session::{Call, Order, Session};
use super::view::{Place, View};
use crate::devices::window;
use crate::devices::window::controls::egui::{self, Align, Key, Layout, Modifiers, Panel, RichText};
use crate::devices::window::controls::{self, Asked};
use crate::frame::{Frame, Sink};
use crate::picture::Picture;
use crate::playout::Mode;
use crate::roles::Job;
use crate::roles::output::Output;
use crate::roles::window::Shown;

mod chat;
mod figures;
mod files;
mod hall;
mod login;
mod room;
mod style;

use figures::Figures;
use login::Login;

pub fn run(job: &Arc<Job>, call: Call, first: Order, (order, orders): (Sender<Order>, Receiver<Order>)) -> Result<()> {
    let (feed, screen) = window::feed();
    let ring = feed.clone();
    let show = {
        let job = job.clone();
        move |session| {
            let sink = Seen { shown: Shown { feed: feed.clone(), job: job.clone() }, session, seen: false };
            Output { name: "window".to_string(), sink: Box::new(sink), mode: Mode::Auto }
        }
    };
    let session = Session::new(job, orders, (Box::new(move || ring.ring()), Box::new(show)), true);
    let mut face = Face::new(session.clone(), call, order);
    let network = {
        let job = job.clone();
        std::thread::spawn(move || {
            smol::future::block_on(async {
                job.spawn(session.run(first));
                job.ended().await
            })
        })
    };
    if let Err(error) = controls::run(screen, &job.stop, &mut face) {
        job.fail(error);
    }
    match network.join() {
        Ok(ended) => ended,
        Err(_) => bail!("the network thread panicked"),
    }
}

/// The window as the output of one room, which learns when its first picture is there.
struct Seen {
    shown: Shown,
    session: Arc<Session>,
    seen: bool,
}

impl Sink for Seen {
    fn decodes(&self) -> bool {
        true
    }

    fn put(&mut self, frame: &Frame, picture: Option<Arc<Picture>>) -> Result<()> {
        self.shown.put(frame, picture)?;
        if !std::mem::replace(&mut self.seen, true) {
            self.session.change(|view| view.picture = true);
        }
        Ok(())
    }
}

struct Face {
    session: Arc<Session>,
    order: Sender<Order>,
    /// As whom, and with which rung, hubs are called.
    call: Call,
    login: Login,
    figures: Figures,
    /// The line of chat that is being written.
    line: String,
    full_screen: bool,
    styled: bool,
    /// The bar to seek in, once it was drawn.
    seek: Option<egui::Id>,
    /// Where it was when it was last drawn, and whether something was being written then: Escape ends that first.
    place: Place,
    typing: bool,
    /// The first thing to choose has had the focus.
    offered: bool,
}

impl Face {
    fn new(session: Arc<Session>, call: Call, order: Sender<Order>) -> Face {
        let login = Login::new(&call);
        let (figures, line) = Default::default();
        let (full_screen, styled, place) = (false, false, Place::Login);
        let (seek, typing, offered) = (None, false, false);
        Face { session, order, call, login, figures, line, full_screen, styled, seek, place, typing, offered }
    }

    fn order(&self, order: Order) {
        _ = self.order.try_send(order); // nobody presses so many keys
    }
}

impl controls::Face for Face {
    fn draw(&mut self, ui: &mut egui::Ui) -> Asked {
        if !std::mem::replace(&mut self.styled, true) {
            style::apply(ui.ctx());
        }
        let view = self.session.view();
        let arrived = std::mem::replace(&mut self.place, view.place) != view.place;
        if arrived {
            self.arrive(&view);
        }
        let quit = ui.input_mut(|input| input.consume_key(Modifiers::COMMAND, Key::Q));
        let title = match view.place {
            Place::Login | Place::Hall => "vstream".to_string(),
            Place::Watching | Place::Streaming => format!("{} - vstream", self.room_name(&view)),
        };
        let mut picture = None;
        match view.place {
            Place::Login => self.draw_login(ui, &view, arrived),
            Place::Hall => self.draw_hall(ui, &view),
            Place::Watching | Place::Streaming => picture = self.draw_room(ui, &view),
        }
        self.typing = ui.ctx().text_edit_focused();
        Asked { title, picture: picture.filter(|_| view.picture), full_screen: self.full_screen, quit }
    }
}

impl Face {
    fn arrive(&mut self, view: &View) {
        (self.full_screen, self.offered) = (false, false);
        if matches!(view.place, Place::Watching | Place::Streaming) {
            self.figures = Figures::default();
            self.line.clear();
        }
    }

    fn room_name(&self, view: &View) -> String {
        let room = &view.room;
        let named = room.title.clone().or_else(|| Some(room.stream.clone()).filter(|name| !name.is_empty()));
        named.or_else(|| self.session.job.board.whole().stream.clone()).unwrap_or_else(|| "live".to_string())
    }

    /// The bar on top: where one is, and the way back, by Escape too where that `escapes`.
    fn draw_bar(
        &mut self,
        ui: &mut egui::Ui,
        (back, escapes): (&str, bool),
        add: impl FnOnce(&mut egui::Ui, &mut Face),
    ) -> bool {
        let mut left = false;
        Panel::top("bar").frame(style::bar()).show_separator_line(false).show(ui, |ui| {
            ui.horizontal(|ui| {
                left = ui.button(back).clicked();
                ui.add_space(4.0);
                add(ui, self);
            });
        });
        left || (escapes && !self.typing && ui.input(|input| input.key_pressed(Key::Escape)))
    }

    /// What went wrong, and what is waited for.
    fn draw_trouble(&self, ui: &mut egui::Ui, view: &View) {
        for (text, colour) in [(&view.error, style::BAD), (&view.notice, style::WARM)] {
            let Some(text) = text else { continue };
            let name = if colour == style::BAD { "error" } else { "notice" };
            Panel::top(name).frame(style::strip(colour)).show_separator_line(false).show(ui, |ui| {
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    ui.add(egui::Label::new(RichText::new(text).color(colour)).wrap());
                });
            });
        }
    }
}
