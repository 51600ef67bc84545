//! Who has joined a coordinator, and who gets the stream from whom: a tree under the source in which everybody has at
//! most so many below; with one it is a chain. No links here: a coordinator tells what this decides.

use serde::{Deserialize, Serialize};

use crate::endpoint::{self, Endpoint};
use crate::greet::printable;
use crate::path::{self, Added, HOPS_MAX};
use crate::stats::Line;
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
}

impl Roster {
    pub fn new(fanout: usize) -> Roster {
        Roster { fanout: fanout.max(1), joined: 0, seats: Vec::new() }
    }

    /// Takes a peer as the last, or back to its place if it is the process that holds its name; the key of its link.
    /// Errors: why not.
    pub fn join(&mut self, member: Member) -> Result<u64, String> {
        endpoint::check_name(&member.name).map_err(|_| {
            let name = printable(&member.name);
            format!("`{name}` is not a peer's name: 1 to 32 of letters, digits, - _ and .")
        })?;
        let (key, status) = (self.joined, Status::default());
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.member.name == member.name) {
            if seat.member.instance != member.instance {
                let (name, holder) = (&member.name, &seat.member.address);
                return Err(format!("the name {name} is taken, by {holder}: choose another with --peer"));
            }
            seat.member.leave.say();
            *seat = Seat { key, member, status };
        } else {
            // The source is the first hop.
            if self.seats.len() >= MEMBERS_MAX || self.depth(self.seats.len()) >= HOPS_MAX - 1 {
                let many = self.seats.len();
                return Err(format!(
                    "{many} peers have joined, and one more is too far from the source: raise --fanout"
                ));
            }
            self.seats.push(Seat { key, member, status });
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
        let from = self.above(place).map(|above| self.seats[above].member.address.to_string());
        Some(Order { from, heirs: self.below(place + 1) })
    }

    /// Peers that get the stream from the source itself.
    pub fn heirs(&self) -> usize {
        self.below(0)
    }

    /// Takes a peer's word for how it does.
    pub fn tell(&mut self, key: u64, status: Status) {
        let Some(place) = self.place(key) else { return };
        let from = status.from.as_deref().map(printable);
        self.seats[place].status = Status { from, ..status };
    }

    /// Peers whose way to the source stands.
    pub fn ready(&self) -> usize {
        self.seats.iter().filter(|seat| seat.status.ready).count()
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
        let figures = |place: usize| (self.seats[place].status.latency_ms, self.seats[place].status.error_ms);
        let upstream = self.seats[place].status.from.clone().unwrap_or_default();
        let before = match self.above(place) {
            None => (Some(0.0), None),
            Some(above) if self.seats[above].member.name == upstream => figures(above),
            Some(_) => (None, None), // it is on its way from one to another
        };
        path::added(upstream, before, figures(place))
    }

    fn place(&self, key: u64) -> Option<usize> {
        self.seats.iter().position(|seat| seat.key == key)
    }

    /// Who gives the stream to this place; none is the source.
    fn above(&self, place: usize) -> Option<usize> {
        (place / self.fanout).checked_sub(1)
    }

    /// How many get it from this place, counted from 1; 0 is the source.
    fn below(&self, place: usize) -> usize {
        self.seats.len().saturating_sub(place * self.fanout).min(self.fanout)
    }

    /// Hops from the source to this place, less one.
    fn depth(&self, place: usize) -> usize {
        std::iter::successors(Some(place), |&place| self.above(place)).count() - 1
    }
}

#[cfg(test)]
mod tests;
