//! Quantities as users type them: durations, sizes of pictures, frame rates of raw video.

use std::time::Duration;

use crate::picture;

/// `50ms`, `2s`, `1.5s`, `3m`, `1h`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("unknown unit `{unit}`: durations are written 50ms, 2s, 1.5s, 3m or 1h")),
    };
    let number: f64 = number.parse().map_err(|_| "durations are written 50ms, 2s, 1.5s, 3m or 1h".to_string())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| "that is too long".to_string())
}

/// `1280x720`, or a height that everybody knows the width of: `240p` to `2160p`.
pub fn size(text: &str) -> Result<(usize, usize), String> {
    let explain = || "sizes are written 1280x720 or 720p (240p, 360p, 480p, 720p, 1080p, 1440p, 2160p)".to_string();
    let (width, height) = match text {
        "240p" => (426, 240),
        "360p" => (640, 360),
        "480p" => (854, 480),
        "720p" => (1280, 720),
        "1080p" => (1920, 1080),
        "1440p" => (2560, 1440),
        "2160p" => (3840, 2160),
        _ => {
            let (width, height) = text.split_once('x').ok_or_else(explain)?;
            (width.parse().map_err(|_| explain())?, height.parse().map_err(|_| explain())?)
        }
    };
    picture::check_size(width, height).map_err(|e| e.to_string())?;
    Ok((width, height))
}

/// Frames a second: above 0, up to 1000.
pub fn fps(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(fps) if fps > 0.0 && fps <= 1000.0 => Ok(fps),
        _ => Err("frame rates are above 0 and up to 1000".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2"), Ok(Duration::from_secs(2)));
        for bad in ["", "ms", "1.2.3s", "5 parsecs", "-1s", "1e99h", "nan"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("720p"), Ok((1280, 720)));
        assert_eq!(size("641x359"), Ok((641, 359)));
        for bad in ["720", "0x0", "15x16", "99999x9", "x", "1x2x3"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
