//! What leaves a connection, and when: the order is addresses, words, pictures as the pacing allows, and probes.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Connection, Content, SILENCE};
use crate::clock::Time;
use crate::datagrams::Hold;
use crate::datagrams::cut::waste;
use crate::datagrams::packet::{HEADER, PACKET, Record};
use crate::link::Overhead;

/// What was said last is repeated for so long after both halves have gone.
const LINGER: Duration = Duration::from_secs(1);

/// Packets of pictures that are not full are padded to a multiple of this: the kernel takes those of one length in one call,
/// and gives them so at the other end.
const STEP: usize = 64;

impl Connection {
    /// The next datagram that may leave by now, and where to.
    pub fn transmit(&mut self, now: Time) -> Option<(SocketAddr, Vec<u8>)> {
        self.refused += u64::from(self.gather.repair(now).is_err());
        self.silent = now.since(self.heard) >= SILENCE;
        self.gone |= self.doubt.until(self.flight.rtt.smooth).is_some_and(|until| now >= until);
        if self.silent || self.gone || self.told {
            return None;
        }
        if let Some((to, record)) = self.path.transmit(now) {
            return Some((to, self.packet(now, &[record], Content::default(), true)));
        }
        if let Some(words) = self.words(now) {
            return Some((self.path.peer(), words));
        }
        if self.outbox.waiting() > 0 && self.pacing.may(now) && self.has_window() {
            let next = self.outbox.next(now);
            if let Some((record, place, first)) = next {
                let content = Content { place: Some(place), ..Content::default() };
                let packet = self.packet(now, &[record], content, true);
                self.outbox.sent(first, packet.len());
                self.pacing.sent(now, packet.len());
                self.pacing.wait(self.outbox.waiting());
                return Some((self.path.peer(), packet));
            }
        }
        if self.flight.wake().is_some_and(|wake| wake <= now) {
            self.look_for_losses(now);
        }
        if self.flight.probe(now) {
            return Some((self.path.peer(), self.packet(now, &[Record::Probe], Content::default(), true)));
        }
        let done = self.left.is_some_and(|left| self.settled() || now.since(left) > LINGER);
        if done {
            self.told = true;
            return Some((self.path.peer(), self.packet(now, &[Record::Close], Content::default(), false)));
        }
        None
    }

    /// A packet of what is not pictures, if there is any.
    fn words(&mut self, now: Time) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        let pending = self.out.pending();
        if self.received.due().is_some_and(|due| due <= now || pending) {
            let mut ack = self.received.tell(now);
            (ack.settled, ack.unread) = self.gather.settled();
            body.push(Record::Ack(ack));
        }
        // An acknowledgement of so many ranges takes at most a third of the shortest packet.
        let space = self.mtu - HEADER - self.guard.cost() - if body.is_empty() { 0 } else { self.mtu / 2 };
        let control = self.out.take(space).map(|(record, stretch)| {
            body.push(record);
            stretch
        });
        let content = Content { control, ..Content::default() };
        (!body.is_empty()).then(|| self.packet(now, &body, content, control.is_some()))
    }

    fn packet(&mut self, now: Time, body: &[Record], content: Content, wants: bool) -> Vec<u8> {
        let number = self.flight.next();
        let mut packet = Vec::with_capacity(self.mtu);
        packet.push(PACKET);
        packet.extend_from_slice(&self.theirs.to_le_bytes());
        packet.extend_from_slice(&number.to_le_bytes());
        body.iter().for_each(|record| record.put(&mut packet));
        if content.place.is_some() {
            let length = packet.len() + self.guard.cost();
            let full = self.mtu.saturating_sub(length) <= waste(self.mtu);
            let length = if full { self.mtu } else { length.next_multiple_of(STEP).min(self.mtu) };
            packet.resize(packet.len().max(length - self.guard.cost()), 0);
        }
        self.guard.close(number, &mut packet);
        self.flight.sent(now, wants, Content { length: packet.len(), ..content });
        packet
    }

    /// Whether more may be on its way.
    fn has_window(&self) -> bool {
        let bytes = (self.flight.waiting() * self.mtu) as f64;
        self.outbox.hold != Hold::Every || bytes < self.window.bytes(self.flight.rtt.base())
    }

    /// Bits a second that we are kept to, and at which the network was seen to pass frames on.
    pub fn pace(&mut self, kept_to: Option<f64>, passing: Option<f64>) {
        // Of what it passed on some was redundant, which was not counted.
        let Overhead { packets, all } = self.outbox.overhead();
        self.pacing.known(kept_to, passing.map(|passing| passing * all / packets));
    }

    /// Frames that have not arrived are not sent again.
    pub fn give_up(&mut self, now: Time) {
        self.outbox.give_up();
        self.look_for_losses(now);
    }

    /// When `transmit` or `message` may have something, if nothing comes before.
    pub fn wake(&self) -> Option<Time> {
        if self.silent || self.gone {
            return None; // what waits to leave will not
        }
        let pictures = (self.outbox.waiting() > 0 && self.has_window()).then(|| self.pacing.wake());
        let linger = self.left.map(|left| left + LINGER);
        let silence = (!self.silent).then(|| self.heard + SILENCE);
        let doubt = self.doubt.until(self.flight.rtt.smooth);
        let own = [self.received.due(), pictures, self.flight.wake(), silence, linger, doubt];
        own.into_iter().chain([self.gather.wake(), self.path.wake()]).flatten().min()
    }
}
