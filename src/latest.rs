//! The only queue that drops: one slot, the newest wins. The bridge between threads and tasks too.
//!
//! A reader says that it wants a value by asking for one (`next`), and the writer can see that: nothing is captured,
//! encoded or copied for a reader that is still busy with the last one.

use std::sync::{Arc, Mutex, MutexGuard};

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
    closed: bool,
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
    let state = Mutex::new(State { value: None, waiting: false, closed: false });
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
        let old = state.value.replace(value);
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

    #[test]
    fn newest_wins_and_what_it_replaced_comes_back() {
        let (w, mut r) = latest();
        assert_eq!(w.put(1), None);
        assert_eq!(w.put(2), Some(1));
        assert_eq!(r.next_blocking(), Some(2));
        assert_eq!(r.try_next(), None);
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
