//! What serves one link: a task, and whoever puts a frame while the task only waits for the next. In a crowd, to wake each
//! task takes as long as to send what it then sends, and leaves nothing of the frame in the processor's caches.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use smol::lock::{Mutex, MutexGuard};

use super::sent::Sent;
use super::{State, with};
use crate::clock;
use crate::draft::Draft;
use crate::frame::Frame;
use crate::latest::{Grip, Hand};
use crate::link::{Rx, Tx};
use crate::message::Message;
use crate::stats::Peer;

pub struct Serving {
    lane: Mutex<Lane>,
    pub(super) rx: Mutex<Box<dyn Rx>>,
    pub(super) peer: Arc<Peer>,
    pub(super) state: State,
}

/// What a link sends by, and has sent.
pub(super) struct Lane {
    pub tx: Box<dyn Tx>,
    pub sent: Sent,
    /// The task waits for the next frame alone, and others may send it.
    pub left: bool,
}

impl Serving {
    pub(super) fn new(tx: Box<dyn Tx>, rx: Box<dyn Rx>, peer: &Arc<Peer>) -> Serving {
        let state = State::new();
        with(&state.flow, |flow| flow.held(tx.holds()));
        let lane = Lane { tx, sent: Sent::default(), left: false };
        Serving { lane: lane.into(), rx: rx.into(), peer: peer.clone(), state }
    }

    /// Takes the lane back from whoever has it; a send that was not completed goes on with a flush.
    pub(super) async fn lane(&self) -> MutexGuard<'_, Lane> {
        let mut lane = self.lane.lock().await;
        lane.left = false;
        lane
    }

    /// Whether the next frame may go as soon as it is there.
    pub(super) fn waits_for_nothing(&self) -> bool {
        let now = clock::now();
        self.state.patient.load(Ordering::Relaxed)
            && with(&self.state.flow, |flow| flow.room(now))
            && self.peer.link().rate.wait(now).is_zero()
    }
}

impl Hand<Draft> for Serving {
    fn take(&self, draft: &Draft) -> Grip {
        let Some(mut lane) = self.lane.try_lock().filter(|lane| lane.left) else { return Grip::Left };
        let Some(frame) = draft.whole() else { return Grip::Left };
        let Lane { tx, sent, left } = &mut *lane;
        let messages = sent.whole(&mut **tx, draft.clone(), &frame, &self.peer, &self.state);
        let all = send_now(&mut **tx, messages);
        if all && self.waits_for_nothing() {
            self.listen_if_due();
            return Grip::Taken;
        }
        *left = false;
        self.state.changed.notify(usize::MAX);
        Grip::Enough
    }
}

impl Hand<Frame> for Serving {
    fn take(&self, frame: &Frame) -> Grip {
        self.take(&Draft::from(frame.clone()))
    }
}

/// Sends what the network takes now; whether that is all. The next flush sends the rest, or fails as this did.
fn send_now(tx: &mut dyn Tx, messages: Vec<Message>) -> bool {
    let mut sending = tx.send_all(messages);
    matches!(sending.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
}
