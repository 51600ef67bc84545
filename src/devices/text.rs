//! Text and boxes on 8-bit planes, in the 8x8 font of old PCs at a whole-number scale. ASCII only; anything else shows
//! as `?`. Everything is clipped at the edges.

use font8x8::legacy::BASIC_LEGACY;

use crate::picture::Picture;

/// Pixels of a character cell at scale 1.
pub const CELL: usize = 8;
/// From one line of text to the next at scale 1: the cell and a little air.
pub const LINE: usize = 10;
/// Around the text in its box, at scale 1.
pub const MARGIN: usize = 4;

/// A plane of samples without padding, to draw on.
pub struct Plane<'a> {
    samples: &'a mut [u8],
    width: usize,
}

/// Left, top, width and height in pixels; the corner may lie outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    pub x: isize,
    pub y: isize,
    pub width: usize,
    pub height: usize,
}

/// Pixels that lines of text take at `scale`, without and with a box.
pub fn size<S: AsRef<str>>(lines: &[S], scale: usize) -> (usize, usize) {
    let longest = lines.iter().map(|line| line.as_ref().chars().count()).max().unwrap_or(0);
    (longest * CELL * scale, lines.len() * LINE * scale)
}

pub fn boxed_size<S: AsRef<str>>(lines: &[S], scale: usize) -> (usize, usize) {
    let (width, height) = size(lines, scale);
    (width + 2 * MARGIN * scale, height + (2 * MARGIN + CELL - LINE) * scale)
}

/// Takes the colour out of an area (and of the pixels that share its chroma samples).
pub fn neutral(picture: &mut Picture, area: Area) {
    let (width, _) = picture.chroma();
    let (left, top) = (area.x.div_euclid(2), area.y.div_euclid(2));
    let right = (area.x + area.width as isize + 1).div_euclid(2);
    let bottom = (area.y + area.height as isize + 1).div_euclid(2);
    let area = Area { x: left, y: top, width: (right - left) as usize, height: (bottom - top) as usize };
    let [_, cb, cr] = picture.planes_mut();
    for samples in [cb, cr] {
        Plane { samples, width }.fill(area, 128);
    }
}

impl Plane<'_> {
    /// `samples` holds whole rows of `width`, which is not 0.
    pub fn new(samples: &mut [u8], width: usize) -> Plane<'_> {
        Plane { samples, width }
    }

    pub fn luma(picture: &mut Picture) -> Plane<'_> {
        let width = picture.width();
        let [samples, _, _] = picture.planes_mut();
        Plane { samples, width }
    }

    pub fn fill(&mut self, area: Area, value: u8) {
        let clip = |from: isize, length: usize, end: usize| {
            let to = from.saturating_add_unsigned(length).clamp(0, end as isize);
            from.clamp(0, to) as usize..to as usize
        };
        let columns = clip(area.x, area.width, self.width);
        for row in clip(area.y, area.height, self.samples.len() / self.width) {
            self.samples[row * self.width..][columns.clone()].fill(value);
        }
    }

    /// Writes lines of text, the first one's top left corner at (`x`, `y`).
    pub fn lines<S: AsRef<str>>(&mut self, x: isize, y: isize, scale: usize, lines: &[S], ink: u8) {
        for (i, line) in lines.iter().enumerate() {
            self.text(x, y + (i * LINE * scale) as isize, scale, line.as_ref(), ink);
        }
    }

    pub fn text(&mut self, x: isize, y: isize, scale: usize, text: &str, ink: u8) {
        for (i, letter) in text.chars().enumerate() {
            let x = x + (i * CELL * scale) as isize;
            if x >= self.width as isize {
                return;
            }
            self.glyph(x, y, scale, glyph(letter), ink);
        }
    }

    /// A line with round ends between two points, `half` a pixel or more to either side, its edges smooth.
    pub fn stroke(&mut self, from: (f64, f64), to: (f64, f64), half: f64, ink: u8) {
        let reach = half + 1.0;
        let range = |a: f64, b: f64, end: usize| {
            let at = |v: f64| (v.max(0.0) as usize).min(end);
            at(a.min(b) - reach)..at(a.max(b) + reach)
        };
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let squared = (dx * dx + dy * dy).max(f64::MIN_POSITIVE);
        for y in range(from.1, to.1, self.samples.len() / self.width) {
            let row = &mut self.samples[y * self.width..][..self.width];
            for x in range(from.0, to.0, row.len()) {
                let (px, py) = (x as f64 + 0.5 - from.0, y as f64 + 0.5 - from.1);
                let along = ((px * dx + py * dy) / squared).clamp(0.0, 1.0);
                let cover = half + 0.5 - (px - along * dx).hypot(py - along * dy);
                if cover > 0.0 {
                    row[x] = mix(row[x], ink, cover);
                }
            }
        }
    }

    fn glyph(&mut self, x: isize, y: isize, scale: usize, rows: [u8; CELL], ink: u8) {
        for (row, bits) in rows.into_iter().enumerate() {
            let y = y + (row * scale) as isize;
            let mut column = 0;
            while column < CELL {
                let rest = bits >> column;
                let run = rest.trailing_ones() as usize;
                if run > 0 {
                    let x = x + (column * scale) as isize;
                    self.fill(Area { x, y, width: run * scale, height: scale }, ink);
                }
                column += run.max(1);
            }
        }
    }
}

/// `cover` of 0 keeps `below`, of 1 takes `ink`.
pub fn mix(below: u8, ink: u8, cover: f64) -> u8 {
    let cover = cover.clamp(0.0, 1.0);
    (f64::from(below) + (f64::from(ink) - f64::from(below)) * cover).round() as u8
}

/// Eight rows of a character, the leftmost pixel in the lowest bit.
fn glyph(letter: char) -> [u8; CELL] {
    let printable = letter == ' ' || letter.is_ascii_graphic();
    BASIC_LEGACY[if printable { letter as usize } else { '?' as usize }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(x: isize, y: isize, scale: usize, text: &str) -> Vec<String> {
        let mut samples = [b'.'; 16 * 10];
        Plane::new(&mut samples, 16).text(x, y, scale, text, b'#');
        samples.chunks(16).map(|row| String::from_utf8_lossy(row).into_owned()).collect()
    }

    #[test]
    fn an_l_looks_like_one() {
        let rows = drawn(1, 1, 1, "L");
        assert_eq!(rows[0], "................");
        assert_eq!(rows[1], ".####...........");
        assert_eq!(rows[7], ".#######........");
        assert_eq!(drawn(0, 0, 2, "L")[..2], ["########........", "########........"]);
    }

    #[test]
    fn every_edge_clips() {
        for (x, y) in [(-4, -4), (12, 6), (-1000, 0), (0, 1000), (isize::MIN / 2, 0)] {
            drawn(x, y, 3, "WWW\u{1F600}\n");
        }
        let (left, whole) = (drawn(-3, 0, 1, "H"), drawn(0, 0, 1, "H"));
        assert!(left.iter().zip(&whole).all(|(a, b)| a[..5] == b[3..8]));
    }

    #[test]
    fn fills_and_neutral_areas_keep_to_their_place() {
        let mut p = Picture::new(65, 33);
        p.planes_mut()[1].fill(90);
        let area = Area { x: 3, y: 2, width: 40, height: 26 };
        Plane::luma(&mut p).fill(area, 100);
        neutral(&mut p, area);
        for (i, &y) in p.planes()[0].iter().enumerate() {
            let inside = (3..43).contains(&(i % 65)) && (2..28).contains(&(i / 65));
            assert_eq!(inside, y == 100);
        }
        for (i, &cb) in p.planes()[1].iter().enumerate() {
            let inside = (1..22).contains(&(i % 33)) && (1..14).contains(&(i / 33));
            assert_eq!(inside, cb == 128);
        }
    }

    #[test]
    fn boxes_have_margins_around_their_text() {
        assert_eq!((size(&["one", "two!"], 2), boxed_size(&["one", "two!"], 1)), ((64, 40), (40, 26)));
    }

    #[test]
    fn strokes_are_clipped_and_smooth() {
        let mut samples = [0; 16 * 10];
        let mut plane = Plane::new(&mut samples, 16);
        plane.stroke((-50.0, 5.0), (50.0, 5.0), 1.25, 200);
        plane.stroke((8.0, -1e9), (f64::NAN, f64::INFINITY), 1.0, 200);
        let column: Vec<u8> = samples.chunks(16).map(|row| row[2]).collect();
        assert_eq!(column, [0, 0, 0, 50, 200, 200, 50, 0, 0, 0]);
    }
}
