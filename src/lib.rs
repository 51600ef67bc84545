//! vstream carries live video from one PC to others and lets you see and control the network in between.
//!
//! The way of a picture, by file names: `devices/camera` → `codec/encode` → `fanout`, `latest` → `transports/tcp` →
//! network → `transports/tcp` → `playout` → `codec/decode` → `devices/window`. `roles` put these parts in a row;
//! ARCHITECTURE.md says which layer may use which.

pub mod clock;
pub mod codec;
pub mod devices;
pub mod fanout;
pub mod fault;
pub mod frame;
pub mod latest;
pub mod pace;
pub mod picture;
pub mod playout;
pub mod stop;
pub mod utc;
