//! How the test card looks: the part that stands is drawn once, each frame is a copy of it with the moving parts.
//!
//! ```text
//! ┌────────────────────────┐
//! │  EBU colour bars   │   │  sweeping bar: a tear shows as a step in it
//! │        ( / )       │   │  dial: one turn a second, the hand shows stutter, and a photo of two screens the lag
//! │  grey ramp and steps   │
//! │  clock      frame no.  │
//! └────────────────────────┘
//! ```

use crate::devices::text::{self, Area, CELL, Plane, mix};
use crate::picture::Picture;
use crate::utc::Utc;

/// EBU bars 100/0/75/0 (ITU-R BT.471): white at full level, the colours at three quarters.
const BARS: [[f64; 3]; 8] = [
    [255.0, 255.0, 255.0],
    [191.0, 191.0, 0.0],
    [0.0, 191.0, 191.0],
    [0.0, 191.0, 0.0],
    [191.0, 0.0, 191.0],
    [191.0, 0.0, 0.0],
    [0.0, 0.0, 191.0],
    [0.0, 0.0, 0.0],
];

const PANEL: u8 = 20;
const DISC: u8 = 24;
const WHITE: u8 = 235;
const GREY: u8 = 140;

/// Characters of the big line: the clock, a gap, six digits of the frame number, and the margins.
const COLUMNS: usize = 12 + 1 + 6;
/// Height of the panel under the ramps, in pixels of the digits.
const AIR_OF_DIGITS: usize = 21;
/// Steps of the staircase under the ramp: 10 % each and both ends.
const STEPS: usize = 11;
/// How long the bar takes across.
const SWEEP_SECONDS: f64 = 4.0;

pub struct Card {
    still: Picture,
    fps: f64,
    layout: Layout,
}

/// Where things are, in pixels; even, so that edges fall between chroma samples.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Below the colour bars.
    ramp: usize,
    /// Below the ramp.
    panel: usize,
    /// Scale of the digits.
    scale: usize,
    digits: usize,
    margin: usize,
    dial: Option<Dial>,
}

#[derive(Clone, Copy, Debug)]
struct Dial {
    x: f64,
    y: f64,
    radius: f64,
}

impl Layout {
    fn new(width: usize, height: usize) -> Layout {
        let even = |v: usize| v & !1;
        // The digits take the width, and at most a quarter of the height with the air around them.
        let scale = (width / (COLUMNS * CELL + 4)).min(height / (4 * AIR_OF_DIGITS)).max(1);
        let panel = even(height - (scale * AIR_OF_DIGITS).min(height * 2 / 5));
        let ramp = even(panel * 5 / 6);
        let text = scale * CELL + caption_scale(scale) * CELL * 3 / 2;
        let digits = panel + (height - panel).saturating_sub(text) / 2;
        let margin = width.saturating_sub(COLUMNS * CELL * scale) / 2;
        let radius = (ramp as f64 * 0.42).min(width as f64 * 0.2);
        let dial = Dial { x: width as f64 / 2.0, y: ramp as f64 / 2.0, radius };
        // Under 8 pixels it would be a blot.
        Layout { ramp, panel, scale, digits, margin, dial: (radius >= 8.0).then_some(dial) }
    }
}

impl Card {
    /// A card of a size that `check_size` allows.
    pub fn new(width: usize, height: usize, fps: f64) -> Card {
        let mut still = Picture::new(width, height);
        let layout = Layout::new(width, height);
        bars(&mut still, layout.ramp);
        ramps(&mut still, layout);
        captions(&mut still, layout, fps);
        if let Some(dial) = layout.dial {
            dial.draw(&mut still);
        }
        Card { still, fps, layout }
    }

    pub fn size(&self) -> (usize, usize) {
        (self.still.width(), self.still.height())
    }

    /// The card at one moment: `unix_micros` is what its clock shows.
    pub fn frame(&self, number: u64, unix_micros: i64) -> Picture {
        let mut picture = self.still.clone();
        self.sweep(&mut picture, number);
        if let Some(dial) = self.layout.dial {
            dial.hand(&mut Plane::luma(&mut picture), unix_micros);
        }
        self.digits(&mut picture, number, unix_micros);
        picture
    }

    /// A white bar between black edges, by a whole and even number of pixels a frame: unevenness is not its own.
    fn sweep(&self, picture: &mut Picture, number: u64) {
        let even = |v: f64| ((v / 2.0).round() as usize * 2).max(2);
        let width = picture.width();
        let (core, edge) = (even(width as f64 / 128.0), even(width as f64 / 320.0));
        let whole = core + 2 * edge;
        let step = even(width as f64 / (SWEEP_SECONDS * self.fps));
        let round = ((width + whole) as u64).next_multiple_of(2);
        let x = (number % round * step as u64 % round) as isize - whole as isize;
        let area = Area { x, y: 0, width: whole, height: self.layout.panel };
        text::neutral(picture, area);
        let mut luma = Plane::luma(picture);
        luma.fill(area, 0);
        luma.fill(Area { x: x + edge as isize, width: core, ..area }, WHITE);
    }

    fn digits(&self, picture: &mut Picture, number: u64, unix_micros: i64) {
        let Layout { scale, digits, margin, .. } = self.layout;
        let number = format!("{:06}", number % 1_000_000);
        let width = picture.width();
        // The last column of a cell is empty.
        let right = (width + scale) as isize - (margin + number.len() * CELL * scale) as isize;
        let mut luma = Plane::luma(picture);
        if width >= COLUMNS * CELL * scale {
            luma.text(margin as isize, digits as isize, scale, &Utc::of(unix_micros).clock(), WHITE);
        }
        luma.text(right, digits as isize, scale, &number, WHITE);
    }
}

fn bars(picture: &mut Picture, height: usize) {
    let (width, (chroma_width, chroma_height)) = (picture.width(), picture.chroma());
    let sizes = [(width, height), (chroma_width, height.div_ceil(2).min(chroma_height))];
    let planes = picture.planes_mut().into_iter().zip([sizes[0], sizes[1], sizes[1]]);
    for (i, (plane, (width, height))) in planes.enumerate() {
        for row in plane.chunks_mut(width).take(height) {
            for (x, sample) in row.iter_mut().enumerate() {
                *sample = ycc(BARS[x * BARS.len() / width])[i];
            }
        }
    }
}

/// Full-range BT.601 (JFIF 1.02).
fn ycc([r, g, b]: [f64; 3]) -> [u8; 3] {
    let y = 0.299 * r + 0.587 * g + 0.114 * b;
    [y, 128.0 + (b - y) / 1.772, 128.0 + (r - y) / 1.402].map(|v| v.round() as u8)
}

/// A smooth ramp over a staircase, and the dark panel below.
fn ramps(picture: &mut Picture, layout: Layout) {
    let width = picture.width();
    let middle = (layout.ramp + layout.panel) / 2;
    let rows = picture.planes_mut()[0].chunks_mut(width).enumerate().skip(layout.ramp);
    for (y, row) in rows {
        for (x, sample) in row.iter_mut().enumerate() {
            *sample = match y {
                y if y < middle => (x * 255 / (width - 1)) as u8,
                y if y < layout.panel => (x * STEPS / width * 255 / (STEPS - 1)) as u8,
                _ => PANEL,
            };
        }
    }
}

fn caption_scale(digits: usize) -> usize {
    (digits * 3 / 8).max(1)
}

/// The small print under the digits, as far as there is room.
fn captions(picture: &mut Picture, layout: Layout, fps: f64) {
    let (width, height) = (picture.width(), picture.height());
    let scale = caption_scale(layout.scale);
    let y = layout.digits + layout.scale * CELL + scale * CELL / 2;
    let card = format!("test card {width}x{height} at {fps} fps");
    let room = |text: &str| text.len() * CELL * scale;
    let (left, right) = ("UTC", "frame");
    if y + scale * CELL > height || width < COLUMNS * CELL * layout.scale {
        return;
    }
    let mut luma = Plane::luma(picture);
    luma.text(layout.margin as isize, y as isize, scale, left, GREY);
    luma.text((width + scale - layout.margin - room(right)) as isize, y as isize, scale, right, GREY);
    if room(left).max(room(right)) * 2 + room(&card) + 2 * layout.margin + 2 * scale * CELL <= width {
        luma.text(((width - room(&card)) / 2) as isize, y as isize, scale, &card, GREY);
    }
}

impl Dial {
    /// The disc with its ring, fifty ticks (20 ms each) and ten figures.
    fn draw(self, picture: &mut Picture) {
        let Dial { x, y, radius } = self;
        let (width, (chroma_width, _)) = (picture.width(), picture.chroma());
        let [luma, cb, cr] = picture.planes_mut();
        self.each(1.0, |at_x, at_y, dx, dy| {
            let sample = &mut luma[at_y * width + at_x];
            let (cover, ink) = self.face(dx, dy);
            *sample = mix(*sample, ink, cover);
        });
        self.each(2.0, |at_x, at_y, dx, dy| {
            for plane in [&mut *cb, &mut *cr] {
                let sample = &mut plane[at_y * chroma_width + at_x];
                *sample = mix(*sample, 128, (radius - dx.hypot(dy)) / 2.0 + 0.5);
            }
        });
        let scale = (radius / 64.0) as usize;
        for figure in 0..if scale == 0 { 0 } else { 10 } {
            let (sin, cos) = (f64::from(figure) / 10.0 * std::f64::consts::TAU).sin_cos();
            let half = (CELL * scale) as f64 / 2.0 - scale as f64 / 2.0; // the cell's last column is empty
            let (at_x, at_y) = (x + sin * radius * 0.66 - half, y - cos * radius * 0.66 - half);
            let digit = figure.to_string();
            Plane::luma(picture).text(at_x.round() as isize, at_y.round() as isize, scale, &digit, GREY);
        }
    }

    /// How much of a pixel the disc covers, and with what.
    fn face(self, dx: f64, dy: f64) -> (f64, u8) {
        let distance = dx.hypot(dy);
        let outwards = distance / self.radius;
        let line = self.radius / 100.0;
        let ring = line * 1.5 + 0.5 - (distance - self.radius + line * 1.5).abs();
        let turn = (dx.atan2(-dy) / std::f64::consts::TAU).rem_euclid(1.0) * 50.0;
        let major = (turn.round() as usize).is_multiple_of(5);
        let beside = (turn - turn.round()).abs() / 50.0 * std::f64::consts::TAU * distance;
        let within = (if major { 0.79 } else { 0.86 }..0.93).contains(&outwards);
        let half = if major { line } else { line / 2.0 };
        let tick = if within { half + 0.5 - beside } else { 0.0 };
        (self.radius - distance + 0.5, mix(DISC, WHITE, ring.max(tick)))
    }

    /// The hand stands at the fraction of the second.
    fn hand(self, luma: &mut Plane, unix_micros: i64) {
        let turn = unix_micros.rem_euclid(1_000_000) as f64 / 1e6 * std::f64::consts::TAU;
        let (sin, cos) = turn.sin_cos();
        let (tip, tail, half) = (self.radius * 0.88, self.radius * 0.2, (self.radius / 50.0).max(0.8));
        let end = |length: f64| (self.x + sin * length, self.y - cos * length);
        luma.stroke(end(-tail), end(tip), half, WHITE);
        luma.stroke((self.x, self.y), (self.x, self.y), half * 3.0, WHITE);
    }

    /// Visits the samples around the disc, `pitch` pixels apart: their place, and the way from the centre in pixels.
    fn each(self, pitch: f64, mut visit: impl FnMut(usize, usize, f64, f64)) {
        let reach = self.radius + 1.0;
        let range = |centre: f64| ((centre - reach).max(0.0) / pitch) as usize..((centre + reach) / pitch) as usize;
        for at_y in range(self.y) {
            for at_x in range(self.x) {
                let middle = |at: usize| (at as f64 + 0.5) * pitch;
                visit(at_x, at_y, middle(at_x) - self.x, middle(at_y) - self.y);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_can_be_drawn() {
        for (w, h) in
            [(16, 16), (17, 16), (16, 301), (301, 17), (33, 35), (160, 120), (321, 181), (7680, 16), (1279, 719)]
        {
            let card = Card::new(w, h, 30.0);
            for number in [0, 1, 99, u64::MAX] {
                assert_eq!(card.frame(number, i64::MIN + 1).bytes().len(), card.still.bytes().len());
            }
        }
    }

    #[test]
    fn bars_are_the_known_colours() {
        let card = Card::new(640, 360, 30.0);
        let [y, cb, cr] = card.still.planes();
        let at = |x: usize| (y[8 * 640 + x], cb[4 * 320 + x / 2], cr[4 * 320 + x / 2]);
        // White, yellow, green, red and black of 100/0/75/0 bars by the equations of JFIF, halves rounded up.
        assert_eq!((at(40), at(120)), ((255, 128, 128), (169, 33, 144)));
        assert_eq!((at(280), at(440), at(600)), ((112, 65, 48), (57, 96, 224), (0, 128, 128)));
    }

    #[test]
    fn the_bar_goes_by_even_steps_and_comes_back() {
        let card = Card::new(320, 180, 30.0);
        let left = |number: u64| {
            let frame = card.frame(number, 0);
            let row = frame.planes()[0][170 * 320..][..320].to_vec(); // panel: untouched
            assert_eq!(row, card.still.planes()[0][170 * 320..][..320]);
            // On the ramp's white end and on black the bar shows by its edges and its core.
            (0..320).find(|&x| frame.planes()[0][x] != card.still.planes()[0][x])
        };
        let places: Vec<usize> = (5..30).filter_map(left).collect();
        assert!(places.windows(2).all(|w| w[1] - w[0] == 2), "{places:?}");
        let round = (320 + 6) / 2; // width and bar, by steps of two
        assert_eq!(left(10), left(10 + round));
    }
}
