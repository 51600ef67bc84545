//! In place of the player's window, in a build without one: an error for whoever asks.

use std::sync::Arc;

use anyhow::Result;
use async_channel::{Receiver, Sender};

use super::session::{Call, Order};
use crate::fault::Fault;
use crate::roles::Job;

pub fn run(_: &Arc<Job>, _: Call, _: Order, _: (Sender<Order>, Receiver<Order>)) -> Result<()> {
    let fault = Fault::device("could not open a window: this vstream was built without one");
    Err(fault.hint("build it with --features window, or use --headless").into())
}
