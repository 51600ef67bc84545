//! What guests of a hub say and what it tells them, besides pictures: one vocabulary, in JSON, on links and on the
//! WebSocket of its page (docs/protocol.md).

use std::sync::Arc;

use anyhow::{Context, Result};
use async_channel::{Receiver, Sender};
use serde::{Deserialize, Serialize};

use crate::stats::Line;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Word {
    // A guest's.
    /// To all in the room, or a command: `/help` lists them.
    Say {
        text: String,
    },
    /// A rung by name, or `auto`.
    Choose {
        rung: String,
    },
    /// Seconds from a video's beginning.
    Seek {
        to: f64,
    },
    Pause {
        paused: bool,
    },
    // The hub's.
    /// The first word to a guest: the name that it has here.
    Entered {
        user: String,
    },
    Said(Said),
    /// A line of the hub's own: who came, what a command answers.
    Told {
        text: String,
    },
    /// The guest must go, and need not come back.
    Out {
        why: String,
    },
    /// What a guest watches from now on, and why, where the hub chose.
    Rung {
        rung: String,
        #[serde(default)]
        auto: bool,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
    },
    /// The room, once a second: one for all who are told.
    #[serde(with = "shared")]
    Room(Arc<Room>),
    /// Where this guest is in a video.
    At(At),
    /// What there is to watch, once a second to those who look for something.
    Hall(Hall),
    // Both.
    /// The picture of a video: asked for by the video's name; told as a JPEG in base64, empty where there is none.
    Poster {
        name: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        jpeg: String,
    },
    /// From another version.
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    pub from: String,
    /// To this guest alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    pub text: String,
    /// Microseconds since 1970.
    pub at: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Room {
    pub stream: String,
    /// Of a video, for people: `stream` is its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who streams; nobody is waited for.
    pub streamer: Option<Guest>,
    /// The first of them; `count` has all.
    pub viewers: Vec<Guest>,
    pub count: usize,
    /// What can be chosen: names of rungs, the source's first.
    pub rungs: Vec<String>,
    /// Of a video: the share of its preparation that is done, while that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preparing: Option<f64>,
}

/// A guest's figures, as the hub's side of its link has them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Guest {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rung: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    pub fps: f64,
    /// Bits a second.
    pub bitrate: u64,
    /// From capture: to the hub for a streamer, to the guest for a viewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    pub lost: u64,
    pub dropped: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct At {
    /// Seconds.
    pub position: f64,
    pub duration: f64,
    pub paused: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hall {
    pub streams: Vec<Live>,
    pub videos: Vec<Video>,
}

/// A stream that somebody sends now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Live {
    pub name: String,
    pub streamer: String,
    pub viewers: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    pub fps: f64,
}

/// A video of the library.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Video {
    /// As addresses have it.
    pub name: String,
    pub title: String,
    pub seconds: f64,
    /// Rungs that can be watched now.
    pub rungs: Vec<String>,
    /// The share of its preparation that is done, while that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preparing: Option<f64>,
    /// Why it cannot be watched, or not at all its rungs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// As the value itself.
mod shared {
    use super::{Arc, Deserialize, Room, Serialize};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(room: &Arc<Room>, to: S) -> Result<S::Ok, S::Error> {
        Room::serialize(room, to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Room>, D::Error> {
        Room::deserialize(from).map(Arc::new)
    }
}

/// Words on a link beside its stream: what the far side said, and what it is told.
#[derive(Clone, Debug)]
pub struct Talk {
    /// Words beyond what this holds are lost: nobody talks so fast.
    pub heard: Sender<Word>,
    pub told: Receiver<Word>,
}

/// The next word to tell; never one where there is no talk.
pub async fn next(talk: Option<&Talk>) -> Word {
    if let Some(Ok(word)) = async { Some(talk?.told.recv().await) }.await {
        return word;
    }
    std::future::pending().await
}

/// A word came. Errors: it may not.
pub fn hear(talk: Option<&Talk>, word: Word) -> Result<()> {
    let talk = talk.context("a word came from one who is no guest here")?;
    _ = talk.heard.try_send(word); // who does not listen, or too many at once: words may be lost
    Ok(())
}

impl At {
    /// At the end of the video.
    pub fn is_over(&self) -> bool {
        self.duration > 0.0 && self.position >= self.duration
    }
}

impl Guest {
    pub fn of(name: &str, line: &Line) -> Guest {
        Guest {
            name: name.to_string(),
            rung: line.rung.clone(),
            size: line.size.clone(),
            fps: line.fps.unwrap_or_default(),
            bitrate: line.bitrate,
            latency_ms: line.latency_ms,
            rtt_ms: line.rtt_ms,
            lost: line.lost.unwrap_or_default(),
            dropped: line.dropped.slow + line.dropped.late + line.dropped.corrupt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_objects_with_a_type() {
        let shown = |word: &Word| serde_json::to_string(word).unwrap();
        assert_eq!(shown(&Word::Say { text: "hi".into() }), r#"{"type":"say","text":"hi"}"#);
        let said = Word::Said(Said { from: "a".into(), to: None, text: "x".into(), at: 1 });
        assert_eq!(shown(&said), r#"{"type":"said","from":"a","text":"x","at":1}"#);
        let room = Word::Room(Room { count: 3, ..Room::default() }.into());
        assert_eq!(serde_json::from_str::<Word>(&shown(&room)).unwrap(), room);
    }

    #[test]
    fn words_of_later_versions_are_passed_over() {
        assert_eq!(serde_json::from_str::<Word>(r#"{"type":"dance","far":1}"#).unwrap(), Word::Unknown);
        assert!(serde_json::from_str::<Word>(r#"{"text":"x"}"#).is_err());
    }
}
