//! One writer, many readers, each with a `Latest` of its own: a slow one gets newer values, not later ones, and delays
//! nobody, unless every value matters, when the slowest sets the pace.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use event_listener::Event;

use crate::latest::{Latest, Writer, latest, latest_of};
use crate::lock::lock;
use crate::until::until;

/// More readers than this are a crowd: what is done for each of them has to be little.
pub const CROWD: usize = 16;

#[derive(Debug)]
pub struct Fanout<T> {
    readers: Mutex<Vec<Writer<T>>>,
    /// Rings when a reader comes, waits or leaves, and when the fan-out closes.
    wanted: Arc<Event>,
    every: AtomicBool,
    /// The newest value, for readers that come later, where that is kept.
    kept: Option<Mutex<Option<T>>>,
    /// A reader that does not count.
    beside: Mutex<Option<Writer<T>>>,
}

impl<T: Clone> Fanout<T> {
    /// `every`: no reader may miss a value, so writers wait for all of them.
    pub fn new(every: bool) -> Fanout<T> {
        let (readers, wanted, beside) = Default::default();
        Fanout { readers, wanted, every: every.into(), kept: None, beside }
    }

    /// Readers may miss values, and one that comes gets the newest at once, not only the next.
    pub fn keeping() -> Fanout<T> {
        Fanout { kept: Some(Mutex::default()), ..Fanout::new(false) }
    }

    /// Whether no reader may miss a value.
    pub fn is_every(&self) -> bool {
        self.every.load(Ordering::Relaxed)
    }

    /// From now on no reader may miss a value, or all may.
    pub fn set_every(&self, every: bool) {
        self.every.store(every, Ordering::Relaxed);
    }

    pub fn subscribe(&self) -> Latest<T> {
        let (writer, reader) = latest_of(self.wanted.clone());
        self.with(|readers| {
            // Under the readers' lock: what is put now reaches it one way or the other.
            self.newest().into_iter().for_each(|value| _ = writer.put(value));
            readers.push(writer);
        });
        self.wanted.notify(usize::MAX);
        reader
    }

    /// What the others get, for one who looks on: no value is made or waited with for it. There is one of them at most.
    pub fn beside(&self) -> Latest<T> {
        let (writer, reader) = latest();
        *lock(&self.beside) = Some(writer);
        reader
    }

    /// Whether who comes late gets the newest value.
    pub fn keeps(&self) -> bool {
        self.kept.is_some()
    }

    /// The newest value, where that is kept.
    pub fn newest(&self) -> Option<T> {
        self.kept.as_ref().and_then(|kept| lock(kept).clone())
    }

    /// Keeps the newest value no longer.
    pub fn forget(&self) {
        self.kept.iter().for_each(|kept| *lock(kept) = None);
    }

    pub fn readers(&self) -> usize {
        self.with(|readers| readers.len())
    }

    /// About as many, without a look at each: who has left counts until the next value.
    pub fn about(&self) -> usize {
        lock(&self.readers).len()
    }

    /// Waits until somebody reads at all.
    pub async fn until_read(&self) {
        self.until(|readers| !readers.is_empty()).await;
    }

    /// Waits until a value is worth making: one reader wants it, or with `every` there are readers and all want it.
    pub async fn until_wanted(&self) {
        if self.is_every() {
            self.until(|readers| !readers.is_empty() && readers.iter().all(Writer::wanted)).await;
        } else {
            self.until(|readers| readers.iter().any(Writer::wanted)).await;
        }
    }

    /// Waits until nobody reads.
    pub async fn until_alone(&self) {
        self.until(<[_]>::is_empty).await;
    }

    /// Waits until all readers are done with what they got, or have left.
    pub async fn until_settled(&self) {
        self.until(|readers| readers.iter().all(Writer::wanted)).await;
    }

    /// Gives the value to every reader; those still busy get it in place of the one they had not taken.
    pub fn put(&self, value: T) {
        self.with(|readers| {
            self.kept.iter().for_each(|kept| *lock(kept) = Some(value.clone()));
            lock(&self.beside).iter().for_each(|beside| _ = beside.put(value.clone()));
            readers.iter().for_each(|reader| _ = reader.put(value.clone()));
        })
    }

    /// Ends all readers, once they took what is there.
    pub fn close(&self) {
        self.with(|readers| readers.clear());
        *lock(&self.beside) = None;
    }

    async fn until(&self, ready: impl Fn(&[Writer<T>]) -> bool) {
        until(&self.wanted, || self.with(|readers| ready(readers)).then_some(())).await
    }

    /// The readers that are still there.
    fn with<R>(&self, act: impl FnOnce(&mut Vec<Writer<T>>) -> R) -> R {
        let mut readers = lock(&self.readers);
        readers.retain(|r| !r.is_closed());
        act(&mut readers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::block_on;

    #[test]
    fn a_slow_reader_gets_the_newest_and_delays_nobody() {
        let all = Fanout::new(false);
        let (mut fast, mut slow) = (all.subscribe(), all.subscribe());
        for i in 0..10 {
            all.put(i);
            assert_eq!(fast.next_blocking(), Some(i));
        }
        assert_eq!(slow.next_blocking(), Some(9));
    }

    #[test]
    fn every_value_reaches_every_reader() {
        let all = Arc::new(Fanout::new(true));
        let threads: Vec<_> = (0..3u64)
            .map(|i| {
                let mut reader = all.subscribe();
                std::thread::spawn(move || {
                    let mut got = Vec::new();
                    while let Some(v) = reader.next_blocking() {
                        got.push(v);
                        std::thread::sleep(std::time::Duration::from_micros(50 * i));
                    }
                    got
                })
            })
            .collect();
        for i in 0..200 {
            block_on(all.until_wanted());
            all.put(i);
        }
        block_on(all.until_settled());
        all.close();
        for t in threads {
            assert_eq!(t.join().unwrap(), (0..200).collect::<Vec<_>>());
        }
    }

    #[test]
    fn who_comes_late_gets_the_newest_at_once_where_it_is_kept() {
        let all = Fanout::keeping();
        all.put(1);
        all.put(2);
        assert_eq!(all.subscribe().next_blocking(), Some(2));
        let plain = Fanout::new(false);
        plain.put(1);
        assert_eq!(plain.subscribe().try_next(), None);
    }

    #[test]
    fn who_looks_on_is_not_waited_for() {
        let all = Fanout::new(true);
        let mut beside = all.beside();
        assert_eq!(all.readers(), 0);
        all.put(1);
        all.put(2);
        block_on(all.until_settled());
        assert_eq!(beside.next_blocking(), Some(2));
        all.close();
        assert_eq!(beside.next_blocking(), None);
    }

    #[test]
    fn readers_that_left_are_forgotten() {
        let all = Fanout::new(true);
        let (a, b) = (all.subscribe(), all.subscribe());
        assert_eq!(all.readers(), 2);
        drop((a, b));
        assert_eq!(all.readers(), 0);
        block_on(all.until_settled());
        all.put(1);
    }
}
