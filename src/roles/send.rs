//! `vstream send`: source → encode → fan-out → links.

use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use smol::future::or;
use smol::lock::OnceCell;

use super::calls::{self, listen, refuse, serve};
use super::capture::Capture;
use super::coordinator::Coordinator;
use super::downstream::Downstream;
use super::http::{self, HttpArgs};
use super::secure::CertArgs;
use super::{Common, Job};
use crate::adapt::Limits;
use crate::codec::coder::{Codec, Wanted};
use crate::codec::gate;
use crate::devices::{self, Raw, Wish};
use crate::endpoint::Endpoint;
use crate::fault::{self, Fault};
use crate::link::Link;
use crate::message::{About, Hello, Side};
use crate::path::{HOPS_MAX, Path};
use crate::roster::{Member, Roster};
use crate::stop::Stop;
use crate::tasks;
use crate::transports::Listener;
use crate::web::views;
use crate::{transports, units};

/// Send video to one or more receivers
///
/// Examples:
///   vstream send --to 192.168.1.20                      the camera to another PC
///   vstream send --from film.mp4 --loop --to HOST       a file, again and again
///   vstream send --from 'test?size=1920x1080' --listen :9000
///   ffmpeg -i IN -f yuv4mpegpipe - | vstream send --from - --to HOST
///   vstream send --from http://camera/stream --to A --to B --quality 60 --size 720p
///   vstream send --to HOST --rate-max 8mbit             never more than that; less where the network takes less
///   vstream send --from film.mp4 --coordinate :9100 --wait-peers 4     a chain of those that `relay --join` it
///   vstream send --http                                 the camera on a page, http://127.0.0.1:8080/
#[derive(Args, Clone, Debug)]
#[command(verbatim_doc_comment)]
pub struct SendArgs {
    /// Receiver to call; more than once for several, each at its own pace
    #[arg(long, value_name = "URL", value_parser = transports::dialled, required_unless_present_any = ["listen", "coordinate", "http"])]
    pub to: Vec<Endpoint>,
    /// Wait for receivers to call, here
    #[arg(long, value_name = "URL", value_parser = transports::endpoint, conflicts_with = "to")]
    pub listen: Option<Endpoint>,
    /// Wait here for peers that join (relay --join), and put them in a chain, or a tree: each gets the stream from another
    #[arg(long, value_name = "URL", value_parser = transports::endpoint, conflicts_with = "listen")]
    pub coordinate: Option<Endpoint>,
    /// Begin when so many peers have joined and are connected to each other: at most 15 in a chain, 256 in a tree
    #[arg(long, value_name = "N", requires = "coordinate", conflicts_with = "listen", default_value_t = 0)]
    pub wait_peers: usize,
    /// Peers that each one passes the stream on to; 1 makes a chain, of at most 15 as a stream goes over 16 hops
    #[arg(long, value_name = "K", requires = "coordinate", conflicts_with = "listen", default_value = "1", value_parser = fanout)]
    pub fanout: usize,
    /// test, camera, /dev/videoN, a file, a folder, http://…, or - for stdin [default: the camera, or test without one]
    #[arg(long, value_name = "SOURCE")]
    pub from: Option<String>,
    /// Form of raw frames on stdin: i420:1280x720@30
    #[arg(long, value_name = "FORM", value_parser = devices::raw_form)]
    pub raw: Option<Raw>,
    /// Width and height, or 240p to 2160p [default: the source's]
    #[arg(long, value_name = "WxH", value_parser = units::size)]
    pub size: Option<(usize, usize)>,
    /// Frames a second [default: the source's]
    #[arg(long, value_name = "N", value_parser = units::fps)]
    pub fps: Option<f64>,
    /// JPEG quality, 1 to 100 [default: 80, or untouched where the source gives JPEG]
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub quality: Option<u8>,
    /// How frames are coded
    #[arg(long, value_enum, default_value = "jpeg")]
    pub codec: Codec,
    /// What changed by less is not sent again: auto, off, or a mean squared change of 8x8 pixels [default: auto, off where the source gives JPEG that no udp:// may lose]
    #[arg(long, value_name = "GATE")]
    pub gate: Option<gate::Mode>,
    /// Send no more than this to each receiver: 8mbit
    #[arg(long, value_name = "RATE", value_parser = units::rate)]
    pub rate_max: Option<u64>,
    /// Follow the network with frame rate, quality and size, below what is asked for [default: for live sources]
    #[arg(long, overrides_with = "no_adapt", conflicts_with = "every_frame")]
    pub adapt: bool,
    /// Send frames as they are; what the network does not take is left out
    #[arg(long, overrides_with = "adapt")]
    pub no_adapt: bool,
    /// Drop nothing: the source waits for the slowest receiver
    #[arg(long)]
    pub every_frame: bool,
    /// Begin again when the source is over
    #[arg(long = "loop")]
    pub looped: bool,
    #[command(flatten)]
    cert: CertArgs,
    #[command(flatten)]
    pub http: HttpArgs,
    #[command(flatten)]
    pub common: Common,
}

fn fanout(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|k| (1..=64).contains(k)).ok_or_else(|| "a number of peers from 1 to 64".to_string())
}

/// Whether so many peers can join at all, by the rule of those that do.
fn check_peers(wait: usize, fanout: usize) -> Result<()> {
    let mut roster = Roster::new(fanout);
    let peer = |n: usize| {
        let (name, address, leave) = (n.to_string(), Endpoint::any(), Stop::default());
        Member { name, instance: n as u64, address, leave }
    };
    let most = (0..wait).take_while(|&n| roster.join(peer(n)).is_ok()).count();
    if most == wait {
        return Ok(());
    }
    let text = format!("--wait-peers {wait}: with --fanout {fanout} no more than {most} can join");
    let hint = match fanout {
        1 => format!("a stream goes over {HOPS_MAX} hops, the source is one; --fanout 2 makes a tree, of many more"),
        _ => "wait for fewer: others may join later, as many as that".to_string(),
    };
    Err(Fault::usage(text).hint(hint).into())
}

/// What the tasks of a sender share.
struct Sender {
    job: Arc<Job>,
    capture: Arc<Capture>,
    downstream: Arc<Downstream>,
}

pub fn run(args: SendArgs) -> Result<()> {
    check_peers(args.wait_peers, args.fanout)?;
    let job = Job::start("send", &args.common)?;
    // A JPEG of one segment would be lost with any datagram of it: tiles are made of it where datagrams may be lost for good.
    let mut ends = args.to.iter().chain(&args.listen).chain(&args.coordinate);
    let lossy = ends.any(|end| transports::find(&end.scheme).is_some_and(|t| t.is_lossy()));
    let gate = args.gate.or((lossy && !args.every_frame).then_some(gate::Mode::Auto));
    let wanted = Wanted { size: args.size, quality: args.quality, codec: args.codec, gate };
    let wish = Wish {
        size: args.size,
        fps: args.fps,
        looped: args.looped,
        raw: args.raw,
        recode: wanted.recodes(),
        ..Wish::default()
    };
    let name = args.from.clone().unwrap_or_else(|| devices::default_name().to_string());
    // First of all, so that its address is the first line; callers wait a moment while the source opens.
    let on = args.listen.clone().or(args.coordinate.clone()).map(|on| args.cert.on(on, &args.http)).transpose()?;
    let listener = on.as_ref().map(|on| smol::future::block_on(listen(&job, on))).transpose()?;
    let door = args.http.http.as_ref().map(|on| smol::future::block_on(http::open(on, &args.cert))).transpose()?;
    let source = match devices::open(&name, &wish, &job.stop) {
        Err(_) if job.stop.said() => return smol::future::block_on(job.ended()),
        opened => opened.map_err(fault::of_device)?,
    };
    let about = source.about();
    let some = args.fps.filter(|&fps| about.rate == Some(fps));
    let some = some.map_or(String::new(), |fps| format!(", {fps} frames a second of it"));
    match args.wait_peers {
        0 => log::info!("sending {}{some}", about.text),
        n => log::info!("to be sent, when {n} peers are ready: {}{some}", about.text),
    }
    job.board.whole().length = about.length.filter(|_| !args.looped);
    let adapt = args.adapt || (about.live && !args.no_adapt && !args.every_frame);
    let limits = Arc::new(Limits::new(args.rate_max, adapt));
    let path = Arc::new(Path::source(calls::hop("send")));
    let about = About { rate: about.rate.or(args.fps), every_frame: args.every_frame, path: Vec::new() };
    let told = Arc::new(OnceCell::from(about.clone()));
    let capture = Capture::new(&job, about, wanted.clone(), &limits, &job.over);
    let downstream = Downstream::new(&job, &capture.frames, &path, told, &capture.encoded).within(&limits);
    let sender = Arc::new(Sender { job: job.clone(), capture: capture.clone(), downstream: Arc::new(downstream) });
    if args.wait_peers == 0 {
        capture.start.say();
    }
    capture.run(source, name, wish, wanted);
    let ended = smol::future::block_on(async {
        if let Some(door) = door {
            sender.show(door, args.http.allow_origin.clone());
        }
        sender.clone().connect(args, listener);
        job.ended().await
    });
    job.stop.say();
    ended
}

impl Sender {
    /// Starts a task for each receiver to call, or for those that will call; the last to end ends the job.
    fn connect(self: Arc<Self>, args: SendArgs, listener: Option<Box<dyn Listener>>) {
        let mut calls = Vec::new();
        let hopes = self.downstream.hopes.clone();
        let others = args.http.http.is_some() || args.coordinate.is_some();
        let others = others.then(|| hopes.add()); // somebody may come at any time
        let on = args.listen.as_ref().or(args.coordinate.as_ref());
        if let (Some(on), Some(listener)) = (on, listener) {
            let (me, name) = (self.clone(), on.name().to_string());
            self.job.board.whole().stream = Some(name.clone());
            let coordinator = args.coordinate.as_ref().map(|_| Arc::new(self.coordinator(&name, &args)));
            let guests = serve(self.job.clone(), listener, move |link, hello| {
                me.clone().guest(link, hello, name.clone(), coordinator.clone())
            });
            let me = self.clone();
            calls.push(tasks::spawn(async move { or(guests, me.downstream.finished()).await }));
        }
        if args.http.http.is_some() {
            let encoded = self.capture.encoded.clone();
            calls.push(tasks::spawn(async move { encoded.heard().await }));
        }
        let to: Vec<_> = args.to.into_iter().map(|to| (to, hopes.add())).collect();
        for (to, hope) in to {
            self.job.board.whole().stream = Some(to.name().to_string());
            // With every-frame the source waits for this one too from the beginning, else for none that is not there.
            let place = self.capture.about.every_frame.then(|| self.downstream.feed());
            calls.push(tasks::spawn(self.downstream.clone().call(to, place, hope)));
        }
        let job = self.job.clone();
        job.clone().spawn(async move {
            let _others = others;
            for call in calls {
                call.await;
            }
            job.stop.say();
        });
    }

    /// Serves the stream to browsers.
    fn show(self: &Arc<Self>, door: http::Door, origins: Vec<String>) {
        let capture = self.capture.clone();
        let origin = views::Origin {
            frames: capture.frames.clone(),
            eager: self.capture.about.every_frame,
            over: self.capture.over.clone(),
        };
        let control = &self.capture.control;
        http::show(&self.job, door, origins, origin, (Some(control.clone()), control.limits.clone()));
    }

    fn coordinator(&self, name: &str, args: &SendArgs) -> Coordinator {
        let stream = (name.to_string(), self.capture.about.clone());
        let start = (args.wait_peers, self.capture.start.clone());
        Coordinator::new(&self.job, &self.downstream, stream, args.fanout, start)
    }

    async fn guest(self: Arc<Self>, link: Link, hello: Hello, name: String, coordinator: Option<Arc<Coordinator>>) {
        match hello.role {
            Side::Join => match coordinator {
                Some(coordinator) => coordinator.guest(link, hello).await,
                None => refuse(link, calls::NO_COORDINATOR.to_string()).await,
            },
            Side::Browse => refuse(link, calls::NO_HUB.to_string()).await,
            Side::Watch => self.downstream.clone().guest(link, hello, name).await,
            Side::Publish => refuse(link, "this vstream sends: call it with recv --from".to_string()).await,
        }
    }
}
