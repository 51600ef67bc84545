//! A frame in the making: first what it is, then its segments as they are coded or arrive, at last the whole. What can
//! begin early (a link, a decoder, a relay) follows the segments; everything else waits for the frame.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use event_listener::{Event, listener};

use crate::clock::Time;
use crate::frame::Frame;
use crate::lock::lock;
use crate::segments::{Head, Segment};
use crate::stop::Stop;

/// One reader's view of a frame in the making. Cloning is cheap, and each clone reads all of it. Whoever still has
/// something to do with the frame keeps one: when the last is gone, the frame is settled.
#[derive(Clone, Debug)]
pub struct Draft {
    /// As in `Frame`.
    pub epoch: u64,
    pub seq: u64,
    pub captured: Time,
    pub error: Duration,
    pub head: Arc<Head>,
    shared: Arc<Shared>,
    claim: Arc<Claim>,
    /// Segments that this reader has had.
    read: usize,
}

/// A writing end. When the last is dropped and none has ended the frame, it is abandoned.
#[derive(Debug)]
pub struct Pen(Arc<Shared>);

/// What can be known of a draft without keeping it.
#[derive(Clone, Debug)]
pub struct Trace {
    pub epoch: u64,
    pub seq: u64,
    /// Said when nobody has anything to do with the frame any more.
    pub settled: Stop,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    grown: Event,
}

#[derive(Debug, Default)]
struct State {
    segments: Vec<Segment<Bytes>>,
    ended: Option<Part>,
    pens: usize,
}

#[derive(Debug, Default)]
struct Claim(Stop);

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.say();
    }
}

/// What a draft grew by.
#[derive(Clone, Debug)]
pub enum Part {
    /// In no order, but each as it stands in the frame at its end.
    Segments(Vec<Segment<Bytes>>),
    Ended(Frame),
    /// Its source, or the link that it came by, broke off.
    Abandoned,
}

impl Draft {
    /// Begins what will be `frame` under this head: the fields of the frame are known but for its bytes.
    pub fn begin(epoch: u64, seq: u64, captured: Time, error: Duration, head: Arc<Head>) -> (Pen, Draft) {
        let shared = Arc::<Shared>::default();
        let draft = Draft { epoch, seq, captured, error, head, shared: shared.clone(), claim: Arc::default(), read: 0 };
        (Pen::new(&shared), draft)
    }

    pub fn trace(&self) -> Trace {
        Trace { epoch: self.epoch, seq: self.seq, settled: self.claim.0.clone(), shared: self.shared.clone() }
    }

    /// Whether both are of the same frame.
    pub fn is(&self, other: &Draft) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// What it grew by since this reader last asked, once there is something.
    pub async fn grown(&mut self) -> Part {
        let shared = self.shared.clone();
        loop {
            listener!(shared.grown => grown);
            if let Some(part) = self.take() {
                return part;
            }
            grown.await;
        }
    }

    fn take(&mut self) -> Option<Part> {
        let state = lock(&self.shared.state);
        let new = state.segments.get(self.read..).filter(|new| !new.is_empty());
        let part = state.ended.clone().or_else(|| new.map(|new| Part::Segments(new.to_vec())));
        self.read = state.segments.len();
        part
    }

    /// The whole frame; none if it is abandoned.
    pub async fn frame(mut self) -> Option<Frame> {
        loop {
            match self.grown().await {
                Part::Segments(_) => {}
                Part::Ended(frame) => return Some(frame),
                Part::Abandoned => return None,
            }
        }
    }
}

impl From<Frame> for Draft {
    fn from(frame: Frame) -> Draft {
        let (pen, draft) = Draft::begin(frame.epoch, frame.seq, frame.captured, frame.error, frame.coded.head.clone());
        pen.end(frame);
        draft
    }
}

impl Trace {
    /// One more pen for the same frame, from another who makes it too; none when it has ended.
    pub fn pen(&self) -> Option<Pen> {
        let going_on = lock(&self.shared.state).ended.is_none();
        going_on.then(|| Pen::new(&self.shared))
    }

    pub fn is_abandoned(&self) -> bool {
        matches!(lock(&self.shared.state).ended, Some(Part::Abandoned))
    }
}

impl Pen {
    fn new(shared: &Arc<Shared>) -> Pen {
        lock(&shared.state).pens += 1;
        Pen(shared.clone())
    }

    /// Adds segments whose bytes differ from those of the frame before.
    pub fn add(&self, segments: &[Segment<Bytes>]) {
        lock(&self.0.state).segments.extend_from_slice(segments);
        self.0.grown.notify(usize::MAX);
    }

    pub fn end(self, frame: Frame) {
        self.0.finish(Part::Ended(frame));
    }
}

impl Shared {
    fn finish(&self, part: Part) {
        let mut state = lock(&self.state);
        if state.ended.is_none() {
            (state.segments, state.ended) = (Vec::new(), Some(part));
        }
        drop(state);
        self.grown.notify(usize::MAX);
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.pens -= 1;
        let last = state.pens == 0;
        drop(state);
        if last {
            self.0.finish(Part::Abandoned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segments::Coded;
    use smol::block_on;

    fn frame() -> Frame {
        let coded = Coded::whole(Bytes::from_static(b"x"), 4);
        Frame { epoch: 1, seq: 4, captured: Time::default(), error: Duration::ZERO, coded }
    }

    fn begin() -> (Pen, Draft) {
        Draft::begin(1, 4, Time::default(), Duration::ZERO, frame().coded.head)
    }

    fn places(part: Part) -> Vec<usize> {
        let Part::Segments(segments) = part else { panic!("{part:?}") };
        segments.iter().map(|s| s.0).collect()
    }

    #[test]
    fn each_reader_gets_what_is_new_to_it_and_then_the_whole() {
        let (pen, mut early) = begin();
        let mut late = early.clone();
        pen.add(&[(2, 4, Bytes::new())]);
        assert_eq!(places(block_on(early.grown())), [2]);
        pen.add(&[(0, 4, Bytes::new()), (1, 4, Bytes::new())]);
        assert_eq!(places(block_on(early.grown())), [0, 1]);
        assert_eq!(places(block_on(late.grown())), [2, 0, 1]);
        pen.end(frame());
        assert!(matches!(block_on(early.grown()), Part::Ended(_)));
        assert_eq!(block_on(late.frame()).map(|f| f.seq), Some(4));
    }

    #[test]
    fn a_reader_that_waits_is_woken_and_one_of_a_lost_frame_too() {
        let (pen, draft) = begin();
        let whole = std::thread::spawn({
            let draft = draft.clone();
            move || block_on(draft.frame())
        });
        pen.end(frame());
        assert!(whole.join().unwrap().is_some());
        let (pen, draft) = begin();
        drop(pen);
        assert!(block_on(draft.frame()).is_none());
    }

    #[test]
    fn a_frame_is_a_draft_that_has_ended() {
        assert!(block_on(Draft::from(frame()).frame()).is_some());
    }

    #[test]
    fn two_can_make_one_frame_and_it_is_abandoned_only_by_both() {
        let (pen, draft) = begin();
        let trace = draft.trace();
        let other = trace.pen().unwrap();
        drop(pen);
        assert!(!trace.is_abandoned());
        other.end(frame());
        assert!(trace.pen().is_none());
        assert!(block_on(draft.clone().frame()).is_some());
        assert!(!trace.settled.said());
        drop(draft);
        assert!(trace.settled.said(), "nobody has it any more");
    }
}
