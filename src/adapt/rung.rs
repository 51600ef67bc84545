//! One size, quality and frame rate at which a source can be sent, and what that takes. Pure.

/// Steps of quality below the user's, which is the first.
const STEPS: u8 = 5;
/// Blocks show below this, and half the size looks better for as many bytes.
const QUALITY_LEAST: u8 = 40;
/// The first step of what is untouched otherwise: the coder's own default.
const RECODED: u8 = 80;
/// Heights that everybody knows.
const HEIGHTS: [usize; 6] = [1440, 1080, 720, 480, 360, 240];
/// Of a half frame: a source's rate is measured, and that of one of 30 may be 29.5, which is still twice 15.
const ALMOST: f64 = 0.2;
/// Bytes grow with the pixels' number and, less than in proportion, with the quantiser's fineness. Fitted to film (Big Buck
/// Bunny, 10 s from 0:04, 240p to 1080p, qualities of 40 to 95); what is measured takes their place at once.
const BY_PIXELS: f64 = 1.0;
const BY_SCALE: f64 = -0.7;
/// Coding anew what a camera coded, with the gate, takes half of it at the most: the README has a seventh at rest.
const UNTOUCHED: f64 = 2.0;

/// What the user and the source allow at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    pub size: (usize, usize),
    /// None where JPEG passes untouched, or nothing is lost.
    pub quality: Option<u8>,
    pub lossless: bool,
    /// Frames a second of the source.
    pub fps: f64,
}

/// What is left open is as in the bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rung {
    pub size: Option<(usize, usize)>,
    pub quality: Option<u8>,
    /// One of so many half frames of the source: 2 is all of them, 3 two of three, 4 every other.
    pub halves: u32,
}

impl Rung {
    pub const TOP: Rung = Rung { size: None, quality: None, halves: 2 };

    /// Whether going from one to the other sends all tiles again.
    pub fn recodes(&self, other: &Rung) -> bool {
        (self.size, self.quality) != (other.size, other.quality)
    }

    /// Frames a second.
    pub fn fps(&self, bounds: &Bounds) -> f64 {
        bounds.fps * 2.0 / f64::from(self.halves)
    }

    pub fn height(&self, bounds: &Bounds) -> usize {
        self.size.unwrap_or(bounds.size).1
    }

    /// Whether this image of the source is one that is sent.
    pub fn takes(&self, number: u64) -> bool {
        let before = |number: u64| number.wrapping_mul(2) / u64::from(self.halves.max(2));
        before(number.wrapping_add(1)) != before(number)
    }

    /// `720p15 q60`.
    pub fn name(&self, bounds: &Bounds) -> String {
        let (fps, height) = (self.fps(bounds), self.height(bounds));
        let fps = if fps < 10.0 { (fps * 10.0).round() / 10.0 } else { fps.round() };
        let quality = self.quality.or(bounds.quality).map(|quality| format!(" q{quality}"));
        format!("{height}p{fps}{}", quality.unwrap_or_default())
    }

    /// Bits a second relative to the top.
    pub fn cost(&self, bounds: &Bounds) -> f64 {
        self.frame_cost(bounds) * 2.0 / f64::from(self.halves)
    }

    /// Bits of a frame relative to the top's.
    pub fn frame_cost(&self, bounds: &Bounds) -> f64 {
        let pixels = |(width, height): (usize, usize)| (width * height) as f64;
        let size = (pixels(self.size.unwrap_or(bounds.size)) / pixels(bounds.size)).powf(BY_PIXELS);
        let fineness = |quality: Option<u8>| match quality {
            Some(quality) => quantiser(quality).powf(BY_SCALE),
            None => UNTOUCHED * quantiser(RECODED).powf(BY_SCALE),
        };
        let quality = self.quality.map_or(1.0, |own| fineness(Some(own)) / fineness(bounds.quality));
        size * quality
    }
}

impl Bounds {
    /// All rungs, by size, then by quality, then by frame rate, each from the best on.
    pub fn rungs(&self, fps_least: f64) -> impl Iterator<Item = Rung> {
        let most = (2.0 * self.fps / fps_least.min(self.fps) + ALMOST).floor().clamp(2.0, 1000.0) as u32;
        let qualities = self.qualities();
        self.sizes().into_iter().flat_map(move |size| {
            let rungs = move |quality| (2..=most).map(move |halves| Rung { size, quality, halves });
            qualities.clone().into_iter().flat_map(rungs)
        })
    }

    fn sizes(&self) -> Vec<Option<(usize, usize)>> {
        let (width, height) = self.size;
        let smaller = HEIGHTS.iter().filter(|&&h| h < height).map(|&h| Some(((width * h / height).max(16) & !1, h)));
        std::iter::once(None).chain(smaller).collect()
    }

    fn qualities(&self) -> Vec<Option<u8>> {
        let lowered = |top: u8, steps: u8| {
            let range = top.saturating_sub(QUALITY_LEAST);
            let steps = steps.min(range / 5); // closer ones are not worth all tiles
            (1..=steps).map(move |step| Some(top - (u16::from(range) * u16::from(step) / u16::from(steps)) as u8))
        };
        let own = std::iter::once(None);
        match self.quality {
            _ if self.lossless => own.collect(),
            Some(quality) => own.chain(lowered(quality, STEPS - 1)).collect(),
            None => own.chain([Some(RECODED)]).chain(lowered(RECODED, STEPS - 2)).collect(),
        }
    }
}

/// libjpeg's scale of the quantiser, in per cent.
fn quantiser(quality: u8) -> f64 {
    let quality = f64::from(quality.clamp(1, 99));
    if quality < 50.0 { 5000.0 / quality } else { 200.0 - 2.0 * quality }
}

/// A rate for people: `18.4 Mbit/s`.
pub fn shown(rate: f64) -> String {
    match rate {
        rate if rate < 1e6 => format!("{:.0} kbit/s", rate / 1e3),
        rate => format!("{:.1} Mbit/s", rate / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILM: Bounds = Bounds { size: (1920, 1080), quality: Some(80), lossless: false, fps: 30.0 };

    #[test]
    fn names_are_short() {
        assert_eq!(Rung::TOP.name(&FILM), "1080p30 q80");
        let low = Rung { size: Some((1280, 720)), quality: Some(60), halves: 8 };
        assert_eq!(low.name(&FILM), "720p7.5 q60");
        assert_eq!(Rung::TOP.name(&Bounds { quality: None, ..FILM }), "1080p30");
    }

    #[test]
    fn steps_stay_within_the_bounds() {
        let qualities = |bounds: Bounds| bounds.qualities();
        assert_eq!(qualities(FILM), [None, Some(70), Some(60), Some(50), Some(40)]);
        assert_eq!(qualities(Bounds { quality: Some(42), ..FILM }), [None]);
        assert_eq!(qualities(Bounds { quality: Some(1), ..FILM }), [None]);
        assert_eq!(qualities(Bounds { quality: None, ..FILM }).len(), usize::from(STEPS));
        assert_eq!(qualities(Bounds { lossless: true, ..FILM }), [None]);
        assert_eq!(FILM.sizes(), [None, Some((1280, 720)), Some((852, 480)), Some((640, 360)), Some((426, 240))]);
        assert_eq!(Bounds { size: (16, 16), ..FILM }.sizes(), [None]);
        assert!(FILM.rungs(10.0).all(|rung| rung.cost(&FILM) <= 1.0 && rung.fps(&FILM) >= 10.0));
        assert!(Bounds { fps: 29.4, ..FILM }.rungs(15.0).any(|rung| rung.halves == 4), "every other one of about 30");
        assert_eq!(Bounds { fps: 0.5, ..FILM }.rungs(10.0).map(|r| r.halves).max(), Some(2));
    }
}
