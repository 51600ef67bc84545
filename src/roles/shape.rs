//! `vstream shape`: socket → `Shaper` → socket. A network as bad as you like, without root, for tcp and udp.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use clap::Args;

use super::http::{self, address_or};
use super::secure::CertArgs;
use super::{Common, Job};
use crate::endpoint::Endpoint;
use crate::fault::{self, Fault};
use crate::shaper::profiles::{PROFILES, profile};
use crate::shaper::script::Script;
use crate::shaper::settings::{Rate, Settings};
use crate::shaper::trace::Trace;
use crate::web::access;

pub mod api;
mod batch;
mod flows;
mod lines;
mod monitor;
mod panel;
mod place;
mod proxies;
mod proxy;
mod sockets;
mod tally;
mod tc;
mod tcp;
mod timeline;
mod toxic;
mod udp;

use api::Api;
use panel::Panel;
use place::Place;
use proxies::Proxies;
use proxy::Spec;

/// Put a bad network between two programs
///
/// Examples:
///   vstream shape --delay 50ms --loss 1%                    127.0.0.1:9001 → 127.0.0.1:9000, tcp
///   vstream shape --udp --listen :5000 --to HOST:5000 --rate 5mbit --jitter 10ms
///   vstream shape --profile 3g --down 'rate=2mbit'          what each direction does on its own
///   vstream shape --monitor :8080 --open                    sliders and charts, and the picture of `recv --http`
///   vstream shape --script rfc8867-5.1 --scale 20           a capacity that changes
///   vstream shape --tc eth0 --delay 50ms --dry-run          the same by the kernel, needs root
///
/// Settings hold for each direction, one way: --delay 50ms adds 100 ms to the round trip.
/// On tcp nothing is reordered, doubled or damaged, and a lost segment is the delay of its
/// retransmission: a round trip and 200 ms, doubling.
#[derive(Args, Clone, Debug)]
#[command(verbatim_doc_comment)]
pub struct ShapeArgs {
    /// Take clients here; :9001 is every interface [default: 127.0.0.1:9001]
    #[arg(long, value_name = "ADDR", value_parser = place::listening)]
    pub listen: Option<Place>,
    /// Pass them on to here [default: 127.0.0.1:9000]
    #[arg(long, value_name = "ADDR", value_parser = place::target)]
    pub to: Option<Place>,
    /// Pass datagrams instead of tcp
    #[arg(long, conflicts_with = "both")]
    pub udp: bool,
    /// Pass tcp and datagrams, on the same port
    #[arg(long)]
    pub both: bool,
    /// Add this delay, each way
    #[arg(long, value_name = "DUR", value_parser = |v: &str| checked("delay", v), help_heading = NETWORK)]
    pub delay: Option<String>,
    /// Vary the delay by this much
    #[arg(long, value_name = "DUR", value_parser = |v: &str| checked("jitter", v), help_heading = NETWORK)]
    pub jitter: Option<String>,
    /// How it varies: uniform, normal or pareto
    #[arg(long, value_name = "SHAPE", value_parser = |v: &str| checked("distribution", v), help_heading = NETWORK)]
    pub distribution: Option<String>,
    /// Lose this share of packets
    #[arg(long, value_name = "PERCENT", value_parser = |v: &str| checked("loss", v), help_heading = NETWORK)]
    pub loss: Option<String>,
    /// Lose this share in bursts of this mean length, as 2%:5
    #[arg(long, value_name = "MEAN:LENGTH", value_parser = |v: &str| checked("burst-loss", v), help_heading = NETWORK)]
    pub burst_loss: Option<String>,
    /// Let this share of datagrams overtake others
    #[arg(long, value_name = "PERCENT", value_parser = |v: &str| checked("reorder", v), help_heading = NETWORK)]
    pub reorder: Option<String>,
    /// Double this share of datagrams
    #[arg(long, value_name = "PERCENT", value_parser = |v: &str| checked("duplicate", v), help_heading = NETWORK)]
    pub duplicate: Option<String>,
    /// Damage a bit in this share of datagrams
    #[arg(long, value_name = "PERCENT", value_parser = |v: &str| checked("corrupt", v), help_heading = NETWORK)]
    pub corrupt: Option<String>,
    /// Pass so many payload bits a second, all connections together
    #[arg(long, value_name = "RATE", value_parser = |v: &str| checked("rate", v), help_heading = NETWORK)]
    pub rate: Option<String>,
    /// Let so much wait for the rate, in time or bytes; more is dropped [default: 300ms]
    #[arg(long, value_name = "DUR|BYTES", value_parser = |v: &str| checked("queue", v), help_heading = NETWORK)]
    pub queue: Option<String>,
    /// Other settings from client to target, as 'delay=50ms,loss=2%'
    #[arg(long, value_name = "SETTINGS", value_parser = settings, help_heading = NETWORK)]
    pub up: Option<String>,
    /// Other settings from target to client
    #[arg(long, value_name = "SETTINGS", value_parser = settings, help_heading = NETWORK)]
    pub down: Option<String>,
    /// Begin with a known network (help lists them)
    #[arg(long, value_name = "NAME", help_heading = NETWORK)]
    pub profile: Option<String>,
    /// Follow a recorded link (mahimahi's format); given twice the second is for target to client
    #[arg(long, value_name = "FILE", conflicts_with = "rate", help_heading = NETWORK)]
    pub trace: Vec<PathBuf>,
    /// Change over time: a file of lines such as `at 10s rate 1mbit`, or rfc8867-5.1, -5.2, -5.3
    #[arg(long, value_name = "FILE|NAME")]
    pub script: Option<String>,
    /// Multiply the script's rates
    #[arg(long, value_name = "X", default_value = "1", value_parser = scale, requires = "script")]
    pub scale: f64,
    /// Proxies and toxics as JSON, as for POST /populate; read again at SIGHUP
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Repeat the same chances
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Serve the panel and the Toxiproxy v2 API here [default: 127.0.0.1:8474, where it is free]
    #[arg(long, value_name = "ADDR", value_parser = |v: &str| address_or(v, API), help_heading = "Browser")]
    pub http: Option<Endpoint>,
    /// Let pages of this origin (http://host:port) read and change what is served; more than once for several
    #[arg(long, value_name = "ORIGIN", value_parser = access::origin, help_heading = "Browser")]
    pub allow_origin: Vec<String>,
    /// Show the stream of a send or recv that serves --http here; more than once for several
    #[arg(long, value_name = "URL", value_parser = monitor::address, help_heading = "Browser")]
    pub monitor: Vec<Endpoint>,
    /// Open the panel in a browser
    #[arg(long, help_heading = "Browser")]
    pub open: bool,
    /// Shape what leaves by this device with the kernel's netem and tbf instead (root)
    #[arg(long, value_name = "DEV", value_parser = device, conflicts_with_all = ["listen", "to", "udp", "both", "down", "config"])]
    pub tc: Option<String>,
    /// Only print the commands of --tc
    #[arg(long, requires = "tc")]
    pub dry_run: bool,
    #[command(flatten)]
    pub common: Common,
}

const NETWORK: &str = "The network";
/// Toxiproxy's port.
const API: u16 = 8474;
/// A configuration, a script or a trace that is longer is some other file: an hour of a trace at 12 Mbit/s has this.
const FILE_MAX: u64 = 32 << 20;

fn checked(name: &str, value: &str) -> Result<String, String> {
    let why = |text: String| text.split_once("`: ").map_or(text.clone(), |(_, why)| why.to_string());
    Settings::default().set(name, value).map(|()| value.to_string()).map_err(why)
}

fn settings(text: &str) -> Result<String, String> {
    text.parse::<Settings>().map(|_| text.to_string())
}

fn scale(text: &str) -> Result<f64, String> {
    let scale = text.parse().ok().filter(|scale| (1e-3..=1e6).contains(scale));
    scale.ok_or_else(|| "a scale is from 0.001 to 1000000".to_string())
}

/// Linux's IFNAMSIZ is 16 with the closing zero.
fn device(text: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.:@".contains(c);
    match (1..16).contains(&text.len()) && text.chars().all(fine) && !text.starts_with('-') {
        true => Ok(text.to_string()),
        false => Err("a network device is a name such as eth0".to_string()),
    }
}

/// A file's text, not more of it than is sensible: a device has no length and no end.
fn read(path: &Path) -> Result<String> {
    let (open, mut text) = (|| format!("could not read {}", path.display()), String::new());
    let file = std::fs::File::open(path).with_context(open)?;
    let length = file.take(FILE_MAX + 1).read_to_string(&mut text).with_context(open)?;
    anyhow::ensure!(
        length as u64 <= FILE_MAX,
        "{} has more than {} MiB: it is none of ours",
        path.display(),
        FILE_MAX >> 20
    );
    Ok(text)
}

impl ShapeArgs {
    /// What both directions do: the profile, then the flags, then their own.
    fn networks(&self) -> Result<(Settings, Settings)> {
        let usage = |why: String| Fault::usage(why);
        let named = self.profile.as_deref().map(profile).transpose();
        let (mut up, mut down) = named.map_err(usage)?.unwrap_or_default();
        for (name, value) in [
            ("delay", &self.delay),
            ("jitter", &self.jitter),
            ("distribution", &self.distribution),
            ("loss", &self.loss),
            ("burst-loss", &self.burst_loss),
            ("reorder", &self.reorder),
            ("duplicate", &self.duplicate),
            ("corrupt", &self.corrupt),
            ("rate", &self.rate),
            ("queue", &self.queue),
        ] {
            if let Some(value) = value {
                up.set(name, value).map_err(usage)?;
                down.set(name, value).map_err(usage)?;
            }
        }
        for (settings, own) in [(&mut up, &self.up), (&mut down, &self.down)] {
            settings.change(own.as_deref().unwrap_or_default()).map_err(usage)?;
        }
        if let [first, rest @ ..] = &self.trace[..] {
            let trace = |path: &PathBuf| -> Result<Option<Rate>> {
                let trace = Trace::parse(&path.display().to_string(), &read(path)?).map_err(|why| anyhow!(why))?;
                Ok(Some(Rate::Trace(Arc::new(trace))))
            };
            anyhow::ensure!(rest.len() < 2, Fault::usage("--trace is given twice at most: up, then down"));
            up.rate = trace(first)?;
            down.rate = rest.first().map(trace).transpose()?.unwrap_or_else(|| up.rate.clone());
        }
        Ok((up, down))
    }

    fn script(&self) -> Result<Option<(String, Script)>> {
        let Some(name) = &self.script else { return Ok(None) };
        let script = timeline::read(name, self.scale).map_err(|error| Fault::usage(fault::line(&error)))?;
        Ok(Some((name.clone(), script)))
    }

    /// The proxy of the flags; none where a configuration says all.
    fn proxy(&self, up: Settings, down: Settings) -> Result<Option<Spec>> {
        if self.config.is_some() && self.listen.is_none() && self.to.is_none() {
            return Ok(None);
        }
        let at = |place: &Option<Place>, default: u16| match place {
            Some(place) => place.address.clone(),
            None => format!("127.0.0.1:{default}"),
        };
        Ok(Some(Spec {
            name: "shape".to_string(), // the panel begins with it
            listen: at(&self.listen, place::PORT),
            upstream: at(&self.to, crate::endpoint::PORT),
            enabled: true,
            protocol: place::protocol(self.udp, self.both, [&self.listen, &self.to])?,
            up,
            down,
            toxics: Vec::new(),
        }))
    }
}

pub fn run(args: ShapeArgs) -> Result<()> {
    if args.profile.as_deref() == Some("help") {
        return list_profiles();
    }
    let (up, down) = args.networks()?;
    let script = args.script()?;
    if let Some(device) = &args.tc {
        let script = script.map(|(_, script)| script).unwrap_or_default();
        if args.dry_run {
            return tc::show(device, up, &script);
        }
        let job = Job::start("shape", &args.common)?;
        return smol::future::block_on(tc::run(&job, device, up, &script));
    }
    let spec = args.proxy(up, down)?;
    let job = Job::start("shape", &args.common)?;
    let begun = smol::future::block_on(begin(&job, &args, spec));
    let proxies = begun?;
    if let Some((name, script)) = script {
        proxies.play(&name, script);
    }
    smol::future::block_on(async {
        job.stop.heard().await;
        let ended = job.ended().await;
        proxies.close().await;
        ended
    })
}

async fn begin(job: &Arc<Job>, args: &ShapeArgs, spec: Option<Spec>) -> Result<Arc<Proxies>> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32)); // short enough to type again
    let proxies = Proxies::new(seed, job.board.clone());
    job.board.count_otherwise(lines::lines(proxies.clone()));
    if let Some(spec) = spec {
        let (proxy, urls) = proxies.add(spec).await.map_err(proxies::Refused::of_a_user)?;
        job.board.whole().listening = urls.first().cloned();
        let spec = proxy.spec();
        let told = |settings: &Settings| if settings.is_clean() { "nothing".to_string() } else { settings.to_string() };
        log::info!("shaping to {}: up {}; down {}; seed {seed}", spec.upstream, told(&spec.up), told(&spec.down));
        if spec.listen.starts_with("[::]") || spec.listen.starts_with("0.0.0.0") {
            log::warn!("whoever reaches {} of this machine is passed on to {}", spec.listen, spec.upstream);
        }
    }
    if let Some(path) = &args.config {
        let text = read(path)?;
        let configured = proxies.configure(text.as_bytes()).await;
        configured.map_err(|refused| Fault::usage(format!("{}: {}", path.display(), refused.why)))?;
        reread(job, &proxies, path.clone());
    }
    serve(job, args, &proxies).await?;
    Ok(proxies)
}

/// SIGHUP reads the configuration again; what is wrong in it is said, and all stays as it was.
fn reread(job: &Arc<Job>, proxies: &Arc<Proxies>, path: PathBuf) {
    let (hangup, heard) = async_channel::bounded(1);
    job.on_hangup(move || _ = hangup.try_send(()));
    let (stop, proxies) = (job.stop.clone(), proxies.clone());
    job.spawn(smol::future::or(async move { stop.heard().await }, async move {
        while heard.recv().await.is_ok() {
            let done = match read(&path) {
                Ok(text) => proxies.configure(text.as_bytes()).await.map_err(anyhow::Error::from),
                Err(error) => Err(error),
            };
            match done {
                Ok(all) => log::info!("{} was read again: {} proxies", path.display(), all.len()),
                Err(error) => log::warn!("{} stays as it was: {}", path.display(), fault::line(&error)),
            }
        }
    }));
}

async fn serve(job: &Arc<Job>, args: &ShapeArgs, proxies: &Arc<Proxies>) -> Result<()> {
    let on = match &args.http {
        Some(on) => on.clone(),
        None => address_or("", API).map_err(|why| anyhow!(why))?,
    };
    match http::open(&on, &CertArgs::default()).await {
        Ok(door) => {
            let url = door.url.clone();
            let (api, key) = (Api { proxies: proxies.clone() }, job.key.clone());
            let panel = Panel { api, monitors: args.monitor.clone(), key };
            door.serve(job, args.allow_origin.clone(), Arc::new(panel));
            if args.open {
                panel::open(&url);
            }
        }
        Err(error) if args.http.is_some() || args.open => return Err(error),
        Err(error) => log::warn!("there is no panel and no API: {}: --http ADDR chooses a place", fault::line(&error)),
    }
    Ok(())
}

fn list_profiles() -> Result<()> {
    let line = |(name, about, up, down): &(&str, &str, &str, &str)| {
        let both = if up == down { up.to_string() } else { format!("up {up}  down {down}") };
        format!("{name:<10} {about:<24} {both}")
    };
    let text: Vec<String> = PROFILES.iter().map(line).collect();
    match std::io::Write::write_all(&mut std::io::stdout(), (text.join("\n") + "\n").as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
