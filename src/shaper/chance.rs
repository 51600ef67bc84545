//! What happens to a packet by chance: loss alone and in bursts, damage, doubles, and how delays scatter. Seeded.

use fastrand::Rng;

use super::settings::{Burst, Distribution, Settings};

/// Every packet has dice of its own, thrown from one seed: what happens to it depends on no other packet's settings.
#[derive(Debug)]
pub struct Chance {
    seeds: Rng,
    /// Gilbert's bad state, in which everything is lost.
    bad: bool,
}

/// What the dice say for one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fate {
    /// Sent so many times in vain.
    pub lost: u32,
    pub twice: bool,
    pub corrupt: bool,
    pub reorder: bool,
    /// Which of its bits is damaged, how late it and its double are, in jitters.
    pub bit: u64,
    pub late: [f64; 2],
}

/// Linux gives a connection up after so many retransmissions (tcp_retries2).
const RETRIES: u32 = 15;

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance { seeds: Rng::with_seed(seed), bad: false }
    }

    pub fn throw(&mut self, settings: &Settings) -> Fate {
        let mut dice = Rng::with_seed(self.seeds.u64(..));
        let lost = u32::from(self.loses(settings, &mut dice));
        Fate {
            lost: if lost > 0 { in_vain(lost, settings, &mut dice) } else { 0 },
            twice: hits(settings.duplicate, &mut dice),
            corrupt: hits(settings.corrupt, &mut dice),
            reorder: hits(settings.reorder, &mut dice),
            bit: dice.u64(..),
            late: match settings.jitter.is_zero() {
                true => [0.0; 2],
                false => [late(settings.distribution, &mut dice), late(settings.distribution, &mut dice)],
            },
        }
    }

    fn loses(&mut self, settings: &Settings, dice: &mut Rng) -> bool {
        let burst = settings.burst_loss.is_some_and(|burst| self.bursts(burst, dice));
        hits(settings.loss, dice) || burst
    }

    fn bursts(&mut self, burst: Burst, dice: &mut Rng) -> bool {
        let (enter, leave) = burst.chances();
        self.bad = if self.bad { dice.f64() >= leave } else { dice.f64() < enter };
        self.bad
    }
}

impl Fate {
    /// What has been sent so many times in vain is sent again under other settings.
    pub fn throw_again(&mut self, lost: u32, settings: &Settings) {
        self.lost = in_vain(lost, settings, &mut Rng::with_seed(self.bit));
    }
}

/// How often a packet is sent in vain that already was so many times.
fn in_vain(mut lost: u32, settings: &Settings, dice: &mut Rng) -> u32 {
    while lost < RETRIES && loses_again(settings, dice) {
        lost += 1;
    }
    lost
}

/// A retransmission comes so much later that the burst is forgotten: only its share of time counts.
fn loses_again(settings: &Settings, dice: &mut Rng) -> bool {
    let burst = settings.burst_loss.is_some_and(|burst| hits(burst.mean, dice));
    hits(settings.loss, dice) || burst
}

fn hits(percent: f64, dice: &mut Rng) -> bool {
    percent > 0.0 && dice.f64() * 100.0 < percent
}

/// How late, in jitters; below zero is early. The shapes and their ends are netem's (iproute2, netem/normal.c, pareto.c).
fn late(distribution: Distribution, dice: &mut Rng) -> f64 {
    /// netem's tables hold 16-bit figures of 1/8192 deviation.
    const END: f64 = 4.0;
    let unit = 1.0 - dice.f64(); // above 0, for the logarithm and the root
    match distribution {
        Distribution::Uniform => 2.0 * unit - 1.0,
        Distribution::Normal => {
            let angle = std::f64::consts::TAU * dice.f64(); // Box and Muller
            ((-2.0 * unit.ln()).sqrt() * angle.cos()).clamp(-END, END)
        }
        Distribution::Pareto => ((unit.powf(-1.0 / 3.0) - 1.5) * 4.0 / 3.0).min(END),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        text.parse().unwrap()
    }

    /// Half the width of the 99 % interval of a binomial share.
    fn margin(share: f64, count: f64) -> f64 {
        2.576 * (share * (1.0 - share) / count).sqrt()
    }

    const COUNT: usize = 100_000;

    #[test]
    fn losses_are_as_many_as_asked() {
        for (seed, percent) in [(1, 0.1), (2, 2.0), (3, 10.0), (4, 50.0)] {
            let (mut chance, settings) = (Chance::new(seed), settings(&format!("loss={percent}%")));
            let lost = (0..COUNT).filter(|_| chance.throw(&settings).lost > 0).count() as f64 / COUNT as f64;
            let wanted = percent / 100.0;
            assert!((lost - wanted).abs() < margin(wanted, COUNT as f64), "{percent} %: {lost}");
        }
    }

    #[test]
    fn bursts_have_their_mean_and_length() {
        for (seed, mean, length) in [(5, 5.0, 4.0), (6, 2.0, 5.0), (7, 20.0, 1.5)] {
            let (mut chance, settings) = (Chance::new(seed), settings(&format!("burst-loss={mean}%:{length}")));
            let fates: Vec<bool> = (0..10 * COUNT).map(|_| chance.throw(&settings).lost > 0).collect();
            let lost = fates.iter().filter(|&&bad| bad).count() as f64;
            let bursts = fates.windows(2).filter(|w| !w[0] && w[1]).count() as f64;
            assert!((lost / fates.len() as f64 / mean * 100.0 - 1.0).abs() < 0.06, "{mean} %: {lost}");
            assert!((lost / bursts / length - 1.0).abs() < 0.04, "{length}: {}", lost / bursts);
        }
    }

    #[test]
    fn delays_scatter_as_asked() {
        for (distribution, deviation, end) in
            [(Distribution::Uniform, 0.577, 1.0), (Distribution::Normal, 1.0, 4.0), (Distribution::Pareto, 0.8, 4.0)]
        {
            let mut dice = Rng::with_seed(7);
            let values: Vec<f64> = (0..COUNT).map(|_| late(distribution, &mut dice)).collect();
            let mean = values.iter().sum::<f64>() / COUNT as f64;
            let square = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / COUNT as f64;
            assert!(mean.abs() < 0.05, "{distribution}: {mean}");
            assert!((square.sqrt() - deviation).abs() < 0.08, "{distribution}: {}", square.sqrt());
            assert!(values.iter().all(|v| *v <= end));
        }
    }
}
