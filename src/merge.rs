//! One stream out of several links that bring it: each frame begins once, in order, and whoever brings more of it
//! adds to it. When one link breaks off in the middle of a frame, another that is at the same one ends it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::clock::Time;
use crate::draft::{Draft, Pen, Trace};
use crate::fanout::Fanout;
use crate::lock::lock;
use crate::segments::Head;
use crate::stop::Stop;

#[derive(Debug)]
pub struct Merge {
    pub out: Arc<Fanout<Draft>>,
    /// With every-frame: one waits at a time until a frame is wanted.
    turn: smol::lock::Mutex<()>,
    /// Frames that began, each once.
    pub begun: Arc<AtomicU64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The newest frame, and those before it that somebody still has to do with; oldest first.
    traces: VecDeque<Trace>,
    feeders: Vec<Arc<Mutex<Option<u64>>>>,
}

/// A link that brings the stream; it leaves when this is dropped.
pub struct Feeder<'a> {
    merge: &'a Merge,
    /// The epoch of its newest frame.
    epoch: Arc<Mutex<Option<u64>>>,
}

/// A frame that a link begins.
pub struct Entry {
    /// Where its segments go; none if they are not wanted: it is a frame that was had already, or of a stream that
    /// another link brings.
    pub pen: Option<Pen>,
    /// It is of another stream than the one that goes on.
    pub strange: bool,
    /// Said when nobody has anything to do with it any more.
    pub settled: Stop,
}

/// What is told of a frame as it begins.
#[derive(Clone, Debug)]
pub struct Begin {
    pub epoch: u64,
    pub seq: u64,
    pub captured: Time,
    pub error: Duration,
    pub head: Arc<Head>,
}

impl Merge {
    pub fn new(every: bool) -> Merge {
        Merge::into(Fanout::new(every))
    }

    pub fn into(out: Fanout<Draft>) -> Merge {
        let (begun, state) = Default::default();
        Merge { out: Arc::new(out), turn: smol::lock::Mutex::new(()), begun, state }
    }

    pub fn join(&self) -> Feeder<'_> {
        let epoch = Arc::default();
        lock(&self.state).feeders.push(Arc::clone(&epoch));
        Feeder { merge: self, epoch }
    }
}

impl Feeder<'_> {
    /// Begins a frame, for the readers if it is `fine`. With every-frame it waits until all of them want one.
    pub async fn begin(&self, begin: &Begin, fine: impl FnOnce(&Head) -> bool) -> Entry {
        let merge = self.merge;
        *lock(&self.epoch) = Some(begin.epoch);
        let _turn = match merge.out.is_every() {
            true => Some(merge.turn.lock().await),
            false => None,
        };
        if let Some(entry) = lock(&merge.state).known(begin) {
            return entry;
        }
        if merge.out.is_every() {
            merge.out.until_wanted().await;
        }
        let mut state = lock(&merge.state);
        if let Some(entry) = state.known(begin) {
            return entry; // it came by another link meanwhile
        }
        merge.begun.fetch_add(1, Ordering::Relaxed);
        let Begin { epoch, seq, captured, error, head } = begin.clone();
        let (mut pen, draft) = Draft::begin(epoch, seq, captured, error, head);
        let settled = draft.trace().settled;
        state.traces.retain(|trace| !trace.settled.said());
        state.traces.push_back(draft.trace());
        if fine(&draft.head) {
            pen.give(&merge.out, draft);
        }
        Entry { pen: Some(pen), strange: false, settled }
    }
}

impl State {
    /// What to do with a frame that is not new: add to it, or wait with others until it is settled.
    fn known(&mut self, begin: &Begin) -> Option<Entry> {
        let newest = self.traces.back()?;
        let strange = newest.epoch != begin.epoch;
        let entry = |pen, settled| Some(Entry { pen, strange, settled });
        if strange {
            let brought = self.feeders.iter().any(|feeder| *lock(feeder) == Some(newest.epoch));
            return if brought { entry(None, settled()) } else { None };
        }
        if newest.seq < begin.seq || (newest.seq == begin.seq && newest.is_abandoned()) {
            return None;
        }
        match self.traces.iter().find(|trace| trace.epoch == begin.epoch && trace.seq == begin.seq) {
            Some(trace) => entry(trace.pen(), trace.settled.clone()),
            None => entry(None, settled()),
        }
    }
}

fn settled() -> Stop {
    let stop = Stop::default();
    stop.say();
    stop
}

impl Drop for Feeder<'_> {
    fn drop(&mut self) {
        lock(&self.merge.state).feeders.retain(|other| !Arc::ptr_eq(other, &self.epoch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;
    use crate::segments::Coded;
    use bytes::Bytes;
    use smol::block_on;

    fn frame(epoch: u64, seq: u64) -> Frame {
        let coded = Coded::whole(Bytes::from_static(b"x"), seq);
        Frame { epoch, seq, captured: Time::default(), error: Duration::ZERO, coded }
    }

    fn begin(feeder: &Feeder, epoch: u64, seq: u64) -> Entry {
        let Frame { captured, error, coded, .. } = frame(epoch, seq);
        block_on(feeder.begin(&Begin { epoch, seq, captured, error, head: coded.head }, |_| true))
    }

    #[test]
    fn a_frame_that_two_bring_comes_out_once_and_survives_one_of_them() {
        let merge = Merge::new(false);
        let mut out = merge.out.subscribe();
        let (a, b) = (merge.join(), merge.join());
        let (first, second) = (begin(&a, 1, 5), begin(&b, 1, 5));
        let draft = out.try_next().unwrap();
        assert!(out.try_next().is_none());
        drop(first);
        second.pen.unwrap().end(frame(1, 5));
        assert_eq!(block_on(draft.frame()).unwrap().seq, 5);
        assert!(begin(&a, 1, 5).pen.is_none(), "had already");
        assert!(begin(&a, 1, 4).pen.is_none(), "older");
        assert!(begin(&b, 1, 6).pen.is_some());
    }

    #[test]
    fn another_stream_waits_until_nobody_brings_the_first() {
        let merge = Merge::new(false);
        let (a, b) = (merge.join(), merge.join());
        begin(&a, 1, 100);
        assert!(begin(&b, 2, 0).pen.is_none());
        drop(a);
        assert!(begin(&b, 2, 1).pen.is_some());
    }

    #[test]
    fn what_broke_off_may_come_again() {
        let merge = Merge::new(false);
        let a = merge.join();
        drop(begin(&a, 1, 0));
        assert!(begin(&a, 1, 0).pen.is_some());
    }

    #[test]
    fn what_comes_again_is_settled_with_the_first() {
        let merge = Merge::new(false);
        let mut out = merge.out.subscribe();
        let a = merge.join();
        begin(&a, 1, 0).pen.unwrap().end(frame(1, 0));
        let held = out.try_next().unwrap();
        begin(&a, 1, 1).pen.unwrap().end(frame(1, 1));
        let again = begin(&a, 1, 0);
        assert!(again.pen.is_none() && !again.settled.said());
        drop(held);
        assert!(again.settled.said());
    }
}
