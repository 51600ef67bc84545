//! The moving test card: a source that needs nothing. `test` or `test?size=1280x720&fps=30`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::clock::{Time, now};
use crate::devices::Wish;
use crate::devices::testcard::card::Card;
use crate::fault::Fault;
use crate::frame::{About, Image, Shot, Source};
use crate::pace::Pace;
use crate::picture::check_size;
use crate::stop::Stop;
use crate::units;

mod card;

/// What a webcam of today gives.
const SIZE: (usize, usize) = (1280, 720);
const FPS: f64 = 30.0;
/// High-speed cameras; beyond it the waiting itself gets inexact.
const FPS_MAX: f64 = 1000.0;
/// One frame in a minute.
const FPS_MIN: f64 = 1.0 / 60.0;

/// A camera that looks at the card: it gives a frame when one is due, whether the last one was taken in time or not.
struct TestCard {
    card: Card,
    fps: f64,
    number: u64,
    pace: Pace,
    stop: Stop,
}

/// Opens the card by its name; what `wish` says of size and rate goes before what the name says.
pub fn open(name: &str, wish: &Wish, stop: &Stop) -> Result<Box<dyn Source>> {
    let asked = Asked::parse(name)?;
    let (width, height) = wish.size.or(asked.size).unwrap_or(SIZE);
    let fps = wish.fps.or(asked.fps).unwrap_or(FPS);
    check_size(width, height).map_err(|e| Fault::usage(e.to_string()))?;
    if !(FPS_MIN..=FPS_MAX).contains(&fps) {
        return Err(
            Fault::usage(format!("a test card of {fps} frames a second is out of range: up to {FPS_MAX}")).into()
        );
    }
    let card = Card::new(width, height, fps);
    Ok(Box::new(TestCard { card, fps, number: 0, pace: Pace::default(), stop: stop.clone() }))
}

/// The options of the name.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    size: Option<(usize, usize)>,
    fps: Option<f64>,
}

fn wrong(option: &str, why: String) -> Fault {
    Fault::usage(format!("a test card of {option} is not possible: {why}"))
}

impl Asked {
    fn parse(name: &str) -> Result<Asked> {
        let mut asked = Asked::default();
        let options = name.strip_prefix("test").unwrap_or(name);
        for option in options.trim_start_matches('?').split('&').filter(|o| !o.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            match key {
                "size" => asked.size = Some(units::size(value).map_err(|e| wrong(option, e))?),
                "fps" => asked.fps = Some(units::fps(value).map_err(|e| wrong(option, e))?),
                _ => {
                    let text = format!("the test card has no option \"{key}\"");
                    return Err(Fault::usage(text).hint("it has size and fps: test?size=1280x720&fps=30").into());
                }
            }
        }
        Ok(asked)
    }
}

impl TestCard {
    /// When the next frame is due. Frames whose successor is due already are left out.
    fn due(&mut self) -> Time {
        let period = Duration::from_secs_f64(1.0 / self.fps);
        loop {
            let now = now();
            let due = self.pace.due(Duration::from_secs_f64(self.number as f64 / self.fps), now);
            if due + period > now {
                return due;
            }
            self.number += 1;
        }
    }
}

impl Source for TestCard {
    fn next(&mut self) -> Result<Option<Shot>> {
        let due = self.due();
        if !self.stop.wait_until(due) {
            return Ok(None);
        }
        let picture = self.card.frame(self.number, due.unix_micros());
        self.number += 1;
        Ok(Some(Shot { captured: due, image: Image::Picture(Arc::new(picture)) }))
    }

    fn about(&self) -> About {
        let (width, height) = self.card.size();
        let text = format!("test card {width}x{height} at {} fps", self.fps);
        About { text, rate: Some(self.fps), length: None, live: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Kind;
    use std::thread::sleep;

    fn open_quick(name: &str, wish: Wish) -> Box<dyn Source> {
        open(name, &wish, &Stop::default()).unwrap()
    }

    fn picture(shot: Shot) -> Arc<crate::picture::Picture> {
        match shot.image {
            Image::Picture(picture) => picture,
            Image::Jpeg(_) => panic!("the card gives pictures"),
        }
    }

    #[test]
    fn names_and_wishes_are_heard() {
        assert_eq!(open_quick("test", Wish::default()).about().text, "test card 1280x720 at 30 fps");
        let named = open_quick("test?size=360p&fps=59.94", Wish::default()).about();
        assert_eq!((named.text.as_str(), named.rate), ("test card 640x360 at 59.94 fps", Some(59.94)));
        let wish = Wish { size: Some((320, 180)), fps: Some(10.0), ..Wish::default() };
        assert_eq!(open_quick("test?fps=5", wish).about().text, "test card 320x180 at 10 fps");
    }

    #[test]
    fn wrong_options_are_usage_errors() {
        let names = ["test?colour=red", "test?size=1280", "test?size=8x8", "test?size=99999999999p", "test?size=-1x20"];
        for name in names.into_iter().chain(["test?fps=0", "test?fps=NaN", "test?fps=1e9", "test?fps", "test?size="]) {
            let error = open(name, &Wish::default(), &Stop::default()).map(|_| ()).unwrap_err();
            assert_eq!(error.downcast_ref::<Fault>().map(|f| f.kind), Some(Kind::Usage), "{name}");
        }
        let wish = Wish { fps: Some(f64::INFINITY), ..Wish::default() };
        assert!(open("test", &wish, &Stop::default()).is_err());
    }

    #[test]
    fn frames_are_a_period_apart_and_differ() {
        let mut card = open_quick("test?size=64x48&fps=200", Wish::default());
        let shots: Vec<Shot> = (0..10).map(|_| card.next().unwrap().unwrap()).collect();
        for pair in shots.windows(2) {
            let apart = pair[1].captured.since(pair[0].captured).as_micros();
            assert!(apart > 0 && (apart + 1) % 5_000 <= 2, "{apart} µs");
        }
        assert_ne!(picture(shots[0].clone()), picture(shots[1].clone()));
    }

    #[test]
    fn a_slow_reader_gets_the_present_and_not_the_past() {
        let mut card = open_quick("test?size=16x16&fps=100", Wish::default());
        for _ in 0..4 {
            let age = now().since(card.next().unwrap().unwrap().captured);
            assert!(age < Duration::from_millis(30), "{age:?}"); // a period and the machine's own delays
            sleep(Duration::from_millis(55));
        }
    }

    #[test]
    fn a_slow_card_stops_when_told() {
        let stop = Stop::default();
        let mut card = open("test?fps=0.1&size=16x16", &Wish::default(), &stop).unwrap();
        assert!(card.next().unwrap().is_some());
        let begun = now();
        let reader = std::thread::spawn(move || card.next().unwrap().is_none());
        stop.say();
        assert!(reader.join().unwrap() && now().since(begun) < Duration::from_secs(2));
    }
}
