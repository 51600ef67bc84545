//! Figures that stand together in a line of stats.

use serde::Serialize;

/// Frames that we dropped on purpose, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// Something after us was still busy.
    pub slow: u64,
    /// Past its time to be shown.
    pub late: u64,
    /// Not a picture.
    pub corrupt: u64,
}

/// Parts of frames that were lost by the network and repaired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// By redundancy.
    pub fec: u64,
    /// By sending again.
    pub resend: u64,
}

impl Recovered {
    pub fn sum(one: Option<Recovered>, other: Option<Recovered>) -> Option<Recovered> {
        let both = one.into_iter().chain(other);
        both.reduce(|a, b| Recovered { fec: a.fec + b.fec, resend: a.resend + b.resend })
    }
}

/// Figures of a network that is shaped, each way.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Shaped {
    pub proxy: String,
    /// `up` or `down`; of totals, `both`.
    pub way: &'static str,
    pub connections: usize,
    pub packets: u64,
    /// The mean wait for the rate since the last line.
    pub queue_ms: f64,
    pub duplicated: u64,
    pub reordered: u64,
    pub corrupted: u64,
}
