//! Settings of a sender that change while it runs: quality, size and frame rate.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::Time;
use crate::codec::coder::{Codec, Coder, Wanted};
use crate::lock::lock;
use crate::units;
use crate::web::live;

pub struct Control {
    settings: Mutex<Settings>,
    changed: AtomicBool,
    /// When the next frame may be made, for a rate below the source's.
    due: Mutex<Time>,
}

#[derive(Clone, Debug, Default)]
struct Settings {
    wanted: Wanted,
    fps: Option<f64>,
}

impl Control {
    pub fn new(wanted: Wanted) -> Control {
        let settings = Mutex::new(Settings { wanted, fps: None });
        Control { settings, changed: AtomicBool::new(false), due: Mutex::default() }
    }

    /// A coder with new settings, where they are new.
    pub fn renewed(&self) -> Option<Coder> {
        self.changed.swap(false, Ordering::Relaxed).then(|| Coder::new(lock(&self.settings).wanted.clone()))
    }

    /// Whether a frame may be made of an image captured then, so that no more are made than the rate says.
    pub fn admits(&self, captured: Time) -> bool {
        let Some(fps) = lock(&self.settings).fps else { return true };
        let interval = Duration::from_secs_f64(1.0 / fps);
        let mut due = lock(&self.due);
        // A source's times tremble, and its own rate may be this one.
        if captured + interval / 4 < *due {
            return false;
        }
        *due = captured.max(*due) + interval;
        true
    }
}

impl live::Control for Control {
    fn settings(&self) -> Value {
        let now = lock(&self.settings).clone();
        let size = now.wanted.size.map(|(width, height)| format!("{width}x{height}"));
        json!({ "quality": now.wanted.quality, "size": size, "fps": now.fps })
    }

    fn change(&self, wanted: &Value) -> Result<(), String> {
        let Value::Object(wanted) = wanted else { return Err("settings are an object: {\"quality\":60}".to_string()) };
        let mut settings = lock(&self.settings);
        let mut new = settings.clone();
        for (name, value) in wanted {
            match name.as_str() {
                "quality" if new.wanted.codec != Codec::Jpeg => {
                    return Err("quality is JPEG's: this sender's codec loses nothing".to_string());
                }
                "quality" => new.wanted.quality = optional(value, quality)?,
                "size" => new.wanted.size = optional(value, size)?,
                "fps" => new.fps = optional(value, fps)?,
                "rate_max" => {
                    return Err("rate_max cannot change while a sender runs: lower quality, size or fps".to_string());
                }
                _ => return Err(format!("there is no setting {name}: there are quality, size, fps")),
            }
        }
        *settings = new;
        *lock(&self.due) = Time::default();
        self.changed.store(true, Ordering::Relaxed);
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

fn fps(value: &Value) -> Result<f64, String> {
    units::fps(&value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use live::Control as _;

    #[test]
    fn nonsense_changes_nothing() {
        let control = Control::new(Wanted { quality: Some(80), ..Wanted::default() });
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
            json!({ "rate_max": "8mbit" }),
            json!({ "qality": 60 }),
            json!({ "quality": 60, "size": "0x0" }),
        ] {
            assert!(control.change(&bad).is_err(), "{bad}");
            assert_eq!(control.settings(), before);
        }
        control.change(&json!({ "quality": 60, "size": "720p", "fps": 10 })).unwrap();
        assert_eq!(control.settings(), json!({ "quality": 60, "size": "1280x720", "fps": 10.0 }));
        control.change(&json!({ "quality": null, "fps": null })).unwrap();
        assert_eq!(control.settings(), json!({ "quality": null, "size": "1280x720", "fps": null }));
    }

    #[test]
    fn a_rate_leaves_out_what_is_too_much() {
        let control = Control::new(Wanted::default());
        control.change(&json!({ "fps": 10 })).unwrap();
        let start = crate::clock::now();
        let admitted = |n: &u32| control.admits(start + Duration::from_micros(33_333) * *n);
        let taken: Vec<u32> = (0..30).filter(admitted).collect();
        assert_eq!(taken.len(), 10, "{taken:?}");
    }
}
