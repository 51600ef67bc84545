//! Which of a camera's formats, sizes and rates to take. Pure.

use std::cmp::Reverse;

use super::offer::{Rate, Rates};
use super::pixels::Pixels;
use crate::devices::Wish;

/// One way the camera can be run.
#[derive(Clone, Debug)]
pub struct Offer {
    pub pixels: Pixels,
    pub size: (u32, u32),
    pub rates: Rates,
}

/// One way to run it, chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mode {
    pub pixels: Pixels,
    pub size: (u32, u32),
    /// Unknown where the driver does not say.
    pub rate: Option<Rate>,
}

/// What people expect of a camera, and what nearly all have.
const FPS: f64 = 30.0;
/// Film's rate: slower looks like single pictures, so a smaller size is better then.
const FPS_LEAST: f64 = 24.0;
/// Without a wish nothing larger is taken: it would cost the network more than it shows.
const SIZE_MOST: (u32, u32) = (1920, 1080);
/// 29.97 is 30, and 59.94 is 60.
const SAME: f64 = 0.02;

/// The best of `offers`: the wished size before the wished rate before the cheapest format; without a wished size the
/// largest up to 1080p that is fast enough.
pub fn choose(offers: &[Offer], wish: &Wish) -> Option<Mode> {
    let best = offers.iter().min_by_key(|offer| cost(offer, wish))?;
    let rate = best.rates.nearest(wish.fps.unwrap_or(FPS)).or_else(|| wish.fps.map(Rate::of));
    Some(Mode { pixels: best.pixels, size: best.size, rate })
}

/// Less is better, from left to right.
type Cost = (u64, u64, u64, usize, Reverse<u64>);

fn cost(offer: &Offer, wish: &Wish) -> Cost {
    let (width, height) = offer.size;
    let (area, format) = (u64::from(width) * u64::from(height), offer.pixels.rank(wish.recode));
    let slow = gap(&offer.rates, wish.fps.unwrap_or(FPS));
    if let Some((w, h)) = wish.size {
        let off = u64::from(width).abs_diff(w as u64) + u64::from(height).abs_diff(h as u64);
        return (off, slow, 0, format, Reverse(area));
    }
    let least = wish.fps.map_or(FPS_LEAST, |fps| fps * (1.0 - SAME));
    let fits = width <= SIZE_MOST.0 && height <= SIZE_MOST.1;
    match (fits, offer.rates.reach(least)) {
        (true, true) => (0, u64::MAX - area, slow, format, Reverse(0)),
        (true, false) => (1, slow, u64::MAX - area, format, Reverse(0)),
        (false, _) => (2, slow, area, format, Reverse(0)),
    }
}

/// How far the rate is from `fps`, in thousandths; zero for what is the same to the eye.
fn gap(rates: &Rates, fps: f64) -> u64 {
    let off = rates.nearest(fps).map_or(0.0, |rate| (rate.fps() - fps).abs());
    if off <= fps * SAME { 0 } else { (off * 1000.0) as u64 }
}

/// What the user is told where the camera runs otherwise than asked: by the user, or by us where the user left it open.
pub fn difference(wish: &Wish, asked: &Mode, given: &Mode) -> Option<String> {
    let size = wish.size.map_or(asked.size, |(w, h)| (w as u32, h as u32));
    let fps = wish.fps.or(asked.rate.map(Rate::fps));
    let same_rate = match (fps, given.rate) {
        (Some(fps), Some(rate)) => (rate.fps() - fps).abs() <= fps * SAME,
        _ => true,
    };
    if size == given.size && same_rate && asked.pixels == given.pixels {
        return None;
    }
    let asked = describe(Mode { size, rate: fps.map(Rate::of), ..*asked }, asked.pixels != given.pixels);
    Some(format!("asked for {asked}, the camera gives {}", describe(*given, true)))
}

fn describe(mode: Mode, with_format: bool) -> String {
    let mut text = format!("{}x{}", mode.size.0, mode.size.1);
    if with_format {
        text += &format!(" {}", mode.pixels);
    }
    if let Some(rate) = mode.rate {
        text += &format!(" at {rate}");
    }
    text
}

impl std::fmt::Display for Mode {
    /// "1280x720 MJPG at 30".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&describe(*self, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Pixels::{Mjpg, Nv12, Yuyv};

    fn offer(pixels: Pixels, size: (u32, u32), fps: &[f64]) -> Offer {
        Offer { pixels, size, rates: Rates::List(fps.iter().map(|&f| Rate::of(f)).collect()) }
    }

    /// A usual webcam: raw is slow where it is large.
    fn webcam() -> Vec<Offer> {
        vec![
            offer(Yuyv, (640, 480), &[30.0, 15.0]),
            offer(Yuyv, (1280, 720), &[10.0]),
            offer(Yuyv, (1920, 1080), &[5.0]),
            offer(Mjpg, (640, 480), &[30.0]),
            offer(Mjpg, (1280, 720), &[60.0, 30.0]),
            offer(Mjpg, (1920, 1080), &[30.0]),
            offer(Mjpg, (3840, 2160), &[30.0]),
        ]
    }

    fn taken(offers: &[Offer], size: Option<(usize, usize)>, fps: Option<f64>, recode: bool) -> (Pixels, u32, f64) {
        let wish = Wish { size, fps, recode, ..Wish::default() };
        let mode = choose(offers, &wish).unwrap();
        (mode.pixels, mode.size.0, mode.rate.unwrap().fps())
    }

    #[test]
    fn without_a_wish_the_largest_that_is_fast_enough() {
        assert_eq!(taken(&webcam(), None, None, false), (Mjpg, 1920, 30.0));
        assert_eq!(taken(&webcam()[..3], None, None, false), (Yuyv, 640, 30.0));
        assert_eq!(taken(&webcam(), None, Some(60.0), false), (Mjpg, 1280, 60.0));
        assert_eq!(taken(&webcam()[..3], None, Some(5.0), false), (Yuyv, 1920, 5.0));
        assert_eq!(taken(&webcam()[1..3], None, None, false), (Yuyv, 1280, 10.0)); // none is fast enough
        assert_eq!(taken(&webcam()[6..], None, None, false), (Mjpg, 3840, 30.0)); // all are too large
    }

    #[test]
    fn a_wished_size_is_kept_and_the_rate_chooses_the_format() {
        assert_eq!(taken(&webcam(), Some((640, 480)), None, false), (Mjpg, 640, 30.0));
        assert_eq!(taken(&webcam(), Some((640, 480)), Some(15.0), false), (Yuyv, 640, 15.0));
        assert_eq!(taken(&webcam(), Some((700, 500)), None, false), (Mjpg, 640, 30.0));
        assert_eq!(taken(&webcam(), Some((1280, 720)), Some(10.0), false), (Yuyv, 1280, 10.0));
        let only_raw = [offer(Mjpg, (640, 480), &[30.0]), offer(Yuyv, (800, 600), &[30.0])];
        assert_eq!(taken(&only_raw, Some((800, 600)), None, false), (Yuyv, 800, 30.0));
    }

    #[test]
    fn pixels_are_preferred_where_they_cost_no_rate() {
        assert_eq!(taken(&webcam(), Some((640, 480)), None, true), (Yuyv, 640, 30.0));
        assert_eq!(taken(&webcam(), Some((1280, 720)), None, true), (Mjpg, 1280, 30.0));
        let film = [offer(Mjpg, (640, 480), &[30.0]), offer(Nv12, (640, 480), &[29.97])];
        assert_eq!(taken(&film, None, None, true).0, Nv12); // 29.97 is as good as 30
    }

    #[test]
    fn a_driver_that_does_not_say_its_rates_is_believed_to_have_all() {
        let offers = [offer(Yuyv, (1280, 720), &[])];
        assert_eq!(choose(&offers, &Wish::default()).unwrap().rate, None);
        let wish = Wish { fps: Some(20.0), ..Wish::default() };
        assert_eq!(choose(&offers, &wish).unwrap().rate, Some(Rate::of(20.0)));
        assert_eq!(choose(&[], &wish), None);
    }

    #[test]
    fn differences_are_told() {
        let asked = Mode { pixels: Mjpg, size: (1280, 720), rate: Some(Rate::of(30.0)) };
        let given = Mode { rate: Some(Rate::of(25.0)), ..asked };
        let told = difference(&Wish::default(), &asked, &given).unwrap();
        assert_eq!(told, "asked for 1280x720 at 30, the camera gives 1280x720 MJPG at 25");
        let wish = Wish { size: Some((1300, 700)), ..Wish::default() };
        let told = difference(&wish, &asked, &asked).unwrap();
        assert_eq!(told, "asked for 1300x700 at 30, the camera gives 1280x720 MJPG at 30");
        let ntsc = Mode { rate: Some(Rate { frames: 30000, seconds: 1001 }), ..asked };
        assert_eq!(difference(&Wish::default(), &asked, &ntsc), None);
        assert!(difference(&Wish::default(), &asked, &Mode { pixels: Yuyv, ..asked }).is_some());
    }
}
