//! `vstream recv`: link → fan-out → window, folder, file, pipe.

use std::sync::Arc;

use anyhow::Result;
use clap::Args;

use super::calls::{self, listen, refuse, serve};
use super::http::HttpArgs;
use super::output::OutputArgs;
use super::secure::CertArgs;
use super::show::Show;
use super::upstream::Upstream;
use super::{Common, Job};
use crate::endpoint::Endpoint;
use crate::link::Link;
use crate::message::{Hello, Side};
use crate::path::Path;
use crate::stop::Stop;
use crate::transports::{self, Listener};

/// Receive video and show, save or pass it on
///
/// Examples:
///   vstream recv --play                                 wait for a sender and show it
///   vstream recv --from HOST --play --save frames       call one that listens; also keep each frame
///   vstream recv --output film.avi --duration 1m
///   vstream recv --http :8080                           on a page, for every browser in reach
///   vstream recv --listen tls:// --key-file FILE        encrypted; prints the address to call
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
    #[command(flatten)]
    pub outputs: OutputArgs,
    /// Wait for the next stream when one is over
    #[arg(long)]
    pub stay: bool,
    #[command(flatten)]
    cert: CertArgs,
    #[command(flatten)]
    pub http: HttpArgs,
    #[command(flatten)]
    pub common: Common,
}

/// What the tasks of a receiver share.
struct Receiver {
    job: Arc<Job>,
    upstream: Arc<Upstream>,
}

impl RecvArgs {
    fn listening(&self) -> Endpoint {
        self.listen.clone().unwrap_or_else(Endpoint::any)
    }

    /// The name in the window's title.
    fn stream(&self) -> &str {
        self.from.as_ref().or(self.listen.as_ref()).map_or(crate::endpoint::NAME, Endpoint::name)
    }
}

pub fn run(args: RecvArgs) -> Result<()> {
    args.outputs.check()?;
    let job = Job::start("recv", &args.common)?;
    let path = Arc::new(Path::new(calls::hop("recv")));
    let receiver =
        Arc::new(Receiver { job: job.clone(), upstream: Arc::new(Upstream::new(&job, path, args.stay, false)) });
    let listener = match &args.from {
        Some(_) => None,
        None => Some(smol::future::block_on(listen(&job, &args.cert.on(args.listening(), &args.http)?))?),
    };
    let show = Show {
        upstream: &receiver.upstream,
        outputs: &args.outputs,
        http: &args.http,
        cert: &args.cert,
        calls: args.from.as_ref(),
        title: args.stream(),
        counts: true,
        serves: false,
        over: Stop::default(),
    };
    show.run(|| receiver.clone().connect(&args, listener))
}

impl Receiver {
    fn connect(self: Arc<Self>, args: &RecvArgs, listener: Option<Box<dyn Listener>>) {
        let job = self.job.clone();
        self.upstream.call(args.from.as_slice());
        if let Some(listener) = listener {
            let only = args.listening().name;
            job.spawn(serve(job.clone(), listener, move |link, hello| self.clone().guest(link, hello, only.clone())));
        }
    }

    async fn guest(self: Arc<Self>, link: Link, hello: Hello, only: Option<String>) {
        match hello.role {
            Side::Publish => self.upstream.clone().guest(link, hello, only).await,
            Side::Browse => refuse(link, calls::NO_HUB.to_string()).await,
            Side::Join => refuse(link, calls::NO_COORDINATOR.to_string()).await,
            Side::Watch => refuse(link, "this vstream receives: it has no stream to watch".to_string()).await,
        }
    }
}
