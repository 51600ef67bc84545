//! The way from other threads into the window: the newest picture and the newest words, and a bell that wakes SDL.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sdl2::event::EventSender;

use crate::frame::Frame;
use crate::latest::{Latest, Writer, latest};
use crate::lock::lock;
use crate::picture::Picture;

/// A picture to look at, and the frame that it was decoded from.
#[derive(Clone, Debug)]
pub struct Shown {
    pub picture: Arc<Picture>,
    pub frame: Frame,
}

/// Where the other threads put what the window shows. Nothing here waits for the window.
#[derive(Clone)]
pub struct Feed {
    pictures: Arc<Writer<Shown>>,
    status: Arc<Writer<Vec<String>>>,
    waiting: Arc<Writer<String>>,
    shared: Arc<Shared>,
}

/// The window's end of the feed, for `run`.
pub struct Screen {
    pub(super) pictures: Latest<Shown>,
    pub(super) status: Latest<Vec<String>>,
    pub(super) waiting: Latest<String>,
    pub(super) shared: Arc<Shared>,
}

/// Feed and screen of one window.
pub fn feed() -> (Feed, Screen) {
    let ((put_picture, pictures), (put_status, status), (put_waiting, waiting)) = (latest(), latest(), latest());
    let shared = Arc::new(Shared { lag: AtomicI64::new(-1), ..Shared::default() });
    let feed = Feed {
        pictures: Arc::new(put_picture),
        status: Arc::new(put_status),
        waiting: Arc::new(put_waiting),
        shared: shared.clone(),
    };
    (feed, Screen { pictures, status, waiting, shared })
}

impl Feed {
    /// Puts the newest picture; true if it replaced one that was never shown (dropped, as the window was too slow).
    pub fn show(&self, picture: Arc<Picture>, frame: Frame) -> bool {
        let replaced = self.pictures.put(Shown { picture, frame }).is_some();
        self.shared.bell.ring();
        replaced && !self.is_closed()
    }

    /// The lines of the stats overlay, under those that the window writes itself.
    pub fn status(&self, lines: Vec<String>) {
        self.status.put(lines);
        self.shared.bell.ring();
    }

    /// What stands in the window before the first picture: "waiting for tcp://…".
    pub fn waiting(&self, text: impl Into<String>) {
        self.waiting.put(text.into());
        self.shared.bell.ring();
    }

    /// Something else than pictures has changed.
    pub fn ring(&self) {
        self.shared.bell.ring();
    }

    /// From capture to the screen, of the newest picture shown.
    pub fn lag(&self) -> Option<Duration> {
        u64::try_from(self.shared.lag.load(Ordering::Relaxed)).ok().map(Duration::from_micros)
    }

    /// Whether the window is gone.
    pub fn is_closed(&self) -> bool {
        self.pictures.is_closed()
    }
}

/// What both ends hold.
#[derive(Default)]
pub(super) struct Shared {
    pub bell: Bell,
    /// Microseconds, negative for none yet.
    pub lag: AtomicI64,
}

impl Shared {
    /// A picture is on the screen, so long after its capture.
    pub fn seen(&self, lag: Duration) {
        self.lag.store(i64::try_from(lag.as_micros()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

/// Tells the window's thread, which sleeps in SDL, that something came.
#[derive(Default)]
pub(super) struct Bell {
    /// There while SDL is.
    sender: Mutex<Option<EventSender>>,
    /// Rung and not heard: SDL's queue holds one event of ours at most.
    rung: AtomicBool,
}

/// The event that the bell sends; it carries nothing.
pub(super) struct Rung;

impl Bell {
    pub fn ring(&self) {
        if self.rung.swap(true, Ordering::SeqCst) {
            return;
        }
        // The lock is held over the push: SDL's queue must not go away under it.
        if let Some(Err(_)) = self.lock().as_ref().map(|sender| sender.push_custom_event(Rung)) {
            self.rung.store(false, Ordering::SeqCst);
        }
    }

    /// To be called before looking for what came.
    pub fn heard(&self) {
        self.rung.store(false, Ordering::SeqCst);
    }

    pub fn connect(&self, sender: Option<EventSender>) {
        *self.lock() = sender;
    }

    fn lock(&self) -> MutexGuard<'_, Option<EventSender>> {
        lock(&self.sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::segments::Coded;

    fn frame(seq: u64) -> Frame {
        Frame {
            epoch: 1,
            seq,
            captured: Time::default(),
            error: Duration::ZERO,
            coded: Coded::whole(bytes::Bytes::new(), seq),
        }
    }

    #[test]
    fn the_newest_picture_and_words_wait_for_the_window() {
        let (feed, mut screen) = feed();
        let picture = Arc::new(Picture::new(16, 16));
        assert!(!feed.show(picture.clone(), frame(1)));
        assert!(feed.clone().show(picture.clone(), frame(2)));
        feed.waiting("waiting for tcp://x");
        feed.status(vec!["a".into()]);
        assert_eq!(screen.pictures.try_next().map(|s| s.frame.seq), Some(2));
        assert_eq!(screen.waiting.try_next().as_deref(), Some("waiting for tcp://x"));
        assert_eq!(screen.status.try_next(), Some(vec!["a".to_string()]));
        assert_eq!((feed.lag(), feed.is_closed()), (None, false));
        drop(screen);
        assert!(!feed.show(picture, frame(3)) && feed.is_closed());
    }
}
