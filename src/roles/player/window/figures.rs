//! How the stream does: figures of the last minute, each with its course.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::{Time, now};
use crate::devices::window::controls::egui::{Color32, FontId, Grid, Pos2, RichText, Sense, Stroke, Ui, pos2, vec2};
use crate::stats::{Board, Line};
use crate::word::Guest;

use super::super::view::View;
use super::style;
use crate::greet::printable;

/// Figures are over half a second: no news comes sooner.
const EVERY: Duration = Duration::from_millis(500);
/// A minute.
const KEPT: usize = 120;

#[derive(Default)]
pub struct Figures {
    looked: Option<Time>,
    line: Line,
    fps: VecDeque<f64>,
    bits: VecDeque<f64>,
    latency: VecDeque<f64>,
    trip: VecDeque<f64>,
    lost: VecDeque<f64>,
}

impl Figures {
    /// Looks, if it is time.
    pub fn look(&mut self, board: &Board) {
        let now = now();
        if self.looked.is_some_and(|looked| now.since(looked) < EVERY) {
            return;
        }
        self.looked = Some(now);
        let line = board.lines(now).into_iter().next().unwrap_or_default();
        let lost = line.lost.unwrap_or(0).saturating_sub(self.line.lost.unwrap_or(0));
        for (course, value) in [
            (&mut self.fps, line.fps.unwrap_or(0.0)),
            (&mut self.bits, line.bitrate as f64),
            (&mut self.latency, line.latency_ms.unwrap_or(0.0)),
            (&mut self.trip, line.rtt_ms.unwrap_or(0.0) / 2.0),
            (&mut self.lost, lost as f64),
        ] {
            course.push_back(value);
            while course.len() > KEPT {
                course.pop_front();
            }
        }
        self.line = line;
    }

    pub fn draw(&self, ui: &mut Ui) {
        ui.ctx().request_repaint_after(EVERY);
        let line = &self.line;
        let latency = match (line.latency_ms, line.rtt_ms) {
            (Some(latency), Some(trip)) => format!("{latency:.1} ms  (RTT/2 {:.1})", trip / 2.0),
            (None, Some(trip)) => format!("RTT/2 {:.1} ms", trip / 2.0),
            _ => "–".to_string(),
        };
        let lost = format!("{} ({:.1} %)", line.lost.unwrap_or(0), line.lost_pct.unwrap_or(0.0));
        let width = (ui.available_width() - 8.0) / 2.0;
        let fps = format!("{:.1}", line.fps.unwrap_or(0.0));
        for row in [
            [
                ("Frames a second", fps, [&self.fps, &self.fps], 10.0),
                ("Bit rate", format!("{:.2} Mbit/s", line.bitrate as f64 / 1e6), [&self.bits, &self.bits], 1e5),
            ],
            [
                ("Capture to here", latency, [&self.latency, &self.trip], 10.0),
                ("Lost", lost, [&self.lost, &self.lost], 5.0),
            ],
        ] {
            ui.horizontal(|ui| {
                for (name, value, courses, least) in row {
                    plot(ui, width, name, &value, courses, least);
                }
            });
        }
    }
}

/// A figure and its courses over the last minute; `least` is the top of the scale where all is below it.
fn plot(ui: &mut Ui, width: f32, name: &str, value: &str, courses: [&VecDeque<f64>; 2], least: f64) {
    let (area, _) = ui.allocate_exact_size(vec2(width, 78.0), Sense::hover());
    let painter = ui.painter().with_clip_rect(area);
    painter.rect_filled(area, 6, style::FIELD);
    let top = courses.iter().flat_map(|course| course.iter()).copied().fold(least, f64::max) * 1.1;
    let bottom = area.bottom() - 5.0;
    let height = f64::from(area.height() - 46.0);
    for (course, colour) in courses.into_iter().zip([style::ACCENT, style::BLUE]).rev() {
        let step = (area.width() - 12.0) / (KEPT - 1) as f32;
        let first = area.right() - 6.0 - step * course.len().saturating_sub(1) as f32;
        let at = |(i, value): (usize, &f64)| pos2(first + step * i as f32, bottom - (value / top * height) as f32);
        let points: Vec<Pos2> = course.iter().enumerate().map(at).collect();
        let colour: Color32 = colour;
        painter.line(points, Stroke::new(1.5, colour));
    }
    let text = |y: f32, size: f32, colour, text: &str| {
        let at = area.left_top() + vec2(8.0, y);
        painter.text(
            at,
            crate::devices::window::controls::egui::Align2::LEFT_TOP,
            text,
            FontId::proportional(size),
            colour,
        );
    };
    text(6.0, 11.5, style::QUIET, name);
    text(20.0, 14.0, style::TEXT, value);
}

/// Who is here, and how their picture does.
pub fn guests(ui: &mut Ui, view: &View) {
    let room = &view.room;
    ui.spacing_mut().interact_size.y = 0.0; // rows as high as their text
    Grid::new("guests").num_columns(4).spacing(vec2(10.0, 3.0)).show(ui, |ui| {
        for text in ["who", "watches", "fps", "RTT/2"] {
            ui.label(style::quiet(text).small());
        }
        ui.end_row();
        for (guest, streams) in
            room.streamer.iter().map(|guest| (guest, true)).chain(room.viewers.iter().map(|guest| (guest, false)))
        {
            row(ui, guest, streams, view.user.as_deref() == Some(&*guest.name));
        }
    });
    let more = room.count.saturating_sub(room.viewers.len());
    if more > 0 {
        ui.label(style::quiet(format!("and {more} more")).small());
    }
}

fn row(ui: &mut Ui, guest: &Guest, streams: bool, own: bool) {
    let name: String = printable(&guest.name).chars().take(18).collect();
    let colour = if own { style::ACCENT } else { style::TEXT };
    ui.label(RichText::new(name).color(colour));
    let rung = guest.rung.as_deref().map(printable);
    ui.label(if streams {
        RichText::new("streams").color(style::WARM)
    } else {
        style::quiet(rung.unwrap_or_default())
    });
    ui.label(format!("{:.1}", guest.fps));
    ui.label(guest.rtt_ms.map_or("–".to_string(), |trip| format!("{:.1} ms", trip / 2.0)));
    ui.end_row();
}
