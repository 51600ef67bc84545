//! A frame on its way: its parts and their parities, and what became of each.

use bytes::Bytes;

use crate::clock::Time;
use crate::datagrams::cut::Cut;
use crate::datagrams::packet::{Parity, Part, Record};

/// Where a part or parity belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) frame: u64,
    pub(super) shard: Shard,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shard {
    Part(usize),
    /// Block and index.
    Parity(usize, usize),
}

#[derive(Debug)]
pub(super) struct Frame {
    /// Our own, also of frames that were abandoned; and the link's.
    pub(super) number: u64,
    pub(super) link_number: u64,
    /// When its first datagram left.
    pub(super) left: Option<Time>,
    /// The header that it stands under, and whether that crosses with it.
    pub(super) under: (u64, u64),
    pub(super) carries_header: bool,
    pub(super) ended: bool,
    pub(super) parts: Vec<(Cut, State)>,
    pub(super) blocks: Vec<Block>,
    pub(super) bytes: usize,
    /// What arrived of it was given up too.
    pub(super) taken_back: bool,
}

#[derive(Debug)]
pub(super) struct Block {
    pub(super) first: usize,
    pub(super) parts: usize,
    pub(super) size: usize,
    pub(super) parities: Vec<(Bytes, State)>,
    pub(super) settled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Queued { again: bool },
    Flying { again: bool },
    Arrived { again: bool },
    Lost,
}

impl Frame {
    pub(super) fn state(&mut self, shard: Shard) -> Option<&mut State> {
        match shard {
            Shard::Part(index) => self.parts.get_mut(index).map(|(_, state)| state),
            Shard::Parity(block, index) => self.blocks.get_mut(block)?.parities.get_mut(index).map(|(_, state)| state),
        }
    }

    pub(super) fn record(&self, place: Place) -> Option<Record> {
        Some(match place.shard {
            Shard::Part(index) => {
                let (cut, state) = self.parts.get(index)?;
                let again = *state == State::Queued { again: true };
                let (frame, bytes) = (self.number, cut.bytes.clone());
                Record::Part(Part { frame, index: index as u64, last: cut.last, again, bytes })
            }
            Shard::Parity(at, index) => {
                let block = self.blocks.get(at)?;
                let last = self.ended && at + 1 == self.blocks.len();
                let (frame, first, of) = (self.number, block.first as u64, block.size);
                let bytes = block.parities.get(index)?.0.clone();
                Record::Parity(Parity { frame, first, parts: block.parts, index, of, last, bytes })
            }
        })
    }

    /// How many more shards the far side needs to have all of a block; none while that is not known.
    pub(super) fn deficit(&self, index: usize) -> Option<usize> {
        let block = self.blocks.get(index).filter(|block| !block.settled)?;
        let mut arrived = 0;
        let shards = self.parts[block.first..block.first + block.parts].iter().map(|(_, state)| state);
        for state in shards.chain(block.parities.iter().map(|(_, state)| state)) {
            match state {
                State::Queued { .. } | State::Flying { .. } => return None,
                State::Arrived { .. } => arrived += 1,
                State::Lost => {}
            }
        }
        Some(block.parts.saturating_sub(arrived))
    }

    pub(super) fn lacks(&self, block: &Block) -> bool {
        let came = |state: &State| matches!(state, State::Arrived { .. });
        let parts = self.parts[block.first..block.first + block.parts].iter().filter(|(_, state)| came(state));
        parts.count() + block.parities.iter().filter(|(_, state)| came(state)).count() < block.parts
    }

    /// The part of it that is known to have arrived when it was sent first, as far as it was needed.
    pub(super) fn passed(&self) -> f64 {
        let parts = self.parts.iter().map(|(_, state)| state);
        let parities = self.blocks.iter().flat_map(|block| block.parities.iter().map(|(_, state)| state));
        let arrived = parts.chain(parities).filter(|state| **state == State::Arrived { again: false }).count();
        (arrived as f64 / self.parts.len().max(1) as f64).min(1.0)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.ended && self.blocks.iter().all(|block| block.settled)
    }
}
