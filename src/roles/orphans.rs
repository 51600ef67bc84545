//! With every-frame: what guests that left had not acknowledged, kept for those that come in their places.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use event_listener::{Event, listener};
use smol::future::or;

use crate::alarm::Alarm;
use crate::clock;
use crate::lock::lock;
use crate::publish::Feed;

#[derive(Default)]
pub struct Orphans {
    state: Mutex<State>,
    changed: Event,
}

/// A member that comes where all places are taken comes for one that is dead, which shows within this; the peer hears
/// nothing from here meanwhile, and would take us for dead after more.
const DEAD: Duration = Duration::from_secs(7);

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
    /// A guest comes; it gets what was left by one of its kind. It `waits` where that is still to be left.
    pub async fn adopt(&self, member: bool, waits: bool) -> Option<Feed> {
        let (due, mut alarm) = (clock::now() + DEAD, Alarm::default());
        loop {
            listener!(self.changed => changed);
            let adopted = lock(&self.state).adopt(member, waits && clock::now() < due);
            match adopted {
                Some(feed) => return feed,
                None => or(changed, alarm.until(Some(due))).await,
            }
        }
    }

    /// A guest leaves, and what it had not acknowledged, if that is to be kept.
    pub fn left(&self, member: bool, feed: Option<Feed>) {
        let mut state = lock(&self.state);
        state.members -= usize::from(member);
        state.feeds.extend(feed.map(|feed| (member, feed)));
        state.forget();
        drop(state);
        self.changed.notify(usize::MAX);
    }

    /// A coordinator says how many members there shall be.
    pub fn expect(&self, heirs: usize) {
        let mut state = lock(&self.state);
        state.heirs = Some(heirs);
        state.forget();
        drop(state);
        self.changed.notify(usize::MAX);
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.state).feeds.is_empty()
    }
}

impl State {
    /// What a guest gets, or none while a place is waited for.
    fn adopt(&mut self, member: bool, waits: bool) -> Option<Option<Feed>> {
        let found = self.feeds.iter().position(|(of, _)| *of == member);
        let full = member && self.heirs.is_some_and(|heirs| self.members >= heirs);
        if found.is_none() && full && waits {
            return None;
        }
        self.members += usize::from(member);
        Some(found.and_then(|place| self.feeds.remove(place)).map(|(_, feed)| feed))
    }

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

    fn adopt(orphans: &Orphans, member: bool) -> Option<Feed> {
        smol::block_on(orphans.adopt(member, true))
    }

    #[test]
    fn without_a_coordinator_all_is_kept_for_the_next() {
        let orphans = Orphans::default();
        assert!(adopt(&orphans, false).is_none());
        orphans.left(false, feed());
        assert!(adopt(&orphans, true).is_none(), "of another kind");
        assert!(adopt(&orphans, false).is_some() && orphans.is_empty());
    }

    #[test]
    fn no_more_is_kept_than_there_are_heirs() {
        let orphans = Orphans::default();
        orphans.expect(1);
        assert!(adopt(&orphans, true).is_none());
        assert!(adopt(&orphans, false).is_none());
        orphans.left(false, feed());
        assert!(orphans.is_empty(), "onlookers have no heirs");
        orphans.left(true, feed());
        assert!(!orphans.is_empty());
        orphans.expect(0);
        assert!(orphans.is_empty(), "the last of a chain has none");
        orphans.expect(2);
        adopt(&orphans, true);
        adopt(&orphans, true);
        orphans.expect(1);
        orphans.left(true, feed());
        assert!(orphans.is_empty(), "the heir is there already");
    }

    #[test]
    fn who_comes_before_the_dead_have_left_gets_what_they_leave() {
        let orphans = Orphans::default();
        orphans.expect(1);
        adopt(&orphans, true);
        let mut second = std::pin::pin!(orphans.adopt(true, true));
        assert!(smol::block_on(smol::future::poll_once(&mut second)).is_none(), "the first may be dead");
        orphans.left(true, feed());
        assert!(smol::block_on(second).is_some());
    }
}
