//! What two vstreams say to each other in words: objects of JSON, in which a reader passes over fields it does not know.

use serde::{Deserialize, Serialize};

use crate::path::Hop;

/// The caller's first message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub role: Side,
    /// The stream, where the caller names one; of one that joins, its own name.
    #[serde(default)]
    pub name: Option<String>,
    /// The program and its version, for people to read.
    #[serde(default)]
    pub agent: String,
    /// A random number of the caller's process: by it a caller that comes back is known.
    #[serde(default)]
    pub instance: u64,
    /// Where others may call it, for a coordinator to tell them; no host is the one that it calls from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listening: Option<String>,
    #[serde(default, flatten)]
    pub visit: Visit,
    #[serde(default, flatten)]
    pub stream: About,
}

/// What a guest of a hub says of itself and wants.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    /// The name that it goes by. One that has none is told no words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What it watches: the name of a rung, or `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<String>,
    /// It publishes in the place of whoever does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub take_over: bool,
}

/// What the publishing side says of its stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Frames a second, where the source has a rate of its own.
    #[serde(default)]
    pub rate: Option<f64>,
    /// No frame may be dropped: the receiver acknowledges what it has written, and the source waits.
    #[serde(default)]
    pub every_frame: bool,
    /// The way that it has come, the publisher last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<Hop>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    Publish,
    Watch,
    /// A peer that is told by a coordinator where the stream comes from.
    Join,
    /// A guest of a hub that only looks what there is.
    Browse,
}

/// The listener's answer to a hello it accepts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    pub name: String,
    #[serde(default)]
    pub agent: String,
    #[serde(default, flatten)]
    pub stream: About,
}

/// The answer to one that it does not; the link ends with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refuse {
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bye {
    pub reason: String,
    /// The stream is over, not only this link.
    #[serde(default)]
    pub over: bool,
}
