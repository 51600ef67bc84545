//! When the next datagram may leave: a frame is spread over a few milliseconds, so that no buffer on the way overflows
//! from it. Pure.

use std::time::Duration;

use crate::clock::Time;

/// A frame leaves within this of its beginning, as far as the rate allows: a quarter of the time between frames of a film.
const SPREAD: Duration = Duration::from_millis(8);
/// What comes later, since coding it or its way to here took longer, is spread over this.
const LATER: Duration = Duration::from_micros(500);
/// What the network was seen to pass on at once it gets so much faster, and in this time at least: so a fast network, which
/// passes on whatever it gets, is found out in some frames, and a slow one has little to keep in its buffers. That is the time of
/// a whole frame: of one that came spread, little waits at its end.
const FASTER: f64 = 1.25;
const LEAST: Duration = Duration::from_millis(2);
/// Where some is lost, as it may be because it leaves too fast, no more of a frame is to wait there than any buffer has room for.
const BUFFER: usize = 32 << 10;
/// The rate is so many times that of the stream at most.
const ABOVE: f64 = 2.5;
/// A stream that rests may begin to move: until it is told or seen, this is thought to pass, in bits a second.
const FAIR: f64 = 40e6;
/// So many bytes may leave together into any network (the initial window of RFC 9002, section 7.2).
const SMALL: usize = 14_720;
/// Bits a second, whatever is known.
const SLOWEST: f64 = 100e3;
/// What leaves together: some datagrams, so that neither end wakes for each of them.
const BURST: Duration = Duration::from_micros(500);
/// What is made up for when a busy machine wakes us late.
const LATE: Duration = Duration::from_millis(4);

#[derive(Debug, Default)]
pub struct Pacing {
    /// Nanoseconds, of the clock's epoch, at which the network is thought to have taken all that was sent.
    free: i64,
    /// Bits a second.
    rate: f64,
    kept_to: Option<f64>,
    passing: Option<f64>,
    /// Bytes.
    waiting: usize,
    /// Something has left of what waits.
    busy: bool,
    /// A frame has begun and not ended: it is spread already, by its encoder or by the network that it comes over.
    coming: bool,
    /// When the frame is to have left.
    due: Time,
    /// Bits a second that the stream has.
    stream: f64,
    last: Option<Time>,
}

impl Pacing {
    /// Bits a second that the stream is kept to, and at which the network was seen to pass frames on.
    pub fn known(&mut self, kept_to: Option<f64>, passing: Option<f64>) {
        (self.kept_to, self.passing) = (kept_to, passing);
    }

    /// A frame begins.
    pub fn begin(&mut self, now: Time) {
        (self.coming, self.due) = (true, now + SPREAD);
    }

    /// So many bytes wait now that a frame has ended, of which so many are its own. `lossy`: some of what leaves is lost, it may
    /// be because it leaves too fast.
    pub fn frame(&mut self, now: Time, own: usize, waiting: usize, lossy: bool) {
        if let Some(last) = self.last.replace(now) {
            let apart = now.since(last).clamp(Duration::from_millis(1), Duration::from_secs(1));
            self.stream += (own as f64 * 8.0 / apart.as_secs_f64() - self.stream) / 8.0;
        }
        self.coming = false;
        let within = |bytes: usize, time: Duration| bytes as f64 * 8.0 / time.as_secs_f64();
        let all = own.max(waiting);
        let kept = if lossy { all as f64 / all.saturating_sub(BUFFER) as f64 } else { f64::INFINITY };
        let seen = self.passing.map_or(0.0, |passing| (FASTER.min(kept) * passing).min(within(all, LEAST)));
        let small = if waiting <= SMALL && !lossy { within(waiting, BURST) } else { 0.0 };
        self.rate = within(waiting, self.due.since(now).max(LATER)).max(seen).max(small);
        self.wait(waiting);
    }

    /// So many bytes wait: the rate that takes them away in time.
    pub fn wait(&mut self, waiting: usize) {
        let seen = self.stream.max(FAIR).max(self.passing.unwrap_or(0.0));
        let most = ABOVE * self.kept_to.unwrap_or(seen);
        let needed = if self.coming { most } else { waiting as f64 * 8.0 / SPREAD.as_secs_f64() };
        // A rate that has been taken up holds until the frame is out.
        self.busy &= waiting > 0;
        self.rate = if waiting == 0 { 0.0 } else { self.rate.max(needed) }.min(most);
        self.waiting = waiting;
    }

    pub fn may(&self, now: Time) -> bool {
        self.free <= nanos(now)
    }

    pub fn sent(&mut self, now: Time, bytes: usize) {
        let rate = self.rate.max(SLOWEST);
        let slack = if std::mem::replace(&mut self.busy, true) { LATE } else { BURST };
        let earliest = nanos(now) - slack.as_nanos() as i64;
        self.free = self.free.max(earliest) + (bytes as f64 * 8e9 / rate) as i64;
    }

    /// When the next may leave, and some after it, or all that waits.
    pub fn wake(&self) -> Time {
        let all = Duration::from_secs_f64(self.waiting as f64 * 8.0 / self.rate.max(SLOWEST));
        Time::from_micros(self.free.div_euclid(1000) + 1) + all.min(BURST)
    }
}

fn nanos(time: Time) -> i64 {
    time.micros().saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a frame of so many datagrams of 1250 bytes as the pacing allows; how long that takes.
    fn send(pacing: &mut Pacing, mut now: Time, count: usize, lossy: bool) -> Duration {
        let begun = now;
        pacing.begin(now);
        pacing.frame(now, count * 1250, count * 1250, lossy);
        for left in (0..count).rev() {
            if !pacing.may(now) {
                now = now.max(pacing.wake());
            }
            pacing.sent(now, 1250);
            pacing.wait(left * 1250);
        }
        now.since(begun)
    }

    #[test]
    fn a_frame_is_spread_over_eight_milliseconds() {
        let (mut pacing, mut now) = (Pacing::default(), Time::default() + Duration::from_secs(9));
        for _ in 0..60 {
            let took = send(&mut pacing, now, 80, false);
            assert!((6.0..8.5).contains(&(took.as_secs_f64() * 1e3)), "{took:?}");
            now = now + Duration::from_micros(33_333);
        }
        let large = send(&mut pacing, now, 400, false);
        assert!(large > Duration::from_millis(30), "{large:?}: a burst of 100 Mbit/s is as much as is known to pass");
        pacing.known(Some(10e6), Some(50e6));
        let held = send(&mut pacing, now + Duration::from_secs(1), 25, false);
        assert!((8.0..10.5).contains(&(held.as_secs_f64() * 1e3)), "{held:?}: 31 kB at 25 Mbit/s");
        pacing.known(None, Some(200e6));
        let fast = send(&mut pacing, now + Duration::from_secs(2), 400, false);
        assert!(fast < Duration::from_millis(10), "{fast:?}: the network was seen to take more");
    }

    #[test]
    fn where_some_is_lost_no_buffer_is_to_keep_much_of_a_frame() {
        let (mut pacing, now) = (Pacing::default(), Time::default() + Duration::from_secs(9));
        let mut took = |second: u64, passing: f64, lossy: bool| {
            pacing.known(None, Some(passing));
            send(&mut pacing, now + Duration::from_secs(second), 300, lossy).as_secs_f64() * 1e3
        };
        let (careful, bold) = (took(0, 380e6, true), took(1, 380e6, false));
        assert!((6.5..7.0).contains(&careful), "{careful}: 375 kB at 416 Mbit/s but for the last of them");
        assert!((5.6..6.1).contains(&bold), "{bold}: at 475 Mbit/s");
        let fast = took(2, 1500e6, true);
        assert!(fast < 2.1, "{fast}");
    }

    #[test]
    fn what_comes_spread_goes_on_as_it_comes() {
        let (mut pacing, begun) = (Pacing::default(), Time::default() + Duration::from_secs(9));
        // A frame of 125 kB at 100 Mbit/s, as another end of the same pacing sends it.
        let comes = |nth: usize| begun + Duration::from_micros(100 * nth as u64);
        let (mut now, mut came, mut left) = (begun, 0, 0);
        pacing.begin(begun);
        while left < 100 {
            while came < 100 && comes(came) <= now {
                came += 1;
                pacing.wait((came - left) * 1250);
            }
            if came > left && pacing.may(now) {
                left += 1;
                pacing.sent(now, 1250);
                pacing.wait((came - left) * 1250);
            }
            now = now + Duration::from_micros(10);
        }
        let added = now.since(comes(99));
        assert!(added < Duration::from_millis(1), "{added:?}");
    }
}
