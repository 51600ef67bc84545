//! A disk that is soon full.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Vstream, skip, start};

/// A vstream with a tmpfs of 512 KiB at `disk`.
pub fn with_small_disk(disk: &Path, args: &[&str]) -> Option<Vstream> {
    let mut command = on_small_disk(disk, Path::new(env!("CARGO_BIN_EXE_vstream")))?;
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null());
    Some(start(command))
}

/// A program in a mount namespace of its own, with a tmpfs of 512 KiB at `disk`; what it left there is at `disk.kept`
/// afterwards.
pub fn on_small_disk(disk: &Path, program: &Path) -> Option<Command> {
    // The shell stays until the end, to keep what was saved: the disk goes with the namespace.
    let script = format!(
        "mount -t tmpfs -o size=512k small {disk} && {program} \"$@\"; code=$?; cp -r {disk} {disk}.kept; umount {disk}; exit $code",
        disk = disk.display(),
        program = program.display(),
    );
    // A user needs a namespace of users too; root inside a chroot may not have one.
    let allowed = |flags: &&[&str]| {
        Command::new("unshare").args(*flags).arg("true").stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    let Some(flags) = [&["-rm"][..], &["-m", "--propagation", "unchanged"]].into_iter().find(allowed) else {
        skip("no mount namespaces for this user");
        return None;
    };
    let mut command = Command::new("unshare");
    command.args(flags).args(["sh", "-c", &script, "sh"]);
    Some(command)
}
