//! Whether the peer is still there. The network's word that nobody listens (ICMP) may be of another port of the same host, or
//! forged: the peer is asked, and has some time to answer.

use std::time::Duration;

use crate::clock::Time;

/// A machine that is busy may take so long to answer, besides some round trips.
const BUSY: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub struct Doubt {
    since: Option<Time>,
}

impl Doubt {
    /// Somebody says that the peer is gone; whether that is news, and the peer is to be asked.
    pub fn rises(&mut self, now: Time) -> bool {
        let news = self.since.is_none();
        self.since.get_or_insert(now);
        news
    }

    /// The peer was heard.
    pub fn ends(&mut self) {
        self.since = None;
    }

    /// Until when a peer that is in doubt may answer.
    pub fn until(&self, round_trip: Duration) -> Option<Time> {
        self.since.map(|since| since + BUSY + 4 * round_trip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_is_there_and_who_is_doubted_again_gets_no_more_time() {
        let (mut doubt, rtt) = (Doubt::default(), Duration::from_millis(10));
        let at = |ms: i64| Time::from_micros(ms * 1000);
        assert!(doubt.rises(at(0)) && !doubt.rises(at(100)));
        assert_eq!(doubt.until(rtt), Some(at(290)));
        doubt.ends();
        assert_eq!(doubt.until(rtt), None);
        assert!(doubt.rises(at(500)));
    }
}
