//! `vstream recv`: link → fan-out → window, folder, file, pipe.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::calls::{dial, hello, listen, refuse, serve};
use super::http::{self, HttpArgs};
use super::output::{self, Output};
use super::window;
use super::{Common, Job};
use crate::codec;
use crate::devices::outputs::{self, Folder};
use crate::endpoint::Endpoint;
use crate::fanout::Fanout;
use crate::fault;
use crate::frame::Frame;
use crate::greet;
use crate::link::Link;
use crate::lock::lock;
use crate::log::Repeated;
use crate::message::{About, Hello, Message, Side, Welcome};
use crate::playout;
use crate::stop::Stop;
use crate::transports::Listener;
use crate::watch::{End, watch};
use crate::web::views;
use crate::{clock, transports};

/// Receive video and show, save or pass it on
///
/// Examples:
///   vstream recv --play                                 wait for a sender and show it
///   vstream recv --from HOST --play --save frames       call one that listens; also keep each frame
///   vstream recv --output film.avi --duration 1m
///   vstream recv --http :8080                           on a page, for every browser in reach
///   vstream recv --output - --raw i420 | YOUR-PROGRAM
#[derive(Args, Clone, Debug)]
#[command(verbatim_doc_comment)]
pub struct RecvArgs {
    /// Wait for a sender, here [default: tcp://:9000]
    #[arg(long, value_name = "URL", value_parser = transports::endpoint)]
    pub listen: Option<Endpoint>,
    /// Call a sender that listens
    #[arg(long, value_name = "URL", value_parser = transports::dialled, conflicts_with = "listen")]
    pub from: Option<Endpoint>,
    /// Show it in a window (keys: f full screen, s stats, space freeze, p snapshot, q quit)
    #[arg(long)]
    pub play: bool,
    /// Hold frames for an even picture: 0, auto, or a time from capture, for all outputs [default: auto in windows, else 0]
    #[arg(long, value_name = "DUR", value_parser = clap::value_parser!(playout::Mode))]
    pub playout: Option<playout::Mode>,
    /// Save each frame as a JPEG in this folder, with frames.jsonl
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
    /// Record to FILE.mjpeg, .avi or .y4m; - is stdout; more than once for several
    #[arg(long, value_name = "FILE")]
    pub output: Vec<String>,
    /// Write the outputs as raw planes, whatever their ending
    #[arg(long, value_enum, value_name = "FORM", requires = "output")]
    pub raw: Option<RawForm>,
    /// Wait for the next stream when one is over
    #[arg(long)]
    pub stay: bool,
    #[command(flatten)]
    pub http: HttpArgs,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RawForm {
    /// Planar Y, Cb, Cr, 4:2:0, full range
    I420,
}

/// Rates that a recording's header can say; a peer may claim anything.
const RATES: std::ops::RangeInclusive<f64> = 0.01..=1000.0;

/// What the tasks of a receiver share.
struct Receiver {
    job: Arc<Job>,
    frames: Fanout<Frame>,
    stay: bool,
    /// What the publisher says of its stream.
    about: Mutex<About>,
    /// Epoch and sequence number of the newest frame: with every-frame, what was not acknowledged comes again.
    newest: Mutex<Option<(u64, u64)>>,
    /// Who sends now: a second one is refused.
    holder: Mutex<Option<Holder>>,
}

#[derive(Clone, Debug)]
struct Holder {
    peer: String,
    agent: String,
    instance: u64,
    /// Ends this one when the same process calls again.
    leave: Stop,
}

impl RecvArgs {
    fn listening(&self) -> Endpoint {
        let any = || Endpoint::parse("").expect("an empty address is every interface on the default port");
        self.listen.clone().unwrap_or_else(any)
    }

    /// The name in the window's title.
    fn stream(&self) -> &str {
        self.from.as_ref().or(self.listen.as_ref()).map_or(crate::endpoint::NAME, Endpoint::name)
    }
}

pub fn run(args: RecvArgs) -> Result<()> {
    args.output.iter().try_for_each(|name| outputs::check(name, args.raw.is_some()))?;
    let job = Job::start("recv", &args.common)?;
    let receiver = Arc::new(Receiver {
        job: job.clone(),
        frames: Fanout::new(false),
        stay: args.stay,
        about: Mutex::default(),
        newest: Mutex::default(),
        holder: Mutex::default(),
    });
    // A port in use must not cost the files of an earlier run: they are opened, and emptied, after it.
    let listener = match &args.from {
        Some(_) => None,
        None => Some(smol::block_on(listen(&job, &args.listening()))?),
    };
    let door = args.http.http.as_ref().map(|on| smol::block_on(http::open(on))).transpose()?;
    let mut outputs = match receiver.outputs(&args) {
        Err(_) if job.stop.said() => return smol::block_on(job.ended()), // stopped while a pipe waited for its reader
        opened => opened?,
    };
    let screen = receiver.window(&args, &mut outputs)?;
    if outputs.is_empty() {
        outputs.push(Output { name: "nothing".to_string(), sink: Box::new(output::Nothing), mode: playout::Mode::Off });
    }
    if let Some(door) = door {
        let me = receiver.clone();
        let subscribe = Box::new(move || me.frames.subscribe());
        let origin = views::Origin { subscribe, eager: true, over: job.stop.clone() };
        http::show(&job, door, args.http.allow_origin.clone(), origin, None);
    }
    let outputs = output::start(&job, &receiver.frames, outputs);
    let network = {
        let (receiver, job, args) = (receiver.clone(), job.clone(), args.clone());
        std::thread::spawn(move || {
            receiver.clone().connect(&args, listener);
            smol::block_on(async {
                job.stop.heard().await;
                receiver.frames.close();
                output::join(outputs).await;
                job.ended().await
            })
        })
    };
    if let Some(screen) = screen {
        window::run(&job, args.stream(), screen);
    }
    network.join().unwrap_or_else(|_| anyhow::bail!("the network thread panicked"))
}

impl Receiver {
    /// Opens every output but the window.
    fn outputs(self: &Arc<Self>, args: &RecvArgs) -> Result<Vec<Output>> {
        let mode = args.playout.unwrap_or(playout::Mode::Off);
        let mut all: Vec<Output> = Vec::new();
        if let Some(path) = &args.save {
            let sink = Box::new(Folder::create(path)?);
            all.push(Output { name: path.display().to_string(), sink, mode });
        }
        for name in &args.output {
            let me = self.clone();
            let rate = Arc::new(move || lock(&me.about).rate.filter(|r| RATES.contains(r)));
            let sink = outputs::open(name, args.raw.is_some(), rate, &self.job.stop)?;
            all.push(Output { name: name.clone(), sink, mode });
        }
        Ok(all)
    }

    fn window(&self, args: &RecvArgs, outputs: &mut Vec<Output>) -> Result<Option<window::Screen>> {
        if !args.play {
            return Ok(None);
        }
        let listening = || self.job.board.whole().listening.clone().unwrap_or_default();
        let waiting = args.from.as_ref().map_or_else(listening, Endpoint::to_string);
        let mode = args.playout.unwrap_or(playout::Mode::Auto);
        let (output, screen) = window::open(&self.job, &waiting, mode)?;
        outputs.push(output);
        Ok(Some(screen))
    }

    fn connect(self: Arc<Self>, args: &RecvArgs, listener: Option<Box<dyn Listener>>) {
        let job = self.job.clone();
        if let Some(from) = args.from.clone() {
            job.board.whole().stream = Some(from.name().to_string());
            job.spawn(self.clone().call(from));
        }
        if let Some(listener) = listener {
            let only = args.listening().name;
            job.spawn(serve(job.clone(), listener, move |link, hello| self.clone().guest(link, hello, only.clone())));
        }
    }

    /// Calls a sender, and calls again when it dies.
    async fn call(self: Arc<Self>, from: Endpoint) {
        let hello = hello(Side::Watch, from.name.clone());
        loop {
            let (link, welcome) = match dial(&self.job, &from, &hello).await {
                Ok(Some(greeted)) => greeted,
                Ok(None) => return,
                Err(error) => return self.job.fail(error),
            };
            log::info!("connected to {from}");
            if self.watch(link, welcome.stream, &Stop::default()).await {
                return;
            }
        }
    }

    /// Takes a sender that called, if nobody else sends.
    async fn guest(self: Arc<Self>, mut link: Link, hello: Hello, only: Option<String>) {
        if hello.role != Side::Publish {
            return refuse(link, "this vstream receives: it has no stream to watch".to_string()).await;
        }
        let wanted = hello.name.clone().unwrap_or_else(|| crate::endpoint::NAME.to_string());
        if let Some(only) = only.filter(|only| *only != wanted) {
            return refuse(link, format!("there is no stream {wanted} here; there is {only}")).await;
        }
        let agent = greet::printable(&hello.agent);
        let me = Holder { peer: link.peer.clone(), agent, instance: hello.instance, leave: Stop::default() };
        if let Err(other) = self.hold(&me) {
            return refuse(link, format!("{} ({}) sends already", other.peer, other.agent)).await;
        }
        let welcome = Welcome { name: wanted.clone(), agent: greet::agent(), stream: About::default() };
        if link.tx.send(Message::Welcome(welcome)).await.is_ok() {
            log::info!("{} sends {wanted} ({})", me.peer, me.agent);
            self.job.board.whole().stream = Some(wanted);
            self.watch(link, hello.stream, &me.leave).await;
        }
        let mut holder = lock(&self.holder);
        holder.take_if(|h| h.peer == me.peer);
    }

    /// Takes the place of the one sender; the same process may take it over from itself, as after a cut cable.
    fn hold(&self, me: &Holder) -> Result<(), Holder> {
        let mut holder = lock(&self.holder);
        match &*holder {
            Some(other) if other.instance != me.instance => return Err(other.clone()),
            Some(own) => own.leave.say(),
            None => {}
        }
        *holder = Some(me.clone());
        Ok(())
    }

    /// Passes one sender's frames to the outputs; true when the stream is over and nothing more is wanted.
    async fn watch(&self, link: Link, about: About, leave: &Stop) -> bool {
        let every = about.every_frame;
        *lock(&self.about) = about;
        let peer = self.job.board.join(&link.peer);
        self.job.alive();
        let trouble = Mutex::new(Repeated::default());
        let fine = |frame: &Frame| {
            let error = match codec::size(&frame.coded) {
                Ok(size) => {
                    self.job.board.whole().size = Some(size);
                    let mut newest = lock(&self.newest);
                    let before = newest.replace((frame.epoch, frame.seq));
                    let again = |(epoch, seq)| epoch == frame.epoch && frame.seq <= seq;
                    return !(every && before.is_some_and(again));
                }
                Err(error) => error,
            };
            self.job.board.whole().dropped.corrupt += 1;
            let told = lock(&trouble).again(clock::now());
            if let Some(n) = told {
                log::warn!("{n} frames were no picture and are left out: {}", fault::line(&error));
            }
            false
        };
        let watching = watch(link, &self.frames, every, &peer, &self.job.stop, fine);
        let replaced = async {
            leave.heard().await;
            Ok(End::Left("the same sender called again".to_string()))
        };
        let ended = smol::future::or(watching, replaced).await;
        self.job.board.leave(&peer);
        self.job.alive();
        match ended {
            Ok(End::Stopped) => return true,
            Ok(End::Over(reason)) => {
                log::info!("the stream of {} is over: {reason}", peer.name);
                if !self.stay {
                    self.frames.close(); // the outputs take what is left, as long as that needs, and then say stop
                    return true;
                }
            }
            Ok(End::Left(reason)) => log::info!("{} left: {reason}", peer.name),
            Err(error) => log::warn!("{} is gone: {}: waiting for it", peer.name, fault::line(&error)),
        }
        false
    }
}
