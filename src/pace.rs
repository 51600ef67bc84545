//! Recorded frames at the speed they were recorded: when each is due. Pure; the caller waits.

use std::time::Duration;

use crate::clock::Time;

/// A stall longer than this (a disk that slept, a paused sender) is not made up for by rushing.
const RUSH_MAX: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub struct Pace {
    /// When the frame of time zero was due.
    origin: Option<Time>,
}

impl Pace {
    /// When the frame at `position` of the recording is due, given that it is ready `now`.
    pub fn due(&mut self, position: Duration, now: Time) -> Time {
        let due = self.origin.map(|origin| origin + position);
        match due {
            Some(due) if now.since(due) <= RUSH_MAX => due,
            _ => {
                self.origin = Some(now - position);
                now
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_keep_their_distance_and_stalls_shift_the_rest() {
        let (mut pace, t) = (Pace::default(), |ms: i64| Time::from_micros(ms * 1000));
        let at = Duration::from_millis;
        assert_eq!(pace.due(at(0), t(1000)), t(1000));
        assert_eq!(pace.due(at(40), t(1001)), t(1040));
        assert_eq!(pace.due(at(80), t(1100)), t(1080)); // a little late: at once, and the next on time
        assert_eq!(pace.due(at(120), t(5000)), t(5000)); // a stall: the recording goes on from here
        assert_eq!(pace.due(at(160), t(5001)), t(5040));
    }
}
