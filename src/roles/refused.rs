//! Calls that go side by side: whoever refuses one of them is named at once, and called again now and then while there is
//! something else to do. What may be set right there (a key, a place that is taken) needs no new start here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::fault::{self, Fault, Kind};
use crate::retry::Retry;

/// All that may still come to something.
#[derive(Clone, Debug, Default)]
pub struct Hopes(Arc<AtomicUsize>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Hope {
    all: Hopes,
    /// Why it was refused, if it is just now.
    refused: Option<String>,
    retry: Retry,
}

impl Hopes {
    pub fn add(&self) -> Hope {
        self.0.fetch_add(1, Ordering::AcqRel);
        Hope { all: self.clone(), refused: None, retry: Retry::slow() }
    }

    /// Whether none is left that was not refused.
    pub fn are_gone(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

impl Hope {
    /// Counts it among the refused; false where the error is none that asking again could mend.
    pub fn lost(&mut self, error: &anyhow::Error) -> bool {
        let refusal = error.downcast_ref::<Fault>().is_some_and(|fault| fault.kind == Kind::Refused);
        if refusal && self.refused.is_none() {
            self.refused = Some(String::new());
            self.all.0.fetch_sub(1, Ordering::AcqRel);
        }
        refusal
    }

    /// Tells of the refusal, once for each reason; how long to wait before the next call.
    pub fn tell(&mut self, error: &anyhow::Error) -> Duration {
        let reason = fault::line(error);
        if self.refused.as_ref() == Some(&reason) {
            log::debug!("still {reason}");
        } else {
            log::warn!("{reason}: the rest goes on, and it is called again now and then");
            self.refused = Some(reason);
        }
        self.retry.delay()
    }

    /// It was let in.
    pub fn fulfilled(&mut self) {
        if self.refused.take().is_some() {
            self.all.0.fetch_add(1, Ordering::AcqRel);
        }
        self.retry = Retry::slow();
    }
}

impl Drop for Hope {
    fn drop(&mut self) {
        if self.refused.is_none() {
            self.all.0.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_that_is_refused_leaves_no_hope() {
        let all = Hopes::default();
        let (mut one, other) = (all.add(), all.add());
        let refusal = Fault::refused("no").into();
        assert!(one.lost(&refusal) && one.lost(&refusal) && !all.are_gone());
        one.fulfilled();
        drop(other);
        assert!(!all.are_gone());
        assert!(!one.lost(&anyhow::anyhow!("gone")) && !all.are_gone());
        assert!(one.lost(&refusal) && all.are_gone());
        drop(one);
        assert!(all.are_gone());
    }
}
