//! Callers that have not said yet what they want: so many at once. For one more, the oldest gives way of the address that
//! has the most of them, so that nobody keeps others out by being silent.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use crate::lock::lock;
use crate::stop::Stop;

#[derive(Clone, Debug)]
pub struct Strangers {
    most: usize,
    waiting: Arc<Mutex<VecDeque<(String, Stop)>>>,
}

/// A place among them, until it is dropped.
#[derive(Debug)]
pub struct Stranger {
    among: Strangers,
    /// Said when it must give way.
    pub leave: Stop,
}

impl Strangers {
    pub fn new(most: usize) -> Strangers {
        Strangers { most, waiting: Arc::default() }
    }

    /// Takes one in from this host; and whether another gave way for it.
    pub fn enter(&self, host: &str) -> (Stranger, bool) {
        let mut waiting = lock(&self.waiting);
        let full = waiting.len() >= self.most;
        if full {
            let mut counts: HashMap<&str, usize> = HashMap::new();
            waiting.iter().for_each(|(host, _)| *counts.entry(host).or_default() += 1);
            let most = counts.values().max().copied();
            let oldest = waiting.iter().position(|(host, _)| counts.get(host.as_str()).copied() == most);
            let gone = oldest.and_then(|oldest| waiting.remove(oldest));
            gone.inspect(|(_, leave)| leave.say());
        }
        let leave = Stop::default();
        waiting.push_back((host.to_string(), leave.clone()));
        (Stranger { among: self.clone(), leave }, full)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        lock(&self.among.waiting).retain(|(_, leave)| !leave.is(&self.leave));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_those_who_have_most_gives_way() {
        let strangers = Strangers::new(4);
        let (early, _) = strangers.enter("a");
        let (first, second, third) = (strangers.enter("b").0, strangers.enter("b").0, strangers.enter("b").0);
        let (new, gave) = strangers.enter("c");
        assert!(gave && first.leave.said());
        assert!([&early, &second, &third, &new].iter().all(|other| !other.leave.said()));
    }

    #[test]
    fn who_has_said_what_it_wants_is_none_any_more() {
        let strangers = Strangers::new(1);
        drop(strangers.enter("a"));
        let (stays, gave) = strangers.enter("a");
        assert!(!gave && !stays.leave.said());
        let (_new, gave) = strangers.enter("b");
        assert!(gave && stays.leave.said());
        drop(stays);
        assert_eq!(lock(&strangers.waiting).len(), 1);
    }
}
