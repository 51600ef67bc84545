//! What there is to watch at a hub.

use std::sync::Arc;

use super::super::poster::Poster;
use super::super::session::{Call, Order};
use super::super::view::{View, making};
use super::{Face, style};
use crate::devices::window::controls::egui::{
    CentralPanel, ColorImage, Frame, Id, Margin, RichText, ScrollArea, TextureHandle, TextureOptions, Ui,
};
use crate::endpoint::{self, Endpoint};
use crate::greet::printable;
use crate::word::{Live, Video};

impl Face {
    pub fn draw_hall(&mut self, ui: &mut Ui, view: &View) {
        let hub = Endpoint { name: None, ..self.call.to.clone() };
        let left = self.draw_bar(ui, ("< Back", true), |ui, _| {
            ui.label(RichText::new(hub.to_string()).strong());
        });
        self.draw_trouble(ui, view);
        let mut chosen = None;
        let page = Frame::NONE.fill(style::PAGE).inner_margin(Margin::symmetric(24, 14));
        CentralPanel::default().frame(page).show(ui, |ui| {
            ScrollArea::vertical().auto_shrink(false).show(ui, |ui| match &view.hall {
                None => _ = ui.label(style::quiet("looking what there is …")),
                Some(hall) => {
                    ui.heading("Live now");
                    if hall.streams.is_empty() {
                        ui.label(style::quiet("Nobody streams now. It is shown here as soon as somebody does."));
                    }
                    for live in &hall.streams {
                        if self.draw_offer(ui, &live.name, None, &live.name, &about(live)) {
                            chosen = Some(live.name.clone());
                        }
                    }
                    if !hall.videos.is_empty() {
                        ui.add_space(12.0);
                        ui.heading("Videos");
                    }
                    for video in &hall.videos {
                        let title = if video.title.is_empty() { &video.name } else { &video.title };
                        let poster = texture(ui, &video.name, view.posters.get(&video.name).map(Arc::as_ref));
                        if self.draw_offer(ui, &video.name, Some(poster), title, &length(video)) {
                            chosen = Some(video.name.clone());
                        }
                    }
                    style::follow_focus(ui);
                    // Who was chosen may have gone.
                    self.offered &= !style::nothing_focused(ui);
                }
            });
        });
        if let Some(name) = chosen.and_then(|name| endpoint::check_name(&name).ok()) {
            self.order(Order::Watch(Call { to: Endpoint { name: Some(name), ..hub }, ..self.call.clone() }));
        } else if left {
            self.order(Order::Rest);
        }
    }

    /// A row that is pressed; the first one waits for Enter. It is chosen by its name, wherever it stands meanwhile.
    fn draw_offer(
        &mut self,
        ui: &mut Ui,
        name: &str,
        poster: Option<Option<TextureHandle>>,
        title: &str,
        quiet: &str,
    ) -> bool {
        let id = (poster.is_some(), name);
        let row = ui.push_id(id, |ui| style::row(ui, poster, &printable(title), quiet)).inner;
        if !std::mem::replace(&mut self.offered, true) {
            row.request_focus();
        }
        row.clicked()
    }
}

/// The picture of a video for the window, made once and kept with it.
fn texture(ui: &Ui, name: &str, poster: Option<&Poster>) -> Option<TextureHandle> {
    let poster = poster?;
    let id = Id::new(("poster", name));
    if let Some(texture) = ui.data(|data| data.get_temp(id)) {
        return Some(texture);
    }
    let image = ColorImage::from_rgb(poster.size, &poster.rgb);
    let texture = ui.ctx().load_texture(name, image, TextureOptions::LINEAR);
    ui.data_mut(|data| data.insert_temp(id, texture.clone()));
    Some(texture)
}

fn about(live: &Live) -> String {
    let watching = match live.viewers {
        0 => "nobody watches".to_string(),
        1 => "1 viewer".to_string(),
        n => format!("{n} viewers"),
    };
    let size = live.size.as_deref().map_or(String::new(), |size| format!("{}, ", printable(size)));
    format!("by {} · {size}{:.0} fps · {watching}", printable(&live.streamer), live.fps)
}

fn length(video: &Video) -> String {
    let besides = match (&video.failed, video.preparing) {
        (Some(why), _) if video.rungs.is_empty() => Some(format!("cannot be watched: {}", printable(why))),
        (Some(why), _) => Some(printable(why)),
        (None, Some(share)) => Some(making(share, !video.rungs.is_empty())),
        (None, None) => video.rungs.is_empty().then(|| "made ready when it is first watched".to_string()),
    };
    let long = (video.seconds > 0.0).then(|| clock(video.seconds));
    let rungs = Some(printable(&video.rungs.join(", "))).filter(|rungs| !rungs.is_empty());
    [long, rungs, besides].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// 1:02:03, or 2:03. A frame before a second it is that second: the last one of a video is shown so long, too.
pub fn clock(seconds: f64) -> String {
    let all = (seconds + 0.02).clamp(0.0, 1e8) as u64;
    match (all / 3600, all / 60 % 60, all % 60) {
        (0, m, s) => format!("{m}:{s:02}"),
        (h, m, s) => format!("{h}:{m:02}:{s:02}"),
    }
}
