//! What somebody has of a stream: the version of each segment under one header. By it a link knows what to send, and a
//! decoder what to decode.

use std::sync::Arc;

use crate::segments::{Coded, Head, Segment};

#[derive(Debug)]
pub struct Had {
    epoch: u64,
    head: Arc<Head>,
    /// Of each segment one more than its version; 0 for those that are not there. Of a crowd those who have the same share it.
    next: Arc<[u64]>,
}

impl Had {
    /// Nothing yet of what comes under this header.
    pub fn nothing(epoch: u64, head: Arc<Head>) -> Had {
        Had { epoch, next: vec![0; head.count].into(), head }
    }

    /// Whether a frame of this epoch and header can stand on what is had.
    pub fn fits(&self, epoch: u64, head: &Head) -> bool {
        self.epoch == epoch && *self.head == *head
    }

    /// The places of a picture's segments that are newer than what is had; from now on they are had.
    pub fn take_all(&mut self, coded: &Coded) -> Vec<usize> {
        let mut places = Vec::with_capacity(coded.head.count);
        places.extend((0..coded.head.count).filter(|&i| self.next[i] <= coded.versions[i]));
        Arc::make_mut(&mut self.next)
            .iter_mut()
            .zip(&*coded.versions)
            .for_each(|(next, version)| *next = (*next).max(version + 1));
        places
    }

    /// What is had, for others to have the same.
    pub fn versions(&self) -> &Arc<[u64]> {
        &self.next
    }

    /// Has what another has, of the same frames.
    pub fn share(&mut self, versions: &Arc<[u64]>) {
        self.next = versions.clone();
    }

    /// What was thought to be had of these places and versions, and is not.
    pub fn lose(&mut self, lost: &[(usize, u64)]) {
        if lost.is_empty() {
            return;
        }
        let next = Arc::make_mut(&mut self.next);
        for (place, version) in lost {
            if let Some(next) = next.get_mut(*place).filter(|next| **next == version + 1) {
                *next = 0;
            }
        }
    }

    /// Whether all of these segments, each place once, are newer than what is had; then they are had from now on.
    pub fn take_whole<B>(&mut self, segments: &[Segment<B>]) -> bool {
        let lacked = |(place, version, _): &Segment<B>| self.next.get(*place).is_some_and(|next| next <= version);
        let all = segments.iter().all(lacked);
        if all {
            let next = Arc::make_mut(&mut self.next);
            segments.iter().for_each(|(place, version, _)| next[*place] = version + 1);
        }
        all
    }

    /// Of these segments the ones that are newer than what is had, in order of their places; from now on they are had.
    pub fn take<B>(&mut self, mut segments: Vec<Segment<B>>) -> Vec<Segment<B>> {
        segments.sort_by_key(|(place, version, _)| (*place, std::cmp::Reverse(*version)));
        let next = Arc::make_mut(&mut self.next);
        segments.retain(|(place, version, _)| match next.get_mut(*place) {
            Some(next) if *next <= *version => {
                *next = version + 1;
                true
            }
            _ => false,
        });
        segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segments::{Form, splice};
    use bytes::Bytes;

    fn head() -> Arc<Head> {
        Head { form: Form::Tiles, since: 0, header: Bytes::from_static(b"head"), count: 3 }.into()
    }

    fn picture(versions: [u64; 3]) -> Coded {
        let news: Vec<_> = versions.iter().enumerate().map(|(i, &version)| (i, version, b"x")).collect();
        splice(None, &head(), &news).unwrap()
    }

    #[test]
    fn only_what_is_newer_is_lacked_and_only_once() {
        let mut had = Had::nothing(1, head());
        assert!(had.fits(1, &head()) && !had.fits(2, &head()));
        assert_eq!(had.take_all(&picture([0, 0, 0])), [0, 1, 2]);
        assert!(had.take_all(&picture([0, 0, 0])).is_empty());
        assert_eq!(had.take(vec![(2, 5, ""), (0, 0, ""), (1, 4, "")]), [(1, 4, ""), (2, 5, "")]);
        assert_eq!(had.take_all(&picture([6, 4, 4])), [0]);
    }

    #[test]
    fn what_was_lost_is_lacked_again_unless_something_newer_is_had() {
        let mut had = Had::nothing(1, head());
        had.take_all(&picture([3, 3, 5]));
        had.lose(&[(0, 3), (2, 3), (9, 1)]);
        assert_eq!(had.take_all(&picture([3, 3, 5])), [0]);
    }

    #[test]
    fn what_is_lacked_as_a_whole_is_had_as_a_whole() {
        let mut had = Had::nothing(1, head());
        assert!(had.take_whole(&[(0, 1, ""), (1, 1, "")]));
        assert!(!had.take_whole(&[(1, 1, ""), (2, 1, "")]) && !had.take_whole(&[(3, 1, "")]));
        assert_eq!(had.take(vec![(1, 1, ""), (2, 1, "")]), [(2, 1, "")]);
    }

    #[test]
    fn of_doubled_segments_the_newest_counts_and_places_beyond_the_end_do_not() {
        let mut had = Had::nothing(1, head());
        assert_eq!(had.take(vec![(0, 1, "a"), (9, 1, "b"), (0, 2, "c")]), [(0, 2, "c")]);
    }
}
