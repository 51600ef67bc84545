//! Quantities as users type them: durations, sizes of pictures, frame rates of raw video, bit rates, bytes, percentages.

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

/// A number and its unit.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()))
}

/// A count of something in one of these units, the first of which needs no name.
fn counted(text: &str, units: &[(&str, f64)], explain: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let unit = unit.to_ascii_lowercase();
    let factor = units.iter().find(|(name, _)| *name == unit).map(|&(_, factor)| factor);
    let number: Option<f64> = number.parse().ok();
    match (number, factor) {
        // Beyond 2^53 a count would not be what was typed.
        (Some(n), Some(f)) if n * f < 9e15 => Ok((n * f).round() as u64),
        _ => Err(explain.to_string()),
    }
}

const RATES: [(&str, f64); 5] = [("", 1.0), ("bit", 1.0), ("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)];
const BYTES: [(&str, f64); 8] = [
    ("", 1.0),
    ("b", 1.0),
    ("kb", 1e3),
    ("mb", 1e6),
    ("gb", 1e9),
    ("kib", 1024.0),
    ("mib", 1048576.0),
    ("gib", 1073741824.0),
];

/// `500kbit`, `5mbit`, `1gbit`: decimal bits a second, at least one.
pub fn rate(text: &str) -> Result<u64, String> {
    const EXPLAIN: &str = "rates are written 500kbit, 5mbit or 1gbit, and are above 0";
    counted(text, &RATES, EXPLAIN).and_then(|rate| if rate > 0 { Ok(rate) } else { Err(EXPLAIN.to_string()) })
}

/// `64KiB`, `1MiB`, `1500`, `64kB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    counted(text, &BYTES, "sizes are written 1500, 64KiB or 1MiB")
}

/// `2%`, `0.1%`; a bare number is per cent too.
pub fn percentage(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.strip_suffix('%').unwrap_or(text).parse().ok();
    let number = number.filter(|n| (0.0..=100.0).contains(n));
    number.ok_or_else(|| "percentages are from 0% to 100%".to_string())
}

/// A duration as `duration` reads it.
pub fn show_duration(time: Duration) -> String {
    let us = time.as_micros();
    match us {
        0 => "0s".to_string(),
        _ if us.is_multiple_of(1_000_000) => format!("{}s", us / 1_000_000),
        _ if us.is_multiple_of(1000) => format!("{}ms", us / 1000),
        _ => format!("{us}us"),
    }
}

/// A rate as `rate` reads it.
pub fn show_rate(rate: u64) -> String {
    let units = [(1_000_000_000, "gbit"), (1_000_000, "mbit"), (1000, "kbit")];
    let unit = units.iter().find(|(factor, _)| rate > 0 && rate.is_multiple_of(*factor));
    unit.map_or_else(|| format!("{rate}bit"), |(factor, name)| format!("{}{name}", rate / factor))
}

/// A size as `bytes` reads it.
pub fn show_bytes(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.iter().find(|(factor, _)| bytes > 0 && bytes.is_multiple_of(*factor));
    unit.map_or_else(|| bytes.to_string(), |(factor, name)| format!("{}{name}", bytes / factor))
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

    #[test]
    fn rates_bytes_and_percentages() {
        assert_eq!((rate("5mbit"), rate("1.5mbit"), rate("800")), (Ok(5_000_000), Ok(1_500_000), Ok(800)));
        assert_eq!((bytes("64KiB"), bytes("1500"), bytes("2kB")), (Ok(65536), Ok(1500), Ok(2000)));
        assert_eq!((percentage("2%"), percentage("0.1"), percentage("100%")), (Ok(2.0), Ok(0.1), Ok(100.0)));
        for bad in ["", "mbit", "0", "-1mbit", "5 mbit", "5mbyte", "1e9gbit", "nan"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
        for bad in ["", "%", "-1%", "101%", "nan%", "inf"] {
            assert!(percentage(bad).is_err(), "{bad}");
        }
        assert!(bytes("99999999GiB").is_err());
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for text in ["250us", "50ms", "3s", "1500ms", "0s"] {
            assert_eq!(show_duration(duration(text).unwrap()), text);
        }
        for text in ["1bit", "1500kbit", "5mbit", "1gbit"] {
            assert_eq!(show_rate(rate(text).unwrap()), text);
        }
        assert_eq!((show_bytes(65536), show_bytes(1500), show_bytes(0)), ("64KiB".into(), "1500".into(), "0".into()));
    }
}
