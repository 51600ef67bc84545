//! `vstream devices`: the cameras of this machine and what they offer.

use anyhow::Result;
use clap::Args;

/// List the cameras and their formats
///
/// Examples:
///   vstream devices                 for people
///   vstream devices --json          for programs
#[derive(Args, Clone, Debug)]
#[command(verbatim_doc_comment)]
pub struct DevicesArgs {
    /// One JSON array on stdout
    #[arg(long)]
    pub json: bool,
}

#[cfg(feature = "camera")]
pub fn run(args: DevicesArgs) -> Result<()> {
    use std::io::{ErrorKind, Write};

    let cameras = crate::devices::camera::list();
    let text = match args.json {
        true => serde_json::to_string_pretty(&cameras)?,
        false if cameras.is_empty() => "no camera found: no /dev/video* is there to capture from".to_string(),
        false => cameras.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(not(feature = "camera"))]
pub fn run(_: DevicesArgs) -> Result<()> {
    Err(crate::fault::Fault::device("this vstream was built without cameras")
        .hint("build it with --features camera")
        .into())
}
