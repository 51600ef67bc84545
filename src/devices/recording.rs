//! What all recorded and piped sources share: a format gives images with their positions, and this gives them out at
//! their own speed, fewer a second where asked, and from the beginning again where asked.

use std::time::Duration;

use anyhow::Result;

use crate::clock::{self, Time};
use crate::devices::Wish;
use crate::frame::{About, Image, Shot, Source};
use crate::pace::Pace;
use crate::stop::Stop;

/// A file format: images in order, as fast as they can be had.
pub trait Recording: Send {
    /// The next image and its time since the first one; `None` at the end.
    fn next(&mut self) -> Result<Option<(Duration, Image)>>;
    /// `About::rate` and `length` before any wish.
    fn about(&self) -> About;
}

/// Opens a recording, now and at each turn of `--loop`.
pub type Open = Box<dyn FnMut() -> Result<Box<dyn Recording>> + Send>;

/// A recording as a source.
pub struct Playback {
    recording: Box<dyn Recording>,
    again: Option<Open>,
    /// `None`: images are taken as they come.
    pace: Option<Pace>,
    /// Of a recording that nobody watches: when it began. Its images are not waited for.
    ahead: Option<Time>,
    thinner: Option<Thinner>,
    /// Position of the present turn's first image.
    turn: Duration,
    /// Position of the newest image, and how far it lay from the one before.
    last: Option<Duration>,
    step: Duration,
    stop: Stop,
}

/// Of a rate that a source has none of its own for: what ffmpeg assumes of bare pictures.
pub const RATE_DEFAULT: f64 = 25.0;

impl Playback {
    /// A recording, played at its own speed.
    pub fn paced(mut open: Open, wish: &Wish, stop: &Stop) -> Result<Playback> {
        let recording = open()?;
        let again = wish.looped.then_some(open);
        Ok(Playback { again, pace: Some(Pace::default()), ..Playback::piped(recording, wish, stop) })
    }

    /// A pipe: whoever writes it sets the pace.
    pub fn piped(recording: Box<dyn Recording>, wish: &Wish, stop: &Stop) -> Playback {
        let rate = recording.about().rate;
        Playback {
            recording,
            again: None,
            pace: None,
            ahead: wish.ahead.then(clock::now),
            thinner: wish.fps.map(Thinner::new),
            turn: Duration::ZERO,
            last: None,
            step: seconds(1.0 / rate.unwrap_or(RATE_DEFAULT)),
            stop: stop.clone(),
        }
    }

    /// The next image of this turn or the next one; `None` when all is over.
    fn advance(&mut self) -> Result<Option<(Duration, Image)>> {
        let mut turned = false;
        loop {
            if self.stop.said() {
                return Ok(None);
            }
            match self.recording.next() {
                Ok(Some((position, image))) => {
                    let position = self.turn + position;
                    if let Some(last) = self.last.filter(|&last| !turned && last < position) {
                        self.step = position - last;
                    }
                    self.last = Some(position);
                    return Ok(Some((position, image)));
                }
                Ok(None) if self.stop.said() => return Ok(None),
                Ok(None) => {}
                Err(_) if self.stop.said() => return Ok(None),
                Err(e) => return Err(e),
            }
            // A turn without a single image would turn for ever.
            let (Some(open), Some(last), false) = (&mut self.again, self.last, turned) else { return Ok(None) };
            self.recording = open()?;
            (self.turn, turned) = (last + self.step, true);
        }
    }
}

impl Source for Playback {
    fn next(&mut self) -> Result<Option<Shot>> {
        loop {
            let Some((position, image)) = self.advance()? else { return Ok(None) };
            if self.thinner.as_mut().is_some_and(|thinner| !thinner.keeps(position)) {
                continue;
            }
            if let Some(begun) = self.ahead {
                return Ok(Some(Shot { captured: begun + position, image }));
            }
            let now = clock::now();
            let captured = match &mut self.pace {
                None => now,
                Some(pace) => {
                    let due = pace.due(position, now);
                    // A thread wakes a little late; the image counts as of when it was due.
                    if !self.stop.wait_until(due) {
                        return Ok(None);
                    }
                    due.max(now)
                }
            };
            return Ok(Some(Shot { captured, image }));
        }
    }

    fn about(&self) -> About {
        let own = self.recording.about();
        let wished = self.thinner.as_ref().map(|t| t.rate);
        let rate = match (own.rate, wished) {
            (Some(own), Some(wished)) => Some(own.min(wished)),
            (own, wished) => own.or(wished),
        };
        let share = rate.zip(own.rate).map_or(1.0, |(rate, own)| rate / own);
        let length = own.length.filter(|_| self.again.is_none()).map(|n| (n as f64 * share).round() as u64);
        About { rate, length, live: false, ..own }
    }
}

/// Leaves images out evenly, so that at most `rate` a second remain.
struct Thinner {
    rate: f64,
    slot: Option<u64>,
}

impl Thinner {
    fn new(rate: f64) -> Thinner {
        Thinner { rate, slot: None }
    }

    /// Whether the image at `position` is the first of its slot of 1/rate seconds.
    fn keeps(&mut self, position: Duration) -> bool {
        // Positions are rounded to a nanosecond or (in files) a millisecond: a frame at a slot's edge belongs to it.
        let slot = (position.as_secs_f64() * self.rate + 0.02) as u64;
        let keeps = self.slot.is_none_or(|last| slot > last);
        if keeps {
            self.slot = Some(slot);
        }
        keeps
    }
}

/// A duration from seconds that came from a file: nonsense is zero.
pub fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    struct Numbers {
        next: u32,
        count: u32,
        rate: f64,
    }

    impl Recording for Numbers {
        fn next(&mut self) -> Result<Option<(Duration, Image)>> {
            let n = self.next;
            self.next += 1;
            let image = Image::Jpeg(Bytes::copy_from_slice(&n.to_be_bytes()));
            Ok((n < self.count).then(|| (seconds(f64::from(n) / self.rate), image)))
        }

        fn about(&self) -> About {
            About { rate: Some(self.rate), length: Some(self.count.into()), ..About::default() }
        }
    }

    fn open(count: u32, rate: f64) -> Open {
        Box::new(move || Ok(Box::new(Numbers { next: 0, count, rate })))
    }

    fn numbers(source: &mut Playback, most: usize) -> Vec<(u8, Time)> {
        let next = || source.next().unwrap();
        let number = |shot: Shot| match shot.image {
            Image::Jpeg(bytes) => (bytes[3], shot.captured),
            Image::Picture(_) => unreachable!("numbers are bytes"),
        };
        std::iter::from_fn(next).take(most).map(number).collect()
    }

    #[test]
    fn frames_come_when_they_are_due() {
        let mut source = Playback::paced(open(10, 200.0), &Wish::default(), &Stop::default()).unwrap();
        let got = numbers(&mut source, 99);
        assert_eq!(got.len(), 10);
        let span = got[9].1.since(got[0].1);
        assert!((45..200).contains(&span.as_millis()), "{span:?}");
    }

    #[test]
    fn ahead_of_time_they_keep_their_distances_and_nobody_waits() {
        let wish = Wish { ahead: true, ..Wish::default() };
        let begun = clock::now();
        let mut source = Playback::paced(open(10, 0.001), &wish, &Stop::default()).unwrap();
        let got = numbers(&mut source, 99);
        assert_eq!((got.len(), got[9].1.since(got[0].1).as_secs()), (10, 9000));
        assert!(clock::now().since(begun).as_secs() < 1000);
    }

    #[test]
    fn a_lower_rate_leaves_frames_out_evenly() {
        for (wished, first) in [(15.0, [0, 2, 4, 6]), (20.0, [0, 2, 3, 5]), (10.0, [0, 3, 6, 9]), (60.0, [0, 1, 2, 3])]
        {
            let wish = Wish { fps: Some(wished), ..Wish::default() };
            let source = &mut Playback::piped(open(90, 30.0)().unwrap(), &wish, &Stop::default());
            let about = source.about();
            let got = numbers(source, 99);
            assert_eq!(got.iter().map(|g| g.0).take(4).collect::<Vec<_>>(), first);
            assert_eq!(got.len() as u64, about.length.unwrap());
            assert_eq!(about.rate, Some(wished.min(30.0)));
        }
    }

    #[test]
    fn a_loop_keeps_time_over_the_seam_and_an_empty_one_ends() {
        let wish = Wish { looped: true, ..Wish::default() };
        let mut source = Playback::paced(open(3, 100.0), &wish, &Stop::default()).unwrap();
        assert_eq!(source.about().length, None);
        let got = numbers(&mut source, 8);
        assert_eq!(got.iter().map(|g| g.0).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2, 0, 1]);
        let span = got[7].1.since(got[0].1).as_millis();
        assert!((65..200).contains(&span), "{span}");
        assert!(numbers(&mut Playback::paced(open(0, 1.0), &wish, &Stop::default()).unwrap(), 9).is_empty());
    }

    #[test]
    fn the_word_to_stop_ends_a_wait() {
        let stop = Stop::default();
        let mut source = Playback::paced(open(2, 0.001), &Wish::default(), &stop).unwrap();
        assert!(source.next().unwrap().is_some());
        let thread = std::thread::spawn(move || source.next().unwrap().is_none());
        stop.say();
        assert!(thread.join().unwrap());
    }
}
