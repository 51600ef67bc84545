//! Repeated trouble with one input: counted, and said at most once a second.

use std::collections::BTreeMap;

use crate::clock;
use crate::log::OnceASecond;
use crate::stop::Stop;

#[derive(Debug)]
pub struct Trouble {
    name: String,
    /// After the word to stop, input that ends early is no trouble.
    stop: Stop,
    unsaid: BTreeMap<&'static str, u64>,
    leave: OnceASecond,
}

impl Trouble {
    /// `name`: what the input is called in messages.
    pub fn new(name: &str, stop: &Stop) -> Trouble {
        Trouble { name: name.into(), stop: stop.clone(), unsaid: BTreeMap::new(), leave: OnceASecond::default() }
    }

    /// Counts `count` of what the end of the sentence "NAME: COUNT …" says.
    pub fn add(&mut self, count: u64, what: &'static str) {
        if count == 0 || self.stop.said() {
            return;
        }
        *self.unsaid.entry(what).or_default() += count;
        if self.leave.due(clock::now()) {
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
