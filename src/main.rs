//! The program: run what was typed, print the error, end with its code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use vstream::fault::{self, Fault, Kind};

fn main() -> ExitCode {
    let Err(error) = vstream::cli::run() else { return ExitCode::SUCCESS };
    let fault = error.downcast_ref::<Fault>();
    let kind = fault.map_or(Kind::Failed, |f| f.kind);
    if !fault.is_some_and(Fault::was_told) {
        vstream::log::plain(&format!("vstream: {}", fault::line(&error)));
        if let Some(hint) = fault.and_then(|f| f.hint.as_deref()) {
            vstream::log::plain(&format!("hint: {hint}"));
        }
    }
    ExitCode::from(kind as u8)
}
