//! One end of a connection: packets and the time go in, packets and messages come out. It opens no socket and waits for
//! nothing; who drives it asks `transmit` until there is nothing, and looks again at `wake`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::Hold;
use super::acks::Received;
use super::control::{Incoming, Outgoing, Stretch};
use super::doubt::Doubt;
use super::flight::Flight;
use super::gather::Gather;
use super::guard::Guard;
use super::narrow::Narrow;
use super::outbox::{Outbox, Place};
use super::pacing::Pacing;
use super::packet::{HEADER, Record, records};
use super::parity::Share;
use super::path::Path;
use super::window::Window;
use crate::clock::Time;
use crate::link::{Crossing, Overhead, Packets, Repaired};
use crate::message::{Message, PREFIX};

mod transmit;

/// Both sides ping every second, so a silence this long is a peer or a path that is gone.
const SILENCE: Duration = Duration::from_secs(8);
/// Bytes of pictures that wait to leave before their sender has to.
const QUEUED: usize = 256 << 10;

/// What both sides agreed on.
#[derive(Debug)]
pub struct Terms {
    /// The ids that packets to us and to the peer carry.
    pub ours: u64,
    pub theirs: u64,
    pub mtu: usize,
    pub latency: Duration,
    pub share: Share,
    pub guard: Guard,
}

#[derive(Debug)]
pub struct Connection {
    ours: u64,
    theirs: u64,
    mtu: usize,
    guard: Guard,
    path: Path,
    received: Received,
    flight: Flight<Content>,
    out: Outgoing,
    into: Incoming,
    outbox: Outbox,
    gather: Gather,
    pacing: Pacing,
    window: Window,
    greeted: bool,
    bye: Option<Message>,
    crossing: Crossing,
    heard: Time,
    silent: bool,
    doubt: Doubt,
    narrow: Narrow,
    /// Since when nobody has it any more; whether the peer was told.
    left: Option<Time>,
    told: bool,
    gone: bool,
    /// Bytes of packets of ours that did.
    arrived: u64,
    /// Packets that were forged or damaged, doubled or too late.
    pub refused: u64,
}

/// What a packet carried that has to arrive.
#[derive(Clone, Copy, Debug, Default)]
struct Content {
    control: Option<Stretch>,
    place: Option<Place>,
    /// Bytes of the packet.
    length: usize,
}

/// What is heard of the peer.
#[derive(Debug)]
pub enum Heard {
    Message(Message),
    /// Not yet.
    Nothing,
    /// Nothing more will come.
    End,
}

impl Connection {
    pub fn new(terms: Terms, peer: SocketAddr, now: Time) -> Connection {
        let Terms { ours, theirs, mtu, latency, share, guard } = terms;
        let hold = if latency.is_zero() { Hold::Newest } else { Hold::Until(latency) };
        Connection {
            ours,
            theirs,
            mtu,
            guard,
            path: Path::new(peer, ours ^ theirs),
            received: Received::default(),
            flight: Flight::default(),
            out: Outgoing::default(),
            into: Incoming::default(),
            outbox: Outbox::new(mtu, hold, share),
            gather: Gather::new(hold),
            pacing: Pacing::default(),
            window: Window::default(),
            greeted: false,
            bye: None,
            crossing: Crossing::default(),
            heard: now,
            silent: false,
            doubt: Doubt::default(),
            narrow: Narrow::default(),
            left: None,
            told: false,
            gone: false,
            arrived: 0,
            refused: 0,
        }
    }

    /// Packets of these bytes at most, from the next frame on.
    pub fn shorten(&mut self, mtu: usize) {
        self.mtu = mtu;
        self.outbox.shorten(mtu);
    }

    pub fn peer(&self) -> SocketAddr {
        self.path.peer()
    }

    /// The id that packets to us carry.
    pub fn id(&self) -> u64 {
        self.ours
    }

    /// Takes a message to be sent.
    pub fn send(&mut self, now: Time, message: Message) -> Result<()> {
        self.heed_every_frame(&message);
        let losses = self.flight.losses;
        match message {
            Message::Begin(begin) => {
                self.outbox.begin(begin, losses)?;
                self.pacing.begin(now);
            }
            Message::Runs(runs) => {
                self.outbox.runs(runs, losses)?;
                self.pacing.wait(self.outbox.waiting());
            }
            Message::End(end) => {
                let bytes = self.outbox.end(end, losses)?;
                self.pacing.frame(now, bytes, self.outbox.waiting(), !losses.are_rare());
            }
            words => self.out.write(&words),
        }
        Ok(())
    }

    /// Whether one more message may be taken; after a frame's end, when the frame has left.
    pub fn room(&self, ended: bool) -> bool {
        let waiting = self.outbox.waiting();
        self.gone || (self.out.room() && if ended { waiting == 0 } else { waiting < QUEUED })
    }

    /// Whether pictures wait to leave.
    pub fn waits(&self) -> bool {
        self.outbox.waiting() > 0
    }

    /// Nothing more will be sent.
    pub fn end(&mut self) {
        self.outbox.abandon(self.flight.losses);
        self.pacing.wait(self.outbox.waiting());
        self.out.end();
    }

    /// Whether all that was sent has arrived, or never will.
    pub fn settled(&self) -> bool {
        self.gone || (self.out.settled() && self.outbox.is_settled())
    }

    /// Places and versions that did not arrive and will not be sent again.
    pub fn take_lost(&mut self) -> Vec<(usize, u64)> {
        self.outbox.take_lost()
    }

    pub fn repaired(&self) -> Repaired {
        Repaired { refused: self.refused, ..self.gather.repaired }
    }

    /// How long the far side may hold a frame.
    pub fn holds(&self) -> Duration {
        match self.outbox.hold {
            Hold::Until(latency) => latency,
            Hold::Newest | Hold::Every => Duration::ZERO,
        }
    }

    /// The link's number up to which nothing is on its way.
    pub fn settled_number(&self) -> Option<u64> {
        self.outbox.settled_number()
    }

    /// The part of the frame of this link's number that arrived.
    pub fn passed(&self, link_number: u64) -> f64 {
        self.outbox.passed(link_number)
    }

    /// The peer has left, or knows nothing of us.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// The way takes no datagrams of our length.
    pub fn too_long(&mut self) {
        self.narrow.found = true;
    }

    /// What a frame's bytes become in packets.
    pub fn overhead(&self) -> Overhead {
        self.outbox.overhead()
    }

    /// What became of the packets that were to arrive.
    pub fn packets(&self) -> Packets {
        let (lost, sent) = self.flight.lost_of();
        Packets { sent, lost, arrived: self.arrived }
    }

    /// Where every frame matters, none may be given up.
    fn heed_every_frame(&mut self, message: &Message) {
        let about = match message {
            Message::Hello(hello) => &hello.stream,
            Message::Welcome(welcome) => &welcome.stream,
            _ => return,
        };
        if about.every_frame {
            (self.outbox.hold, self.gather.hold) = (Hold::Every, Hold::Every);
        }
    }

    /// The first bytes of the first message.
    pub fn prefix(&self) -> Option<[u8; PREFIX]> {
        self.into.prefix()
    }

    /// The next message. Errors: a peer that breaks the rules, or is silent for too long.
    pub fn message(&mut self, now: Time) -> Result<Heard> {
        if self.bye.is_none()
            && let Some(message) = self.into.message()?
        {
            self.greeted = true;
            self.heed_every_frame(&message);
            if !matches!(message, Message::Bye(_)) {
                return Ok(Heard::Message(message));
            }
            self.bye = Some(message);
        }
        // Pictures may overtake the greeting on their way; they are not to be seen before it.
        if let Some((message, crossing)) = self.greeted.then(|| self.gather.message()).flatten() {
            self.crossing = crossing;
            return Ok(Heard::Message(message));
        }
        // What has begun comes before the last word, while it can come.
        if let Some(bye) = self.bye.take_if(|_| self.gone || self.gather.is_idle()) {
            return Ok(Heard::Message(bye));
        }
        if self.gone || (self.into.over() && self.bye.is_none()) {
            return Ok(Heard::End);
        }
        let silence = now.since(self.heard);
        ensure!(silence < SILENCE, "the connection was lost: nothing came for {} s", SILENCE.as_secs());
        if self.narrow.found {
            bail!("datagrams of {} bytes do not arrive any more", self.mtu);
        }
        Ok(Heard::Nothing)
    }

    /// Whether `message` has something.
    pub fn has_message(&self) -> bool {
        self.gone
            || self.silent
            || self.narrow.found
            || self.into.prefix().is_some()
            || self.gather.has_message()
            || self.bye.is_some()
            || self.into.over()
    }

    /// How the frame crossed whose end was given last.
    pub fn take_crossing(&mut self) -> Crossing {
        std::mem::take(&mut self.crossing)
    }

    /// Nobody has this end any more: what was said is repeated for a while, and the peer is told.
    pub fn leave(&mut self, now: Time) {
        self.left.get_or_insert(now);
    }

    /// The peer knows of no such connection.
    pub fn lose(&mut self) {
        self.gone = true;
    }

    /// Somebody says that the peer is not there any more.
    pub fn doubt(&mut self, now: Time) {
        if self.doubt.rises(now) {
            self.flight.ask();
        }
    }

    /// Nothing more will be sent.
    pub fn is_over(&self, now: Time) -> bool {
        self.left.is_some_and(|_| self.told || self.gone || now.since(self.heard) >= SILENCE)
    }

    /// Takes a packet to us. What is forged, damaged or doubled is counted and does nothing.
    pub fn receive(&mut self, now: Time, from: SocketAddr, packet: Vec<u8>) {
        let Some(number) = packet.get(9..HEADER).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes) else {
            self.refused += 1;
            return;
        };
        let opened = self.received.is_new(number).then(|| self.guard.open(number, packet)).flatten();
        let Some(read) = opened.and_then(|body| records(body).ok()) else {
            self.refused += 1;
            return;
        };
        let wants = read.iter().any(|record| !matches!(record, Record::Ack(_) | Record::Close));
        let (mut came, mut hurry) = (true, false);
        for record in read {
            hurry |= matches!(&record, Record::Part(part) if part.last);
            hurry |= matches!(record, Record::Parity(_) | Record::Probe);
            match self.take(now, from, number, record) {
                Ok(taken) => came &= taken,
                Err(_) => {
                    self.refused += 1;
                    return;
                }
            }
        }
        self.heard = now;
        self.doubt.ends();
        if from != self.path.peer() && self.received.is_newest(number) {
            self.path.moved(from, now);
        }
        if came {
            self.received.take(number, now, wants);
            if hurry {
                self.received.hurry(now);
            }
        }
    }

    /// Takes a record of the packet of this number; false if there is no room for it. Errors: what no vstream sends.
    fn take(&mut self, now: Time, from: SocketAddr, number: u64, record: Record) -> Result<bool> {
        match record {
            Record::Ack(ack) => {
                let (out, outbox, narrow) = (&mut self.out, &mut self.outbox, &mut self.narrow);
                self.flight.acknowledged(&ack, now, |content, _| {
                    self.arrived += content.length as u64;
                    content.control.into_iter().for_each(|stretch| out.arrived(stretch));
                    content.place.into_iter().for_each(|place| outbox.arrived(place));
                    narrow.arrived(content.length);
                })?;
                self.window.arrived(now, self.arrived, self.flight.rtt.base());
                self.outbox.far_settled(ack.settled, ack.unread);
                self.look_for_losses(now);
            }
            Record::Control { offset, bytes, last } => return Ok(self.into.take(offset, bytes, last)),
            Record::Part(part) => return self.gather.part(now, number, part),
            Record::Parity(parity) => return self.gather.parity(now, number, parity),
            Record::Challenge(token) => self.path.asked(from, token),
            Record::Response(token) => self.path.answered(from, token),
            Record::Probe => {}
            Record::Close => self.gone = true,
        }
        Ok(true)
    }

    fn look_for_losses(&mut self, now: Time) {
        let (out, outbox, narrow) = (&mut self.out, &mut self.outbox, &mut self.narrow);
        self.flight.lost(now, |content| {
            content.control.into_iter().for_each(|stretch| out.lost(stretch));
            content.place.into_iter().for_each(|place| outbox.lost(place));
            narrow.lost(now, content.length);
        });
        self.outbox.settle(now, self.flight.losses);
        self.pacing.wait(self.outbox.waiting());
    }
}
