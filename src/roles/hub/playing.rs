//! A viewer's pictures: a live stream's at a rung, or a video's.

use std::sync::Weak;

use crate::draft::Draft;
use crate::frame::Frame;
use crate::latest::Latest;
use crate::publish::Serving;
use crate::roles::library::Playback;
use crate::units;
use crate::word::At;

use super::pictures::SOURCE;

pub enum Playing {
    /// As they come in the making.
    Drafts(Latest<Draft>),
    Whole(Latest<Frame>),
    Video(Box<Playback>),
}

impl Playing {
    /// The next one; none when the stream or the video is over.
    pub async fn next(&mut self) -> Option<Draft> {
        self.next_by(None).await
    }

    /// The same, where frames go by a hand as long as they can.
    pub async fn next_by(&mut self, hand: Option<Weak<Serving>>) -> Option<Draft> {
        match self {
            Playing::Drafts(drafts) => drafts.next_by(hand.map(|hand| hand as _)).await,
            Playing::Whole(frames) => frames.next_by(hand.map(|hand| hand as _)).await.map(Draft::from),
            Playing::Video(video) => video.next().await.map(Draft::from),
        }
    }

    /// Whether many others get the same.
    pub fn is_crowded(&self) -> bool {
        match self {
            Playing::Drafts(drafts) => drafts.is_crowded(),
            Playing::Whole(frames) => frames.is_crowded(),
            Playing::Video(_) => false,
        }
    }

    /// The same whole.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.next().await?.frame().await {
                return Some(frame);
            }
        }
    }

    /// Does what the viewer of a video wishes.
    pub fn play(&mut self, rung: &str, paused: bool, seek: Option<f64>) {
        let Playing::Video(video) = self else { return };
        video.choose(height(rung));
        video.pause(paused);
        seek.into_iter().for_each(|to| video.seek(to));
    }

    /// Where it is in a video.
    pub fn at(&self) -> Option<At> {
        let Playing::Video(video) = self else { return None };
        let at = video.at();
        Some(At { position: at.seconds, duration: at.duration, paused: at.paused })
    }

    /// Why nothing of a video can be played.
    pub fn trouble(&self) -> Option<String> {
        let Playing::Video(video) = self else { return None };
        video.trouble()
    }

    /// Waits for a while at the end of a video: a jump goes on from there. Not of a stream, which is over with its last frame.
    pub fn is_video(&self) -> bool {
        matches!(self, Playing::Video(_))
    }
}

/// The height that a rung's name says; the source's is the highest there is.
pub fn height(rung: &str) -> u32 {
    let named = || rung.strip_suffix('p').and_then(|height| height.parse().ok());
    if rung == SOURCE {
        u32::MAX
    } else {
        named().or_else(|| Some(units::size(rung).ok()?.1 as u32)).unwrap_or(u32::MAX)
    }
}
