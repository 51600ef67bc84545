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
    /// The length that was wished for.
    longest: usize,
    /// Somebody is there; what was tried before is tried again.
    heard: bool,
    again: bool,
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
/// The same of lengths that were tried while perhaps nobody was there.
const AGAIN: (u32, Duration) = (2, Duration::from_millis(150));
/// Lengths to try: Ethernet's less what tunnels take, the internet's, and what every host must take.
const LENGTHS: [usize; 4] = [1400, 1200, 1024, *MTU.start()];

impl Calling {
    pub fn new(call: Call, now: Time) -> Calling {
        Calling { longest: call.mtu, call, begun: now, tries: 0, due: now, heard: false, again: false }
    }

    /// The datagram to send, if it is time.
    pub fn transmit(&mut self, now: Time) -> Option<Vec<u8>> {
        if now < self.due {
            return None;
        }
        if self.tries == if self.again { AGAIN.0 } else { TRIES } {
            self.tries = 0;
            self.narrow();
        }
        let pause = if self.again { AGAIN.1 } else { (FIRST * 2u32.pow(self.tries)).min(LONGEST) };
        self.due = now + pause;
        self.tries += 1;
        Some(Word::Call(self.call.clone()).encode())
    }

    /// The way takes no datagrams of this length.
    pub fn narrow(&mut self) {
        let next = LENGTHS.into_iter().find(|&length| length < self.call.mtu);
        self.call.mtu = next.unwrap_or(self.call.mtu);
    }

    /// Whether shorter datagrams are tried than were wished for.
    pub fn is_narrow(&self) -> bool {
        self.call.mtu < self.longest
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
                if !std::mem::replace(&mut self.heard, true) && self.is_narrow() {
                    // Who was not there yet took no datagrams of any length.
                    (self.call.mtu, self.again) = (self.longest, true);
                }
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

    #[test]
    fn who_comes_late_is_called_at_full_length_again() {
        let mut calling = Calling::new(sample(), Time::default());
        let lengths = |calling: &mut Calling, count: usize| -> Vec<usize> {
            let send = |_| {
                let now = calling.wake();
                calling.transmit(now).unwrap().len()
            };
            (0..count).map(send).collect()
        };
        assert_eq!(lengths(&mut calling, 4)[3], 1024);
        let comes = calling.wake();
        let cookie = || Word::Cookie { caller: 7, cookie: 1 };
        calling.receive(cookie(), comes);
        assert_eq!(lengths(&mut calling, 3), [1200, 1200, 1024]);
        calling.receive(cookie(), calling.wake());
        assert_eq!(lengths(&mut calling, 4), [1024, 1024, 548, 548], "it was there all the time");
        assert!(calling.wake() < comes + Duration::from_millis(1200));
    }
}
