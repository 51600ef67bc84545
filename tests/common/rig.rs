//! A publisher's and a watcher's end of a connection, joined by a bad network, in virtual time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use vstream::adapt::Rate;
use vstream::clock::Time;
use vstream::datagrams::connection::{Connection, Heard, Terms};
use vstream::datagrams::guard::Guard;
use vstream::datagrams::parity::Share;
use vstream::link::Crossing;
use vstream::message::{About, Begin, End, Hello, Message, Report, Runs, Side};
use vstream::runs;
use vstream::segments::{Form, Head};
use vstream::shaper::settings::Settings;
use vstream::shaper::{Carrier, Shaper};

pub const HERE: &str = "10.0.0.1:1000";
pub const THERE: &str = "10.0.0.2:2000";

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The publisher's end, the watcher's, and the network each way.
pub struct Rig {
    pub now: Time,
    pub publisher: Connection,
    pub watcher: Connection,
    pub up: Shaper<SocketAddr>,
    pub down: Shaper<SocketAddr>,
    /// Where the publisher's packets seem to come from.
    pub from: SocketAddr,
    pub heard: Vec<(Time, Message)>,
    /// How each of the frames crossed that ended.
    pub crossings: BTreeMap<u64, Crossing>,
    pub said: Vec<Message>,
    pub sent_bytes: usize,
    /// So many of the watcher's next packets are lost.
    pub deaf: usize,
}

pub fn rig(network: &str, latency: Duration, seed: u64) -> Rig {
    let settings: Settings = network.parse().unwrap();
    let now = Time::from_micros(1_000_000);
    let shaper = |seed| {
        let mut shaper = Shaper::new(Carrier::Datagrams, seed);
        shaper.set(now, &settings);
        shaper
    };
    let terms = |ours, theirs| {
        let (share, guard) = (Share::Auto, Guard::sum(ours, theirs));
        Terms { ours, theirs, mtu: 1200, latency, share, guard }
    };
    Rig {
        now,
        publisher: Connection::new(terms(1, 2), address(THERE), now),
        watcher: Connection::new(terms(2, 1), address(HERE), now),
        up: shaper(seed),
        down: shaper(seed + 1),
        from: address(HERE),
        heard: Vec::new(),
        crossings: BTreeMap::new(),
        said: Vec::new(),
        sent_bytes: 0,
        deaf: 0,
    }
}

impl Rig {
    /// Lets the time pass until then.
    pub fn run(&mut self, until: Time) {
        loop {
            self.turn();
            let wakes = [self.publisher.wake(), self.watcher.wake(), self.up.wake(), self.down.wake()];
            let next = wakes.into_iter().flatten().min().unwrap_or(until).max(self.now + Duration::from_micros(20));
            if next > until {
                self.now = until;
                return self.turn();
            }
            self.now = next;
        }
    }

    pub fn turn(&mut self) {
        let now = self.now;
        while let Some((to, bytes)) = self.publisher.transmit(now) {
            self.sent_bytes += bytes.len();
            self.up.push(now, to, bytes);
        }
        while let Some((to, bytes)) = self.watcher.transmit(now) {
            match self.deaf.checked_sub(1) {
                Some(fewer) => self.deaf = fewer,
                None => self.down.push(now, to, bytes),
            }
        }
        while let Some((to, bytes)) = self.up.pop(now) {
            assert_eq!(to, address(THERE));
            self.watcher.receive(now, self.from, bytes);
        }
        while let Some((to, bytes)) = self.down.pop(now) {
            if to == self.from {
                self.publisher.receive(now, address(THERE), bytes);
            }
        }
        while let Heard::Message(message) = self.watcher.message(now).unwrap() {
            if let Message::End(end) = &message {
                self.crossings.insert(end.number, self.watcher.take_crossing());
            }
            self.heard.push((now, message));
        }
        while let Heard::Message(message) = self.publisher.message(now).unwrap() {
            self.said.push(message);
        }
    }

    pub fn greet(&mut self, every_frame: bool) {
        let stream = About { every_frame, ..About::default() };
        let hello = Hello {
            role: Side::Publish,
            name: None,
            agent: String::new(),
            instance: 1,
            listening: None,
            visit: Default::default(),
            stream,
        };
        self.publisher.send(self.now, Message::Hello(hello)).unwrap();
    }

    /// Sends a frame of these segments, each of this version.
    pub fn frame(&mut self, number: u64, places: &[usize], size: usize, count: usize) {
        let head = (number == 0).then(|| Head { form: Form::Tiles, since: 0, header: vec![7; 600].into(), count });
        let captured = self.now;
        let begin = Begin { number, epoch: 5, seq: number, captured, error: Duration::ZERO, head };
        self.publisher.send(self.now, Message::Begin(begin)).unwrap();
        for strip in places.chunks(100) {
            let segments: Vec<_> = strip.iter().map(|&place| (place, number, tile(place, number, size))).collect();
            let body = runs::encode_segments(&segments).into();
            self.publisher.send(self.now, Message::Runs(Runs { epoch: 5, since: 0, body })).unwrap();
        }
        self.publisher.send(self.now, Message::End(End { number, state: number })).unwrap();
    }

    /// Reports the frames that have crossed since, of which the first not reported yet is told; the word on a frame comes with
    /// those on its packets.
    pub fn report(&self, rate: &mut Rate, told: &mut u64) {
        let heard = self.publisher.settled_number().map_or(0, |settled| settled + 1).max(*told);
        for (&acknowledged, &Crossing { began, arrived, .. }) in self.crossings.range(*told..heard) {
            let report = Report { acknowledged, began, arrived };
            rate.reported(&report, self.publisher.passed(acknowledged), self.now);
            *told = acknowledged + 1;
        }
    }

    /// Of each ended frame: when, and which segments came before its end.
    pub fn frames(&self) -> BTreeMap<u64, (Time, Vec<(usize, u64)>)> {
        let (mut frames, mut came, mut begun) = (BTreeMap::new(), Vec::new(), None);
        for (at, message) in &self.heard {
            match message {
                Message::Begin(begin) => begun = Some(begin.number),
                Message::Runs(runs) => {
                    for (place, version, bytes) in runs::decode(runs.body.clone()).unwrap() {
                        assert_eq!(bytes, tile(place, version, bytes.len()), "a wrong tile");
                        came.push((place, version));
                    }
                }
                Message::End(end) => {
                    assert_eq!(begun, Some(end.number), "an end without its beginning");
                    assert_eq!(end.state, end.number);
                    frames.insert(end.number, (*at, std::mem::take(&mut came)));
                }
                _ => {}
            }
        }
        frames
    }
}

pub fn tile(place: usize, version: u64, size: usize) -> Vec<u8> {
    (0..size).map(|i| (place * 31 + version as usize * 7 + i) as u8).collect()
}

pub const FRAME: Duration = Duration::from_micros(33_333);

/// A film: 600 tiles of 200 bytes a frame, 120 kB. Gives the rig, and the share of frames that were whole in time.
pub fn film(network: &str, latency: Duration, count: u64, in_time: Duration) -> (Rig, f64) {
    let mut rig = rig(network, latency, 7);
    rig.greet(false);
    let places: Vec<usize> = (0..600).collect();
    let mut begun = BTreeMap::new();
    for number in 0..count {
        begun.insert(number, rig.now);
        rig.frame(number, &places, 200, 600);
        let next = rig.now + FRAME;
        rig.run(next);
    }
    let end = rig.now + Duration::from_secs(1);
    rig.run(end);
    let frames = rig.frames();
    let whole = |number: &u64| {
        frames.get(number).is_some_and(|(at, came)| {
            let own = came.iter().filter(|(_, version)| version == number).count();
            own == 600 && at.since(begun[number]) <= in_time
        })
    };
    let good = (0..count).filter(whole).count();
    (rig, good as f64 / count as f64)
}
