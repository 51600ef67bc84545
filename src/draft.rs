//! A frame in the making: first what it is, then its segments as they are coded or arrive, at last the whole. What can
//! begin early (a link, a decoder, a relay) follows the segments; everything else waits for the frame.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use event_listener::{Event, listener};

use crate::clock::{self, Time};
use crate::frame::Frame;
use crate::lock::lock;
use crate::runs::{self, Lot};
use crate::segments::Head;
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
    /// Lots that this reader has had.
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
    lots: Vec<Lot>,
    ended: Option<Part>,
    pens: usize,
    /// When readers were last told that it begins or grows.
    told: Time,
    /// What some lack at the end: the places, and their form on the wire.
    rests: Vec<(Vec<usize>, Arc<[Bytes]>)>,
}

/// Readers hear of a draft's growth this often for each of them, and not oftener than `LEAST`: one takes some ten
/// microseconds to wake and to write, so that no more than a fifth of a core goes into telling them early. They hear of what
/// comes first at once, unless they are a crowd, which has the beginning to do with then.
const BEAT: Duration = Duration::from_micros(50);
const LEAST: Duration = Duration::from_micros(500);
const CROWD: usize = 16;
/// Different rests that are kept: links that are up to date lack the same, and those that leave out a frame now and then.
const RESTS: usize = 4;

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
    /// In no order, but each segment as it stands in the frame at its end.
    Lots(Vec<Lot>),
    Ended(Frame),
    /// Its source, or the link that it came by, broke off.
    Abandoned,
}

impl Draft {
    /// Begins what will be `frame` under this head: the fields of the frame are known but for its bytes.
    pub fn begin(epoch: u64, seq: u64, captured: Time, error: Duration, head: Arc<Head>) -> (Pen, Draft) {
        let state = State { told: clock::now(), ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), grown: Event::new() });
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
        let read = std::mem::replace(&mut self.read, state.lots.len());
        match (&state.ended, &state.lots[read..]) {
            (Some(Part::Abandoned), _) => Some(Part::Abandoned),
            (ended, []) => ended.clone(),
            (_, new) => Some(Part::Lots(new.to_vec())),
        }
    }

    /// Whether it grows no more.
    pub fn has_ended(&self) -> bool {
        lock(&self.shared.state).ended.is_some()
    }

    /// What somebody lacks at the end, in its form on the wire: made once for all who lack the same.
    pub fn rest(&self, frame: &Frame, places: Vec<usize>) -> Arc<[Bytes]> {
        let mut state = lock(&self.shared.state);
        if let Some((_, rest)) = state.rests.iter().find(|(other, _)| *other == places) {
            return rest.clone();
        }
        let rest: Arc<[Bytes]> = runs::bodies(&frame.coded.at(&places)).into();
        if state.rests.len() < RESTS {
            state.rests.push((places, rest.clone()));
        }
        rest
    }

    /// The whole frame; none if it is abandoned.
    pub async fn frame(mut self) -> Option<Frame> {
        loop {
            match self.grown().await {
                Part::Lots(_) => {}
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
    pub fn add(&self, lots: Vec<Lot>) {
        let now = clock::now();
        let readers = Arc::strong_count(&self.0); // and pens, which are few
        let mut state = lock(&self.0.state);
        let first = state.lots.is_empty() && readers <= CROWD;
        state.lots.extend(lots);
        let beat = (BEAT * readers as u32).max(LEAST);
        if first || now.since(state.told) >= beat {
            state.told = now;
            drop(state);
            self.0.grown.notify(usize::MAX);
        }
    }

    pub fn end(self, frame: Frame) {
        self.0.finish(Part::Ended(frame));
    }
}

impl Shared {
    fn finish(&self, part: Part) {
        let mut state = lock(&self.state);
        if state.ended.is_none() {
            state.ended = Some(part);
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
        let Part::Lots(lots) = part else { panic!("{part:?}") };
        lots.iter().flat_map(|lot| lot.segments.iter().map(|s| s.0)).collect()
    }

    fn lots(places: &[usize]) -> Vec<Lot> {
        runs::lots(places.iter().map(|place| (*place, 4, Bytes::new())).collect())
    }

    #[test]
    fn each_reader_gets_what_is_new_to_it_and_then_the_whole() {
        let (pen, mut early) = begin();
        let mut late = early.clone();
        pen.add(lots(&[2]));
        assert_eq!(places(block_on(early.grown())), [2]);
        pen.add(lots(&[1, 0]));
        assert_eq!(places(block_on(early.grown())), [0, 1]);
        assert_eq!(places(block_on(late.grown())), [2, 0, 1]);
        let mut later = late.clone();
        pen.add(lots(&[3]));
        pen.end(frame());
        assert_eq!(places(block_on(early.grown())), [3]);
        assert!(matches!(block_on(early.grown()), Part::Ended(_)));
        assert_eq!(places(block_on(later.grown())), [3]);
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
    fn who_lacks_the_same_gets_the_same_bytes() {
        let draft = Draft::from(frame());
        let first = draft.rest(&frame(), vec![0]);
        assert!(Arc::ptr_eq(&first, &draft.clone().rest(&frame(), vec![0])));
        assert_eq!(runs::decode(first[0].clone()).unwrap(), [(0, 4, Bytes::from_static(b"x"))]);
        assert!(draft.rest(&frame(), vec![]).is_empty());
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
