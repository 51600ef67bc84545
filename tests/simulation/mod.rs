//! Senders and receivers in virtual time, over one bottleneck: the program's own estimates, ladder, flow control and
//! shaper, real frames' sizes, and besides a TCP flow of the old school (RFC 5681). The same each time.

pub mod film;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use vstream::adapt::choice::Choice;
use vstream::adapt::ladder::Ladder;
use vstream::adapt::rung::Bounds;
use vstream::adapt::{Burst, Limits, Rate};
use vstream::clock::Time;
use vstream::flow::Flow;
use vstream::message::Report;
use vstream::shaper::settings::Settings;
use vstream::shaper::{Carrier, Shaper};

/// One way, and the bottleneck's queue: RFC 8867, section 4.2.
const DELAY: i64 = 50;
const QUEUE: &str = "300ms";
/// A frame without a word after so long, in ms, is lost.
const GIVEN_UP: i64 = 600;
const PACKET: usize = 1200;
const BOUNDS: Bounds = Bounds { size: (1920, 1080), quality: Some(80), lossless: false, fps: 30.0 };
/// The receiver's clock: far off, and 50 ppm fast.
const OFFSET: i64 = 7_000_000_000;

#[derive(Clone, Copy)]
struct Packet {
    flow: usize,
    serial: u64,
    frame: u64,
    /// The serial of the frame's first, and whether it is its last.
    first: u64,
    last: bool,
    height: usize,
    pushed: i64,
}

pub fn at(ms: i64) -> Time {
    Time::from_micros(ms * 1000)
}

/// What a stream is at any moment.
enum Follows {
    /// A sender's, which does not know what other rungs would cost.
    Ladder(Ladder),
    /// A viewer's of a library: rungs that are there, the cheapest first, in lines and in bits a second.
    Choice { choice: Choice, rungs: Vec<(usize, f64)>, at: usize },
}

impl Follows {
    /// The quality and lines of what is sent now.
    fn coded(&self) -> (u8, usize) {
        match self {
            Follows::Ladder(ladder) => {
                let rung = ladder.rung();
                (rung.quality.unwrap_or(80), rung.size.map_or(1080, |(_, height)| height))
            }
            Follows::Choice { rungs, at, .. } => (80, rungs[*at].0),
        }
    }

    fn takes(&self, image: u64) -> bool {
        match self {
            Follows::Ladder(ladder) => ladder.rung().takes(image),
            Follows::Choice { .. } => true,
        }
    }

    /// Looks whether it should be something else; what it is then.
    fn look(&mut self, ms: i64, rate: &Rate) -> Option<String> {
        match self {
            Follows::Ladder(ladder) => {
                let load = rate.load(at(ms)).filter(|_| ms % 100 == 0)?;
                let reason = ladder.decide(at(ms), &BOUNDS, &load)?;
                Some(format!("{}: {reason}", ladder.rung().name(&BOUNDS)))
            }
            Follows::Choice { choice, rungs, at: place } => {
                let mut costs: Vec<f64> = rungs.iter().map(|(_, bits)| *bits).collect();
                // What is sent of the one that is watched, as roles/hub/room.rs has it.
                let sent = rate.load(at(ms)).map_or(f64::MAX, |load| load.frame_bytes * 8.0 * BOUNDS.fps);
                costs[*place] = costs[*place].min(sent);
                let takes = rate.target().filter(|_| ms % 250 == 0)? as f64;
                *place = choice.look(at(ms), Some(takes), *place, (&costs, 1.0))?;
                Some(format!("{}p: {:.1} Mbit/s", rungs[*place].0, takes / 1e6))
            }
        }
    }
}

/// A stream: its sender and its receiver.
pub struct Stream {
    starts: i64,
    part: Range<usize>,
    rate: Rate,
    flow: Flow,
    follows: Follows,
    frames: u64,
    /// The newest image, the last that was sent, and what it was sent as.
    image: Option<usize>,
    sent: Option<usize>,
    coded: (u8, usize),
    packets: u64,
    /// The receiver: packets that came or were lost, and the frame that is coming, since when, and how many of it came.
    expected: u64,
    lost: u64,
    coming: (u64, i64, u64),
    heard: i64,
    reports: VecDeque<(i64, (Report, f64), u64, u64)>,
    /// What arrived, when, and for how long it had queued, in ms.
    pub arrived: Vec<(i64, usize, i64)>,
    /// When each frame was whole, and its lines.
    pub shown: Vec<(i64, usize)>,
    /// What was decided, when.
    pub decisions: Vec<(i64, String)>,
}

impl Stream {
    pub fn new(starts: i64, part: Range<usize>) -> Stream {
        Stream::following(starts, part, Follows::Ladder(Ladder::default()))
    }

    /// A viewer of a video at the rungs of a library.
    pub fn video(part: Range<usize>) -> Stream {
        let rungs: Vec<(usize, f64)> = film::LINES.map(|height| (height, film::bitrate(&part, height))).to_vec();
        let at = rungs.len() / 2;
        Stream::following(0, part, Follows::Choice { choice: Choice::default(), rungs, at })
    }

    fn following(starts: i64, part: Range<usize>, follows: Follows) -> Stream {
        let (mut rate, mut flow) = (Rate::new(Arc::new(Limits::new(None, true))), Flow::default());
        let clean = Duration::from_millis(2 * DELAY as u64);
        rate.round_trip(at(starts), clean);
        flow.round_trip(clean, true);
        Stream {
            starts,
            part,
            rate,
            flow,
            follows,
            frames: 0,
            image: None,
            sent: None,
            coded: (0, 0),
            packets: 0,
            expected: 0,
            lost: 0,
            coming: (0, 0, 0),
            heard: 0,
            reports: VecDeque::new(),
            arrived: Vec::new(),
            shown: Vec::new(),
            decisions: Vec::new(),
        }
    }

    /// What the network has brought back by now.
    fn hear(&mut self, ms: i64) {
        while let Some((_, (report, passed), lost, seen)) = self.reports.pop_front_if(|(due, ..)| *due <= ms) {
            self.heard = ms;
            self.rate.reported(&report, passed, at(ms));
            self.rate.lost((lost, seen));
            self.flow.acknowledged(report.acknowledged);
        }
        // What a transport does whose last packets were lost.
        if self.frames > 0 && ms - self.heard > GIVEN_UP {
            self.flow.acknowledged(self.frames);
            self.rate.settled(self.frames);
        }
    }

    fn capture(&mut self, ms: i64) {
        let since = ms - self.starts;
        if since >= 0
            && let Some(decided) = self.follows.look(ms, &self.rate)
        {
            self.decisions.push((ms, decided));
        }
        let image = since * 3 / 100;
        if since >= 0 && (since - 1).max(0) * 3 / 100 != image && self.follows.takes(image as u64) {
            self.image = Some(image as usize);
        }
    }

    /// The packets of the next frame, if one may go.
    fn send(&mut self, ms: i64) -> Vec<(Packet, usize)> {
        let now = at(ms);
        let room = self.flow.room(now) && self.rate.stalls().is_none_or(|at| now < at);
        if self.image.is_none() || !room || !self.rate.wait(now).is_zero() {
            return Vec::new();
        }
        let Some(image) = self.image.take() else { return Vec::new() };
        let coded = self.follows.coded();
        let whole = self.sent.is_none() || coded != self.coded;
        let left_out = self.sent.filter(|_| !whole).map(|sent| image - sent - 1);
        (self.sent, self.coded) = (Some(image), coded);
        let bytes = film::bytes(&self.part, image, left_out, coded.0, coded.1);
        self.rate.begun(self.frames, now);
        self.rate.sent(now, Burst { bytes, wire: bytes, whole, waited: Duration::ZERO });
        self.flow.sent(self.frames, now, bytes);
        let count = bytes.div_ceil(PACKET);
        let first = self.packets;
        let packets = (0..count).map(|n| {
            let serial = self.packets + n as u64;
            let length = PACKET.min(bytes - n * PACKET);
            let (frame, last) = (self.frames, n + 1 == count);
            (Packet { flow: 0, serial, frame, first, last, height: coded.1, pushed: ms }, length)
        });
        let packets = packets.collect();
        self.packets += count as u64;
        self.frames += 1;
        packets
    }

    /// A packet arrives; a frame is reported with its last packet, or that of another if it lost it.
    fn take(&mut self, ms: i64, packet: Packet, bytes: usize) {
        self.lost += packet.serial - self.expected;
        self.expected = packet.serial + 1;
        self.arrived.push((ms, bytes, ms - packet.pushed - DELAY));
        if self.coming.0 != packet.frame || self.coming.1 == 0 {
            self.coming = (packet.frame, ms, 0);
        }
        self.coming.2 += 1;
        if packet.last {
            self.shown.push((ms, packet.height));
            let theirs = |ms: i64| Time::from_micros(OFFSET + ms * 1000 + ms / 20);
            let report = Report { acknowledged: packet.frame, began: theirs(self.coming.1), arrived: theirs(ms) };
            let passed = self.coming.2 as f64 / (packet.serial + 1 - packet.first) as f64;
            self.reports.push_back((ms + DELAY, (report, passed), self.lost, self.expected));
        }
    }

    /// Bits a second that arrived between these seconds.
    pub fn bitrate(&self, from: i64, to: i64) -> f64 {
        let within = self.arrived.iter().filter(|(ms, ..)| (from * 1000..to * 1000).contains(ms));
        within.map(|(_, bytes, _)| *bytes as f64 * 8.0).sum::<f64>() / (to - from) as f64
    }

    /// The queue that this part of the packets stayed under, in ms.
    pub fn queue(&self, from: i64, to: i64, part: f64) -> i64 {
        let within = self.arrived.iter().filter(|(ms, ..)| (from * 1000..to * 1000).contains(ms));
        let mut queues: Vec<i64> = within.map(|(.., queue)| *queue).collect();
        queues.sort_unstable();
        queues.get((queues.len() as f64 * part) as usize).copied().unwrap_or(0)
    }
}

/// A long TCP flow: Reno, without its retransmissions' bytes counted apart.
#[derive(Default)]
pub struct Tcp {
    window: f64,
    threshold: f64,
    serial: u64,
    flying: u64,
    expected: u64,
    recover: u64,
    acks: VecDeque<(i64, u64, u64)>,
    arrived: Vec<(i64, usize)>,
}

impl Tcp {
    pub fn new() -> Tcp {
        Tcp { window: 10.0, threshold: f64::MAX, ..Tcp::default() }
    }

    fn hear(&mut self, ms: i64) {
        while let Some((_, serial, lost)) = self.acks.pop_front_if(|(due, ..)| *due <= ms) {
            self.flying -= 1 + lost;
            if lost > 0 && serial >= self.recover {
                self.threshold = (self.window / 2.0).max(2.0);
                (self.window, self.recover) = (self.threshold, self.serial);
            } else if self.window < self.threshold {
                self.window += 1.0;
            } else {
                self.window += 1.0 / self.window;
            }
        }
    }

    fn send(&mut self, ms: i64) -> Option<Packet> {
        ((self.flying as f64) < self.window).then(|| {
            self.flying += 1;
            self.serial += 1;
            Packet { flow: usize::MAX, serial: self.serial - 1, frame: 0, first: 0, last: false, height: 0, pushed: ms }
        })
    }

    fn take(&mut self, ms: i64, packet: Packet, bytes: usize) {
        self.acks.push_back((ms + DELAY, packet.serial, packet.serial - self.expected));
        self.expected = packet.serial + 1;
        self.arrived.push((ms, bytes));
    }

    /// Bits a second that arrived between these seconds.
    pub fn bitrate(&self, from: i64, to: i64) -> f64 {
        let within = self.arrived.iter().filter(|(ms, _)| (from * 1000..to * 1000).contains(ms));
        within.map(|(_, bytes)| *bytes as f64 * 8.0).sum::<f64>() / (to - from) as f64
    }
}

/// Runs for so many seconds; `rates`: Mbit/s from these seconds on.
pub fn run(streams: &mut [Stream], tcp: Option<&mut Tcp>, rates: &[(i64, f64)], seconds: i64) {
    run_through(QUEUE, streams, tcp, rates, seconds);
}

/// The same with another queue: one that is never full is a tcp connection's, whose sender waits.
pub fn run_through(queue: &str, streams: &mut [Stream], mut tcp: Option<&mut Tcp>, rates: &[(i64, f64)], seconds: i64) {
    let mut network: Shaper<Packet> = Shaper::new(Carrier::Datagrams, 1);
    for ms in 0..seconds * 1000 {
        if let Some((_, mbit)) = rates.iter().find(|(second, _)| second * 1000 == ms) {
            let settings = format!("delay={DELAY}ms,rate={}kbit,queue={queue}", (mbit * 1000.0) as u64);
            network.set(at(ms), &settings.parse::<Settings>().unwrap());
        }
        while let Some((packet, bytes)) = network.pop(at(ms)) {
            match streams.get_mut(packet.flow) {
                Some(stream) => stream.take(ms, packet, bytes.len()),
                None => tcp.as_deref_mut().unwrap().take(ms, packet, bytes.len()),
            }
        }
        if let Some(tcp) = &mut tcp {
            tcp.hear(ms);
            while let Some(packet) = tcp.send(ms) {
                network.push(at(ms), packet, vec![0; PACKET]);
            }
        }
        for (flow, stream) in streams.iter_mut().enumerate() {
            stream.hear(ms);
            stream.capture(ms);
            for (packet, length) in stream.send(ms) {
                network.push(at(ms), Packet { flow, ..packet }, vec![0; length]);
            }
        }
    }
}
