//! Locks that outlive a panic: critical sections in vstream are a few assignments, so what they guard is always whole.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The value behind a lock, also after a thread panicked while it held it.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
