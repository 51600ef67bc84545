//! `vstream send`: source → encode → fan-out → links.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use async_io::Timer;
use clap::Args;
use smol::future::or;

use super::calls::{dial, hello, listen, refuse, serve};
use super::control::Control;
use super::http::{self, HttpArgs};
use super::{Common, Job};
use crate::codec::coder::{Codec, Coder, Wanted};
use crate::codec::gate;
use crate::devices::{self, Raw, Wish};
use crate::endpoint::Endpoint;
use crate::fanout::Fanout;
use crate::fault;
use crate::frame::Frame;
use crate::greet;
use crate::latest::latest;
use crate::link::Link;
use crate::lock::lock;
use crate::message::{About, Hello, Message, Side, Welcome};
use crate::publish::{End, Feed, publish};
use crate::stop::Stop;
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
///   vstream send --http                                 the camera on a page, http://127.0.0.1:8080/
#[derive(Args, Clone, Debug)]
#[command(verbatim_doc_comment)]
pub struct SendArgs {
    /// Receiver to call; more than once for several, each at its own pace
    #[arg(long, value_name = "URL", value_parser = transports::dialled, required_unless_present_any = ["listen", "http"])]
    pub to: Vec<Endpoint>,
    /// Wait for receivers to call, here
    #[arg(long, value_name = "URL", value_parser = transports::endpoint, conflicts_with = "to")]
    pub listen: Option<Endpoint>,
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
    /// What changed by less is not sent again: auto, off, or a mean squared change of 8x8 pixels [default: auto, off where the source gives JPEG]
    #[arg(long, value_name = "GATE")]
    pub gate: Option<gate::Mode>,
    /// Drop nothing: the source waits for the slowest receiver
    #[arg(long)]
    pub every_frame: bool,
    /// Begin again when the source is over
    #[arg(long = "loop")]
    pub looped: bool,
    #[command(flatten)]
    pub http: HttpArgs,
    #[command(flatten)]
    pub common: Common,
}

/// What the threads and tasks of a sender share.
pub struct Sender {
    pub job: Arc<Job>,
    pub frames: Fanout<Frame>,
    pub about: About,
    pub control: Arc<Control>,
    /// The source gave its last image; all of them are encoded.
    pub over: Stop,
    pub encoded: Stop,
    /// With every-frame: what a guest that died had not acknowledged, for the next one.
    orphans: Mutex<VecDeque<Feed>>,
}

pub fn run(args: SendArgs) -> Result<()> {
    let job = Job::start("send", &args.common)?;
    let wanted = Wanted { size: args.size, quality: args.quality, codec: args.codec, gate: args.gate };
    let wish = Wish { size: args.size, fps: args.fps, looped: args.looped, raw: args.raw, recode: wanted.recodes() };
    let name = args.from.clone().unwrap_or_else(|| devices::default_name().to_string());
    // First of all, so that its address is the first line; callers wait a moment while the source opens.
    let listener = args.listen.as_ref().map(|on| smol::block_on(listen(&job, on))).transpose()?;
    let door = args.http.http.as_ref().map(|on| smol::block_on(http::open(on))).transpose()?;
    let source = match devices::open(&name, &wish, &job.stop) {
        Err(_) if job.stop.said() => return smol::block_on(job.ended()),
        opened => opened.map_err(fault::of_device)?,
    };
    let about = source.about();
    match args.fps.filter(|&fps| about.rate == Some(fps)) {
        Some(fps) => log::info!("sending {}, {fps} frames a second of it", about.text),
        None => log::info!("sending {}", about.text),
    }
    job.board.whole().length = about.length.filter(|_| !args.looped);
    let sender = Arc::new(Sender {
        frames: Fanout::new(args.every_frame),
        about: About { rate: about.rate.or(args.fps), every_frame: args.every_frame },
        control: Arc::new(Control::new(wanted.clone())),
        job: job.clone(),
        over: Stop::default(),
        encoded: Stop::default(),
        orphans: Mutex::default(),
    });
    let (shots, images) = latest();
    let capturing = {
        let sender = sender.clone();
        std::thread::spawn(move || sender.capture(source, &name, &wish, &shots))
    };
    let coder = Coder::new(wanted);
    let encoding = {
        let sender = sender.clone();
        std::thread::spawn(move || sender.encode(images, coder))
    };
    let ended = smol::block_on(async {
        if let Some(door) = door {
            sender.show(door, args.http.allow_origin.clone());
        }
        sender.clone().connect(args, listener);
        job.ended().await
    });
    job.stop.say();
    drop((capturing, encoding)); // they hear the stop; a device that does not let go must not hold up the end
    ended
}

impl Sender {
    /// Starts a task for each receiver to call, or for those that will call; the last to end ends the job.
    fn connect(self: Arc<Self>, args: SendArgs, listener: Option<Box<dyn Listener>>) {
        let mut calls = Vec::new();
        if let (Some(on), Some(listener)) = (&args.listen, listener) {
            let (me, name) = (self.clone(), on.name().to_string());
            self.job.board.whole().stream = Some(name.clone());
            let guests =
                serve(self.job.clone(), listener, move |link, hello| me.clone().guest(link, hello, name.clone()));
            let encoded = self.encoded.clone();
            let me = self.clone();
            calls.push(smol::spawn(async move {
                let finished = async {
                    encoded.heard().await;
                    while (me.job.board.peers() > 0 || me.has_orphans()) && !me.job.stop.said() {
                        Timer::after(std::time::Duration::from_millis(10)).await;
                    }
                };
                or(guests, finished).await;
            }));
        }
        if args.http.http.is_some() {
            let encoded = self.encoded.clone();
            calls.push(smol::spawn(async move { encoded.heard().await }));
        }
        for to in args.to {
            self.job.board.whole().stream = Some(to.name().to_string());
            calls.push(smol::spawn(self.clone().call(to)));
        }
        let job = self.job.clone();
        job.clone().spawn(async move {
            for call in calls {
                call.await;
            }
            job.stop.say();
        });
    }

    /// Serves the stream to browsers.
    fn show(self: &Arc<Self>, door: http::Door, origins: Vec<String>) {
        let me = self.clone();
        let origin = views::Origin {
            subscribe: Box::new(move || me.frames.subscribe()),
            eager: self.about.every_frame,
            over: self.over.clone(),
        };
        http::show(&self.job, door, origins, origin, Some(self.control.clone()));
    }

    /// Serves one receiver for as long as there is something to send: calls it, and calls it again when it dies.
    async fn call(self: Arc<Self>, to: Endpoint) {
        let hello = Hello { stream: self.about.clone(), ..hello(Side::Publish, to.name.clone()) };
        // With every-frame the source waits for this one too from the beginning, else for none that is not there.
        let mut kept = self.about.every_frame.then(|| self.feed());
        loop {
            let dialled = or(dial(&self.job, &to, &hello), async {
                self.encoded.heard().await;
                // With every-frame what is left still has to go; else it is too late for whoever is not there.
                if self.about.every_frame { std::future::pending().await } else { Ok(None) }
            });
            let (link, _) = match dialled.await {
                Ok(Some(greeted)) => greeted,
                Ok(None) => return,
                // The other receivers, where there are some, go on; the exit code remembers it.
                Err(error) => return self.job.note(error),
            };
            log::info!("connected to {to}");
            let mut feed = kept.take().unwrap_or_else(|| self.feed());
            if self.publish(link, &mut feed).await || (self.encoded.said() && !self.about.every_frame) {
                return;
            }
            kept = Some(feed).filter(|_| self.about.every_frame);
        }
    }

    /// Serves a receiver that called.
    async fn guest(self: Arc<Self>, mut link: Link, hello: Hello, name: String) {
        if hello.role != Side::Watch {
            return refuse(link, "this vstream sends: call it with recv --from".to_string()).await;
        }
        if let Some(wanted) = hello.name.filter(|n| *n != name) {
            return refuse(link, format!("there is no stream {wanted} here; there is {name}")).await;
        }
        let welcome = Welcome { name, agent: greet::agent(), stream: self.about.clone() };
        if link.tx.send(Message::Welcome(welcome)).await.is_err() {
            return; // it left between its hello and the answer
        }
        log::info!("{} watches ({})", link.peer, greet::printable(&hello.agent));
        let orphan = lock(&self.orphans).pop_front();
        let mut feed = orphan.unwrap_or_else(|| self.feed());
        let done = self.publish(link, &mut feed).await;
        if !done && self.about.every_frame {
            lock(&self.orphans).push_back(feed);
        }
    }

    /// Whether a guest that died lacks frames that it was promised.
    fn has_orphans(&self) -> bool {
        !lock(&self.orphans).is_empty()
    }

    fn feed(&self) -> Feed {
        Feed { frames: self.frames.subscribe(), held: VecDeque::new(), every: self.about.every_frame }
    }

    /// Sends the stream to one receiver; true when there is nothing more to send to it.
    async fn publish(&self, link: Link, feed: &mut Feed) -> bool {
        let peer = self.job.board.join(&link.peer);
        self.job.alive();
        let ended = publish(link, feed, &peer, &self.job.stop).await;
        self.job.board.leave(&peer);
        self.job.alive();
        match ended {
            Ok(End::Over | End::Stopped) => return true,
            Ok(End::Left(reason)) => log::info!("{} left: {reason}", peer.name),
            Err(error) => log::warn!("{} is gone: {}", peer.name, fault::line(&error)),
        }
        false
    }
}
