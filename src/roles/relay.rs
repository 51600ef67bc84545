//! `vstream relay`: links → merge → links, as the segments come; nothing is decoded on the way. Outputs besides, as a
//! receiver has them.

use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use smol::future::or;

use super::calls::{self, listen, refuse, serve};
use super::downstream::Downstream;
use super::http::HttpArgs;
use super::join::Joined;
use super::output::OutputArgs;
use super::secure::CertArgs;
use super::show::Show;
use super::upstream::Upstream;
use super::{Common, Job};
use crate::clock;
use crate::endpoint::{self, Endpoint};
use crate::link::Link;
use crate::message::{Hello, Side};
use crate::path::Path;
use crate::roster;
use crate::tasks;
use crate::transports::{self, Listener};

/// Receive video and pass it on as it comes, to any number of others
///
/// Examples:
///   vstream relay --next HOST                           whatever is sent here goes on to HOST
///   vstream relay --from A --from B --next C            two ways to the same stream: when one breaks, the other goes on
///   vstream relay --next A --next B --save frames       also keep each frame
///   vstream relay --listen udp://:9000 --next tls://HOST
///   vstream relay --join SOURCE --peer anna --play      one of a chain that `send --coordinate` orders
#[derive(Args, Clone, Debug)]
#[command(verbatim_doc_comment)]
pub struct RelayArgs {
    /// Wait here for senders, and for others who want the stream [default, without --from: tcp://:9000; with --join: any free port]
    #[arg(long, value_name = "URL", value_parser = transports::endpoint)]
    pub listen: Option<Endpoint>,
    /// Call a sender or relay that listens; more than once for several ways to the same stream
    #[arg(long, value_name = "URL", value_parser = transports::dialled)]
    pub from: Vec<Endpoint>,
    /// Join the network of a `send --coordinate`, which says from whom the stream comes
    #[arg(long, value_name = "URL", value_parser = transports::dialled, conflicts_with = "from")]
    pub join: Option<Endpoint>,
    /// Call a receiver or relay, and pass the stream on to it; more than once for several, each at its own pace
    #[arg(long, value_name = "URL", value_parser = transports::dialled)]
    pub next: Vec<Endpoint>,
    /// Name of this relay on the way of the stream; among those that join the same network one of its own
    #[arg(long, value_name = "NAME", default_value = "relay", value_parser = roster::check_peer)]
    pub peer: String,
    /// Drop nothing, whatever the sender says: it waits for the slowest of those that come next
    #[arg(long)]
    pub every_frame: bool,
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

impl RelayArgs {
    /// Where it listens if it is not told: who joins is called where it says.
    fn usual_address(&self) -> Endpoint {
        let any = Endpoint::any();
        match &self.join {
            Some(to) => Endpoint { scheme: to.scheme.clone(), port: 0, ..any },
            None => any,
        }
    }
}

struct Relay {
    job: Arc<Job>,
    upstream: Arc<Upstream>,
    downstream: Arc<Downstream>,
    /// A coordinator says where the stream comes from.
    joined: bool,
}

pub fn run(args: RelayArgs) -> Result<()> {
    args.outputs.check()?;
    let job = Job::start("relay", &args.common)?;
    let path = Arc::new(Path::new(calls::hop(&args.peer)));
    let upstream = Arc::new(Upstream::new(&job, path.clone(), args.stay, args.every_frame));
    let (out, about, over) = (&upstream.merge.out, upstream.about.clone(), &upstream.over);
    let downstream = Arc::new(Downstream::new(&job, out, &path, about, over));
    job.board.count_once(&upstream.merge.begun);
    job.board.count_hop(Box::new(move |line| path.added(line.latency_ms, line.latency_err_ms)));
    let relay = Arc::new(Relay { job: job.clone(), upstream, downstream, joined: args.join.is_some() });
    let on = args.listen.clone().or_else(|| args.from.is_empty().then(|| args.usual_address()));
    // Who joins under a key is called under it.
    let key = args.join.as_ref().and_then(|to| to.key.clone());
    let on = on.map(|on| Endpoint { key: on.key.clone().or(key), ..on });
    let on = on.map(|on| args.cert.on(on, &args.http)).transpose()?;
    let listener = on.as_ref().map(|on| smol::future::block_on(listen(&job, on))).transpose()?;
    let show = Show {
        upstream: &relay.upstream,
        outputs: &args.outputs,
        http: &args.http,
        cert: &args.cert,
        calls: args.join.as_ref().or(args.from.first()),
        title: endpoint::NAME,
        // The last of a chain has no other reader: with every-frame the source would wait for one.
        counts: relay.joined,
        serves: listener.is_some() || !args.next.is_empty(),
        over: relay.upstream.over.clone(),
    };
    show.run(|| relay.clone().connect(&args, on.zip(listener)))
}

/// Tells of hosts that nobody knows: they are called when there is a stream, which may be long.
async fn look_up(next: Vec<Endpoint>) {
    for to in next.iter().filter(|to| !to.host.is_empty()) {
        if let Err(error) = smol::net::resolve((to.host.as_str(), to.port)).await {
            log::warn!("could not find the host {}: {error}; it is called when there is a stream", to.host);
        }
    }
}

impl Relay {
    /// Starts a task for each peer; when the stream is over and all have it, the job ends.
    fn connect(self: Arc<Self>, args: &RelayArgs, listener: Option<(Endpoint, Box<dyn Listener>)>) {
        self.upstream.call(&args.from);
        if let (Some(to), Some((_, listener))) = (&args.join, &listener) {
            self.job.spawn(self.joined(args, to, listener.local()).run());
        }
        if let Some((on, listener)) = listener {
            let me = self.clone();
            let guest = move |link, hello| me.clone().guest(link, hello, on.clone());
            self.job.spawn(serve(self.job.clone(), listener, guest));
        }
        // Without an output of its own a relay is there for those that it calls.
        let only_calls = !args.next.is_empty() && self.downstream.frames.readers() == 0;
        let hopes = &self.downstream.hopes;
        let page = args.http.http.is_some().then(|| hopes.add()); // somebody may look at any time
        // Their places are taken before the first frame comes, so that none is missing.
        let calls: Vec<_> = args.next.iter().map(|next| (next.clone(), self.downstream.feed(), hopes.add())).collect();
        self.job.spawn(look_up(args.next.clone()));
        let call = |(next, place, hope)| tasks::spawn(self.downstream.clone().call(next, Some(place), hope));
        let (calls, me): (Vec<_>, _) = (calls.into_iter().map(call).collect(), self.clone());
        self.job.spawn(async move {
            let _page = page;
            for call in calls {
                call.await;
            }
            if only_calls && !me.upstream.over.said() {
                me.job.stop.say(); // all have refused it
            }
            or(me.downstream.finished(), me.job.stop.heard()).await;
            me.job.stop.say();
        });
        self.job.spawn(self.clone().measure());
    }

    fn joined(&self, args: &RelayArgs, to: &Endpoint, local: Endpoint) -> Joined {
        // On every interface it is reached by the address that its calls come from.
        let everywhere = args.listen.as_ref().is_none_or(Endpoint::is_everywhere);
        Joined {
            job: self.job.clone(),
            upstream: self.upstream.clone(),
            downstream: self.downstream.clone(),
            to: to.clone(),
            name: args.peer.clone(),
            listening: Endpoint { host: if everywhere { String::new() } else { local.host.clone() }, ..local },
        }
    }

    async fn guest(self: Arc<Self>, link: Link, hello: Hello, on: Endpoint) {
        match hello.role {
            Side::Browse => refuse(link, calls::NO_HUB.to_string()).await,
            Side::Join => refuse(link, calls::NO_COORDINATOR.to_string()).await,
            Side::Publish if self.joined => {
                refuse(link, "the stream comes from where the coordinator says: send to it".to_string()).await;
            }
            Side::Publish => self.upstream.clone().guest(link, hello, on.name).await,
            Side::Watch => {
                let name = self.job.board.whole().stream.clone();
                self.downstream.clone().guest(link, hello, name.unwrap_or_else(|| on.name().to_string())).await;
            }
        }
    }

    /// Tells those who come after what a frame's way to here takes.
    async fn measure(self: Arc<Self>) {
        const EVERY: std::time::Duration = std::time::Duration::from_secs(1);
        while !self.job.stop.said() {
            self.job.stop.pause(EVERY).await;
            let lines = self.job.board.lines(clock::now());
            if let Some(line) = lines.iter().find(|line| line.latency_ms.is_some()) {
                self.downstream.path.measured(line.latency_ms, line.latency_err_ms);
            }
        }
    }
}
