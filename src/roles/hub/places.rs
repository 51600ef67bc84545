//! How many may watch: in all, of one stream, from one address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use clap::Args;

use crate::lock::lock;
use crate::roles::calls;

#[derive(Args, Clone, Debug)]
pub struct LimitArgs {
    /// Viewers at once, over links and in browsers
    #[arg(long, value_name = "N", default_value_t = 500)]
    viewers_max: usize,
    /// Viewers of one stream at once [default: as many as there are]
    #[arg(long, value_name = "N")]
    viewers_per_stream: Option<usize>,
    /// Viewers from one address at once [default: as many as there are]
    #[arg(long, value_name = "N")]
    viewers_per_address: Option<usize>,
}

/// Who looks what there is takes little: as many as find room in a usual limit of open files, however few may watch.
const LOOKERS: usize = 500;

impl LimitArgs {
    pub fn of_lookers(&self) -> LimitArgs {
        LimitArgs { viewers_max: LOOKERS, viewers_per_stream: None, ..self.clone() }
    }
}

pub struct Places {
    most: LimitArgs,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    streams: HashMap<String, usize>,
    addresses: HashMap<String, usize>,
}

/// A viewer's place, until it is dropped.
pub struct Place {
    taken: Arc<Mutex<Taken>>,
    stream: String,
    address: String,
}

impl Places {
    pub fn new(most: LimitArgs) -> Places {
        Places { most, taken: Arc::default() }
    }

    /// A place for one who calls from an address with its port. Errors: why there is none.
    pub fn take(&self, peer: &str, stream: &str) -> Result<Place, String> {
        let address = calls::host(peer);
        let mut taken = lock(&self.taken);
        let of = |count: &HashMap<String, usize>, key: &str| count.get(key).copied().unwrap_or(0);
        if taken.all >= self.most.viewers_max {
            return Err(format!("all {} places of this hub are taken", taken.all));
        }
        if self.most.viewers_per_stream.is_some_and(|most| of(&taken.streams, stream) >= most) {
            return Err(format!("all {} places of {stream} are taken", of(&taken.streams, stream)));
        }
        if self.most.viewers_per_address.is_some_and(|most| of(&taken.addresses, address) >= most) {
            return Err(format!("{} watch from {address} already, no more may", of(&taken.addresses, address)));
        }
        taken.all += 1;
        *taken.streams.entry(stream.to_string()).or_default() += 1;
        *taken.addresses.entry(address.to_string()).or_default() += 1;
        Ok(Place { taken: self.taken.clone(), stream: stream.to_string(), address: address.to_string() })
    }

    pub fn taken(&self) -> usize {
        lock(&self.taken).all
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all -= 1;
        less(&mut taken.streams, &self.stream);
        less(&mut taken.addresses, &self.address);
    }
}

fn less(count: &mut HashMap<String, usize>, key: &str) {
    if let Some(n) = count.get_mut(key) {
        *n -= 1;
        if *n == 0 {
            count.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_holds_and_places_come_back() {
        let most = LimitArgs { viewers_max: 3, viewers_per_stream: Some(2), viewers_per_address: Some(2) };
        let places = Places::new(most);
        let why = |peer: &str, stream: &str| places.take(peer, stream).err().unwrap_or_default();
        let a = places.take("10.0.0.1:1", "x").unwrap();
        let b = places.take("10.0.0.1:2", "y").unwrap();
        assert!(why("10.0.0.1:3", "x").contains("watch from 10.0.0.1"));
        let c = places.take("10.0.0.2:1", "x").unwrap();
        assert!(why("10.0.0.3:1", "z").contains("all 3 places of this hub"));
        drop(b);
        assert!(why("10.0.0.3:1", "x").contains("all 2 places of x"));
        assert_eq!(why("10.0.0.1:9", "y"), "");
        drop((a, c));
        assert_eq!(places.taken(), 0);
        assert!(lock(&places.taken).addresses.is_empty());
    }
}
