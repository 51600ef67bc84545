//! What became of each frame, and the figures of it.

use std::time::Duration;

use vstream::clock::Time;

use super::{DELAY, WARM};

/// What a frame takes to leave besides: it is spread over 8 ms, and machines are late.
const MARGIN: Duration = Duration::from_millis(25);
/// Frames within which a stale tile should be healed.
const SOON: u32 = 3;

/// A frame that was shown: when, and the tiles that were older than they should be.
pub struct Shown {
    pub seq: u64,
    pub at: Time,
    pub stale: usize,
}

#[derive(Default)]
pub struct Fates {
    /// When each was sent, and of how many tiles, where they are.
    pub sent: Vec<Time>,
    pub tiles: Option<usize>,
    pub shown: Vec<Shown>,
    /// For how many frames each tile was stale that was.
    pub healed_after: Vec<u32>,
    /// Bytes of the frames, and of all that crossed for them.
    pub bytes: usize,
    pub crossed: u64,
}

impl Fates {
    pub const HEAD: &str = "| | frames shown | whole in time | stale tiles under 5 % | stale tiles healed within 3 frames \
        | added latency p50, p95 | longest pause, and the source's own | bytes crossed |\n|---|---|---|---|---|---|---|---|";

    pub fn row(mut self, name: &str, network: &str, latency: Duration) -> String {
        self.shown.retain(|shown| shown.seq >= WARM);
        let count = (self.sent.len() as u64 - WARM) as f64;
        let took = |shown: &Shown| shown.at.since(self.sent[shown.seq as usize]);
        let share = |fine: &dyn Fn(&Shown) -> bool| self.shown.iter().filter(|shown| fine(shown)).count() as f64;
        let in_time = share(&|shown| shown.stale == 0 && took(shown) <= DELAY + latency + MARGIN);
        let few = self.tiles.map_or("".to_string(), |tiles| {
            format!("{:.2} %", 100.0 * share(&|shown| shown.stale * 20 < tiles) / self.shown.len().max(1) as f64)
        });
        let soon = self.healed_after.iter().filter(|&&frames| frames <= SOON).count() as f64;
        let soon = match self.healed_after.len() {
            0 => String::new(),
            stale => format!("{:.2} % of {stale}", 100.0 * soon / stale as f64),
        };
        let mut ms: Vec<f64> =
            self.shown.iter().map(|shown| (took(shown).as_secs_f64() - DELAY.as_secs_f64()) * 1e3).collect();
        ms.sort_by(f64::total_cmp);
        let at = |part: f64| ms.get((ms.len() as f64 * part) as usize).copied().unwrap_or(f64::NAN);
        let pause = |times: &[Time]| times.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap_or_default();
        let shown: Vec<Time> = self.shown.iter().map(|shown| shown.at).collect();
        format!(
            "| {name}, {network}, latency {} ms | {} of {count} | {:.2} % | {few} | {soon} | {:.1}, {:.1} ms | {}, {} ms | {:+.1} % |",
            latency.as_millis(),
            self.shown.len(),
            100.0 * in_time / count,
            at(0.5),
            at(0.95),
            pause(&shown).as_millis(),
            pause(&self.sent[WARM as usize..]).as_millis(),
            100.0 * (self.crossed as f64 / self.bytes as f64 - 1.0),
        )
    }
}
