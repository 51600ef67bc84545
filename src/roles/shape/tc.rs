//! `--tc DEV`: the same settings as commands to the kernel's netem and tbf, for what leaves by a device.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};
use smol::future::or;

use super::timeline::follow;
use crate::fault::Fault;
use crate::roles::Job;
use crate::shaper::script::Script;
use crate::shaper::settings::{Distribution, Queue, Rate, Settings};

/// Packets that netem holds at most: a gigabit's for a second; its own 1000 would drop at 12 Mbit/s and one second.
const LIMIT: u32 = 100_000;
/// tbf sends as much at once at least: a tick of the slowest kernels (100 a second) and one frame.
const TICKS: u64 = 100;
const FRAME: u64 = 1600;

/// The words behind `tc`, one command each.
pub fn commands(device: &str, settings: &Settings) -> Result<Vec<Vec<String>>, Fault> {
    let words = |text: String| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
    let netem = netem(settings)?;
    let mut all = vec![words(format!("qdisc replace dev {device} root handle 1: netem limit {LIMIT} {netem}"))];
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
            let tbf =
                format!("qdisc replace dev {device} parent 1: handle 10: tbf rate {rate}bit burst {burst} {queue}");
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

/// Prints the commands instead of running them.
pub fn show(device: &str, settings: &Settings) -> Result<()> {
    let mut all = commands(device, settings)?;
    all.push(removal(device));
    let lines: Vec<String> = all.iter().map(|words| format!("tc {}", words.join(" "))).collect();
    match std::io::Write::write_all(&mut std::io::stdout(), (lines.join("\n") + "\n").as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn tc(words: &[String]) -> Result<()> {
    log::debug!("tc {}", words.join(" "));
    let out = Command::new("tc").args(words).output().context("could not run tc (Debian: apt install iproute2)")?;
    let said = String::from_utf8_lossy(&out.stderr);
    let said = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it failed").trim();
    anyhow::ensure!(out.status.success(), "tc {}: {said}", words.join(" "));
    Ok(())
}

/// Holds the settings, and a script's, until the job ends; takes them away again whatever ended it.
pub async fn run(job: &Arc<Job>, device: &str, settings: Settings, script: Option<Script>) -> Result<()> {
    let apply = |settings: &Settings| {
        commands(device, settings).map_err(Into::into).and_then(|all| all.iter().try_for_each(|words| tc(words)))
    };
    let mut begun = apply(&settings);
    if begun.is_ok() {
        log::info!("{device} is shaped until this ends: {settings}");
        let mut current = settings;
        let play = async {
            if let Some(script) = &script {
                follow(script, |event| {
                    let _ = event.apply(&mut current, &mut Settings::default()); // it was checked when it was read
                    if let Err(error) = apply(&current) {
                        job.fail(error);
                    }
                })
                .await;
            }
            smol::future::pending().await
        };
        or(play, job.stop.heard()).await;
        begun = tc(&removal(device));
    } else {
        let _ = tc(&removal(device)); // half of it may be there
    }
    job.stop.say();
    begun.and(job.ended().await)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(settings: &str) -> String {
        let all = commands("eth0", &settings.parse().unwrap());
        all.map_or_else(|fault| fault.to_string(), |all| all.iter().map(|w| w.join(" ")).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn settings_are_netem_and_tbf() {
        assert_eq!(
            shown("delay=50ms,jitter=5ms,distribution=normal,loss=2%,reorder=1%"),
            "qdisc replace dev eth0 root handle 1: netem limit 100000 delay 50000us 5000us distribution normal \
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
