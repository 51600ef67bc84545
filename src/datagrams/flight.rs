//! The sending side of packet numbers: what is on its way, what has arrived, and what is taken for lost: packets that
//! were overtaken by more than the network reorders (as RACK has it, RFC 8985). Losses are measured here.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::acks::DELAY;
use super::packet::Ack;
use super::rtt::Rtt;
use crate::clock::Time;

/// Packets to remember at most; 2 s at 500 Mbit/s. What is older is lost.
const REMEMBERED: usize = 1 << 17;
/// Reordering that is allowed for at least: timers of hosts are as exact as that.
const REORDER: Duration = Duration::from_millis(2);
/// And at most: what jitter of a mobile network may be.
const REORDER_MAX: Duration = Duration::from_millis(100);
/// The pause after the first probes for an answer, which is four times as long after so many: what is lost in bursts is so many
/// packets on end, so one by one they would take long.
const PROBE: Duration = Duration::from_millis(4);
const PROBES: u32 = 24;
const PROBE_MAX: Duration = Duration::from_secs(1);
/// After words of what left last, silence for so long is the end of what comes.
const ENDED: Duration = Duration::from_millis(25);

/// Losses below this share are healed as they come; one parity a frame is against the first.
const RARE: f64 = 0.0005;

/// `T` is what a packet carried.
#[derive(Debug)]
pub struct Flight<T> {
    /// The number of the first packet remembered.
    base: u64,
    packets: VecDeque<Sent<T>>,
    waiting: usize,
    /// When the newest of the acknowledged packets was sent, and its number.
    newest: Option<(u64, Time)>,
    last_sent: Time,
    /// Since when packets wait and nothing is heard of any.
    quiet: Time,
    /// How far packets may be overtaken before they count as lost.
    reorder: Duration,
    /// Unanswered probes in a row.
    probes: u32,
    asks: bool,
    /// Packets that were lost, of all that wanted to arrive.
    lost: u64,
    wanted: u64,
    pub rtt: Rtt,
    pub losses: Losses,
}

#[derive(Debug)]
struct Sent<T> {
    at: Time,
    state: State,
    content: T,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody waits for its acknowledgement.
    Aside,
    Waiting,
    Arrived,
    Lost,
}

/// How many packets are lost, and in how long bursts.
#[derive(Clone, Copy, Debug)]
pub struct Losses {
    /// The share of packets that are lost.
    pub share: f64,
    /// The share of packets that begin a burst of losses.
    starts: f64,
    /// Packets of the last seconds, about, and when the last of them was counted.
    recent: f64,
    counted: Option<Time>,
}

impl<T> Default for Flight<T> {
    fn default() -> Flight<T> {
        Flight {
            base: 0,
            packets: VecDeque::new(),
            waiting: 0,
            newest: None,
            last_sent: Time::default(),
            quiet: Time::default(),
            reorder: REORDER,
            probes: 0,
            asks: false,
            lost: 0,
            wanted: 0,
            rtt: Rtt::default(),
            losses: Losses::default(),
        }
    }
}

impl<T> Flight<T> {
    /// The next packet leaves. `wants`: it will be acknowledged.
    pub fn sent(&mut self, now: Time, wants: bool, content: T) {
        let state = if wants { State::Waiting } else { State::Aside };
        self.packets.push_back(Sent { at: now, state, content });
        if wants {
            if self.waiting == 0 {
                self.quiet = now;
            }
            self.waiting += 1;
            self.wanted += 1;
            self.last_sent = now;
        }
    }

    /// Packets that were lost, of so many.
    pub fn lost_of(&self) -> (u64, u64) {
        (self.lost, self.wanted)
    }

    /// Packets of whose fate nothing is known yet.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// The number of the next packet.
    pub fn next(&self) -> u64 {
        self.base + self.packets.len() as u64
    }

    /// The peer's word on what came; gives each content that arrived now, also one that was taken for lost (true).
    ///
    /// Errors: packets that were never sent.
    pub fn acknowledged(&mut self, ack: &Ack, now: Time, mut arrived: impl FnMut(&T, bool)) -> Result<()> {
        let highest = ack.ranges.first().map_or(0, |&(_, last)| last);
        ensure!(highest < self.next(), "packet {highest} was never sent, and is acknowledged");
        let (mut sample, mut too_early) = (None, false);
        for &(first, last) in &ack.ranges {
            for number in first.max(self.base)..=last {
                let Some(packet) = self.packets.get_mut((number - self.base) as usize) else { break };
                match packet.state {
                    State::Waiting => self.waiting -= 1,
                    State::Lost => {
                        too_early = true;
                        self.lost -= 1;
                    }
                    State::Aside | State::Arrived => continue,
                }
                if packet.state == State::Waiting && number == highest {
                    sample = Some(now.since(packet.at));
                }
                let was_lost = packet.state == State::Lost;
                packet.state = State::Arrived;
                if !self.rtt.was_full(packet.at) {
                    self.losses.count(now, false, false);
                }
                self.newest = self.newest.max(Some((number, packet.at)));
                arrived(&packet.content, was_lost);
            }
        }
        // A word that is said again, as the first was lost, shows no round trip.
        let delay = Duration::from_micros(ack.delay);
        if let Some(sample) = sample.filter(|_| delay <= 2 * DELAY) {
            self.rtt.add(now, sample.saturating_sub(delay));
        }
        if too_early {
            self.reorder = (2 * self.reorder).min(REORDER_MAX);
        }
        (self.probes, self.quiet) = (0, now);
        self.forget(now);
        Ok(())
    }

    /// What must be taken for lost by now.
    pub fn lost(&mut self, now: Time, mut lost: impl FnMut(&T)) {
        let Some((newest, newest_sent)) = self.newest else { return };
        let patience = self.patience();
        let end = (newest.saturating_sub(self.base) as usize).min(self.packets.len());
        let mut before_is_lost = false;
        let mut found = false;
        for packet in self.packets.range_mut(..end) {
            let overtaken = newest_sent.since(packet.at) > self.reorder || now.since(packet.at) > patience;
            if packet.state == State::Waiting && overtaken {
                packet.state = State::Lost;
                self.waiting -= 1;
                self.lost += 1;
                if !self.rtt.was_full(packet.at) {
                    self.losses.count(now, true, !before_is_lost);
                }
                found = true;
                lost(&packet.content);
            }
            if packet.state != State::Aside {
                before_is_lost = packet.state == State::Lost;
            }
        }
        if found {
            // Reordering is believed in for some seconds, not for ever.
            self.reorder = self.reorder.mul_f64(0.995).max(REORDER).max(self.rtt.smooth / 16);
        }
    }

    /// Age at which a packet is lost that something newer overtook.
    fn patience(&self) -> Duration {
        self.rtt.smooth + (4 * self.rtt.deviation).max(REORDER) + self.reorder + DELAY
    }

    /// When `lost` or `probe` may find something.
    pub fn wake(&self) -> Option<Time> {
        let newest = self.newest.map_or(0, |(number, _)| number);
        let end = (newest.saturating_sub(self.base) as usize).min(self.packets.len());
        let overtaken = self.packets.range(..end).find(|p| p.state == State::Waiting);
        let lost = overtaken.map(|packet| packet.at + self.patience() + Duration::from_micros(1));
        lost.into_iter().chain(self.probes_at()).min()
    }

    fn probes_at(&self) -> Option<Time> {
        let again = self.last_sent + (PROBE * 4u32.pow((self.probes / PROBES).min(5))).min(PROBE_MAX);
        let first = self.last_sent.min(self.quiet) + self.patience().min(PROBE_MAX);
        // Words came of what left together with what is still waited for, and then no more: the rest is lost.
        let first = if self.quiet > self.last_sent { first.min(self.quiet + ENDED) } else { first };
        (self.waiting > 0).then(|| if self.probes == 0 { first.max(again) } else { again })
    }

    /// Asks at once.
    pub fn ask(&mut self) {
        self.asks = true;
    }

    /// Whether so long nothing was heard of what was sent last that the peer must be asked; counts the question.
    pub fn probe(&mut self, now: Time) -> bool {
        let due = std::mem::take(&mut self.asks) || self.probes_at().is_some_and(|at| at <= now);
        self.probes += u32::from(due);
        due
    }

    /// Forgets packets that are settled: lost ones after some round trips, in which they may still turn up.
    fn forget(&mut self, now: Time) {
        while let Some(packet) = self.packets.front() {
            let settled = match packet.state {
                State::Waiting => self.packets.len() > REMEMBERED,
                State::Lost => now.since(packet.at) > 4 * self.patience(),
                State::Arrived | State::Aside => true,
            };
            if !settled {
                return;
            }
            self.waiting -= usize::from(packet.state == State::Waiting);
            self.packets.pop_front();
            self.base += 1;
        }
    }
}

impl Default for Losses {
    /// Before anything is known: a fair wireless network.
    fn default() -> Losses {
        Losses { share: 0.01, starts: 0.01, recent: Self::WINDOW.1, counted: None }
    }
}

impl Losses {
    /// Figures follow within some 1000 packets, a quarter of a second of a film; within those of some seconds, where they are
    /// less: a stream that a narrow network has made small must not suffer for half a minute from what it has lost.
    const WINDOW: (f64, f64) = (50.0, 1000.0);
    const SECONDS: f64 = 3.0;

    fn count(&mut self, now: Time, lost: bool, starts: bool) {
        let since = self.counted.replace(now).map_or(0.0, |last| now.since(last).as_secs_f64());
        self.recent = self.recent * (-since / Self::SECONDS).exp() + 1.0;
        let weight = 1.0 / self.recent.clamp(Self::WINDOW.0, Self::WINDOW.1);
        self.share += (f64::from(u8::from(lost)) - self.share) * weight;
        self.starts += (f64::from(u8::from(starts)) - self.starts) * weight;
    }

    #[cfg(test)]
    pub fn of(share: f64, burst: f64) -> Losses {
        Losses { share, starts: share / burst, ..Losses::default() }
    }

    /// As good as none.
    pub fn are_rare(&self) -> bool {
        self.share < RARE
    }

    /// The mean length of a burst.
    pub fn burst(&self) -> f64 {
        (self.share / self.starts.max(1e-9)).clamp(1.0, 50.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(t: i64) -> Time {
        Time::from_micros(t * 1000)
    }

    fn flight(count: i64) -> Flight<i64> {
        let mut flight = Flight::default();
        (0..count).for_each(|n| flight.sent(ms(n), true, n));
        flight
    }

    fn acknowledge(flight: &mut Flight<i64>, ranges: &[(u64, u64)], now: Time) -> Vec<(i64, bool)> {
        let mut came = Vec::new();
        let ack = Ack { ranges: ranges.to_vec(), ..Ack::default() };
        flight.acknowledged(&ack, now, |&content, late| came.push((content, late))).unwrap();
        came
    }

    fn lost(flight: &mut Flight<i64>, now: Time) -> Vec<i64> {
        let mut lost = Vec::new();
        flight.lost(now, |&content| lost.push(content));
        lost
    }

    #[test]
    fn what_was_overtaken_is_lost_and_may_turn_up_late() {
        let mut flight = flight(10);
        assert_eq!(acknowledge(&mut flight, &[(8, 8), (0, 4)], ms(40)).len(), 6);
        assert_eq!(lost(&mut flight, ms(40)), [5], "6 and 7 left less than the reordering before 8");
        assert_eq!(lost(&mut flight, ms(400)), [6, 7], "9 was overtaken by nothing");
        assert_eq!(acknowledge(&mut flight, &[(5, 5)], ms(401)), [(5, true)]);
        assert!(flight.reorder > REORDER);
    }

    #[test]
    fn what_was_never_sent_cannot_have_come() {
        let ack = Ack { ranges: vec![(10, 10)], ..Ack::default() };
        assert!(flight(10).acknowledged(&ack, ms(40), |_, _| ()).is_err());
    }

    #[test]
    fn who_hears_of_the_first_and_no_more_asks_for_the_last() {
        let mut flight = flight(10);
        acknowledge(&mut flight, &[(0, 4)], ms(40));
        let asks = flight.probes_at();
        assert_eq!(asks, Some(ms(40) + ENDED), "and not after a longest round trip");
        assert!(flight.probe(ms(65)));
    }

    #[test]
    fn what_overflows_our_own_queue_is_no_reason_for_redundancy() {
        let share = |round_trip: i64| {
            let mut flight = Flight::default();
            for block in 0..16 {
                let begun = 100 * block;
                (0..10).for_each(|n| flight.sent(ms(begun + n), true, n));
                let first = 10 * block as u64;
                let back = if block == 0 { 40 } else { round_trip };
                acknowledge(&mut flight, &[(first + 9, first + 9), (first, first + 4)], ms(begun + 9 + back));
                lost(&mut flight, ms(begun + 90 + back));
            }
            lost(&mut flight, ms(3000));
            assert_eq!(flight.lost_of().0, 64);
            flight.losses.share
        };
        assert!(share(40) > 0.06 && share(150) < 0.02, "{} and {}", share(40), share(150));
    }

    #[test]
    fn silence_is_probed_ever_more_seldom() {
        let mut flight = flight(1);
        let first = flight.wake().unwrap();
        assert!(!flight.probe(first - Duration::from_micros(1)) && flight.probe(first));
        let mut at = first;
        let mut pauses = Vec::new();
        while pauses.last() != Some(&PROBE_MAX) {
            flight.sent(at, true, 0);
            let next = flight.wake().unwrap();
            assert!(flight.probe(next));
            pauses.push(next.since(at));
            at = next;
        }
        assert!(pauses.is_sorted() && pauses[..7].iter().all(|pause| *pause == PROBE), "{pauses:?}");
        assert!(pauses.len() < 100, "{} probes", pauses.len());
        let last = flight.next() - 1;
        acknowledge(&mut flight, &[(0, last)], at);
        assert_eq!(flight.wake(), None);
    }

    #[test]
    fn shares_and_bursts_are_measured() {
        let mut losses = Losses::default();
        for n in 0..20_000 {
            let lost = n % 100 < 4;
            losses.count(Time::default(), lost, n % 100 == 0);
        }
        assert!((0.02..0.06).contains(&losses.share) && (3.0..6.0).contains(&losses.burst()), "{losses:?}");
    }
}
