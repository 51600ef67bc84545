//! The only queue that drops: one slot, the newest wins. The bridge between threads and tasks too.
//!
//! A reader says that it wants a value by asking for one (`next`), and the writer can see that: nothing is captured,
//! encoded or copied for a reader that is still busy with the last one.

use std::sync::{Arc, Mutex, MutexGuard, Weak};

use event_listener::Event;

use crate::fanout::CROWD;
use crate::lock::lock;
use crate::until::until;

/// The reading end. Dropping it closes the slot.
#[derive(Debug)]
pub struct Latest<T> {
    slot: Arc<Slot<T>>,
}

/// The writing end. Dropping it closes the slot, and the reader still gets what is in it.
#[derive(Debug)]
pub struct Writer<T> {
    slot: Arc<Slot<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    state: Mutex<State<T>>,
    /// Tells the reader of a value or of the end.
    filled: Event,
    /// Tells writers that the reader waits or left; one bell for all slots of a fan-out.
    wanted: Arc<Event>,
}

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    /// The reader asked and has nothing to do until it is answered.
    waiting: bool,
    /// Takes values for it meanwhile.
    hand: Option<Weak<dyn Hand<T>>>,
    closed: bool,
    /// Values that were replaced before they were read.
    missed: u64,
}

/// What takes a value for a reader that waits, where it is put: in a crowd, to wake each costs more than what it does then.
pub trait Hand<T>: Send + Sync {
    /// With the slot locked.
    fn take(&self, value: &T) -> Grip;
}

/// What became of a value that a hand was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grip {
    /// The reader waits for the next.
    Taken,
    /// The reader has something else to do, and knows it.
    Enough,
    /// It is for the reader.
    Left,
}

enum Taken<T> {
    Value(T),
    Over,
    Nothing { begins_to_wait: bool },
}

/// A slot of its own.
pub fn latest<T>() -> (Writer<T>, Latest<T>) {
    latest_of(Arc::default())
}

/// A slot that rings `wanted` whenever its reader begins to wait, and when it leaves.
pub fn latest_of<T>(wanted: Arc<Event>) -> (Writer<T>, Latest<T>) {
    let state = Mutex::new(State { value: None, waiting: false, hand: None, closed: false, missed: 0 });
    let slot = Arc::new(Slot { state, filled: Event::new(), wanted });
    (Writer { slot: slot.clone() }, Latest { slot })
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        lock(&self.state)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.filled.notify(usize::MAX);
        self.wanted.notify(usize::MAX);
    }
}

impl<T> Latest<T> {
    /// The newest value, once there is one; `None` when the slot is closed and empty.
    pub async fn next(&mut self) -> Option<T> {
        self.next_by(None).await
    }

    /// The same, where a hand takes values as long as it can.
    pub async fn next_by(&mut self, hand: Option<Weak<dyn Hand<T>>>) -> Option<T> {
        self.slot.lock().hand = hand;
        let taken = || match self.take() {
            Taken::Value(value) => Some(Some(value)),
            Taken::Over => Some(None),
            Taken::Nothing { begins_to_wait } => {
                if begins_to_wait {
                    self.slot.wanted.notify(usize::MAX);
                }
                None
            }
        };
        until(&self.slot.filled, taken).await
    }

    fn take(&self) -> Taken<T> {
        let mut state = self.slot.lock();
        match state.value.take() {
            Some(value) => {
                state.waiting = false;
                Taken::Value(value)
            }
            None if state.closed => Taken::Over,
            None => Taken::Nothing { begins_to_wait: !std::mem::replace(&mut state.waiting, true) },
        }
    }

    /// Whether so many read from the same fan-out that what is done for each of them has to be little.
    pub fn is_crowded(&self) -> bool {
        Arc::strong_count(&self.slot.wanted) > CROWD + 1 // the fan-out's own
    }

    /// Like `next`, for a thread.
    pub fn next_blocking(&mut self) -> Option<T> {
        smol::future::block_on(self.next())
    }

    /// The newest value if there is one now.
    pub fn try_next(&mut self) -> Option<T> {
        self.slot.lock().value.take()
    }

    /// How many values were replaced before they were read, since this was last asked.
    pub fn missed(&mut self) -> u64 {
        std::mem::take(&mut self.slot.lock().missed)
    }

    /// Whether the writer has left (a last value may still be there).
    pub fn is_closed(&self) -> bool {
        self.slot.lock().closed
    }
}

impl<T> Writer<T> {
    /// Puts the newest value. What it replaced comes back; so does the value itself when nobody will read it.
    pub fn put(&self, value: T) -> Option<T> {
        let mut state = self.slot.lock();
        if state.closed {
            return Some(value);
        }
        let hand = state.hand.as_ref().filter(|_| state.waiting && state.value.is_none());
        match hand.and_then(Weak::upgrade).map_or(Grip::Left, |hand| hand.take(&value)) {
            Grip::Left => {}
            grip => {
                state.waiting = grip == Grip::Taken;
                return None;
            }
        }
        let old = state.value.replace(value);
        state.missed += u64::from(old.is_some());
        drop(state);
        self.slot.filled.notify(1);
        old
    }

    /// Whether the reader has taken everything and waits for more.
    pub fn wanted(&self) -> bool {
        let state = self.slot.lock();
        state.waiting && state.value.is_none() && !state.closed
    }

    /// Waits until the reader wants a value; false when it left.
    pub async fn until_wanted(&self) -> bool {
        until(&self.slot.wanted, || if self.wanted() { Some(true) } else { self.is_closed().then_some(false) }).await
    }

    pub fn is_closed(&self) -> bool {
        self.slot.lock().closed
    }
}

impl<T> Drop for Latest<T> {
    fn drop(&mut self) {
        self.slot.close();
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        self.slot.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::block_on;
    use smol::future::poll_once;

    #[test]
    fn newest_wins_and_what_it_replaced_comes_back() {
        let (w, mut r) = latest();
        assert_eq!(w.put(1), None);
        assert_eq!(w.put(2), Some(1));
        assert_eq!(r.next_blocking(), Some(2));
        assert_eq!(r.try_next(), None);
        assert_eq!((r.missed(), r.missed()), (1, 0));
    }

    #[test]
    fn a_closed_slot_gives_its_last_value_and_ends() {
        let (w, mut r) = latest();
        w.put(1);
        drop(w);
        assert_eq!((r.next_blocking(), r.next_blocking()), (Some(1), None));
    }

    #[test]
    fn a_reader_that_left_is_seen() {
        let (w, r) = latest();
        drop(r);
        assert!(!block_on(w.until_wanted()));
        assert_eq!(w.put(7), Some(7));
    }

    #[test]
    fn waiting_writers_lose_nothing() {
        let (w, mut r) = latest();
        let writer = std::thread::spawn(move || {
            for i in 0..1000 {
                assert!(block_on(w.until_wanted()));
                assert_eq!(w.put(i), None);
            }
        });
        let got: Vec<i32> = std::iter::from_fn(|| r.next_blocking()).collect();
        writer.join().unwrap();
        assert_eq!(got, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn a_hand_takes_what_is_put_while_the_reader_waits() {
        struct Takes(Mutex<Vec<i32>>);
        impl Hand<i32> for Takes {
            fn take(&self, value: &i32) -> Grip {
                lock(&self.0).push(*value);
                [Grip::Taken, Grip::Enough, Grip::Left][*value as usize % 3]
            }
        }
        let (w, mut r) = latest();
        let takes = Arc::new(Takes(Mutex::default()));
        let hand = Arc::downgrade(&takes) as Weak<dyn Hand<i32>>;
        let wait = |r: &mut Latest<i32>| block_on(poll_once(r.next_by(Some(hand.clone()))));
        w.put(9);
        assert_eq!((wait(&mut r), wait(&mut r)), (Some(Some(9)), None));
        assert_eq!((w.put(3), w.wanted(), w.put(4), w.wanted()), (None, true, None, false));
        w.put(6);
        assert_eq!((wait(&mut r), wait(&mut r)), (Some(Some(6)), None), "it did not wait");
        w.put(8);
        assert_eq!((wait(&mut r), wait(&mut r)), (Some(Some(8)), None), "the hand left it");
        assert_eq!(*lock(&takes.0), [3, 4, 8]);
        drop(takes);
        w.put(0);
        assert_eq!(wait(&mut r), Some(Some(0)), "the hand has gone");
    }

    #[test]
    fn a_reader_is_wanting_only_while_it_waits() {
        let (w, mut r) = latest();
        assert!(!w.wanted());
        let reader = std::thread::spawn(move || (r.next_blocking(), r));
        assert!(block_on(w.until_wanted()));
        w.put(5);
        let (got, _r) = reader.join().unwrap();
        assert_eq!(got, Some(5));
        assert!(!w.wanted());
    }
}
