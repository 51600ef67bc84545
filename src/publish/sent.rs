//! What a link has sent of its stream, and how the next frame follows from that: the segments that the far side lacks.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;

use super::{State, with};
use crate::adapt::{Burst, Rate};
use crate::clock::{self, Time};
use crate::draft::{Draft, Part};
use crate::frame::Frame;
use crate::had::Had;
use crate::link::{Packets, Tx};
use crate::message::{Begin, End, Message, Runs};
use crate::runs::{self, Lot};
use crate::stats::Peer;

/// Of most frames at a time: beginning, end, and some of its segments.
const MESSAGES: usize = 4;

/// What went onto a link.
#[derive(Default)]
pub struct Sent {
    pub frames: u64,
    /// What the far side has, or will have before anything that is sent after it.
    had: Option<Had>,
    /// The sequence number of the last frame.
    last: Option<u64>,
    pub current: Option<Current>,
    /// Many others get the same.
    pub to_crowd: bool,
}

/// A frame on its way.
pub struct Current {
    pub draft: Draft,
    /// What is to be sent next.
    messages: Vec<Message>,
    begun: Time,
    bytes: usize,
    /// Nothing of it was there before.
    whole: bool,
    /// Its last part is sent since then; for so long, in all, the next one was waited for.
    idle: Option<Time>,
    waited: Duration,
}

impl Current {
    /// Segments in their form on the wire, to be sent.
    fn add(&mut self, bodies: &[Bytes]) {
        let Draft { epoch, ref head, .. } = self.draft;
        let since = head.since;
        self.bytes += bodies.iter().map(Bytes::len).sum::<usize>();
        self.messages.extend(bodies.iter().map(|body| Message::Runs(Runs { epoch, since, body: body.clone() })));
    }
}

impl Sent {
    /// A frame begins; that is told with the first of its segments.
    pub fn begin(&mut self, tx: &mut dyn Tx, draft: Draft) {
        let Draft { epoch, seq, captured, error, ref head, .. } = draft;
        let lost = tx.lost();
        self.had.iter_mut().for_each(|had| had.lose(&lost));
        let known = self.had.as_ref().is_some_and(|had| had.fits(epoch, head));
        if !known {
            self.had = Some(Had::nothing(epoch, head.clone()));
        }
        let head = (!known).then(|| (**head).clone());
        let bytes = head.as_ref().map_or(0, |head| head.header.len());
        let (begun, whole, idle, waited) = (clock::now(), !known, None, Duration::ZERO);
        let mut messages = Vec::with_capacity(MESSAGES);
        messages.push(Message::Begin(Begin { number: self.frames, epoch, seq, captured, error, head }));
        self.current = Some(Current { draft, messages, begun, bytes, whole, idle, waited });
    }

    /// Sends what the far side lacks of what the frame grew by; gives it back if that was its end without an end.
    pub async fn part(
        &mut self,
        tx: &mut dyn Tx,
        part: Part,
        peer: &Arc<Peer>,
        state: &State,
    ) -> Result<Option<Draft>> {
        self.grows(peer);
        let (Some(current), Some(had)) = (&mut self.current, &mut self.had) else { return Ok(None) };
        match &part {
            Part::Lots(lots) => {
                for Lot { segments, body } in lots {
                    match had.take_whole(segments) {
                        true => current.add(std::slice::from_ref(body)),
                        false => current.add(&runs::bodies(&had.take(segments.to_vec()), false)),
                    }
                }
            }
            Part::Ended(frame) => {
                current.add(&runs::rest(&frame.coded, had, self.to_crowd));
            }
            Part::Abandoned => {} // its beginning still goes: there may be a header in it
        }
        if !(self.to_crowd && matches!(part, Part::Ended(_))) {
            tx.send_all(std::mem::take(&mut current.messages)).await?;
        }
        match part {
            Part::Lots(_) => {
                if !current.draft.has_ended() {
                    tx.flush().await?;
                }
                current.idle = Some(clock::now());
                Ok(None)
            }
            Part::Ended(frame) => {
                let messages = self.end(tx, &frame, peer, state);
                tx.send_all(messages).await.map(|()| None)
            }
            Part::Abandoned => {
                peer.link().rate.abandoned();
                Ok(self.current.take().map(|current| current.draft))
            }
        }
    }

    /// The messages of a frame that is whole; it counts as sent.
    pub fn whole(
        &mut self,
        tx: &mut dyn Tx,
        draft: Draft,
        frame: &Frame,
        peer: &Arc<Peer>,
        state: &State,
    ) -> Vec<Message> {
        self.begin(tx, draft);
        self.grows(peer);
        if let (Some(current), Some(had)) = (&mut self.current, &mut self.had) {
            current.add(&runs::rest(&frame.coded, had, self.to_crowd));
        }
        self.end(tx, frame, peer, state)
    }

    /// The next part of the frame is to go.
    fn grows(&mut self, peer: &Arc<Peer>) {
        let Some(current) = &mut self.current else { return };
        let now = clock::now();
        match current.idle {
            Some(since) => current.waited += now.since(since),
            None => peer.link().rate.begun(self.frames, now),
        }
    }

    /// What is still to be sent of a frame; it counts as sent.
    fn end(&mut self, tx: &mut dyn Tx, frame: &Frame, peer: &Arc<Peer>, state: &State) -> Vec<Message> {
        let Some(Current { begun, bytes, whole, waited, mut messages, .. }) = self.current.take() else {
            return Vec::new();
        };
        with(&state.flow, |flow| flow.sent(self.frames, begun + waited, bytes));
        let overhead = tx.overhead();
        let wire = |share: f64| (bytes as f64 * share) as usize;
        let burst = Burst { bytes: wire(overhead.packets), wire: wire(overhead.all), whole, waited };
        messages.push(Message::End(End { number: self.frames, state: frame.coded.state() }));
        let mut link = peer.link();
        spend(tx, &mut link.rate, burst);
        link.meter.add(clock::now(), bytes);
        link.sent = Some(frame.seq);
        link.slow += self.last.map_or(0, |last| frame.seq.saturating_sub(last + 1));
        self.frames += 1;
        self.last = Some(frame.seq);
        messages
    }
}

/// Counts a frame into the link's rate, and tells the transport what is known of it.
fn spend(tx: &mut dyn Tx, rate: &mut Rate, frame: Burst) {
    rate.sent(clock::now(), frame);
    let Packets { lost, sent, .. } = tx.packets();
    rate.lost((lost, sent));
    tx.pace(rate.budget(), rate.passing());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapt::Limits;
    use crate::link::Rx;
    use crate::segments::Coded;
    use crate::stream::{StreamRx, StreamTx};

    #[test]
    fn a_header_crosses_also_with_a_frame_that_is_abandoned() {
        let frame = |seq| Frame {
            epoch: 1,
            seq,
            captured: Time::default(),
            error: Duration::ZERO,
            coded: Coded::whole(Bytes::from_static(b"x"), 4),
        };
        for to_crowd in [false, true] {
            let (near, far) = smol::net::unix::UnixStream::pair().unwrap();
            let (mut tx, mut rx) = (StreamTx::new(near), StreamRx::new(far));
            let (peer, state) = (Arc::new(Peer::new("peer")), State::new());
            peer.link().rate = Rate::new(Limits::new(None, true).into());
            let mut sent = Sent { to_crowd, ..Sent::default() };
            let begun = Draft::begin(1, 4, Time::default(), Duration::ZERO, frame(4).coded.head).1; // and nobody has a pen
            let messages = smol::block_on(async {
                for mut draft in [begun, frame(5).into()] {
                    sent.begin(&mut tx, draft.clone());
                    let part = draft.take().expect("it is over");
                    let abandoned = sent.part(&mut tx, part, &peer, &state).await.unwrap().is_some();
                    assert_eq!(peer.link().rate.stalls().is_none(), abandoned, "nobody waits for its word");
                }
                let mut messages = Vec::new();
                while !matches!(messages.last(), Some(Message::End(_))) {
                    messages.push(rx.recv().await.unwrap().unwrap());
                }
                messages
            });
            let [Message::Begin(first), Message::Begin(second), Message::Runs(_), Message::End(_)] = &messages[..]
            else {
                panic!("{messages:?}")
            };
            assert!(first.head.is_some() && second.head.is_none());
            assert_eq!((first.seq, second.seq, second.number), (4, 5, 0));
        }
    }
}
