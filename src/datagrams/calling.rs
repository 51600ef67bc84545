//! A caller until it is answered: what to say when, and how the way shows that it takes no long datagrams.

use std::time::Duration;

use super::door::{Answer, Call, Misfit, Word};
use super::packet::MTU;
use crate::clock::Time;

/// A caller until it is answered.
#[derive(Debug)]
pub struct Calling {
    call: Call,
    begun: Time,
    tries: u32,
    due: Time,
}

/// What came of a word.
#[derive(Debug)]
pub enum Outcome {
    Answered(Answer),
    /// The listener speaks this version.
    Version(u16),
    Refused(Misfit),
    Waiting,
}

/// A call is repeated after this, and then after twice as long each time.
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_millis(800);
/// Tries of one length, before the way is thought too narrow for it.
const TRIES: u32 = 3;
/// Lengths to try: Ethernet's less what tunnels take, the internet's, and what every host must take.
const LENGTHS: [usize; 4] = [1400, 1200, 1024, *MTU.start()];

impl Calling {
    pub fn new(call: Call, now: Time) -> Calling {
        Calling { call, begun: now, tries: 0, due: now }
    }

    /// The datagram to send, if it is time.
    pub fn transmit(&mut self, now: Time) -> Option<Vec<u8>> {
        if now < self.due {
            return None;
        }
        if self.tries == TRIES {
            self.tries = 0;
            self.narrow();
        }
        self.due = now + (FIRST * 2u32.pow(self.tries)).min(LONGEST);
        self.tries += 1;
        Some(Word::Call(self.call.clone()).encode())
    }

    /// The way takes no datagrams of this length.
    pub fn narrow(&mut self) {
        let next = LENGTHS.into_iter().find(|&length| length < self.call.mtu);
        self.call.mtu = next.unwrap_or(self.call.mtu);
    }

    pub fn mtu(&self) -> usize {
        self.call.mtu
    }

    pub fn wake(&self) -> Time {
        self.due
    }

    pub fn since(&self) -> Time {
        self.begun
    }

    pub fn receive(&mut self, word: Word, now: Time) -> Outcome {
        match word {
            Word::Cookie { caller, cookie } if caller == self.call.caller => {
                self.call.cookie = cookie;
                (self.due, self.tries) = (now, 0);
                Outcome::Waiting
            }
            Word::Answer(answer) if answer.caller == self.call.caller => Outcome::Answered(answer),
            Word::Version { caller, version } if caller == self.call.caller => Outcome::Version(version),
            Word::Refused { caller, why } if caller == self.call.caller => Outcome::Refused(why),
            _ => Outcome::Waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Call {
        let proof = Default::default();
        Call { caller: 7, cookie: 0, mtu: 1200, latency: Duration::ZERO, proof }
    }

    #[test]
    fn a_way_that_takes_no_long_datagrams_gets_shorter_ones() {
        let mut calling = Calling::new(sample(), Time::default());
        let lengths: Vec<usize> = (0..12)
            .map(|_| {
                let now = calling.wake();
                calling.transmit(now).unwrap().len()
            })
            .collect();
        assert_eq!(lengths, [1200, 1200, 1200, 1024, 1024, 1024, 548, 548, 548, 548, 548, 548]);
        assert!(calling.wake() < Time::default() + Duration::from_secs(7));
    }
}
