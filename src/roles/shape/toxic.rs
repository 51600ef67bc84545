//! Toxics, as Toxiproxy calls a change to one direction of a proxy, and what all of them make of a connection.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::shaper::settings::{Burst, Settings};

/// A direction. Up is from client to target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Way {
    #[serde(rename = "upstream")]
    Up,
    #[serde(rename = "downstream")]
    Down,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Toxic {
    pub name: String,
    #[serde(flatten)]
    pub kind: Kind,
    pub stream: Way,
    /// The share of connections that it acts on.
    pub toxicity: f64,
}

/// Toxiproxy's types with its units (milliseconds, KB/s, for the slicer microseconds), and `shape`: any of our settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "attributes", rename_all = "snake_case")]
pub enum Kind {
    Latency(Latency),
    Bandwidth(Bandwidth),
    SlowClose(SlowClose),
    Timeout(Timeout),
    Slicer(Slicer),
    LimitData(LimitData),
    ResetPeer(Timeout),
    PacketLoss(PacketLoss),
    Shape(Settings),
}

/// The names of the types, for messages.
pub const TYPES: [&str; 9] =
    ["latency", "bandwidth", "slow_close", "timeout", "slicer", "limit_data", "reset_peer", "packet_loss", "shape"];

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    pub latency: i64,
    pub jitter: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bandwidth {
    pub rate: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlowClose {
    pub delay: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeout {
    pub timeout: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Slicer {
    pub average_size: i64,
    pub size_variation: i64,
    pub delay: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitData {
    pub bytes: i64,
}

/// Shares from 0 to 1: a loss, and how much likelier it is after another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PacketLoss {
    pub loss_rate: f64,
    pub correlation: f64,
}

impl Default for PacketLoss {
    fn default() -> Self {
        PacketLoss { loss_rate: 0.1, correlation: 0.0 } // Toxiproxy's own defaults
    }
}

/// What happens to one direction of one connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub settings: Settings,
    pub slow_close: Duration,
    /// Nothing passes, and the connection is closed after this; never where it is zero.
    pub timeout: Option<Duration>,
    pub reset: Option<Duration>,
    pub slicer: Option<Slicer>,
    /// Bytes after which it is closed.
    pub limit: Option<u64>,
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl Plan {
    /// The settings of a direction with the toxics that hit the connection of this seed.
    pub fn of(settings: &Settings, toxics: &[Toxic], way: Way, seed: u64) -> Plan {
        let mut plan = Plan { settings: settings.clone(), ..Plan::default() };
        toxics.iter().filter(|toxic| toxic.stream == way && toxic.hits(seed)).for_each(|toxic| plan.add(&toxic.kind));
        plan
    }

    fn add(&mut self, kind: &Kind) {
        let millis = |ms: i64| Duration::from_millis(count(ms));
        match kind {
            Kind::SlowClose(t) => self.slow_close += millis(t.delay),
            Kind::Timeout(t) => self.timeout = Some(millis(t.timeout)),
            Kind::ResetPeer(t) => self.reset = Some(millis(t.timeout)),
            Kind::Slicer(t) => self.slicer = Some(*t),
            Kind::LimitData(t) => self.limit = Some(self.limit.unwrap_or(u64::MAX).min(count(t.bytes))),
            Kind::Latency(_) | Kind::Bandwidth(_) | Kind::PacketLoss(_) | Kind::Shape(_) => {
                self.settings = self.settings.and(&kind.settings());
            }
        }
    }

    /// Whether what arrives passes on as it is.
    pub fn is_plain(&self) -> bool {
        self.timeout.is_none() && self.slicer.is_none() && self.limit.is_none()
    }
}

impl Kind {
    /// What of it is the network's.
    fn settings(&self) -> Settings {
        match self {
            Kind::Latency(t) => Settings {
                delay: Duration::from_millis(count(t.latency)),
                jitter: Duration::from_millis(count(t.jitter)),
                ..Settings::default()
            },
            Kind::Bandwidth(t) => Settings {
                bandwidth: Some(count(t.rate).saturating_mul(8000)).filter(|&rate| rate > 0), // 0 KB/s is no limit there
                ..Settings::default()
            },
            Kind::PacketLoss(t) => t.settings(),
            Kind::Shape(settings) => settings.clone(),
            _ => Settings::default(),
        }
    }
}

impl PacketLoss {
    /// The same chain of losses by its mean and the mean length of its bursts.
    fn settings(self) -> Settings {
        let enter = self.loss_rate.clamp(0.0, 1.0);
        let leave = 1.0 - (enter + self.correlation.max(0.0)).min(1.0);
        if self.correlation <= 0.0 || leave < 1e-6 {
            let loss = if leave < 1e-6 && enter > 0.0 { 100.0 } else { 100.0 * enter };
            return Settings { loss, ..Settings::default() };
        }
        let burst = Burst { mean: 100.0 * enter / (enter + leave), length: 1.0 / leave };
        Settings { burst_loss: Some(burst), ..Settings::default() }
    }
}

impl Toxic {
    /// Whether its figures are of this world; if not, which is not.
    pub fn check(&self) -> Result<(), String> {
        let positive = |figures: &[(&str, i64)]| match figures.iter().find(|(_, figure)| *figure < 0) {
            Some((name, figure)) => Err(format!("{name} is {figure}: it must not be below 0")),
            None => Ok(()),
        };
        let shares = |figures: &[(&str, f64)]| match figures.iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            Some((name, share)) => Err(format!("{name} is {share}: it is a share from 0 to 1")),
            None => Ok(()),
        };
        shares(&[("toxicity", self.toxicity)])?;
        match &self.kind {
            Kind::Latency(t) => positive(&[("latency", t.latency), ("jitter", t.jitter)]),
            Kind::Bandwidth(t) => positive(&[("rate", t.rate)]),
            Kind::SlowClose(t) => positive(&[("delay", t.delay)]),
            Kind::Timeout(t) | Kind::ResetPeer(t) => positive(&[("timeout", t.timeout)]),
            Kind::Slicer(t) => {
                positive(&[("average_size", t.average_size), ("size_variation", t.size_variation), ("delay", t.delay)])
            }
            Kind::LimitData(t) => positive(&[("bytes", t.bytes)]),
            Kind::PacketLoss(t) => shares(&[("loss_rate", t.loss_rate), ("correlation", t.correlation)]),
            Kind::Shape(_) => Ok(()), // settings check themselves
        }
    }

    /// The same answer for a connection as long as both live.
    fn hits(&self, seed: u64) -> bool {
        let mut hasher = DefaultHasher::new();
        (&self.name, seed).hash(&mut hasher);
        Rng::with_seed(hasher.finish()).f64() < self.toxicity
    }
}

impl Slicer {
    /// Cuts about in half until no slice is longer than the average and its variation, as Toxiproxy does.
    pub fn slices(self, length: usize, dice: &mut Rng) -> Vec<usize> {
        let average = usize::try_from(self.average_size).unwrap_or(0).max(1);
        let variation = usize::try_from(self.size_variation).unwrap_or(0).min(average - 1);
        let (mut rest, mut slices) = (vec![length], Vec::new());
        while let Some(length) = rest.pop() {
            if length <= average + variation {
                slices.push(length);
                continue;
            }
            let vary = if variation > 0 { dice.usize(..2 * variation) } else { 0 };
            let half = (length / 2 + vary).saturating_sub(variation).clamp(1, length - 1);
            rest.extend([length - half, half]);
        }
        slices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toxic(json: serde_json::Value) -> Toxic {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn toxics_and_settings_are_one_pipeline() {
        let latency = toxic(serde_json::json!({"name": "l", "type": "latency", "stream": "upstream", "toxicity": 1.0,
            "attributes": {"latency": 100, "jitter": 5}}));
        let shape = toxic(serde_json::json!({"name": "s", "type": "shape", "stream": "upstream", "toxicity": 1.0,
            "attributes": {"loss": "2%", "rate": "1mbit"}}));
        let base: Settings = "delay=10ms,rate=5mbit".parse().unwrap();
        let plan = Plan::of(&base, &[latency.clone(), shape], Way::Up, 1);
        assert_eq!(plan.settings.to_string(), "delay=110ms,jitter=5ms,loss=2%,rate=5mbit,bandwidth=1mbit");
        assert_eq!(Plan::of(&base, &[latency], Way::Down, 1).settings, base);
    }

    #[test]
    fn toxicity_is_a_share_of_connections() {
        let half = toxic(serde_json::json!({"name": "h", "type": "timeout", "stream": "upstream", "toxicity": 0.5,
            "attributes": {}}));
        let hit = (0..1000).filter(|&seed| half.hits(seed)).count();
        assert!((400..600).contains(&hit), "{hit}");
        assert!(half.hits(7) == half.hits(7));
    }

    #[test]
    fn slices_add_up() {
        let mut dice = Rng::with_seed(1);
        for (length, average, variation) in [(100, 10, 5), (1, 10, 0), (65536, 1, 0), (1000, 64, 63), (5, 0, 9)] {
            let slicer = Slicer { average_size: average, size_variation: variation, delay: 0 };
            let slices = slicer.slices(length, &mut dice);
            assert_eq!(slices.iter().sum::<usize>(), length);
            assert!(slices.iter().all(|s| *s > 0 && *s as i64 <= (average + variation).max(1)), "{slices:?}");
        }
    }

    #[test]
    fn losses_that_cling_together_are_bursts() {
        let loss = PacketLoss { loss_rate: 0.1, correlation: 0.4 }.settings().burst_loss.unwrap();
        assert!((loss.length - 2.0).abs() < 1e-9 && (loss.mean - 100.0 / 6.0).abs() < 1e-9, "{loss:?}");
        assert_eq!(PacketLoss { loss_rate: 1.0, correlation: 0.0 }.settings().loss, 100.0);
    }
}
