//! A network that falls to a small part of itself under a frame that is on its way, in virtual time: what is thought of it,
//! and when the next frame may go.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::rig::{Rig, rig};
use vstream::adapt::{Burst, Limits, Rate};
use vstream::clock::Time;

/// 40 tiles of 1000 bytes.
const BYTES: usize = 40_000;
const APART: Duration = Duration::from_millis(100);

/// A publisher as publish.rs has it.
struct Publisher {
    rig: Rig,
    rate: Rate,
    frames: u64,
    told: u64,
}

impl Publisher {
    fn new(network: &str) -> Publisher {
        let mut publisher = Publisher {
            rig: rig(network, Duration::ZERO, 7),
            rate: Rate::new(Arc::new(Limits::new(None, true))),
            frames: 0,
            told: 0,
        };
        publisher.rig.greet(false);
        publisher.rate.round_trip(publisher.rig.now, Duration::from_millis(20));
        publisher
    }

    fn frame(&mut self, tiles: usize) {
        self.rate.begun(self.frames, self.rig.now);
        self.rig.frame(self.frames, &(0..tiles).collect::<Vec<_>>(), 1000, BYTES / 1000);
        self.rate.sent(self.rig.now, Burst { bytes: tiles * 1000, wire: tiles * 1000, ..Burst::default() });
        self.frames += 1;
    }

    /// Lets some time pass, and hears what came of the frames.
    fn pass(&mut self, time: Duration) {
        let until = self.rig.now + time;
        self.rig.run(until);
        self.rig.report(&mut self.rate, &mut self.told);
        let settled = self.rig.publisher.settled_number();
        settled.into_iter().for_each(|number| self.rate.settled(number));
    }

    /// Whether the next frame may go.
    fn stalls(&self) -> bool {
        self.rate.stalls().is_some_and(|at| at <= self.rig.now)
    }

    /// Waits until nothing is on its way, or for so long; how long that took, and when frames were given up.
    fn waits(&mut self, most: Duration) -> (Duration, Option<Time>) {
        let (begun, mut given_up) = (self.rig.now, None);
        while self.rig.publisher.settled_number() != Some(self.frames - 1) && self.rig.now.since(begun) < most {
            if self.stalls() && self.rate.trickled(self.rig.publisher.packets().arrived, self.rig.now) {
                self.rig.publisher.give_up(self.rig.now);
                given_up = Some(self.rig.now);
            }
            self.pass(Duration::from_millis(5));
        }
        (self.rig.now.since(begun), given_up)
    }
}

/// After two seconds at 8 Mbit/s.
fn fallen(network: &str) -> Publisher {
    let mut publisher = Publisher::new("delay=10ms,rate=8mbit,queue=300ms");
    for _ in 0..20 {
        publisher.frame(40);
        publisher.pass(APART);
        assert!(!publisher.stalls());
    }
    let target = publisher.rate.target().unwrap();
    assert!((5_000_000..9_000_000).contains(&target), "{target}");
    publisher.rig.up.set(publisher.rig.now, &network.parse().unwrap());
    publisher
}

#[test]
fn a_frame_that_a_narrow_network_would_take_long_for_gives_way_to_a_smaller_one() {
    let mut publisher = fallen("delay=10ms,rate=300kbit,queue=300ms");
    let begun = publisher.rig.now;
    publisher.frame(40);
    let (waited, given_up) = publisher.waits(Duration::from_secs(5));
    let after = given_up.map(|at| at.since(begun));
    assert!(after.is_some_and(|after| after < Duration::from_millis(500)), "{after:?}");
    assert!(waited < Duration::from_millis(900), "{waited:?}, where all of it takes 1.1 s and more");
    let target = publisher.rate.target().unwrap();
    assert!((200_000..350_000).contains(&target), "{target}");
    let number = publisher.frames;
    publisher.frame(8);
    publisher.pass(Duration::from_millis(400));
    let came = publisher.rig.frames();
    assert_eq!(
        came.get(&number).map(|(_, tiles)| tiles.iter().filter(|(_, version)| *version == number).count()),
        Some(8)
    );
}

#[test]
fn what_was_lost_is_sent_again_where_the_network_is_no_slower() {
    for network in [
        "delay=10ms,rate=8mbit,queue=300ms,loss=40%",
        "delay=60ms,rate=8mbit,queue=300ms,loss=40%",
        "delay=10ms,rate=3mbit,queue=300ms",
    ] {
        let mut publisher = fallen(network);
        for _ in 0..20 {
            let number = publisher.frames;
            publisher.frame(40);
            let (_, given_up) = publisher.waits(Duration::from_secs(5));
            assert_eq!((given_up, publisher.rig.frames().contains_key(&number)), (None, true), "{network}");
        }
    }
}

#[test]
fn an_outage_says_nothing_of_what_comes_after_it() {
    let mut publisher = fallen("loss=100%");
    publisher.frame(40);
    let before = publisher.rate.target();
    let (waited, given_up) = publisher.waits(Duration::from_secs(2));
    assert!(waited >= Duration::from_secs(2) && given_up.is_none());
    publisher.rig.up.set(publisher.rig.now, &"delay=10ms,rate=8mbit,queue=300ms".parse().unwrap());
    let (_, given_up) = publisher.waits(Duration::from_secs(5));
    assert_eq!((given_up, publisher.stalls()), (None, false));
    assert!(publisher.rate.target() >= before, "{:?} after {before:?}", publisher.rate.target());
}

#[test]
fn where_every_frame_matters_a_network_that_takes_less_is_not_flooded() {
    for network in [
        "delay=20ms,rate=2mbit,queue=300ms",
        "delay=20ms,rate=2mbit,queue=32KiB",
        "delay=5ms,rate=2mbit,queue=300ms,loss=10%",
    ] {
        let mut rig = rig(network, Duration::ZERO, 7);
        rig.greet(true);
        let (begun, places) = (rig.now, (0..20).collect::<Vec<_>>());
        for number in 0..50 {
            rig.frame(number, &places, 1000, 20);
            while !rig.publisher.room(true) {
                let look = rig.now + Duration::from_millis(5);
                rig.run(look);
            }
        }
        while !rig.publisher.settled() {
            let look = rig.now + Duration::from_millis(50);
            rig.run(look);
            assert!(rig.now.since(begun) < Duration::from_secs(10), "{network}: {} of 50", rig.frames().len());
        }
        let took = rig.now.since(begun).as_secs_f64();
        assert!(rig.frames().len() == 50 && took < 7.0, "{network}: {took} s where 4.1 suffice");
        assert!(rig.sent_bytes < 1_600_000, "{network}: {} bytes", rig.sent_bytes);
    }
}
