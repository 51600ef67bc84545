//! The figures: who counts what, and one line of it a second in the form the user asked for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;

use crate::adapt::Load;
use crate::clock::{self, Time};
use crate::lock::lock;
use crate::meter::Mean;
use crate::path::Added;

mod figures;
mod peer;

pub use figures::{Dropped, Recovered, Shaped};
pub use peer::{Link, Peer};

/// One line of figures; the field names are the contract's. What a role does not have is left out.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(default)]
pub struct Line {
    pub t: f64,
    pub role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listening: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    pub bytes: u64,
    pub bitrate: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_err_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_pct: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_pct: Option<f64>,
    pub dropped: Dropped,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rung: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrate_target: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Recovered>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encode_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode_ms: Option<f64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub shaped: Option<Shaped>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub hop: Option<Added>,
    #[serde(rename = "final", skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
}

/// Gives the lines of a role that counts otherwise than by peers: one each way, or (at the end) the totals.
pub type Lines = Box<dyn FnMut(Line, Time) -> Vec<Line> + Send>;

/// Gives lines besides those of the peers.
pub type More = Box<dyn Fn(&Line) -> Vec<Line> + Send>;

/// Tells what the way from the peer before adds, by the line of that peer.
pub type OfHop = Box<dyn Fn(&Line) -> Option<Added> + Send>;

/// What a role counts: the whole, and one entry for each peer.
pub struct Board {
    role: &'static str,
    started: Time,
    whole: Mutex<Whole>,
    peers: Mutex<Vec<Arc<Peer>>>,
    other: Mutex<Option<Lines>>,
    more: Mutex<Option<More>>,
    hop: Mutex<Option<OfHop>>,
    /// Frames that have come, each once though several links bring it.
    once: Mutex<Option<Arc<AtomicU64>>>,
    /// Who looks on over HTTP: no peers of the stream, so they have no lines of their own.
    viewers: Mutex<Vec<Arc<Peer>>>,
}

/// One who looks on over HTTP, for as long as this is kept.
pub struct Viewer {
    board: Arc<Board>,
    pub peer: Arc<Peer>,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        lock(&self.board.viewers).retain(|v| !Arc::ptr_eq(v, &self.peer));
    }
}

/// Figures that belong to no peer.
#[derive(Debug, Default)]
pub struct Whole {
    pub listening: Option<String>,
    pub stream: Option<String>,
    pub dropped: Dropped,
    /// What a sender that adapts sends now, or what a hub says that it sends here.
    pub rung: Option<String>,
    /// Who watches besides, as a hub tells it.
    pub viewers: Option<usize>,
    pub quality: Option<u8>,
    pub size: Option<(usize, usize)>,
    pub encode_ms: Mean,
    pub decode_ms: Mean,
    /// Tiles older than the frame that they stand in.
    pub stale_pct: Mean,
    /// Frames a source gave, and how many it has in all.
    pub position: u64,
    pub length: Option<u64>,
    /// What peers that left had counted: frames, bytes, drops, losses.
    past: (u64, u64, u64, u64),
    /// Sum and count of their latencies, and the newest error bound.
    past_latency: (f64, u64),
    latency_error: Option<Duration>,
    recovered: Option<Recovered>,
    /// Sum and count of the shares of their frames that were stale.
    past_stale: (f64, u64),
}

/// The role whose peers watch.
pub const SENDER: &str = "send";

/// Frames on their way from the source to a link that keeps up: one in the encoder, one in each slot.
const WAITING: u64 = 3;

impl Board {
    pub fn new(role: &'static str) -> Arc<Board> {
        let (whole, peers, viewers, other, more, hop, once) = Default::default();
        Arc::new(Board { role, started: clock::now(), whole, peers, viewers, other, more, hop, once })
    }

    pub fn whole(&self) -> MutexGuard<'_, Whole> {
        lock(&self.whole)
    }

    /// Frames that the source gave, and how many it has in all.
    pub fn progress(&self) -> (u64, Option<u64>) {
        let whole = self.whole();
        (whole.position, whole.length)
    }

    pub fn join(&self, name: &str) -> Arc<Peer> {
        self.enter(Peer::new(name))
    }

    /// One who gets the stream from here. What a relay passes on has been counted when it came.
    pub fn serve(&self, name: &str) -> Arc<Peer> {
        self.enter(Peer::new(name).counted_elsewhere(self.role != SENDER))
    }

    fn enter(&self, peer: Peer) -> Arc<Peer> {
        let peer = Arc::new(peer);
        lock(&self.peers).push(peer.clone());
        peer
    }

    pub fn view(self: &Arc<Self>, name: &str) -> Viewer {
        let peer = Arc::new(Peer::new(name));
        lock(&self.viewers).push(peer.clone());
        Viewer { board: self.clone(), peer }
    }

    /// One line for each viewer, as `lines` for peers.
    pub fn viewer_lines(&self, now: Time) -> Vec<Line> {
        let viewers = lock(&self.viewers).clone();
        let stream = self.whole().stream.clone();
        let base = || Line { role: self.role, stream: stream.clone(), ..Line::default() };
        viewers.iter().map(|viewer| with_peer(base(), viewer, now)).collect()
    }

    /// Whether somebody takes what a source gives.
    pub fn attended(&self) -> bool {
        self.peers() > 0 || (self.role == SENDER && !lock(&self.viewers).is_empty())
    }

    pub fn leave(&self, peer: &Arc<Peer>) {
        lock(&self.peers).retain(|p| !Arc::ptr_eq(p, peer));
        let link = peer.link();
        let mut whole = self.whole();
        if !peer.again {
            whole.past.0 += link.meter.frames;
            whole.past.1 += link.meter.bytes;
        }
        whole.past.2 += link.slow;
        whole.past.3 += link.lost;
        whole.recovered = Recovered::sum(whole.recovered, link.recovered);
        whole.dropped.corrupt += link.refused;
        add(&mut whole.past_stale, link.stale_pct.whole());
        add(&mut whole.past_latency, link.latency_ms.whole());
        whole.latency_error = link.latency_error.or(whole.latency_error);
    }

    pub fn peers(&self) -> usize {
        lock(&self.peers).len()
    }

    /// What the link takes that takes most; none while no link has shown it.
    pub fn best_load(&self, now: Time) -> Option<Load> {
        let peers = lock(&self.peers).clone();
        let loads = peers.iter().filter_map(|peer| peer.link().rate.load(now));
        loads.max_by(|a, b| a.target.total_cmp(&b.target))
    }

    /// Lines from elsewhere instead of one for each peer.
    pub fn count_otherwise(&self, lines: Lines) {
        *lock(&self.other) = Some(lines);
    }

    /// Lines besides those of the peers: of others who have the stream.
    pub fn count_more(&self, lines: More) {
        *lock(&self.more) = Some(lines);
    }

    /// Lines of a hop tell what it adds.
    pub fn count_hop(&self, hop: OfHop) {
        *lock(&self.hop) = Some(hop);
    }

    /// Totals have no more frames than these.
    pub fn count_once(&self, frames: &Arc<AtomicU64>) {
        *lock(&self.once) = Some(frames.clone());
    }

    fn came_once(&self) -> u64 {
        lock(&self.once).as_ref().map_or(u64::MAX, |frames| frames.load(Ordering::Relaxed))
    }

    /// One line for each peer, or one without where there is none, and those of `count_more`.
    pub fn lines(&self, now: Time) -> Vec<Line> {
        if let Some(other) = &mut *lock(&self.other) {
            return other(self.base(now), now);
        }
        let mut lines = self.peer_lines(now);
        let more = lock(&self.more).as_ref().map(|more| more(&lines[0]));
        lines.extend(more.into_iter().flatten());
        lines
    }

    fn peer_lines(&self, now: Time) -> Vec<Line> {
        let peers = lock(&self.peers).clone();
        let mut base = self.base(now);
        if peers.is_empty() {
            let whole = self.whole();
            (base.frames, base.bytes) = (Some(whole.past.0.min(self.came_once())), whole.past.1);
            base.fps = Some(0.0);
            return vec![base];
        }
        let (position, _) = self.progress();
        let line = |peer: &Arc<Peer>| {
            let mut line = with_peer(base.clone(), peer, now);
            line.hop = lock(&self.hop).as_ref().filter(|_| line.latency_ms.is_some()).and_then(|hop| hop(&line));
            let newest = peer.link().sent;
            line.dropped.slow += newest.map_or(0, |sent| position.saturating_sub(sent + 1).saturating_sub(WAITING));
            line
        };
        peers.iter().map(line).collect()
    }

    /// The totals of the whole run.
    pub fn total(&self, now: Time) -> Line {
        let mut line = self.base(now);
        line.last = true;
        if let Some(other) = &mut *lock(&self.other) {
            return other(line.clone(), now).pop().unwrap_or(line);
        }
        let peers = lock(&self.peers).clone();
        let whole = self.whole();
        let mut frames = whole.past.0;
        line.bytes = whole.past.1;
        line.dropped.slow += whole.past.2;
        let mut lost = whole.past.3;
        let (mut latency, mut error) = (whole.past_latency, whole.latency_error);
        let (mut stale, mut recovered) = (whole.past_stale, whole.recovered);
        line.encode_ms = mean(whole.encode_ms.whole());
        line.decode_ms = mean(whole.decode_ms.whole());
        add(&mut stale, whole.stale_pct.whole());
        drop(whole);
        for peer in peers {
            let link = peer.link();
            if !peer.again {
                frames += link.meter.frames;
                line.bytes += link.meter.bytes;
            }
            line.dropped.slow += link.slow;
            lost += link.lost;
            recovered = Recovered::sum(recovered, link.recovered);
            line.dropped.corrupt += link.refused;
            add(&mut stale, link.stale_pct.whole());
            add(&mut latency, link.latency_ms.whole());
            error = link.latency_error.or(error);
        }
        frames = frames.min(self.came_once());
        (line.stale_pct, line.recovered) = (mean(stale), recovered);
        line.latency_ms = mean(latency);
        line.latency_err_ms = line.latency_ms.and(error).map(millis);
        line.lost = Some(lost);
        line.lost_pct = Some(percentage(lost, frames));
        let seconds = now.since(self.started).as_secs_f64().max(0.001);
        (line.frames, line.fps) = (Some(frames), Some(round(frames as f64 / seconds)));
        line.bitrate = (line.bytes as f64 * 8.0 / seconds) as u64;
        line
    }

    /// Who watches: receivers and browsers of a sender; browsers alone elsewhere.
    fn watching(&self) -> Option<usize> {
        let viewers = lock(&self.viewers).len();
        if self.role == SENDER { Some(self.peers() + viewers) } else { (viewers > 0).then_some(viewers) }
    }

    /// What a line has without any peer: no counts.
    pub fn base(&self, now: Time) -> Line {
        let whole = self.whole();
        Line {
            t: round(now.since(self.started).as_secs_f64()),
            role: self.role,
            stream: whole.stream.clone(),
            listening: whole.listening.clone(),
            dropped: whole.dropped,
            rung: whole.rung.clone(),
            quality: whole.quality,
            size: whole.size.map(|(w, h)| format!("{w}x{h}")),
            viewers: self.watching().or(whole.viewers),
            encode_ms: whole.encode_ms.recent(now).map(round),
            decode_ms: whole.decode_ms.recent(now).map(round),
            stale_pct: whole.stale_pct.recent(now).map(round),
            ..Line::default()
        }
    }
}

fn with_peer(mut line: Line, peer: &Peer, now: Time) -> Line {
    let mut link = peer.link();
    line.peer = Some(peer.name.clone());
    line.rung = link.rung.clone().or(line.rung);
    (line.frames, line.bytes) = (Some(link.meter.frames), link.meter.bytes);
    line.fps = Some(round(link.meter.fps(now)));
    line.bitrate = link.meter.bitrate(now);
    line.frame_bytes = link.meter.newest_bytes();
    line.latency_ms = link.latency_ms.recent(now).map(round);
    line.latency_err_ms = line.latency_ms.and(link.latency_error).map(millis);
    line.bitrate_target = link.rate.target();
    line.rtt_ms = link.offset.newest().map(|e| e.rtt).or(link.round_trip).map(millis);
    line.dropped.slow += link.slow;
    line.dropped.corrupt += link.refused;
    line.recovered = link.recovered;
    if let Some(stale) = link.stale_pct.recent(now).map(round) {
        line.stale_pct = Some(line.stale_pct.unwrap_or_default() + stale);
    }
    line.lost = Some(link.lost);
    line.lost_pct = Some(percentage(link.lost, link.meter.frames));
    line
}

fn add(to: &mut (f64, u64), more: (f64, u64)) {
    *to = (to.0 + more.0, to.1 + more.1);
}

fn mean((sum, count): (f64, u64)) -> Option<f64> {
    (count > 0).then(|| round(sum / count as f64))
}

pub fn percentage(lost: u64, arrived: u64) -> f64 {
    round(100.0 * lost as f64 / (lost + arrived).max(1) as f64)
}

fn millis(d: Duration) -> f64 {
    round(d.as_secs_f64() * 1000.0)
}

/// To a thousandth: figures are read by people too.
pub fn round(v: f64) -> f64 {
    (v * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests;
