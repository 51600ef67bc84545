//! vstream carries live video from one PC to others and lets you see and control the network in between.
//!
//! The way of a picture, by file names: `devices/camera` → `codec/encode` → `fanout`, `latest` → `transports/tcp` →
//! network → `transports/tcp` → `playout` → `codec/decode` → `devices/window`. `roles` put these parts in a row;
//! ARCHITECTURE.md says which layer may use which.

#![deny(unsafe_code)]

pub mod adapt;
pub mod alarm;
pub mod allowance;
pub mod assembly;
pub mod chat;
pub mod cli;
pub mod clock;
pub mod codec;
pub mod connected;
pub mod datagrams;
pub mod devices;
pub mod draft;
pub mod endpoint;
pub mod exchange;
pub mod fanout;
pub mod fault;
pub mod flow;
pub mod frame;
pub mod greet;
pub mod guard;
pub mod had;
pub mod handshake;
pub mod home;
#[cfg(feature = "tls")]
pub mod identity;
pub mod key;
pub mod latest;
pub mod link;
pub mod lock;
pub mod log;
pub mod merge;
pub mod message;
pub mod meter;
pub mod pace;
pub mod path;
pub mod picture;
pub mod playout;
pub mod publish;
pub mod records;
pub mod report;
pub mod retry;
pub mod roles;
pub mod roster;
pub mod runs;
pub mod seal;
pub mod sealed;
pub mod segments;
pub mod shaper;
pub mod stats;
pub mod stop;
pub mod strangers;
pub mod stream;
pub mod tasks;
pub mod transports;
pub mod units;
pub mod until;
pub mod utc;
pub mod watch;
pub mod web;
pub mod word;
