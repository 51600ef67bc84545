//! Frames as `multipart/x-mixed-replace`, as mjpg-streamer and ustreamer send them and every browser shows them.
//!
//! The next frame is taken when the last has gone out, so what waits for a slow viewer is one frame, the newest.

use std::sync::Arc;
use std::time::Duration;

use async_io::Timer;
use bytes::Bytes;
use hyper::Version;
use hyper::header::{CONNECTION, HeaderName};
use smol::stream::{StreamExt, iter, unfold};

use super::views::jpeg;
use super::{Response, reply};
use crate::adapt::Limits;
use crate::clock::{self, Time};
use crate::frame::Frame;
use crate::latest::Latest;
use crate::stats::Viewer;

const KIND: &str = "multipart/x-mixed-replace;boundary=boundarydonotcross";
/// nginx would collect a stream before it passes it on.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A viewer of whom the limits leave next to nothing gets a frame as often at least.
const REST: Duration = Duration::from_secs(60);

struct Showing {
    frames: Latest<Frame>,
    viewer: Viewer,
    /// The least time from one frame to the next.
    interval: Duration,
    limits: Arc<Limits>,
    due: Time,
    seq: Option<u64>,
}

/// Sends a viewer its frames, at most `fps` a second and within the limits, for as long as it takes them.
pub fn response(frames: Latest<Frame>, viewer: Viewer, fps: Option<f64>, limits: Arc<Limits>) -> Response {
    let interval = fps.map_or(Duration::ZERO, |fps| Duration::from_secs_f64(1.0 / fps));
    let showing = Showing { frames, viewer, interval, limits, due: clock::now(), seq: None };
    let parts = unfold(showing, |mut showing| async {
        let frame = showing.next().await?;
        Some((iter(part(&frame)), showing))
    });
    let mut response = reply::streaming(KIND, parts.flat_map(|part| part));
    // As the programs before us: no chunks between the parts, which simple clients do not know.
    *response.version_mut() = Version::HTTP_10;
    let response = reply::with(response, UNBUFFERED, "no");
    reply::with(response, CONNECTION, "close")
}

impl Showing {
    async fn next(&mut self) -> Option<Frame> {
        let early = self.due.since(clock::now());
        if !early.is_zero() {
            Timer::after(early).await;
        }
        let frame = self.frames.next().await?;
        let now = clock::now();
        let crossing = self.limits.rate_max().map_or(0.0, |rate| jpeg(&frame).len() as f64 * 8.0 / rate as f64);
        let crossed = now + Duration::from_secs_f64(crossing.min(REST.as_secs_f64()));
        self.due = crossed.max(self.due + self.interval);
        self.count(&frame, now);
        Some(frame)
    }

    fn count(&mut self, frame: &Frame, now: Time) {
        let mut link = self.viewer.peer.link();
        link.meter.add(now, jpeg(frame).len());
        link.latency_ms.add(now, now.since(frame.captured).as_secs_f64() * 1000.0);
        link.latency_error = Some(frame.error);
        if let Some(last) = self.seq.replace(frame.seq).filter(|_| self.interval.is_zero()) {
            link.slow += frame.seq.saturating_sub(last + 1);
        }
    }
}

fn part(frame: &Frame) -> [Bytes; 3] {
    let jpeg = jpeg(frame);
    let head = format!(
        "--boundarydonotcross\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\nX-Timestamp: {}\r\n\r\n",
        jpeg.len(),
        timestamp(frame)
    );
    [head.into(), jpeg, Bytes::from_static(b"\r\n")]
}

/// The capture time in seconds since 1970, as ustreamer writes it.
pub fn timestamp(frame: &Frame) -> String {
    let micros = frame.captured.unix_micros();
    format!("{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000))
}
