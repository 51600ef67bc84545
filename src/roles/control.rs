//! Settings of a sender that change while it runs: quality, size and frame rate, by its user; and by the network, within
//! what the user asked for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::adapt::Limits;
use crate::adapt::ladder::Ladder;
use crate::adapt::rung::Bounds;
use crate::clock::{self, Time};
use crate::codec::coder::{Codec, Coder, Wanted};
use crate::lock::lock;
use crate::meter::Meter;
use crate::stats::Board;
use crate::units;
use crate::web::live;

pub struct Control {
    settings: Mutex<Settings>,
    changed: AtomicBool,
    /// When the next frame may be made, for a rate below the source's.
    due: Mutex<Time>,
    pub limits: Arc<Limits>,
    follow: Mutex<Follow>,
}

#[derive(Clone, Debug, Default)]
struct Settings {
    wanted: Wanted,
    fps: Option<f64>,
}

/// How the network is followed.
#[derive(Debug, Default)]
struct Follow {
    ladder: Ladder,
    /// The images that the user's own rate lets pass.
    images: Meter,
    /// Size and quality of frames at the top of the ladder.
    top: (Option<(usize, usize)>, Option<u8>),
    looked: Time,
}

/// The network is asked for its rate so often: that of its own estimates.
const LOOK: Duration = Duration::from_millis(100);

impl Control {
    pub fn new(wanted: Wanted, limits: Arc<Limits>) -> Control {
        let settings = Mutex::new(Settings { wanted, fps: None });
        Control { settings, changed: AtomicBool::new(false), due: Mutex::default(), limits, follow: Mutex::default() }
    }

    /// A coder with new settings, where they are new: what the last frame has shown of the network counts already.
    pub fn renewed(&self, board: &Board) -> Option<Coder> {
        if self.limits.adapt {
            let wanted = lock(&self.settings).wanted.clone();
            self.follow(&mut lock(&self.follow), wanted, clock::now(), board);
        }
        self.changed.swap(false, Ordering::Relaxed).then(|| {
            let wanted = lock(&self.settings).wanted.clone();
            let rung = *lock(&self.follow).ladder.rung();
            Coder::new(Wanted { size: rung.size.or(wanted.size), quality: rung.quality.or(wanted.quality), ..wanted })
        })
    }

    /// Whether a frame may be made of an image captured then, so that no more are made than the user and the network
    /// want.
    pub fn admits(&self, captured: Time, board: &Board) -> bool {
        let fps = lock(&self.settings).fps;
        fps.is_none_or(|fps| self.is_due(captured, fps)) && (!self.limits.adapt || self.fits(captured, board))
    }

    fn is_due(&self, captured: Time, fps: f64) -> bool {
        let interval = Duration::from_secs_f64(1.0 / fps);
        let mut due = lock(&self.due);
        // A source's times tremble, and its own rate may be this one.
        if captured + interval / 4 < *due {
            return false;
        }
        *due = captured.max(*due) + interval;
        true
    }

    fn fits(&self, captured: Time, board: &Board) -> bool {
        let now = clock::now();
        let wanted = lock(&self.settings).wanted.clone();
        let follow = &mut *lock(&self.follow);
        follow.images.add(captured, 0);
        if now.since(follow.looked) >= LOOK {
            self.follow(follow, wanted, now, board);
        }
        follow.ladder.rung().takes(follow.images.frames)
    }

    /// Takes the rung that the best link has room for: the others send fewer of its frames, each as many as it can.
    fn follow(&self, follow: &mut Follow, wanted: Wanted, now: Time, board: &Board) {
        follow.looked = now;
        let mut whole = board.whole();
        let rung = *follow.ladder.rung();
        if rung.size.is_none() {
            follow.top.0 = whole.size;
        }
        if rung.quality.is_none() {
            follow.top.1 = whole.quality;
        }
        let Some(size) = wanted.size.or(follow.top.0) else { return };
        let fps = follow.images.fps(now);
        let lossless = wanted.codec != Codec::Jpeg;
        let bounds = Bounds { size, quality: wanted.quality.or(follow.top.1), lossless, fps };
        whole.rung = Some(rung.name(&bounds));
        drop(whole);
        let Some(load) = board.best_load(now).filter(|_| fps > 0.0) else { return };
        if let Some(reason) = follow.ladder.decide(now, &bounds, &load) {
            let new = follow.ladder.rung();
            log::info!("sending {}: {reason}", new.name(&bounds));
            board.whole().rung = Some(new.name(&bounds));
            if new.recodes(&rung) {
                self.changed.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl live::Control for Control {
    fn settings(&self) -> Value {
        let now = lock(&self.settings).clone();
        let size = now.wanted.size.map(|(width, height)| format!("{width}x{height}"));
        let rate_max = self.limits.rate_max().map(units::show_rate);
        json!({ "quality": now.wanted.quality, "size": size, "fps": now.fps, "rate_max": rate_max })
    }

    fn change(&self, wanted: &Value) -> Result<(), String> {
        let Value::Object(wanted) = wanted else { return Err("settings are an object: {\"quality\":60}".to_string()) };
        let mut settings = lock(&self.settings);
        let (mut new, mut rate_max) = (settings.clone(), self.limits.rate_max());
        for (name, value) in wanted {
            match name.as_str() {
                "quality" if new.wanted.codec != Codec::Jpeg => {
                    return Err("quality is JPEG's: this sender's codec loses nothing".to_string());
                }
                "quality" => new.wanted.quality = optional(value, quality)?,
                "size" => new.wanted.size = optional(value, size)?,
                "fps" => new.fps = optional(value, fps)?,
                "rate_max" => rate_max = optional(value, rate)?,
                _ => return Err(format!("there is no setting {name}: there are quality, size, fps, rate_max")),
            }
        }
        let anew = new.wanted != settings.wanted;
        *settings = new;
        drop(settings);
        if anew {
            lock(&self.follow).ladder = Ladder::default();
            self.changed.store(true, Ordering::Relaxed);
        }
        *lock(&self.due) = Time::default();
        self.limits.set_rate_max(rate_max);
        Ok(())
    }
}

/// `null` takes a setting back.
fn optional<T>(value: &Value, read: impl Fn(&Value) -> Result<T, String>) -> Result<Option<T>, String> {
    if value.is_null() { Ok(None) } else { read(value).map(Some) }
}

fn quality(value: &Value) -> Result<u8, String> {
    let number = value.as_u64().and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=100).contains(n));
    number.ok_or_else(|| "quality is a number from 1 to 100".to_string())
}

fn size(value: &Value) -> Result<(usize, usize), String> {
    units::size(value.as_str().unwrap_or_default())
}

fn rate(value: &Value) -> Result<u64, String> {
    units::rate(value.as_str().unwrap_or_default())
}

fn fps(value: &Value) -> Result<f64, String> {
    units::fps(&value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use live::Control as _;

    #[test]
    fn nonsense_changes_nothing() {
        let control = Control::new(Wanted { quality: Some(80), ..Wanted::default() }, Arc::default());
        let before = control.settings();
        for bad in [
            json!([]),
            json!({ "quality": 0 }),
            json!({ "quality": 101 }),
            json!({ "quality": "60" }),
            json!({ "size": "huge" }),
            json!({ "size": 720 }),
            json!({ "fps": 0 }),
            json!({ "fps": "fast" }),
            json!({ "fps": 1e9 }),
            json!({ "rate_max": "fast" }),
            json!({ "rate_max": 0 }),
            json!({ "qality": 60 }),
            json!({ "quality": 60, "size": "0x0" }),
        ] {
            assert!(control.change(&bad).is_err(), "{bad}");
            assert_eq!(control.settings(), before);
        }
        control.change(&json!({ "quality": 60, "size": "720p", "fps": 10, "rate_max": "8mbit" })).unwrap();
        let settings = json!({ "quality": 60, "size": "1280x720", "fps": 10.0, "rate_max": "8mbit" });
        assert_eq!(control.settings(), settings);
        control.change(&json!({ "quality": null, "fps": null, "rate_max": null })).unwrap();
        let settings = json!({ "quality": null, "size": "1280x720", "fps": null, "rate_max": null });
        assert_eq!(control.settings(), settings);
    }

    #[test]
    fn a_rate_leaves_out_what_is_too_much() {
        let control = Control::new(Wanted::default(), Arc::default());
        let board = Board::new("send");
        control.change(&json!({ "fps": 10 })).unwrap();
        let start = crate::clock::now();
        let admitted = |n: &u32| control.admits(start + Duration::from_micros(33_333) * *n, &board);
        let taken: Vec<u32> = (0..30).filter(admitted).collect();
        assert_eq!(taken.len(), 10, "{taken:?}");
    }
}
