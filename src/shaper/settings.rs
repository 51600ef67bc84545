//! What a network does to one direction: the settings as users type, print and send them. One table of names serves
//! the flags, `--up` and `--down`, scripts, profiles and the API.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::{Map, Value};

use super::trace::Trace;
use crate::units;

/// One direction, one way. The default is a network that does nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    pub delay: Duration,
    pub jitter: Duration,
    pub distribution: Distribution,
    /// Percentages, as typed.
    pub loss: f64,
    pub burst_loss: Option<Burst>,
    pub reorder: f64,
    pub duplicate: f64,
    pub corrupt: f64,
    /// Of all connections together.
    pub rate: Option<Rate>,
    /// Bits a second of each connection.
    pub bandwidth: Option<u64>,
    pub queue: Option<Queue>,
}

/// How delays scatter around their mean; `jitter` is the half width of the first and the deviation of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    #[default]
    Uniform,
    Normal,
    Pareto,
}

/// Losses in bursts (Gilbert's model): the mean loss in per cent and the mean length in packets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    pub mean: f64,
    pub length: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Rate {
    /// Payload bits a second.
    Fixed(u64),
    Trace(Arc<Trace>),
}

/// What waits for the rate; more is dropped at the tail (udp) or not read yet (tcp).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Queue {
    Time(Duration),
    Bytes(u64),
}

/// The names of all settings, in the order they are printed.
pub const NAMES: [&str; 11] = [
    "delay",
    "jitter",
    "distribution",
    "loss",
    "burst-loss",
    "reorder",
    "duplicate",
    "corrupt",
    "rate",
    "bandwidth",
    "queue",
];

/// Longer delays would be an outage.
const LONGEST: Duration = Duration::from_secs(3600);

fn time(text: &str) -> Result<Duration, String> {
    let time = units::duration(text)?;
    if time > LONGEST { Err("that is longer than an hour".to_string()) } else { Ok(time) }
}

impl Settings {
    /// Sets one by its name; `none` takes it away. JSON has underscores where flags have hyphens.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let name = name.replace('_', "-");
        let chance = |value| or_none(value, units::percentage).map(Option::unwrap_or_default);
        let rate = |value| or_none(value, units::rate);
        let result = match name.as_str() {
            "delay" => or_none(value, time).map(|v| self.delay = v.unwrap_or_default()),
            "jitter" => or_none(value, time).map(|v| self.jitter = v.unwrap_or_default()),
            "distribution" => or_none(value, str::parse).map(|v| self.distribution = v.unwrap_or_default()),
            "loss" => chance(value).map(|v| self.loss = v),
            "burst-loss" => or_none(value, str::parse).map(|v| self.burst_loss = v),
            "reorder" => chance(value).map(|v| self.reorder = v),
            "duplicate" => chance(value).map(|v| self.duplicate = v),
            "corrupt" => chance(value).map(|v| self.corrupt = v),
            "rate" => rate(value).map(|v| self.rate = v.map(Rate::Fixed)),
            "bandwidth" => rate(value).map(|v| self.bandwidth = v),
            "queue" => or_none(value, str::parse).map(|v| self.queue = v),
            _ => return Err(format!("unknown setting `{name}`: there are {}", NAMES.join(", "))),
        };
        result.map_err(|why| format!("{name} `{value}`: {why}"))
    }

    /// Sets what `delay=50ms,loss=2%` names, and leaves the rest as it is.
    pub fn change(&mut self, text: &str) -> Result<(), String> {
        let mut changed = self.clone();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) =
                part.split_once('=').ok_or(format!("`{part}`: settings are written delay=50ms,loss=2%"))?;
            changed.set(name.trim(), value.trim())?;
        }
        *self = changed;
        Ok(())
    }

    /// Sets what a JSON object names; values are written as everywhere, bare numbers too.
    pub fn merge(&mut self, fields: &Map<String, Value>) -> Result<(), String> {
        let mut changed = self.clone();
        for (name, value) in fields {
            match value {
                Value::String(text) => changed.set(name, text)?,
                Value::Null => changed.set(name, "none")?,
                Value::Number(number) => changed.set(name, &number.to_string())?,
                _ => return Err(format!("{name}: settings are texts such as \"50ms\", or numbers")),
            }
        }
        *self = changed;
        Ok(())
    }

    /// The settings that do something, by name.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let percent = |p: f64| (p > 0.0).then(|| format!("{p}%"));
        let duration = |d: Duration| (!d.is_zero()).then(|| units::show_duration(d));
        let values = [
            duration(self.delay),
            duration(self.jitter),
            (self.distribution != Distribution::default()).then(|| self.distribution.to_string()),
            percent(self.loss),
            self.burst_loss.map(|b| format!("{}%:{}", b.mean, b.length)),
            percent(self.reorder),
            percent(self.duplicate),
            percent(self.corrupt),
            self.rate.as_ref().map(Rate::to_string),
            self.bandwidth.map(units::show_rate),
            self.queue.map(|q| q.to_string()),
        ];
        NAMES.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// One network after another: delays add up, losses multiply, the narrowest rate counts.
    pub fn and(&self, other: &Settings) -> Settings {
        let both = |a: f64, b: f64| a + b - a * b / 100.0;
        let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        Settings {
            delay: (self.delay + other.delay).min(LONGEST),
            jitter: (self.jitter + other.jitter).min(LONGEST),
            distribution: if other.jitter.is_zero() { self.distribution } else { other.distribution },
            loss: both(self.loss, other.loss),
            burst_loss: other.burst_loss.or(self.burst_loss),
            reorder: both(self.reorder, other.reorder),
            duplicate: both(self.duplicate, other.duplicate),
            corrupt: both(self.corrupt, other.corrupt),
            rate: self.rate.clone(),
            // What comes on top is for one connection: it must not bind the others.
            bandwidth: least(least(self.bandwidth, other.bandwidth), other.rate.as_ref().map(Rate::mean)),
            queue: other.queue.or(self.queue),
        }
    }

    /// Whether a packet passes as if there were nothing.
    pub fn is_clean(&self) -> bool {
        *self == Settings { queue: self.queue, distribution: self.distribution, ..Settings::default() }
    }
}

fn or_none<T>(value: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if value == "none" { Ok(None) } else { read(value).map(Some) }
}

impl FromStr for Settings {
    type Err = String;

    fn from_str(text: &str) -> Result<Settings, String> {
        let mut settings = Settings::default();
        settings.change(text)?;
        Ok(settings)
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.fields().iter().map(|(name, value)| format!("{name}={value}")).collect();
        f.write_str(&parts.join(","))
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.fields().into_iter().map(|(name, value)| (name.replace('-', "_"), value));
        fields.collect::<BTreeMap<_, _>>().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Settings, D::Error> {
        let fields = Map::deserialize(deserializer)?;
        let mut settings = Settings::default();
        settings.merge(&fields).map_err(D::Error::custom)?;
        Ok(settings)
    }
}

impl FromStr for Distribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Distribution, String> {
        match text {
            "uniform" => Ok(Distribution::Uniform),
            "normal" => Ok(Distribution::Normal),
            "pareto" => Ok(Distribution::Pareto),
            _ => Err("there are uniform, normal, pareto".to_string()),
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Distribution::Uniform => "uniform",
            Distribution::Normal => "normal",
            Distribution::Pareto => "pareto",
        })
    }
}

impl Burst {
    /// The chances to fall into a burst and to leave it, for each packet.
    pub fn chances(self) -> (f64, f64) {
        let (mean, leave) = (self.mean / 100.0, 1.0 / self.length);
        (mean * leave / (1.0 - mean), leave)
    }
}

impl FromStr for Burst {
    type Err = String;

    fn from_str(text: &str) -> Result<Burst, String> {
        let explain = || "bursts are MEAN:LENGTH, as 2%:5 for 2 % lost, 5 packets at a time".to_string();
        let (mean, length) = text.split_once(':').ok_or_else(explain)?;
        let burst = Burst { mean: units::percentage(mean)?, length: length.parse().map_err(|_| explain())? };
        if !(1.0..=1e6).contains(&burst.length) {
            return Err("bursts are 1 to 1000000 packets long".to_string());
        }
        let most = 100.0 * burst.length / (1.0 + burst.length);
        if burst.mean > most {
            return Err(format!("bursts of {} packets lose {most:.1}% at most: one passes between two", burst.length));
        }
        Ok(burst)
    }
}

impl Rate {
    /// Bits a second, of a trace its mean.
    pub fn mean(&self) -> u64 {
        match self {
            Rate::Fixed(rate) => *rate,
            Rate::Trace(trace) => trace.mean(),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Fixed(rate) => f.write_str(&units::show_rate(*rate)),
            Rate::Trace(trace) => write!(f, "trace {}", trace.name),
        }
    }
}

impl Queue {
    /// RFC 8868 section 5.2 has a bottleneck of 300 ms as the one to test with.
    pub const DEFAULT: Queue = Queue::Time(Duration::from_millis(300));

    /// In bytes at this rate.
    pub fn bytes(self, rate: u64) -> usize {
        match self {
            Queue::Time(time) => (time.as_secs_f64() * rate as f64 / 8.0) as usize,
            Queue::Bytes(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
        }
    }
}

impl FromStr for Queue {
    type Err = String;

    fn from_str(text: &str) -> Result<Queue, String> {
        let bytes = text.ends_with(['b', 'B']) || text.bytes().all(|b| b.is_ascii_digit());
        let queue = if bytes { units::bytes(text).map(Queue::Bytes) } else { time(text).map(Queue::Time) };
        queue.map_err(|_| "queues are written 300ms or 64KiB".to_string())
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Queue::Time(time) => f.write_str(&units::show_duration(*time)),
            Queue::Bytes(bytes) => {
                write!(f, "{}", if *bytes % 1024 == 0 { units::show_bytes(*bytes) } else { format!("{bytes}B") })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        let text = "delay=50ms,jitter=5ms,distribution=pareto,loss=2%,burst-loss=1.5%:4,reorder=1%,duplicate=1%,\
                    corrupt=0.1%,rate=5mbit,bandwidth=800kbit,queue=64KiB";
        let settings: Settings = text.parse().unwrap();
        assert_eq!(settings.to_string(), text);
        let json = serde_json::to_value(&settings).unwrap();
        assert_eq!((&json["delay"], &json["burst_loss"]), (&"50ms".into(), &"1.5%:4".into()));
    }

    #[test]
    fn changes_are_whole_or_not_at_all() {
        let mut settings: Settings = "delay=50ms,loss=2%".parse().unwrap();
        assert!(settings.change("delay=1s,loss=200%").is_err());
        assert_eq!(settings.to_string(), "delay=50ms,loss=2%");
        settings.change("delay=none, rate = 1mbit").unwrap();
        assert_eq!(settings.to_string(), "loss=2%,rate=1mbit");
    }

    #[test]
    fn nonsense_is_explained() {
        for (bad, why) in [
            ("dely=1ms", "unknown setting `dely`: there are delay, jitter"),
            ("delay", "settings are written"),
            ("delay=2 weeks", "delay `2 weeks`"),
            ("delay=2h", "longer than an hour"),
            ("burst-loss=90%:2", "at most"),
            ("burst-loss=2%:0", "1 to 1000000"),
            ("rate=0", "above 0"),
            ("queue=lots", "queues are written"),
        ] {
            let error = bad.parse::<Settings>().unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn networks_in_a_row() {
        let whole: Settings = "delay=10ms,loss=50%,rate=1gbit".parse().unwrap();
        let more: Settings = "delay=5ms,loss=50%,rate=1mbit".parse().unwrap();
        assert_eq!(whole.and(&more).to_string(), "delay=15ms,loss=75%,rate=1gbit,bandwidth=1mbit");
        assert!(Settings::default().is_clean() && !whole.is_clean());
    }
}
