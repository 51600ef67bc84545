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

#[derive(Debug, Default)]
pub struct Assembly {
    standing: Option<Frame>,
    begun: Option<(Begin, Arc<Head>)>,
    /// What came and is in no frame yet, at its place; and these places.
    news: Vec<Option<(u64, Bytes)>>,
    fresh: Vec<usize>,
    /// Memory that the news hold on to: the whole messages that they came in.
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
            (self.news, self.fresh, self.held) = (vec![None; head.count], Vec::new(), 0);
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
        self.held += came.body.len();
        ensure!(self.held <= 2 * BYTES_MAX, "a frame of more than {} bytes", 2 * BYTES_MAX);
        let body = came.body;
        let mut segments = runs::decode(body.clone())?;
        let all = segments.len();
        if let Some((index, _, _)) = segments.iter().find(|segment| segment.0 >= head.count) {
            bail!("segment {index} of a frame of {}", head.count);
        }
        segments.retain(|(index, version, bytes)| {
            let news = &mut self.news[*index];
            let newer = news.as_ref().is_none_or(|(other, _)| other <= version);
            if newer && news.replace((*version, bytes.clone())).is_none() {
                self.fresh.push(*index);
            }
            newer
        });
        Ok(match segments.len() == all {
            true => vec![Lot { segments: segments.into(), body }],
            false => runs::lots(segments),
        })
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
        let news =
            self.fresh.iter().filter_map(|&i| self.news[i].as_ref().map(|(version, bytes)| (i, *version, bytes)));
        let news: Vec<Segment<&Bytes>> = news.collect();
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
        self.held = 0;
        frame
    }

    /// Copies what came out of its messages: what waits for longer must not hold on to more than itself.
    fn keep(&mut self) {
        self.news.iter_mut().flatten().for_each(|(_, bytes)| *bytes = Bytes::copy_from_slice(bytes));
        self.held = self.news.iter().flatten().map(|(_, bytes)| bytes.len()).sum();
    }
}
