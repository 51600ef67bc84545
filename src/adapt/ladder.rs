//! Which rung is sent: down at once, up slowly. Frames are left out first, which costs nothing; another quality or size
//! sends every tile again, so it waits its turn. Pure.

use std::time::Duration;

use super::rung::{Bounds, Rung, shown};
use super::{Load, Why};
use crate::clock::Time;

/// Below this, motion falls apart into pictures, and a frame alone is on its way for long: quality and size give way first.
const FPS_LEAST: f64 = 15.0;
/// And so far frames are left out where nothing else helps.
const FPS_LAST: f64 = 1.0;
/// Less than this lasts no longer than it must.
const FPS_CRAWL: f64 = 10.0;
/// A picture takes a change of quality for itself: all its tiles, so one in this time at most.
const RECODE: Duration = Duration::from_secs(2);
/// But where a frame takes as long as `HELD`, a smaller size of so much less is no burden: it may come at once.
const LIGHT: f64 = 0.5;
/// And upward, where nothing presses, more seldom.
const REFINE: Duration = Duration::from_secs(4);
/// Frames of a step up are so many times as large at most: what small ones cost tells little of large ones.
const STEP: f64 = 4.0;
/// A rung is taken that fits about, and left for a lower one where it takes so much more than there is: what lies between
/// is the content's own coming and going, and the links' budgets level it out.
const FITS: f64 = 1.1;
const OVER: f64 = 1.4;
/// What must be gained by going up.
const GAIN: f64 = 1.1;
/// Rungs that use about as much as the best: of these the one of the highest quality.
const NEAR: f64 = 0.9;
/// Between two steps up; doubled after a step that had to be taken back: at once, for it took more than was foreseen, or
/// a while later, for the network did not stand it.
const UP: Duration = Duration::from_secs(1);
const UP_MOST: Duration = Duration::from_secs(30);
const AT_ONCE: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(8);
/// With so many times the target of the last step up, it is another network.
const ANOTHER: f64 = 1.3;
/// A target that falls by so much is not the last one: another quality waits until it has held for a while, but not while a
/// single frame takes as long.
const FALLS: f64 = 0.9;
const HELD: Duration = Duration::from_millis(300);
/// Frames that show what a rung takes.
const SETTLE: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub struct Ladder {
    rung: Rung,
    recoded: Option<Time>,
    raised: Option<Time>,
    lowered: Option<Time>,
    patience: Duration,
    /// The target at the last step up.
    promised: f64,
    /// The most since the last fall, and when that was, or when the network last stood still.
    level: f64,
    fell: Option<Time>,
    /// Frames alone were left out, as the target was still falling.
    postponed: bool,
}

impl Default for Ladder {
    fn default() -> Ladder {
        let (recoded, raised, lowered, fell, promised, level, postponed) = Default::default();
        Ladder { rung: Rung::TOP, recoded, raised, lowered, patience: UP, promised, level, fell, postponed }
    }
}

impl Ladder {
    pub fn rung(&self) -> &Rung {
        &self.rung
    }

    /// Takes another rung where it is time; why.
    pub fn decide(&mut self, now: Time, bounds: &Bounds, load: &Load) -> Option<String> {
        let ago = |then: Option<Time>| then.map_or(Duration::MAX, |then| now.since(then));
        let changed = ago(self.raised).min(ago(self.lowered));
        // Frames of what was before may still be on their way to the network, and tell nothing of this rung.
        if self.recoded.is_some_and(|recoded| load.since < recoded || now.since(load.since) < SETTLE) {
            return None;
        }
        let top = load.frame_bytes * 8.0 * self.rung.fps(bounds) / self.rung.cost(bounds);
        let spends = |rung: &Rung| top * rung.cost(bounds);
        let spent = spends(&self.rung);
        let falls = load.target < FALLS * self.level;
        self.fell = if falls || load.stalled { Some(now) } else { self.fell };
        self.level = if falls { load.target } else { self.level.max(load.target) };
        let slow = load.frame_bytes * 8.0 / load.target >= HELD.as_secs_f64();
        let holds = slow || ago(self.fell) >= HELD;
        let free = holds && ago(self.recoded) >= RECODE;
        let (before, own) = (self.rung, self.rung.frame_cost(bounds));
        let light = |rung: &Rung| rung.size != before.size && rung.frame_cost(bounds) <= LIGHT * own;
        let may = |rung: &Rung| free || !rung.recodes(&before) || (slow && light(rung));
        if spent > OVER * load.target {
            let rung = self.best(bounds, load.target, spends, may);
            if spends(&rung) >= spent {
                return None;
            }
            let broken = load.target < NEAR * self.promised;
            let blamed = self.lowered > self.raised; // once for each step up
            if !blamed && ago(self.raised) < if broken { SOON } else { AT_ONCE } {
                self.patience = (2 * self.patience).min(UP_MOST);
            }
            self.lowered = Some(now);
            self.take(now, rung);
            self.postponed = !holds || (!free && self.rung.fps(bounds) < NEAR * FPS_LEAST);
            return Some(load.reason());
        }
        // Frames alone were left out, as it was not time for another quality: now it is.
        let crawls = changed >= UP && self.rung.fps(bounds) < FPS_CRAWL;
        if (free || slow) && (self.postponed || crawls) {
            self.postponed &= !free;
            let rung = self.best(bounds, load.target, spends, |rung| may(rung) && rung.frame_cost(bounds) <= own);
            if rung.recodes(&self.rung) && rung.fps(bounds) > self.rung.fps(bounds) {
                self.lowered = Some(now);
                self.take(now, rung);
                return Some(load.reason());
            }
        }
        if ago(self.raised) > SOON.max(2 * self.patience) {
            self.patience = UP;
        }
        let other = load.target > ANOTHER * self.promised;
        if self.rung == Rung::TOP || changed < if other { UP } else { self.patience } {
            return None;
        }
        let refines = ago(self.recoded) >= REFINE;
        let up = |rung: &Rung| !rung.recodes(&self.rung) || (refines && rung.frame_cost(bounds) <= STEP * own);
        let rung = self.best(bounds, load.target, spends, up);
        let crawls = self.rung.fps(bounds) < FPS_LEAST && rung.fps(bounds) >= FPS_LEAST;
        if rung == self.rung || !(spends(&rung) >= GAIN * spent || crawls) {
            return None;
        }
        let smaller = rung.height(bounds) < self.rung.height(bounds);
        (self.raised, self.promised) = (Some(now), load.target);
        self.take(now, rung);
        Some(if smaller { load.reason() } else { format!("room for {}", shown(load.target)) })
    }

    fn take(&mut self, now: Time, rung: Rung) {
        if rung.recodes(&self.rung) {
            self.recoded = Some(now);
        }
        self.rung = rung;
    }

    /// Of those that may be: the largest size that moves at all within the target; there, what uses most of it, rather in
    /// quality than in frames.
    fn best(&self, bounds: &Bounds, target: f64, spends: impl Fn(&Rung) -> f64, may: impl Fn(&Rung) -> bool) -> Rung {
        let fits = |rung: &Rung| may(rung) && spends(rung) <= FITS * target;
        let Some(first) = bounds.rungs(FPS_LEAST).find(fits) else { return self.last(bounds, &may, fits) };
        let fitting: Vec<Rung> = bounds.rungs(FPS_LEAST).filter(|r| r.size == first.size && fits(r)).collect();
        let most = fitting.iter().map(&spends).fold(0.0, f64::max);
        fitting.into_iter().find(|rung| spends(rung) >= NEAR * most).unwrap_or(first)
    }

    /// The least size and quality, and of these as many frames as fit.
    fn last(&self, bounds: &Bounds, may: impl Fn(&Rung) -> bool, fits: impl Fn(&Rung) -> bool) -> Rung {
        let slow: Vec<Rung> = bounds.rungs(FPS_LAST).filter(may).collect();
        let Some(&least) = slow.last() else { return self.rung };
        slow.into_iter().find(|rung| !rung.recodes(&least) && fits(rung)).unwrap_or(least)
    }
}

impl Load {
    fn reason(&self) -> String {
        match self.why {
            Why::RateMax => format!("rate-max of {}", shown(self.target)),
            Why::Lost(part) => format!("{:.0} % lost", part * 100.0),
            Why::Queue(seconds) => format!("queue of {:.0} ms", seconds * 1000.0),
            Why::Passing => format!("the link takes {}", shown(self.target)),
        }
    }
}
