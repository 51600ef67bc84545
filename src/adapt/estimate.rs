//! The rate that a link can take, from what the far side reports of each frame. Pure.
//!
//! The law is NADA's (RFC 8698): a rate that falls with the queue's delay, which all flows at a bottleneck
//! see alike, so that they share it. Frames are bursts, which tells more than NADA's packets do: the time between a
//! frame's first and last byte is how fast the network passed it on (`passed`). The rate never exceeds that, so a fall
//! is known within a few frames, and alone on a link there is no queue at all.

use std::collections::VecDeque;
use std::time::Duration;

use super::least::Least;
use super::passed::{Passed, push};
use super::trickle::Trickle;
use crate::clock::Time;
use crate::message::Report;

/// The defaults of RFC 8698: DELTA, TAU, LOGWIN, KAPPA, ETA, QEPS, QTH, LAMBDA, GAMMA_MAX, DLOSS, PLRREF, XREF.
const DELTA: Duration = Duration::from_millis(100);
const TAU: Duration = Duration::from_millis(500);
const LOGWIN: Duration = Duration::from_millis(500);
const KAPPA: f64 = 0.5;
const ETA: f64 = 2.0;
const CALM: f64 = 0.010;
const STANDING: f64 = 0.050;
const LAMBDA: f64 = 0.5;
const GAMMA: f64 = 0.5;
const DLOSS: f64 = 0.010;
const PLRREF: f64 = 0.01;
const XREF: f64 = 0.010;
/// The rate whose queue is XREF, 1.5 Mbit/s there: 1080p at 50 frames a second here. Others' queues stay this long at most.
const RMAX: f64 = 80e6;
/// What is left of the bottleneck for reports and the next change.
const SHARE: f64 = 0.957;
/// From draft-ietf-rmcat-gcc-02: losses that are the radio's, and those that no radio has.
const LOST_SOME: f64 = 0.02;
const LOST_MANY: f64 = 0.10;
/// Of what the network passes on: who sends less loses no less by it.
const LEFT: f64 = 0.5;
/// Less than this is no video.
const LEAST: f64 = 100e3;
const MOST: f64 = 10e9;
/// A quartz drifts by up to 100 ppm: 6 ms in this time.
const BASE: Duration = Duration::from_secs(60);
/// A queue that we do not fill empties within that of our falling back: a longer one is others'.
const OTHERS: Duration = Duration::from_secs(2);
/// Bytes that a frame needs to show what passes: some packets.
const PASSED_BYTES: usize = 8 << 10;
/// The first packet of a frame, of Ethernet's size at most, starts the clock: the others take the time.
const FIRST: usize = 1500;
/// What they have shown holds for so long, and then twice as much with each second.
const SHOWN: Duration = Duration::from_secs(2);
/// The least of so many frames is their queue, as of packets in RFC 8698: one alone may have met another flow's
/// frame, and who sends small frames meets the large ones more than they meet his.
const SEEN: usize = 12;
/// So many in a row that took so many times as long, behind a queue, come from another network than those before.
const ANOTHER: (usize, f64) = (2, 2.0);
/// And so does one alone that took so many times as long, behind so many seconds of queue: no gap of a network makes both.
const FALLEN: (f64, f64) = (3.0, 0.1);
/// What stands in the way for longer gets nothing added to it.
const STALLED: Duration = Duration::from_millis(30);
/// Seconds: a frame that takes longer is given up for another one.
const TOO_LONG: f64 = 0.5;
/// Frames on their way that are remembered; flow control allows fewer but where every frame matters.
const SENT: usize = 1024;

#[derive(Debug)]
struct Sent {
    number: u64,
    at: Time,
    bytes: usize,
    /// How long its sender was waiting for more of it.
    waited: Duration,
}

#[derive(Debug)]
pub struct Estimate {
    sent: VecDeque<Sent>,
    /// The number after the newest that was sent, and after the newest of which nothing is on its way.
    next: u64,
    settled: u64,
    /// Frames before this one are not sent again: the next waits only for what is on its way of them.
    given_up: u64,
    /// How long the far side may hold a frame back.
    pub held: Duration,
    /// Bits a second; none until something was measured.
    rate: Option<f64>,
    /// µs from our clock to theirs and back to ours, when nothing is in the way.
    one_way: Least,
    round_trip: Least,
    passed: Passed,
    /// When the last of them was seen.
    shown: Option<Time>,
    trickle: Trickle,
    /// Seconds of queue before each of the last frames, and what is taken for the queue.
    seen: VecDeque<f64>,
    pub queue: f64,
    /// µs that the far side's words came after they were expected.
    late: Least,
    signal: f64,
    standing: Least,
    /// The part of the packets that was lost, on average, and of those that were looked at last.
    lost: f64,
    lost_last: f64,
    calm: Option<Time>,
    updated: Option<Time>,
}

impl Default for Estimate {
    fn default() -> Estimate {
        Estimate {
            sent: VecDeque::new(),
            next: 0,
            settled: 0,
            given_up: 0,
            held: Duration::ZERO,
            rate: None,
            one_way: Least::new(BASE),
            round_trip: Least::new(BASE),
            passed: Passed::default(),
            shown: None,
            trickle: Trickle::default(),
            seen: VecDeque::new(),
            queue: 0.0,
            late: Least::new(OTHERS),
            signal: 0.0,
            standing: Least::new(OTHERS),
            lost: 0.0,
            lost_last: 0.0,
            calm: None,
            updated: None,
        }
    }
}

impl Estimate {
    /// Bits a second that the link can take; none while that is not known.
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// The part that the network lost of late, and still loses.
    pub fn lost(&self) -> f64 {
        self.lost.min(self.lost_last)
    }

    /// The rest of a frame will not come: nobody will say that it has arrived, and its number is the next one's.
    pub fn abandoned(&mut self) {
        self.sent.pop_back_if(|last| last.number >= self.next);
    }

    /// The first of a frame is handed to the network.
    pub fn begun(&mut self, number: u64, now: Time) {
        if self.sent.len() == SENT {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { number, at: now, bytes: 0, waited: Duration::ZERO });
    }

    /// The last of it is.
    pub fn sent(&mut self, bytes: usize, waited: Duration) {
        if let Some(last) = self.sent.back_mut() {
            (last.bytes, last.waited) = (bytes, waited);
            self.next = last.number.saturating_add(1);
        }
    }

    /// Of frames up to this number nothing is on its way, whether it arrived or not.
    pub fn settled(&mut self, number: u64) {
        self.settled = self.settled.max(number.saturating_add(1));
    }

    /// A round trip that found the link empty.
    pub fn round_trip(&mut self, now: Time, rtt: Duration) {
        self.round_trip.add(now, micros(rtt));
    }

    /// The network's way is another one: what it took before says nothing of a queue.
    pub fn another_way(&mut self) {
        (self.one_way, self.round_trip) = (Least::new(BASE), Least::new(BASE));
        (self.late, self.standing) = (Least::new(OTHERS), Least::new(OTHERS));
        self.seen.clear();
    }

    /// The network lost this part of the packets of so many seconds.
    pub fn losing(&mut self, part: f64, seconds: f64) {
        let part = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 };
        self.lost_last = part;
        // What took long is all that is known of that time.
        self.lost += (1.0 - (-seconds).exp()).max(0.25) * (part - self.lost);
    }

    /// The far side has frames up to a number. What it says of frames that were never sent is not heard.
    pub fn reported(&mut self, report: &Report, passed: f64, now: Time) {
        if report.acknowledged >= self.next {
            return;
        }
        let mut newest = None;
        while let Some(sent) = self.sent.pop_front_if(|sent| sent.number <= report.acknowledged) {
            newest = Some(sent);
        }
        if let Some(sent) = newest {
            self.measure(&sent, report, passed, now);
            self.update(now);
        }
    }

    /// Takes notice of what has not arrived.
    pub fn look(&mut self, now: Time) {
        if self.stuck(now) > 0.0 {
            self.update(now);
        }
    }

    /// So many bytes have arrived since the link began. Whether they show, while a frame stands in the way, that the network has
    /// become so narrow that a newer one, made for that, comes sooner.
    pub fn trickled(&mut self, arrived: u64, now: Time) -> bool {
        let bytes = self.oldest().map_or(0, |oldest| oldest.bytes);
        if self.stuck(now) <= STALLED.as_secs_f64() {
            self.trickle.ends();
            return false;
        }
        let Some(came) = self.trickle.came(now, arrived, bytes) else { return false };
        if self.passing().is_some_and(|passing| came * FALLEN.0 > passing) {
            return false;
        }
        self.passed = Passed::only(came);
        self.seen.clear();
        self.shown = Some(now);
        self.rate = Some(self.rate.unwrap_or(MOST).min(SHARE * came).max(LEAST));
        let gives_up = bytes as f64 * 8.0 / came > TOO_LONG;
        if gives_up {
            self.given_up = self.next;
        }
        gives_up
    }

    /// Their clock may jump and their words may be wrong: neither makes the queue longer than our own clock shows.
    fn measure(&mut self, sent: &Sent, report: &Report, passed: f64, now: Time) {
        let whole = now.since(sent.at);
        let span = report.arrived.since(report.began).min(whole);
        let there = report.began.micros().saturating_sub(sent.at.micros());
        let above = there.saturating_sub(self.one_way.add(now, there));
        let back = micros(whole - span);
        let at_most = back.saturating_sub(self.round_trip.add(now, back));
        self.late.add(now, at_most.max(0));
        let queue = above.min(at_most).max(0) as f64 * 1e-6;
        push(&mut self.seen, SEEN, queue);
        let bytes = (sent.bytes as f64 * passed) as usize;
        let rate = bytes.saturating_sub(FIRST) as f64 * 8.0 / span.as_secs_f64().max(1e-5);
        if bytes < PASSED_BYTES && sent.bytes >= PASSED_BYTES && self.passing().is_none() {
            // Most of the first was lost, and sent again: it is known at least how long all of that took.
            self.passed.push(sent.bytes as f64 * 8.0 / whole.as_secs_f64().max(1e-5));
        }
        // What hardly took longer to come than to be made shows only that the network is no slower than that.
        let shows = span > 2 * sent.waited || self.passing().is_none_or(|passing| rate > passing);
        if bytes >= PASSED_BYTES && shows {
            let before = self.passing();
            self.passed.push(rate);
            let slow = |rate: f64, times: f64| before.is_some_and(|before| rate * times < before);
            let slows = queue.max(self.queue) >= STALLED.as_secs_f64()
                && self.passed.last(ANOTHER.0).all(|rate| slow(rate, ANOTHER.1));
            if slows || (queue >= FALLEN.1 && slow(rate, FALLEN.0)) {
                // The first of them may have met both.
                self.passed = Passed::only(rate);
                self.seen.drain(..self.seen.len() - 1);
            }
            self.shown = Some(now);
        }
    }

    /// Bits a second at which the network passes frames on.
    pub fn passing(&self) -> Option<f64> {
        self.passed.median()
    }

    /// Seconds that the oldest frame on its way has been waiting for more than its own way.
    fn stuck(&self, now: Time) -> f64 {
        self.expected().map_or(0.0, |due| now.since(due).as_secs_f64())
    }

    /// The oldest frame on its way.
    fn oldest(&self) -> Option<&Sent> {
        self.sent.iter().find(|sent| sent.number >= self.settled)
    }

    /// When the far side's word of the oldest frame on its way comes, if nothing stands in between.
    fn expected(&self) -> Option<Time> {
        let oldest = self.oldest()?;
        let own = self.passing().map_or(0.0, |rate| oldest.bytes as f64 * 8.0 / rate);
        let back = Duration::from_micros(self.round_trip.get()?.try_into().ok()?);
        Some(oldest.at + self.held + back + Duration::from_secs_f64(own))
    }

    /// From when on what was sent stands in the way of anything more, as it should have come through by then. What all of it
    /// comes later by is others' queue, or a longer way. The first frame goes alone, as nothing is known before its word.
    pub fn stalls(&self) -> Option<Time> {
        if self.round_trip.get().is_none() {
            return self.oldest().map(|sent| sent.at);
        }
        if let Some(oldest) = self.oldest().filter(|oldest| oldest.number < self.given_up) {
            return Some(oldest.at);
        }
        let late = self.late.get().map_or(0, |least| least as u64);
        Some(self.expected()? + STALLED + Duration::from_micros(late))
    }

    fn update(&mut self, now: Time) {
        let since = now.since(*self.updated.get_or_insert(now));
        if since < DELTA && self.rate.is_some() {
            return;
        }
        let elapsed = since.min(TAU).as_secs_f64();
        self.updated = Some(now);
        let seen = self.seen.iter().copied().reduce(f64::min);
        self.queue = seen.unwrap_or(0.0).max(self.stuck(now));
        let congestion = self.congestion(now);
        let before = std::mem::replace(&mut self.signal, congestion);
        let lost = self.lost();
        if self.queue >= CALM || lost >= LOST_SOME {
            self.calm = None;
        }
        let passing = self.passing();
        let Some(rate) = self.rate else {
            self.rate = passing.map(|passing| (SHARE * passing).clamp(LEAST, MOST));
            return;
        };
        let mut new = match *self.calm.get_or_insert(now) {
            calm if now.since(calm) >= LOGWIN => rate * (1.0 + GAMMA * elapsed / LOGWIN.as_secs_f64()),
            _ => self.gradual(rate, elapsed, self.signal - before),
        };
        if lost >= LOST_SOME && self.queue < STANDING {
            new = new.min(rate);
        }
        if lost > LOST_MANY {
            // A frame of which the end was lost is not stuck, and no queue is longer than the one that overflows.
            let less = new.min(rate * (1.0 - lost / 2.0 * elapsed / LOGWIN.as_secs_f64()));
            new = less.max(rate.min(LEFT * passing.unwrap_or(LEAST)));
        }
        let most = passing.map_or(MOST, |passing| SHARE * passing * self.faded(now));
        self.rate = Some(new.min(most).clamp(LEAST, MOST));
    }

    /// Small frames do not show what passes: where nothing is in their way either, what earlier ones have shown counts ever
    /// less, until the frames are large again.
    fn faded(&self, now: Time) -> f64 {
        let calm = self.shown.zip(self.calm).map(|(shown, calm)| now.since(shown.max(calm)));
        2f64.powf(calm.unwrap_or_default().saturating_sub(SHOWN).as_secs_f64().min(64.0))
    }

    /// RFC 8698's gradual update.
    fn gradual(&self, rate: f64, elapsed: f64, change: f64) -> f64 {
        let tau = TAU.as_secs_f64();
        let offset = self.signal - XREF * RMAX / rate;
        let by = KAPPA * (elapsed / tau) * (offset / tau) + KAPPA * ETA * change / tau;
        rate * (1.0 - by.clamp(-0.5, 0.5))
    }

    /// The aggregate signal, in seconds. Beside flows that fill the queue whatever we do, its length says nothing, but
    /// their losses do (the warping of RFC 8698).
    fn congestion(&mut self, now: Time) -> f64 {
        let least = self.standing.add(now, (self.queue * 1e6) as i64);
        if (least as f64) * 1e-6 <= STANDING {
            return self.queue;
        }
        let warped = STANDING * (-LAMBDA * (self.queue - STANDING) / STANDING).exp();
        warped + DLOSS * (self.lost / PLRREF).powi(2)
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
