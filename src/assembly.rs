//! The receiving end of a link puts frames together: the standing one, and over it the segments that came. The highest
//! version of each wins, so late and doubled ones do no harm.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;

use crate::frame::{BYTES_MAX, Frame};
use crate::message::{Begin, Runs};
use crate::runs::{self, Lot};
use crate::segments::{Form, Head, SEGMENTS_MAX, Segment, splice};

/// What a message takes besides its bytes and its segments.
const MESSAGE: usize = 128;

#[derive(Debug, Default)]
pub struct Assembly {
    standing: Option<Frame>,
    begun: Option<(Begin, Arc<Head>)>,
    /// What came and is in no frame yet; of each place in which of it and where there; and these places.
    came: Vec<Arc<[Segment<Bytes>]>>,
    news: Vec<Option<(usize, usize)>>,
    fresh: Vec<usize>,
    /// Memory that they hold on to: the whole messages that they came in.
    held: usize,
    /// Where a lossy link left something older standing than the frame has.
    stale: BTreeSet<usize>,
}

impl Assembly {
    /// A frame begins, under this header. Of one that was not ended the segments stay.
    pub fn begin(&mut self, mut begin: Begin) -> Result<Arc<Head>> {
        let before = self.begun.take().filter(|(before, _)| before.epoch == begin.epoch);
        let head = match begin.head.take() {
            Some(head) => {
                let most = if head.form == Form::Whole { 1 } else { SEGMENTS_MAX };
                ensure!((1..=most).contains(&head.count), "a frame of {} segments", head.count);
                Arc::new(head)
            }
            None => before.as_ref().map(|(_, head)| head.clone()).context("a frame without a header")?,
        };
        if before.is_none_or(|(_, had)| had != head) {
            (self.standing, self.stale) = (None, BTreeSet::new());
            (self.came, self.fresh, self.held) = Default::default();
            self.news = vec![None; head.count];
        }
        self.begun = Some((begin, head.clone()));
        Ok(head)
    }

    /// Segments came: those that are of use, as they came if all are. Those of another header are too late.
    pub fn runs(&mut self, came: Runs) -> Result<Vec<Lot>> {
        let Some((begin, head)) = &self.begun else { return Ok(Vec::new()) };
        if (came.epoch, came.since) != (begin.epoch, head.since) {
            return Ok(Vec::new());
        }
        let body = came.body;
        let mut segments = runs::decode(body.clone())?;
        let all = segments.len();
        if all == 0 {
            return Ok(Vec::new());
        }
        self.held += MESSAGE + body.len() + all * size_of::<Segment<Bytes>>();
        ensure!(self.held <= 2 * BYTES_MAX, "a frame of more than {} bytes", 2 * BYTES_MAX);
        if let Some((index, _, _)) = segments.iter().find(|segment| segment.0 >= head.count) {
            bail!("segment {index} of a frame of {}", head.count);
        }
        let had = |place: usize| self.news[place].map(|(lot, at)| self.came[lot][at].1);
        segments.retain(|(place, version, _)| had(*place).is_none_or(|had| had <= *version));
        let lots = match segments.len() == all {
            true => vec![Lot { segments: segments.into(), body }],
            false => runs::lots(segments),
        };
        for lot in &lots {
            for (at, (place, ..)) in lot.segments.iter().enumerate() {
                if self.news[*place].replace((self.came.len(), at)).is_none() {
                    self.fresh.push(*place);
                }
            }
            self.came.push(lot.segments.clone());
        }
        Ok(lots)
    }

    /// A frame ends: it, if everything came that its sender's `state` tells of.
    pub fn end(&mut self, number: u64, state: u64) -> Result<Option<Frame>> {
        let Some((frame, true)) = self.spliced(number, state)? else {
            self.keep();
            return Ok(None);
        };
        self.stale.clear();
        Ok(Some(self.stand(frame)))
    }

    /// A frame of a lossy link ends that changed these places: it, and how many of its segments are older than they
    /// should be. None before there is something of every segment.
    pub fn end_with_holes(
        &mut self,
        number: u64,
        state: u64,
        changed: &[Range<usize>],
    ) -> Result<Option<(Frame, usize)>> {
        let lacks = |place: &usize| self.news.get(*place).is_none_or(Option::is_none);
        self.stale.retain(lacks);
        self.stale.extend(changed.iter().cloned().flatten().filter(|place| *place < SEGMENTS_MAX).filter(lacks));
        let Some((frame, exact)) = self.spliced(number, state)? else {
            self.keep();
            return Ok(None);
        };
        if exact {
            self.stale.clear();
        }
        // What changed these, if nobody told, was a frame of which nothing came at all.
        let stale = self.stale.len().max(usize::from(!exact)).min(frame.coded.head.count);
        Ok(Some((self.stand(frame), stale)))
    }

    /// The standing frame with the news, and whether its versions are those that its sender tells of.
    fn spliced(&mut self, number: u64, state: u64) -> Result<Option<(Frame, bool)>> {
        let Some((begin, head)) = self.begun.as_ref().filter(|(begin, _)| begin.number == number) else {
            return Ok(None);
        };
        self.fresh.sort_unstable();
        let news: Vec<Segment<&Bytes>> = self.newest().collect();
        let filled = self.standing.is_some() || news.len() == head.count;
        let coded = filled.then(|| splice(self.standing.as_ref().map(|s| &s.coded), head, &news)).transpose()?;
        let Begin { epoch, seq, captured, error, .. } = *begin;
        Ok(coded.map(|coded| {
            let exact = coded.state() == state;
            (Frame { epoch, seq, captured, error, coded }, exact)
        }))
    }

    fn stand(&mut self, frame: Frame) -> Frame {
        self.standing = Some(frame.clone());
        self.fresh.drain(..).for_each(|place| self.news[place] = None);
        self.came.clear();
        self.held = 0;
        frame
    }

    /// Copies what came out of its messages: what waits for longer must not hold on to more than itself.
    fn keep(&mut self) {
        let copied: Arc<[Segment<Bytes>]> =
            self.newest().map(|(place, version, bytes)| (place, version, Bytes::copy_from_slice(bytes))).collect();
        copied.iter().enumerate().for_each(|(at, (place, ..))| self.news[*place] = Some((0, at)));
        self.held = copied.iter().map(|(.., bytes)| bytes.len()).sum();
        self.came = vec![copied];
    }

    /// What came of the fresh places.
    fn newest(&self) -> impl Iterator<Item = Segment<&Bytes>> {
        let at = |(lot, at): (usize, usize)| {
            let (place, version, bytes) = &self.came[lot][at];
            (*place, *version, bytes)
        };
        self.fresh.iter().filter_map(move |place| self.news[*place].map(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use std::time::Duration;

    #[test]
    fn what_comes_again_and_again_is_bounded() {
        let mut assembly = Assembly::default();
        let head = Head { form: Form::Tiles, since: 0, header: Bytes::new(), count: 2 };
        let (number, captured, error) = (0, Time::default(), Duration::ZERO);
        assembly.begin(Begin { number, epoch: 1, seq: 0, captured, error, head: Some(head) }).unwrap();
        let runs = |body: Vec<u8>| Runs { epoch: 1, since: 0, body: body.into() };
        for _ in 0..1000 {
            assert!(assembly.runs(runs(Vec::new())).unwrap().is_empty());
        }
        assert!(assembly.came.is_empty());
        let small = runs::encode_segments(&[(0, 7, b"x")]);
        let most = 2 * BYTES_MAX / (MESSAGE + size_of::<Segment<Bytes>>());
        let came = (0..=most).take_while(|_| assembly.runs(runs(small.clone())).is_ok()).count();
        assert!((1000..most).contains(&came), "{came}");
        assembly.keep();
        assert_eq!((assembly.came.len(), assembly.held), (1, 1), "what is kept is copied out");
        assembly.runs(runs(runs::encode_segments(&[(0, 6, b"o"), (1, 6, b"n")]))).unwrap();
        let (frame, exact) = assembly.spliced(number, 0).unwrap().unwrap();
        assert!(!exact && frame.coded.segment(0) == b"x" && frame.coded.segment(1) == b"n");
    }
}
