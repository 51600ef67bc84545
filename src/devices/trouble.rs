//! Repeated trouble with one input: counted, and said at most once a second.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::{self, Time};
use crate::stop::Stop;

#[derive(Debug)]
pub struct Trouble {
    name: String,
    /// After the word to stop, input that ends early is no trouble.
    stop: Stop,
    unsaid: BTreeMap<&'static str, u64>,
    said: Option<Time>,
}

const QUIET: Duration = Duration::from_secs(1);

impl Trouble {
    /// `name`: what the input is called in messages.
    pub fn new(name: &str, stop: &Stop) -> Trouble {
        Trouble { name: name.into(), stop: stop.clone(), unsaid: BTreeMap::new(), said: None }
    }

    /// Counts `count` of what the end of the sentence "NAME: COUNT …" says.
    pub fn add(&mut self, count: u64, what: &'static str) {
        if count == 0 || self.stop.said() {
            return;
        }
        *self.unsaid.entry(what).or_default() += count;
        let now = clock::now();
        if self.said.is_none_or(|said| now.since(said) >= QUIET) {
            self.said = Some(now);
            self.say();
        }
    }

    fn say(&mut self) {
        for (what, count) in std::mem::take(&mut self.unsaid) {
            log::warn!("{}: {count} {what}", self.name);
        }
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        self.say();
    }
}
