//! What a camera has: formats, their sizes, their rates.

use serde::{Serialize, Serializer};

/// Frames a second as a fraction, as drivers have it: a rounded 29.97 would be another rate to some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub frames: u32,
    pub seconds: u32,
}

impl Rate {
    /// The rate of `fps` frames a second, kept to a thousandth.
    pub fn of(fps: f64) -> Rate {
        let milli = (fps * 1000.0).round().clamp(1.0, 1_000_000.0) as u32;
        if milli.is_multiple_of(1000) {
            return Rate { frames: milli / 1000, seconds: 1 };
        }
        Rate { frames: milli, seconds: 1000 }
    }

    pub fn fps(self) -> f64 {
        f64::from(self.frames) / f64::from(self.seconds.max(1))
    }
}

impl std::fmt::Display for Rate {
    /// "25", "12.5", "29.97".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", (self.fps() * 100.0).round() / 100.0)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64((self.fps() * 1000.0).round() / 1000.0)
    }
}

/// One answer of the driver to "which rates": one, or all between two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RateEntry {
    One(Rate),
    Range { slowest: Rate, fastest: Rate },
}

/// One answer of the driver to "which sizes".
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SizeEntry {
    One(u32, u32),
    Range { least: (u32, u32), most: (u32, u32), step: (u32, u32) },
}

/// The rates of a format at a size. An empty list: the driver does not say.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Rates {
    List(Vec<Rate>),
    Range { from: Rate, to: Rate },
}

impl Rates {
    /// The rate nearest to `fps`, where the driver says what it has.
    pub fn nearest(&self, fps: f64) -> Option<Rate> {
        match self {
            Rates::List(rates) => rates.iter().copied().min_by(|a, b| {
                let (a, b) = ((a.fps() - fps).abs(), (b.fps() - fps).abs());
                a.total_cmp(&b)
            }),
            Rates::Range { from, .. } if fps <= from.fps() => Some(*from),
            Rates::Range { to, .. } if fps >= to.fps() => Some(*to),
            Rates::Range { .. } => Some(Rate::of(fps)),
        }
    }

    /// Whether `fps` can be had, or more; true where the driver does not say.
    pub fn reach(&self, fps: f64) -> bool {
        match self {
            Rates::List(rates) => rates.is_empty() || rates.iter().any(|rate| rate.fps() >= fps),
            Rates::Range { to, .. } => to.fps() >= fps,
        }
    }
}

impl std::fmt::Display for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Rates::List(rates) if rates.is_empty() => write!(f, "any rate"),
            Rates::List(rates) => {
                let rates: Vec<String> = rates.iter().map(Rate::to_string).collect();
                write!(f, "{} fps", rates.join(", "))
            }
            Rates::Range { from, to } => write!(f, "{from} to {to} fps"),
        }
    }
}

/// Sides of the sizes to try of a range when none is wished, largest first: 1080p, 720p, 480p.
const USUAL: [(u32, u32); 3] = [(1920, 1080), (1280, 720), (640, 480)];

/// The sizes worth trying: the one there is, or of a range those nearest to what is wanted.
pub fn candidates(entry: SizeEntry, wish: Option<(u32, u32)>) -> Vec<(u32, u32)> {
    let (least, most, step) = match entry {
        SizeEntry::One(width, height) => return vec![(width, height)],
        SizeEntry::Range { least, most, step } => (least, most, step),
    };
    let fit = |(w, h)| (snap(w, least.0, most.0, step.0), snap(h, least.1, most.1, step.1));
    let mut sizes: Vec<_> = match wish {
        Some(size) => vec![fit(size)],
        None => USUAL.into_iter().map(fit).collect(),
    };
    sizes.dedup();
    sizes
}

/// The value nearest to `want` among `least`, `least + step` … `most`.
fn snap(want: u32, least: u32, most: u32, step: u32) -> u32 {
    let (most, step) = (most.max(least), step.max(1));
    let steps = (want.clamp(least, most) - least + step / 2) / step;
    let steps = steps.min((most - least) / step);
    least + steps * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_named_as_people_do() {
        let film = Rate { frames: 30000, seconds: 1001 };
        assert_eq!([film, Rate::of(25.0), Rate::of(12.5)].map(|r| r.to_string()), ["29.97", "25", "12.5"]);
        assert_eq!(Rate::of(12.5), Rate { frames: 12500, seconds: 1000 });
        assert_eq!(serde_json::to_string(&Rates::List(vec![film])).unwrap(), "[29.97]");
    }

    #[test]
    fn the_nearest_rate_is_one_that_is_there() {
        let list = Rates::List(vec![Rate::of(30.0), Rate::of(15.0)]);
        assert_eq!(list.nearest(20.0), Some(Rate::of(15.0)));
        let range = Rates::Range { from: Rate::of(5.0), to: Rate::of(60.0) };
        assert_eq!([1.0, 24.0, 90.0].map(|f| range.nearest(f).unwrap().fps()), [5.0, 24.0, 60.0]);
        assert_eq!(Rates::List(vec![]).nearest(30.0), None);
        assert!(Rates::List(vec![]).reach(30.0) && !list.reach(31.0));
    }

    #[test]
    fn ranges_give_sizes_on_their_steps() {
        let range = SizeEntry::Range { least: (16, 16), most: (1000, 700), step: (8, 2) };
        assert_eq!(candidates(range, Some((643, 481))), [(640, 482)]);
        assert_eq!(candidates(range, None), [(1000, 700), (640, 480)]);
        assert_eq!(candidates(SizeEntry::One(7, 7), Some((643, 481))), [(7, 7)]);
        // A driver that tells nonsense brings nothing down.
        let nonsense = SizeEntry::Range { least: (9, 9), most: (0, u32::MAX), step: (0, u32::MAX) };
        assert_eq!(candidates(nonsense, Some((640, 480))), [(9, 9)]);
    }
}
