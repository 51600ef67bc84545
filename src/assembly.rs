//! The receiving end of a link puts frames together: the standing one, and over it the segments that came. The highest
//! version of each wins, so late and doubled ones do no harm.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;

use crate::frame::{BYTES_MAX, Frame};
use crate::message::{Begin, Runs};
use crate::runs;
use crate::segments::{Form, Head, SEGMENTS_MAX, Segment, splice};

#[derive(Debug, Default)]
pub struct Assembly {
    standing: Option<Frame>,
    begun: Option<(Begin, Arc<Head>)>,
    /// What came and is in no frame yet.
    news: BTreeMap<usize, (u64, Bytes)>,
    /// Memory that the news hold on to: the whole messages that they came in.
    held: usize,
}

impl Assembly {
    /// A frame begins. Of one that was not ended the segments stay.
    pub fn begin(&mut self, mut begin: Begin) -> Result<()> {
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
            (self.standing, self.news) = (None, BTreeMap::new());
        }
        self.begun = Some((begin, head));
        Ok(())
    }

    /// Segments came. Those of another header are too late to be of use.
    pub fn runs(&mut self, came: Runs) -> Result<()> {
        let Some((begin, head)) = &self.begun else { return Ok(()) };
        if (came.epoch, came.since) != (begin.epoch, head.since) {
            return Ok(());
        }
        self.held += came.body.len();
        ensure!(self.held <= 2 * BYTES_MAX, "a frame of more than {} bytes", 2 * BYTES_MAX);
        for (index, version, bytes) in runs::decode(came.body)? {
            ensure!(index < head.count, "segment {index} of a frame of {}", head.count);
            if self.news.get(&index).is_none_or(|(other, _)| *other <= version) {
                self.news.insert(index, (version, bytes));
            }
        }
        Ok(())
    }

    /// A frame ends: it, if everything came that its sender's `state` tells of.
    pub fn end(&mut self, number: u64, state: u64) -> Result<Option<Frame>> {
        let Some((begin, head)) = self.begun.as_ref().filter(|(begin, _)| begin.number == number) else {
            return Ok(None);
        };
        let news: Vec<Segment<&Bytes>> = self.news.iter().map(|(&i, (version, bytes))| (i, *version, bytes)).collect();
        let filled = self.standing.is_some() || news.len() == head.count;
        let coded = filled.then(|| splice(self.standing.as_ref().map(|s| &s.coded), head, &news)).transpose()?;
        let Some(coded) = coded.filter(|coded| coded.state() == state) else {
            self.keep();
            return Ok(None);
        };
        let Begin { epoch, seq, captured, error, .. } = *begin;
        let frame = Frame { epoch, seq, captured, error, coded };
        self.standing = Some(frame.clone());
        (self.news, self.held) = (BTreeMap::new(), 0);
        Ok(Some(frame))
    }

    /// Copies what came out of its messages: what waits for longer must not hold on to more than itself.
    fn keep(&mut self) {
        self.news.values_mut().for_each(|(_, bytes)| *bytes = Bytes::copy_from_slice(bytes));
        self.held = self.news.values().map(|(_, bytes)| bytes.len()).sum();
    }
}
