//! Who has joined a coordinator, and who gets the stream from whom: a tree under the source in which everybody has at
//! most so many below; with one it is a chain. No links here: a coordinator tells what this decides.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::endpoint::{self, Endpoint};
use crate::greet::printable;
use crate::path::{Added, HOPS_MAX};
use crate::stats::{Line, SENDER};
use crate::stop::Stop;

/// More than a network of people has; each costs the coordinator a link.
const MEMBERS_MAX: usize = 256;

/// Where a peer gets the stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The address to call; none is the coordinator itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How many peers get it from this one. With every-frame it keeps for so many what they have not had, no more.
    #[serde(default)]
    pub heirs: usize,
}

/// How a peer does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Its link to where it was told to get the stream stands.
    pub ready: bool,
    /// Where that is, as the order said: it may have been told of another place meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// The name of the peer that the stream comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    pub frames: u64,
    pub bytes: u64,
    pub fps: f64,
    pub bitrate: u64,
    /// From capture to there, and the bound of its error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_ms: Option<f64>,
    /// What the way from `from` adds to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_err_ms: Option<f64>,
}

#[derive(Clone, Debug)]
pub struct Member {
    pub name: String,
    /// The random number of its process.
    pub instance: u64,
    /// Where others call it.
    pub address: Endpoint,
    /// Said when the same process joins again.
    pub leave: Stop,
}

#[derive(Debug)]
pub struct Roster {
    fanout: usize,
    /// Links that have joined so far: the number of each is its key.
    joined: u64,
    seats: Vec<Seat>,
}

#[derive(Debug)]
struct Seat {
    key: u64,
    member: Member,
    status: Status,
    /// Since when its link to the one above does not stand.
    apart: Option<Time>,
    /// It could not reach the one above, and gets the stream from the source itself.
    direct: bool,
}

/// Whoever cannot reach the one above for so long gets the stream from the source itself. Peers that change their places
/// need less.
const APART: Duration = Duration::from_secs(4);

/// What a peer's word for how it does leads to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// Its link to the one above has broken, who may be dead.
    pub broke: bool,
    /// It gets the stream from the source from now on, as it cannot reach this one.
    pub unreached: Option<String>,
}

/// A peer's name as it was given, or why it is none: the source has one of its own.
pub fn check_peer(name: &str) -> Result<String, String> {
    match endpoint::check_name(name) {
        Ok(name) if name == SENDER => Err(format!("{SENDER} is the source's name: choose another")),
        // Scripts name folders by it, and a program takes `-x` for a flag.
        Ok(name) if !name.starts_with('-') => Ok(name),
        _ => Err("it takes 1 to 32 of letters, digits, - _ and ., not dots alone, and no - first".to_string()),
    }
}

impl Roster {
    pub fn new(fanout: usize) -> Roster {
        Roster { fanout: fanout.max(1), joined: 0, seats: Vec::new() }
    }

    /// Takes a peer as the last, or back to its place if it is the process that holds its name; the key of its link.
    /// Errors: why not.
    pub fn join(&mut self, member: Member) -> Result<u64, String> {
        check_peer(&member.name).map_err(|why| format!("`{}` is not a peer's name: {why}", printable(&member.name)))?;
        let (key, status) = (self.joined, Status::default());
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.member.name == member.name) {
            if seat.member.instance != member.instance {
                let (name, holder) = (&member.name, &seat.member.address);
                return Err(format!("the name {name} is taken, by {holder}: choose another with --peer"));
            }
            seat.member.leave.say();
            *seat = Seat { key, member, status, apart: None, direct: false };
        } else {
            // The source is the first hop.
            if self.seats.len() >= MEMBERS_MAX || self.depth(self.seats.len()) >= HOPS_MAX - 1 {
                let many = self.seats.len();
                return Err(format!(
                    "{many} peers have joined, and one more is too far from the source: raise --fanout"
                ));
            }
            self.seats.push(Seat { key, member, status, apart: None, direct: false });
        }
        self.joined += 1;
        Ok(key)
    }

    /// Takes a peer out; false if it had left or joined again. In a chain nobody moves but the one after it; in a tree
    /// the last takes its place.
    pub fn leave(&mut self, key: u64) -> bool {
        let Some(place) = self.place(key) else { return false };
        match self.fanout {
            1 => _ = self.seats.remove(place),
            _ => _ = self.seats.swap_remove(place),
        }
        true
    }

    /// What the peer of this link is to do; none if it has left or joined again.
    pub fn order(&self, key: u64) -> Option<Order> {
        let place = self.place(key)?;
        Some(Order { from: self.from(place), heirs: self.below(place + 1) })
    }

    /// Peers that get the stream from the source itself.
    pub fn heirs(&self) -> usize {
        self.below(0)
    }

    /// Whether another process has this name.
    pub fn is_taken(&self, name: &str, instance: u64) -> bool {
        self.seats.iter().any(|seat| seat.member.name == name && seat.member.instance != instance)
    }

    /// Takes a peer's word for how it does.
    pub fn tell(&mut self, key: u64, status: Status, now: Time) -> Told {
        let Some(place) = self.place(key) else { return Told::default() };
        let above = self.above(place);
        let seat = &mut self.seats[place];
        let from = status.from.as_deref().map(printable);
        let broke = seat.status.ready && !status.ready;
        seat.status = Status { from, ..status };
        let ready = self.is_ready(place);
        let seat = &mut self.seats[place];
        seat.apart = if ready { None } else { seat.apart.or(Some(now)) };
        let Some(above) = above.filter(|_| seat.apart.is_some_and(|since| now.since(since) >= APART)) else {
            return Told { broke, unreached: None };
        };
        (seat.direct, seat.apart) = (true, None);
        Told { broke, unreached: Some(self.seats[above].member.name.clone()) }
    }

    /// Whose link this is.
    pub fn name(&self, key: u64) -> Option<&str> {
        Some(&self.seats[self.place(key)?].member.name)
    }

    /// Peers whose way to the source stands.
    pub fn ready(&self) -> usize {
        (0..self.seats.len()).filter(|&place| self.is_ready(place)).count()
    }

    fn is_ready(&self, place: usize) -> bool {
        let status = &self.seats[place].status;
        status.ready && status.at == self.from(place)
    }

    pub fn len(&self) -> usize {
        self.seats.len()
    }

    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// A line of figures for each peer, in their order.
    pub fn lines(&self, base: &Line) -> Vec<Line> {
        let line = |place: usize| {
            let Seat { member, status, .. } = &self.seats[place];
            Line {
                t: base.t,
                role: base.role,
                stream: base.stream.clone(),
                peer: Some(member.name.clone()),
                frames: Some(status.frames),
                fps: Some(status.fps),
                bytes: status.bytes,
                bitrate: status.bitrate,
                latency_ms: status.latency_ms,
                latency_err_ms: status.error_ms,
                hop: Some(self.added(place)),
                ..Line::default()
            }
        };
        (0..self.seats.len()).map(line).collect()
    }

    /// What the way from the peer above adds.
    fn added(&self, place: usize) -> Added {
        let status = &self.seats[place].status;
        let upstream = status.from.clone().unwrap_or_default();
        Added { upstream, added_ms: status.added_ms, added_err_ms: status.added_err_ms }
    }

    /// The address where this place gets the stream; none is the coordinator itself.
    fn from(&self, place: usize) -> Option<String> {
        self.above(place).map(|above| self.seats[above].member.address.to_string())
    }

    fn place(&self, key: u64) -> Option<usize> {
        self.seats.iter().position(|seat| seat.key == key)
    }

    /// Who gives the stream to this place; none is the source.
    fn above(&self, place: usize) -> Option<usize> {
        let direct = self.seats.get(place).is_some_and(|seat| seat.direct);
        (place / self.fanout).checked_sub(1).filter(|_| !direct)
    }

    /// How many get it from this place, counted from 1; 0 is the source.
    fn below(&self, place: usize) -> usize {
        (0..self.seats.len()).filter(|&other| self.above(other) == place.checked_sub(1)).count()
    }

    /// Hops from the source to this place, less one.
    fn depth(&self, place: usize) -> usize {
        std::iter::successors(Some(place), |&place| self.above(place)).count() - 1
    }
}

#[cfg(test)]
mod tests;
