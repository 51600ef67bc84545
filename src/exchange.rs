//! Pings: when to ask, and what an answer is worth. Pure but for the stamp on what is just being sent.

use std::ops::Range;
use std::time::Duration;

use crate::clock::{self, Exchange, Time};
use crate::message::{Message, Pong};

/// One exchange a second keeps the offset fresh and shows that the peer lives.
const EVERY: Duration = Duration::from_secs(1);
/// And up to so many milliseconds: where the far side answers with its next frame, not each of them has to wait alike.
const SPREAD: u64 = 100;
/// And for so long it may be on its way.
const ON_THE_WAY: Duration = Duration::from_millis(250);
/// The first few come at once, for an offset before the first second is over.
const BURST: u32 = 5;
const BURST_EVERY: Duration = Duration::from_millis(50);
/// Where round trips seem to have become longer it is found out soon.
const DOUBT: Duration = Duration::from_millis(300);
/// How long a leaving side waits for the other to take the last words: SIGTERM promises to end within a second.
pub const FAREWELL: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub struct Pinging {
    count: u32,
    last: Option<Time>,
    /// The ping that waits for its answer, and whether nothing else was on its way when it left.
    open: Option<(Time, bool)>,
}

impl Pinging {
    /// When the next ping is due; `doubted`: round trips may be others than before.
    pub fn due(&self, doubted: bool) -> Time {
        let every = match self.count {
            ..BURST if self.open.is_none() => BURST_EVERY, // a far one takes longer to answer
            BURST.. if doubted && self.open.is_none() => DOUBT,
            ..BURST => EVERY,
            count => EVERY + Duration::from_millis(u64::from(count) * 37 % SPREAD),
        };
        self.last.map_or(Time::default(), |last| last + every)
    }

    pub fn asked(&mut self, now: Time, clean: bool) {
        self.count = self.count.saturating_add(1);
        self.last = Some(now);
        self.open = Some((now, clean));
    }

    /// Whether an answer is waited for.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The exchange that a pong completes, if it answers the newest ping.
    pub fn answered(&mut self, pong: &Pong, now: Time) -> Option<(Exchange, bool)> {
        let (sent, clean) = self.open.take_if(|(sent, _)| *sent == pong.sent)?;
        Some((Exchange::new(sent, pong.received, pong.answered, now)?, clean))
    }
}

/// When the far side's next ping comes, if it is as it should be and the last one left then, by our clock.
pub fn after(last: Time) -> Range<Time> {
    last + EVERY..last + EVERY + Duration::from_millis(SPREAD) + ON_THE_WAY
}

/// The answer to a ping that has just come; `stamped` completes it as it leaves.
pub fn answer(sent: Time) -> Message {
    let now = clock::now();
    Message::Pong(Pong { sent, received: now, answered: now })
}

/// The message with the time of its leaving, where it has one.
pub fn stamped(message: Message) -> Message {
    match message {
        Message::Pong(pong) => Message::Pong(Pong { answered: clock::now(), ..pong }),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_ping_is_answered_and_once() {
        let t = |us| Time::from_micros(us);
        let mut p = Pinging::default();
        p.asked(t(0), true);
        p.asked(t(100), false);
        let pong = |sent| Pong { sent: t(sent), received: t(1000), answered: t(1000) };
        assert!(p.answered(&pong(0), t(200)).is_none());
        let (exchange, clean) = p.answered(&pong(100), t(200)).unwrap();
        assert_eq!((exchange.rtt.as_micros(), clean), (100, false));
        assert!(p.answered(&pong(100), t(300)).is_none());
    }

    #[test]
    fn a_burst_and_then_once_a_second() {
        let mut p = Pinging::default();
        assert_eq!(p.due(false), Time::default());
        for _ in 0..BURST {
            p.asked(Time::default(), true);
            assert!(p.due(false) >= Time::default() + EVERY, "the answer is waited for, from however far");
            let pong = Pong { sent: Time::default(), received: Time::default(), answered: Time::default() };
            assert!(p.answered(&pong, Time::from_micros(240_000)).is_some());
            assert!(p.count == BURST || p.due(false) == Time::default() + BURST_EVERY);
        }
        let due: Vec<_> = (0..9)
            .map(|_| {
                p.asked(Time::default(), true);
                p.due(false).since(Time::default())
            })
            .collect();
        assert!(due.iter().all(|due| (EVERY..EVERY + Duration::from_millis(SPREAD)).contains(due)));
        assert!(due.windows(2).all(|two| two[0] != two[1]));
        assert!(due.iter().all(|due| after(Time::default()).contains(&(Time::default() + *due))));
        assert!(p.due(true) >= Time::default() + EVERY, "the answer is waited for");
        let pong = Pong { sent: Time::default(), received: Time::default(), answered: Time::default() };
        assert!(p.answered(&pong, Time::from_micros(240_000)).is_some());
        assert_eq!(p.due(true), Time::default() + DOUBT);
    }
}
