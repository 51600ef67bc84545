//! With every-frame: what guests that left had not acknowledged, kept for those that come in their places.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::lock::lock;
use crate::publish::Feed;

#[derive(Default)]
pub struct Orphans(Mutex<State>);

#[derive(Default)]
struct State {
    feeds: VecDeque<(bool, Feed)>,
    /// Guests that are members of a coordinator's network.
    members: usize,
    /// How many of these there shall be, where a coordinator says it: nothing is kept for others, since nobody may come
    /// for it, and the source would wait for ever.
    heirs: Option<usize>,
}

impl Orphans {
    /// A guest comes; it gets what was left by one of its kind.
    pub fn adopt(&self, member: bool) -> Option<Feed> {
        let mut state = lock(&self.0);
        state.members += usize::from(member);
        let found = state.feeds.iter().position(|(of, _)| *of == member);
        found.and_then(|place| state.feeds.remove(place)).map(|(_, feed)| feed)
    }

    /// A guest leaves, and what it had not acknowledged, if that is to be kept.
    pub fn left(&self, member: bool, feed: Option<Feed>) {
        let mut state = lock(&self.0);
        state.members -= usize::from(member);
        state.feeds.extend(feed.map(|feed| (member, feed)));
        state.forget();
    }

    /// A coordinator says how many members there shall be.
    pub fn expect(&self, heirs: usize) {
        let mut state = lock(&self.0);
        state.heirs = Some(heirs);
        state.forget();
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.0).feeds.is_empty()
    }
}

impl State {
    fn forget(&mut self) {
        let Some(heirs) = self.heirs else { return };
        self.feeds.retain(|(member, _)| *member);
        let keep = heirs.saturating_sub(self.members);
        self.feeds.drain(..self.feeds.len().saturating_sub(keep));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latest::latest;
    use crate::path::{Hop, Path};

    fn feed() -> Option<Feed> {
        let path = Path::new(Hop::default()).into();
        let (limits, over) = Default::default();
        Some(Feed { frames: latest().1, held: VecDeque::new(), every: true, limits, over, path, talk: None })
    }

    #[test]
    fn without_a_coordinator_all_is_kept_for_the_next() {
        let orphans = Orphans::default();
        assert!(orphans.adopt(false).is_none());
        orphans.left(false, feed());
        assert!(orphans.adopt(true).is_none(), "of another kind");
        assert!(orphans.adopt(false).is_some() && orphans.is_empty());
    }

    #[test]
    fn no_more_is_kept_than_there_are_heirs() {
        let orphans = Orphans::default();
        orphans.expect(1);
        orphans.adopt(true);
        orphans.adopt(false);
        orphans.left(false, feed());
        assert!(orphans.is_empty(), "onlookers have no heirs");
        orphans.left(true, feed());
        assert!(!orphans.is_empty());
        orphans.expect(0);
        assert!(orphans.is_empty(), "the last of a chain has none");
        orphans.expect(1);
        orphans.adopt(true);
        orphans.adopt(true);
        orphans.left(true, feed());
        assert!(orphans.is_empty(), "the heir is there already");
    }
}
