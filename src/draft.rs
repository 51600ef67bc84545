//! A frame in the making: first what it is, then its segments as they are coded or arrive, at last the whole. What can
//! begin early (a link, a decoder, a relay) follows the segments; everything else waits for the frame.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_listener::Event;

use crate::clock::{self, Time};
use crate::fanout::{CROWD, Fanout};
use crate::frame::Frame;
use crate::lock::lock;
use crate::runs::Lot;
use crate::segments::Head;
use crate::stop::Stop;
use crate::until::until;

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
pub struct Pen {
    shared: Arc<Shared>,
    /// What readers do not have yet, who they are, and how many.
    held: Option<(Arc<Fanout<Draft>>, Draft, usize)>,
    /// Of that: what a crowd gets with the rest, unless that takes long.
    lots: Vec<Lot>,
}

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
}

/// Readers hear of a draft's growth this often for each of them, and not oftener than `LEAST`: one takes some ten
/// microseconds to wake and to write, so that no more than a tenth of a core goes into telling them early. They hear of what
/// comes first at once, unless they are a crowd, which does not even get the draft before.
const BEAT: Duration = Duration::from_micros(200);
const LEAST: Duration = Duration::from_millis(1);

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
        until(&shared.grown, || self.take()).await
    }

    /// The same if there is something now.
    pub fn take(&mut self) -> Option<Part> {
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

    /// The whole frame, if it is there now.
    pub fn whole(&self) -> Option<Frame> {
        match &lock(&self.shared.state).ended {
            Some(Part::Ended(frame)) => Some(frame.clone()),
            _ => None,
        }
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
        Pen { shared: shared.clone(), held: None, lots: Vec::new() }
    }

    /// Gives readers the draft; a crowd gets it when there is something to do with it.
    pub fn give(&mut self, readers: &Arc<Fanout<Draft>>, draft: Draft) {
        let count = readers.about();
        self.held = Some((readers.clone(), draft, count));
        if count <= CROWD {
            self.hand_out();
        }
    }

    fn hand_out(&mut self) {
        if let Some((readers, draft, _)) = self.held.take() {
            readers.put(draft);
        }
    }

    /// Adds segments whose bytes differ from those of the frame before.
    pub fn add(&mut self, lots: Vec<Lot>) {
        let now = clock::now();
        let held = self.held.as_ref().map(|(.., count)| *count);
        let readers = held.unwrap_or_else(|| Arc::strong_count(&self.shared)); // and pens, which are few
        let crowd = readers > CROWD;
        let mut state = lock(&self.shared.state);
        let first = state.lots.is_empty() && !crowd;
        self.lots.extend(lots);
        let told = first || now.since(state.told) >= (BEAT * readers as u32).max(LEAST);
        if told || !crowd {
            state.lots.append(&mut self.lots);
        }
        if told {
            state.told = now;
            drop(state);
            self.shared.grown.notify(usize::MAX);
            self.hand_out();
        }
    }

    /// Ends the frame.
    pub fn end(mut self, frame: Frame) {
        self.shared.finish(Part::Ended(frame));
        self.hand_out();
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
        let mut state = lock(&self.shared.state);
        state.pens -= 1;
        let last = state.pens == 0;
        drop(state);
        match last {
            true => self.shared.finish(Part::Abandoned),
            false => self.hand_out(), // another goes on with it
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latest::Latest;
    use crate::runs;
    use crate::segments::Coded;
    use bytes::Bytes;
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
        let (mut pen, mut early) = begin();
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
    fn a_crowd_gets_a_draft_when_there_is_something_to_do_with_it_and_others_at_once() {
        for (count, early) in [(CROWD, true), (CROWD + 1, false)] {
            let readers = Arc::new(Fanout::new(false));
            let mut latest: Vec<_> = (0..count).map(|_| readers.subscribe()).collect();
            readers.put(begin().1);
            assert!(latest[0].try_next().is_some());
            let (mut pen, draft) = begin();
            pen.give(&readers, draft);
            pen.add(lots(&[2]));
            assert!(early || latest[0].try_next().is_none());
            pen.end(frame());
            assert!(latest.iter_mut().all(|reader| reader.try_next().is_some_and(|draft| draft.has_ended())));
            let missed: u64 = latest.iter_mut().map(Latest::missed).sum();
            assert_eq!(missed, count as u64 - 1, "all but one had not taken the first");
        }
    }

    #[test]
    fn a_crowd_gets_what_one_of_two_has_begun_and_the_other_ends() {
        let readers = Arc::new(Fanout::new(false));
        let mut latest: Vec<_> = (0..=CROWD).map(|_| readers.subscribe()).collect();
        let (mut pen, draft) = begin();
        let other = draft.trace().pen().unwrap();
        pen.give(&readers, draft);
        drop(pen);
        other.end(frame());
        assert!(latest[0].try_next().is_some_and(|draft| draft.has_ended()));
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
