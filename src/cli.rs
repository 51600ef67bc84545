//! The commands, one variant a role.

use clap::error::{ContextKind, ContextValue};
use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::roles::{devices, hub, player, recv, relay, send, shape};
use crate::transports;

/// Live video from one PC to others, with the network in between in view
///
/// On one PC:      vstream recv --play
/// On the other:   vstream send --to HOST
#[derive(Parser, Debug)]
#[command(name = "vstream", version, verbatim_doc_comment, max_term_width = 120, subcommand_required = true)]
pub struct Cli {
    #[command(subcommand)]
    pub role: Role,
}

#[derive(Subcommand, Debug)]
pub enum Role {
    Send(send::SendArgs),
    Recv(recv::RecvArgs),
    Relay(relay::RelayArgs),
    Hub(hub::HubArgs),
    Player(player::PlayerArgs),
    Shape(Box<shape::ShapeArgs>),
    Devices(devices::DevicesArgs),
    /// Print a completion script, for example: vstream completions bash >> ~/.bashrc
    Completions {
        shell: Shell,
    },
}

/// The whole command line: every flag with its variable, the addresses of every transport in the help.
pub fn command() -> Command {
    with_environment(Cli::command()).after_help(after_help())
}

/// `VSTREAM_SIZE` for `--size`, and so on: flag > environment > default.
fn with_environment(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_string()).collect();
    let command = command.mut_args(|arg| match arg.get_long() {
        Some("help" | "version") | None => arg,
        Some(long) => {
            let variable = format!("VSTREAM_{}", long.to_uppercase().replace('-', "_"));
            arg.env(variable).hide_env(true)
        }
    });
    names.into_iter().fold(command, |c, name| c.mut_subcommand(name, with_environment))
}

fn after_help() -> String {
    let mut text = String::from(
        "Addresses: scheme://host:port/name?option=value. Without scheme tcp, without port 9000, without name live.\n",
    );
    for t in transports::ALL {
        text += &format!("  {:<8} {}\n", format!("{}://", t.scheme()), t.about());
        for (name, help) in t.options() {
            text += &format!("    {name:<10} {help}\n");
        }
    }
    text += "  any of them\n    key        the key of this link, where it is not --key's\n";
    text + "Every flag has a variable: VSTREAM_SIZE for --size. NO_COLOR is heeded.\n\
            Exit codes: 0 ended as asked, 1 failed, 2 usage, 3 device (also a file that is not there or holds no picture),\n\
            4 refused (place taken, no such stream, key or certificate wrong, another version), 124 --timeout reached."
}

/// An address that cannot be read is shown with what is wrong in it, but not with the key that it may hold.
fn without_secret(mut error: clap::Error) -> clap::Error {
    for kind in [ContextKind::InvalidValue, ContextKind::InvalidArg] {
        if let Some(ContextValue::String(value)) = error.get(kind)
            && let Some(end) = shown_until(value)
        {
            let shown = ContextValue::String(format!("{}…", &value[..end]));
            error.insert(kind, shown);
        }
    }
    error
}

/// Where an address may hold a key: behind its name, or anywhere in what stands for options of an address, as `kye=`.
fn shown_until(value: &str) -> Option<usize> {
    let key = || value.to_ascii_lowercase().find("key=").map(|at| at + "key=".len());
    value.find("://").and_then(|scheme| Some(scheme + value[scheme..].find('?')? + 1)).or_else(key)
}

/// Runs what the user typed. Usage errors end the program here, as clap prints them.
pub fn run() -> anyhow::Result<()> {
    crate::guard::install();
    keep_memory();
    let matches = command().try_get_matches().unwrap_or_else(|error| without_secret(error).exit());
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    match cli.role {
        Role::Send(args) => send::run(args),
        Role::Recv(args) => recv::run(args),
        Role::Relay(args) => relay::run(args),
        Role::Hub(args) => hub::run(args),
        Role::Player(args) => player::run(args),
        Role::Shape(args) => shape::run(*args),
        Role::Devices(args) => devices::run(args),
        Role::Completions { shell } => {
            clap_complete::generate(shell, &mut command(), "vstream", &mut std::io::stdout());
            Ok(())
        }
    }
}

/// Lets the allocator keep what a frame took for the next one. Of glibc's, blocks that were mapped for themselves and freed
/// raise the bound from which it gives memory back to the system (mallopt(3), M_MMAP_THRESHOLD), and a hub or relay has no
/// such block of its own: it would give back a frame's memory and ask for it again, thirty times a second.
fn keep_memory() {
    const FRAME: usize = 4 << 20;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(FRAME)));
}
