//! `--tc DEV`: the same settings as commands to the kernel's netem and tbf, for what leaves by a device.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use smol::future::or;

use super::timeline::follow;
use crate::fault::Fault;
use crate::roles::Job;
use crate::shaper::script::{Event, Script, Way};
use crate::shaper::settings::{Distribution, Queue, Rate, Settings};
use crate::units;

/// Packets that netem holds at most: a gigabit's for a second; its own 1000 would drop at 12 Mbit/s and one second.
const LIMIT: u32 = 100_000;
/// tbf sends as much at once at least: a tick of the slowest kernels (100 a second) and one frame.
const TICKS: u64 = 100;
const FRAME: u64 = 1600;

/// Handles that nobody else is likely to use: what a killed run left on a device is known by the first.
const NETEM: &str = "7c5:";
const TBF: &str = "7c6:";

/// How the device's own qdisc is treated: `Add` leaves it alone where somebody has set one.
#[derive(Clone, Copy)]
enum Root {
    Add,
    Replace,
}

/// The words behind `tc`, one command each.
fn commands(root: Root, device: &str, settings: &Settings) -> Result<Vec<Vec<String>>, Fault> {
    let words = |text: String| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
    let netem = netem(settings)?;
    let root = if matches!(root, Root::Add) { "add" } else { "replace" };
    let mut all = vec![words(format!("qdisc {root} dev {device} root handle {NETEM} netem limit {LIMIT} {netem}"))];
    let bandwidth = settings.bandwidth.map(Rate::Fixed);
    match settings.rate.as_ref().or(bandwidth.as_ref()) {
        None => {}
        Some(Rate::Trace(trace)) => {
            return Err(Fault::usage(format!("tc knows no traces: {} needs the proxy", trace.name)));
        }
        Some(Rate::Fixed(rate)) => {
            let burst = (rate / 8 / TICKS).max(FRAME);
            let queue = match settings.queue.unwrap_or(Queue::DEFAULT) {
                Queue::Time(time) => format!("latency {}us", time.as_micros().max(1)),
                Queue::Bytes(bytes) => format!("limit {}", bytes.max(FRAME)),
            };
            let tbf = format!(
                "qdisc replace dev {device} parent {NETEM} handle {TBF} tbf rate {rate}bit burst {burst} {queue}"
            );
            all.push(words(tbf));
        }
    }
    Ok(all)
}

fn netem(settings: &Settings) -> Result<String, Fault> {
    let mut text = String::new();
    let delayed = !settings.delay.is_zero() || !settings.jitter.is_zero();
    if delayed {
        text += &format!("delay {}us", settings.delay.as_micros());
    }
    if !settings.jitter.is_zero() {
        text += &format!(" {}us", settings.jitter.as_micros());
        if settings.distribution != Distribution::Uniform {
            text += &format!(" distribution {}", settings.distribution);
        }
    }
    match settings.burst_loss {
        Some(_) if settings.loss > 0.0 => {
            return Err(Fault::usage("netem has one model of loss: loss or burst-loss, not both"));
        }
        Some(burst) => {
            let (enter, leave) = burst.chances();
            text += &format!(" loss gemodel {:.6}% {:.6}%", 100.0 * enter, 100.0 * leave);
        }
        None if settings.loss > 0.0 => text += &format!(" loss random {}%", settings.loss),
        None => {}
    }
    for (what, percent) in [("duplicate", settings.duplicate), ("corrupt", settings.corrupt)] {
        if percent > 0.0 {
            text += &format!(" {what} {percent}%");
        }
    }
    match settings.reorder > 0.0 {
        true if !delayed => Err(Fault::usage("netem reorders by sparing packets their delay: --reorder needs --delay")),
        true => Ok(text + &format!(" reorder {}%", settings.reorder)),
        false => Ok(text),
    }
}

fn removal(device: &str) -> Vec<String> {
    ["qdisc", "del", "dev", device, "root"].map(str::to_string).to_vec()
}

/// The settings once a script's first events have happened.
fn first(settings: Settings, script: &Script) -> Settings {
    let mut first = settings;
    script.events.iter().filter(|event| event.at.is_zero()).for_each(|event| follow_up(event, &mut first));
    first
}

/// Of a script's event what tc can do: it shapes what leaves.
fn follow_up(event: &Event, current: &mut Settings) {
    let _ = event.apply(current, &mut Settings::default()); // it was checked when it was read
}

/// Prints the commands instead of running them.
pub fn show(device: &str, settings: Settings, script: &Script) -> Result<()> {
    let mut current = first(settings, script);
    let line = |words: &Vec<String>| format!("tc {}\n", words.join(" "));
    let mut text: String = commands(Root::Add, device, &current)?.iter().map(line).collect();
    for event in script.events.iter().filter(|event| !event.at.is_zero() && event.way != Way::Down) {
        follow_up(event, &mut current);
        text += &format!("# at {}\n", units::show_duration(event.at));
        text.extend(commands(Root::Replace, device, &current)?.iter().map(line));
    }
    text += &line(&removal(device));
    match std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Runs `tc`; what it printed.
fn tc(words: &[String]) -> Result<String> {
    log::debug!("tc {}", words.join(" "));
    let out = Command::new("tc").args(words).output().context("could not run tc (Debian: apt install iproute2)")?;
    let said = String::from_utf8_lossy(&out.stderr);
    let said = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it failed").trim();
    anyhow::ensure!(out.status.success(), "tc {}: {said}", words.join(" "));
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

fn all(commands: &[Vec<String>]) -> Result<()> {
    commands.iter().try_for_each(|words| tc(words).map(drop))
}

/// Holds a device for this process, until it ends however it ends: names of such sockets belong to the network
/// namespace, as devices do.
fn claim(device: &str) -> Result<UnixDatagram> {
    let name = UnixAddress::from_abstract_name(format!("vstream-shape-tc-{device}"))?;
    let claimed = UnixDatagram::bind_addr(&name);
    claimed.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow!("another `vstream shape --tc {device}` is running: end it first"),
        _ => error.into(),
    })
}

/// Takes away what a run before left that was killed. The device is ours alone by then.
fn clear(device: &str) -> Result<()> {
    let words = ["qdisc", "show", "dev", device, "root"].map(str::to_string);
    if tc(&words)?.contains(&format!("qdisc netem {NETEM} root")) {
        log::warn!("{device} was still shaped by a run that was killed: that is taken away");
        tc(&removal(device))?;
    }
    Ok(())
}

/// Sets it up; where that fails half-way nothing of it stays.
fn install(device: &str, settings: &Settings) -> Result<()> {
    let commands = commands(Root::Add, device, settings)?;
    clear(device)?;
    let Some((root, rest)) = commands.split_first() else { return Ok(()) };
    tc(root).map_err(|error| match error.to_string() {
        // The kernels' words for a device that somebody has set up already.
        text if ["NLM_F_REPLACE needed", "Exclusivity flag", "File exists"].iter().any(|w| text.contains(w)) => {
            anyhow!(
                "{device} has a qdisc already, which stays: `tc qdisc del dev {device} root` takes it away ({text})"
            )
        }
        _ => error,
    })?;
    all(rest).inspect_err(|_| _ = tc(&removal(device)))
}

/// Holds the settings, and a script's, until the job ends; takes them away again whatever ended it.
pub async fn run(job: &Arc<Job>, device: &str, settings: Settings, script: &Script) -> Result<()> {
    job.board.count_otherwise(Box::new(|_, _| Vec::new())); // the kernel counts, not we
    let settings = first(settings, script);
    let installed = claim(device).and_then(|claim| install(device, &settings).map(|()| claim));
    let _claim = installed.inspect_err(|_| job.stop.say())?; // nothing was shaped: no totals
    log::info!("{device} is shaped until this ends: {settings}");
    if script.events.iter().any(|event| event.way == Way::Down) {
        log::warn!("what the script says of down is left out: tc shapes what leaves by {device}");
    }
    or(play(job, device, settings, script), job.stop.heard()).await;
    let removed = tc(&removal(device));
    job.stop.say();
    removed.map(drop).and(job.ended().await)
}

/// Follows the script, and has no end.
async fn play(job: &Arc<Job>, device: &str, settings: Settings, script: &Script) {
    let mut current = settings;
    let change = |event: &Event| {
        follow_up(event, &mut current);
        let changed = commands(Root::Replace, device, &current).map_err(Into::into);
        if let Err(error) = changed.and_then(|commands| all(&commands)) {
            job.fail(error);
        }
    };
    follow(script, change).await;
    smol::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(settings: &str) -> String {
        let all = commands(Root::Replace, "eth0", &settings.parse().unwrap());
        all.map_or_else(|fault| fault.to_string(), |all| all.iter().map(|w| w.join(" ")).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn settings_are_netem_and_tbf() {
        assert_eq!(
            shown("delay=50ms,jitter=5ms,distribution=normal,loss=2%,reorder=1%"),
            "qdisc replace dev eth0 root handle 7c5: netem limit 100000 delay 50000us 5000us distribution normal \
             loss random 2% reorder 1%"
        );
        let rate = shown("rate=5mbit,queue=100ms");
        assert!(rate.ends_with("tbf rate 5000000bit burst 6250 latency 100000us"), "{rate}");
        assert!(shown("burst-loss=5%:4").contains("loss gemodel 1.315789% 25.000000%"));
    }

    #[test]
    fn what_netem_cannot_is_said() {
        assert!(shown("reorder=1%").contains("needs --delay"));
        assert!(shown("loss=1%,burst-loss=1%:2").contains("one model of loss"));
    }
}
