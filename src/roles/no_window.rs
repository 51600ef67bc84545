//! In place of the window, in a build without one: the same words, and an error for whoever asks.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Result;

use super::Job;
use super::output::Output;
use crate::fault::Fault;
use crate::playout::Mode;

/// There never is one.
pub type Screen = Infallible;

pub fn open(_: &Arc<Job>, _: &str, _: Mode) -> Result<(Output, Screen)> {
    let fault = Fault::device("could not open a window: this vstream was built without one");
    Err(fault.hint("build it with --features window, or use --save or --output").into())
}

pub fn run(_: &Job, _: &str, screen: Screen) {
    match screen {}
}
