//! Where one viewer is in a video, and which frame is due. Pure; the caller waits.

use std::time::Duration;

use crate::clock::Time;

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Give this frame, whose time is then.
    Frame(usize, Time),
    /// Nothing before then.
    At(Time),
    /// Nothing until it goes on.
    Rest,
    End,
}

#[derive(Debug, Default)]
pub struct Playhead {
    /// The position when it last started, stopped or was moved.
    from: Duration,
    /// When that was; none while it stands.
    since: Option<Time>,
    paused: bool,
    /// Whether the first frame can be had: before that nothing runs.
    ready: bool,
    /// The time in the video of the frame given last, in microseconds; none after a jump.
    given: Option<u64>,
}

impl Playhead {
    pub fn position(&self, now: Time) -> Duration {
        self.from.saturating_add(self.since.map_or(Duration::ZERO, |since| now.since(since)))
    }

    pub fn paused(&self) -> bool {
        self.paused
    }

    /// Runs, if it is not paused: the first frame can be had.
    pub fn start(&mut self, now: Time) {
        self.ready = true;
        if self.since.is_none() && !self.paused {
            self.since = Some(now);
        }
    }

    pub fn pause(&mut self, paused: bool, now: Time) {
        self.from = self.position(now);
        self.since = (self.ready && !paused).then_some(now);
        self.paused = paused;
    }

    /// Moves; the frame of that place is due at once, also while it is paused.
    pub fn seek(&mut self, to: Duration, now: Time) {
        self.from = to;
        self.since = self.since.map(|_| now);
        self.given = None;
    }

    /// The frame that stands is given again: another rung shows it otherwise. What runs has the next one soon.
    pub fn again(&mut self) {
        self.given = self.given.filter(|_| !self.paused);
    }

    /// What is due of frames with these `times` (in microseconds, rising) and this duration. Where several have become due
    /// it is the newest of them.
    pub fn due(&self, times: &[u64], duration: Duration, now: Time) -> Due {
        let position = self.position(now);
        let reached = times.partition_point(|&time| u128::from(time) <= position.as_micros());
        let newest = reached.checked_sub(1).filter(|&nth| self.given.is_none_or(|given| times[nth] > given));
        let over = position >= duration;
        match (newest, self.since) {
            (Some(nth), None) => Due::Frame(nth, now),
            (Some(nth), Some(_)) if !over => Due::Frame(nth, now - (position - Duration::from_micros(times[nth]))),
            (_, _) if over => Due::End,
            (_, None) => Due::Rest,
            (_, Some(since)) => {
                let next = times.get(reached).map_or(duration, |&time| Duration::from_micros(time));
                Due::At(since + next.saturating_sub(self.from))
            }
        }
    }

    /// This frame was given.
    pub fn gave(&mut self, time: u64) {
        self.given = Some(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIMES: [u64; 4] = [0, 40_000, 80_000, 120_000];
    const ALL: Duration = Duration::from_millis(160);

    fn t(ms: i64) -> Time {
        Time::from_micros(ms * 1000)
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn due(head: &mut Playhead, now: i64) -> Due {
        let due = head.due(&TIMES, ALL, t(now));
        if let Due::Frame(nth, _) = due {
            head.gave(TIMES[nth]);
        }
        due
    }

    #[test]
    fn frames_come_at_their_times_and_the_last_is_shown_as_long_as_the_others() {
        let mut head = Playhead::default();
        head.start(t(1000));
        assert_eq!(due(&mut head, 1000), Due::Frame(0, t(1000)));
        assert_eq!(due(&mut head, 1000), Due::At(t(1040)));
        assert_eq!(due(&mut head, 1041), Due::Frame(1, t(1040)));
        assert_eq!(due(&mut head, 1125), Due::Frame(3, t(1120))); // late: the newest, and not the one after the last
        assert_eq!(due(&mut head, 1125), Due::At(t(1160)));
        assert_eq!(due(&mut head, 1160), Due::End);
    }

    #[test]
    fn a_pause_stands_and_a_jump_shows_its_frame_even_then() {
        let mut head = Playhead::default();
        head.start(t(0));
        due(&mut head, 0);
        head.pause(true, t(30));
        assert_eq!(due(&mut head, 5000), Due::Rest);
        head.seek(ms(90), t(5000));
        assert_eq!((due(&mut head, 5000), due(&mut head, 6000)), (Due::Frame(2, t(5000)), Due::Rest));
        head.again();
        assert_eq!(due(&mut head, 6000), Due::Frame(2, t(6000)));
        head.pause(false, t(7000));
        head.again();
        assert_eq!(due(&mut head, 7000), Due::At(t(7030)));
        assert_eq!((due(&mut head, 7070), head.position(t(7070))), (Due::End, ms(160)));
        head.seek(ms(0), t(8000));
        assert_eq!(due(&mut head, 8000), Due::Frame(0, t(8000)));
    }

    #[test]
    fn nothing_runs_before_the_first_frame_can_be_had() {
        let mut head = Playhead::default();
        head.pause(false, t(0));
        head.seek(ms(40), t(10));
        assert_eq!(head.position(t(9000)), ms(40));
        head.start(t(9000));
        assert_eq!(due(&mut head, 9000), Due::Frame(1, t(9000)));
    }

    #[test]
    fn what_is_paused_before_it_starts_does_not_start() {
        let mut head = Playhead::default();
        head.pause(true, t(0));
        head.start(t(10));
        assert_eq!(due(&mut head, 100), Due::Frame(0, t(100)));
        assert_eq!(due(&mut head, 900), Due::Rest);
    }

    #[test]
    fn a_jump_to_the_end_of_time_is_the_end() {
        let mut head = Playhead::default();
        head.start(t(0));
        head.seek(Duration::MAX, t(0));
        assert_eq!(due(&mut head, 10), Due::End);
    }

    proptest! {
        #[test]
        fn whoever_waits_as_told_gets_every_frame_once_and_at_its_time(
            steps in proptest::collection::vec(1u64..90_000, 1..60), start in -1_000_000i64..1_000_000,
        ) {
            let mut sum = 0;
            let times: Vec<u64> = std::iter::once(0).chain(steps.iter().map(|step| { sum += step; sum })).collect();
            let duration = Duration::from_micros(sum + 40_000);
            let (mut head, mut now, mut given) = (Playhead::default(), Time::from_micros(start), Vec::new());
            head.start(now);
            loop {
                match head.due(&times, duration, now) {
                    Due::Frame(nth, at) => {
                        prop_assert_eq!(at, Time::from_micros(start) + Duration::from_micros(times[nth]));
                        head.gave(times[nth]);
                        given.push(nth);
                    }
                    Due::At(at) => { prop_assert!(at > now); now = at; }
                    Due::Rest => prop_assert!(false, "it is not paused"),
                    Due::End => break,
                }
            }
            prop_assert_eq!(given, (0..times.len()).collect::<Vec<_>>());
        }

        #[test]
        fn whatever_a_viewer_does_nothing_older_comes_without_a_jump(
            acts in proptest::collection::vec((0u8..5, 0u64..200_000), 0..60),
        ) {
            let (mut head, mut now, mut last) = (Playhead::default(), t(0), None);
            head.start(now);
            for (act, value) in acts {
                now = now + Duration::from_micros(value);
                match act {
                    0 => { head.seek(Duration::from_micros(value), now); last = None; }
                    1 => head.pause(value % 2 == 0, now),
                    _ => {}
                }
                if let Due::Frame(nth, at) = head.due(&TIMES, ALL, now) {
                    prop_assert!(last < Some(nth) && at <= now);
                    head.gave(TIMES[nth]);
                    last = Some(nth);
                }
            }
        }
    }
}
