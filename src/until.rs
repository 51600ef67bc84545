//! Waiting for something that an event tells of.

use event_listener::{Event, listener};

/// Waits until there is what is looked for; whoever changes that notifies the event afterwards. What is there already costs no
/// listener, which is a lock and a place in a list.
pub async fn until<T>(event: &Event, mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look() {
            return found;
        }
        listener!(event => changed);
        if let Some(found) = look() {
            return found;
        }
        changed.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn nothing_is_missed() {
        let shared = Arc::new((AtomicU32::new(0), Event::new()));
        let other = shared.clone();
        let counting = std::thread::spawn(move || {
            for n in 1..=1000 {
                other.0.store(n, Ordering::SeqCst);
                other.1.notify(usize::MAX);
            }
        });
        let mut seen = 0;
        while seen < 1000 {
            let newer = || Some(shared.0.load(Ordering::SeqCst)).filter(|&n| n > seen);
            seen = smol::future::block_on(until(&shared.1, newer));
        }
        counting.join().unwrap();
    }
}
