//! What stands in a datagram of a frame, and how it is read. A part is made of items: the frame's beginning, runs of whole
//! segments, pieces of a long one, and its end.

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes};
use smallvec::SmallVec;

use crate::clock::Time;
use crate::frame::BYTES_MAX;
use crate::message::{Begin, End};
use crate::runs::take;
use crate::segments::{Form, SEGMENTS_MAX};

/// What stands in a part.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    Begin(Start),
    /// Whole segments, in the form of `runs.rs`.
    Runs(Bytes),
    Piece(Piece),
    End(End),
    /// Places that the frame changes, as gaps and lengths.
    Changed(Bytes),
}

/// A frame's beginning without the bytes of its header, which cross as pieces of place `count`.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    pub begin: Begin,
    pub since: u64,
    /// Form and segments, where the header crosses with this frame.
    pub head: Option<(Form, usize)>,
}

/// A piece of a segment that is longer than a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub place: usize,
    pub version: u64,
    /// Bytes of the whole segment, and where these belong.
    pub whole: usize,
    pub offset: usize,
    pub bytes: Bytes,
}

/// An item's first byte.
pub(super) mod kind {
    pub const BEGIN: u8 = 0;
    pub const RUNS: u8 = 1;
    pub const PIECE: u8 = 2;
    pub const END: u8 = 3;
    pub const CHANGED: u8 = 4;
}

/// The items of a part. Errors: anything that a `Cutter` does not write.
pub fn items(mut data: Bytes) -> Result<SmallVec<[Item; 4]>> {
    let mut items = SmallVec::new();
    while !data.is_empty() {
        let kind = data.get_u8();
        let length = take(&mut data)?;
        ensure!(length <= data.len() as u64, "an item is cut off");
        let mut body = data.split_to(length as usize);
        items.push(match kind {
            kind::BEGIN => Item::Begin(start(&mut body)?),
            kind::RUNS => Item::Runs(body),
            kind::PIECE => Item::Piece(piece(&mut body)?),
            kind::END => {
                ensure!(body.len() >= 16, "an end is cut off");
                Item::End(End { number: body.get_u64_le(), state: body.get_u64_le() })
            }
            kind::CHANGED => Item::Changed(body),
            _ => bail!("an item of unknown type {kind}"),
        });
    }
    Ok(items)
}

fn start(body: &mut Bytes) -> Result<Start> {
    ensure!(body.len() > 40, "a beginning is cut off");
    let (number, epoch, seq) = (body.get_u64_le(), body.get_u64_le(), body.get_u64_le());
    let (captured, since) = (Time::from_micros(body.get_i64_le()), body.get_u64_le());
    let error = std::time::Duration::from_micros(take(body)?);
    let head = if body.is_empty() {
        None
    } else {
        let form = Form::of(body.get_u8().into())?;
        let count = usize::try_from(take(body)?).ok().filter(|count| (1..=SEGMENTS_MAX).contains(count));
        Some((form, count.context("a frame of too many segments")?))
    };
    Ok(Start { begin: Begin { number, epoch, seq, captured, error, head: None }, since, head })
}

fn piece(body: &mut Bytes) -> Result<Piece> {
    let mut number = || take(body);
    let (place, version, whole, offset) = (number()?, number()?, number()?, number()?);
    ensure!(place <= SEGMENTS_MAX as u64, "a piece of segment {place}");
    ensure!(whole <= BYTES_MAX as u64, "a segment of {whole} bytes");
    ensure!(offset.saturating_add(body.len() as u64) <= whole, "a piece beyond its segment's end");
    let (place, whole, offset) = (place as usize, whole as usize, offset as usize);
    Ok(Piece { place, version, whole, offset, bytes: body.clone() })
}

/// The places that `Item::Changed` tells.
pub fn places(mut body: Bytes) -> Result<Vec<std::ops::Range<usize>>> {
    let (mut places, mut next) = (Vec::new(), 0usize);
    while !body.is_empty() {
        let (gap, length) = (take(&mut body)?, take(&mut body)?);
        let from = usize::try_from(gap).ok().and_then(|gap| next.checked_add(gap));
        let to = from.zip(usize::try_from(length).ok()).and_then(|(from, length)| from.checked_add(length));
        next = to.filter(|&to| to <= SEGMENTS_MAX).context("places beyond the largest frame's")?;
        places.push(from.unwrap_or_default()..next);
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rubbish_is_an_error_and_no_panic(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            for item in items(data.into()).unwrap_or_default() {
                if let Item::Changed(body) = item {
                    let _ = places(body);
                }
            }
        }
    }
}
