//! What is done in a room: watching its stream, or being the one who streams.

use std::sync::Arc;

use anyhow::Result;
use smol::lock::OnceCell;

use super::session::{Call, End, Order, Session, Stay};
use super::view::{Place, View};
use crate::adapt::Limits;
use crate::codec::coder::Wanted;
use crate::codec::gate;
use crate::devices::{self, Wish};
use crate::fault;
use crate::link::Link;
use crate::message::{About, Hello, Side, Visit, Welcome};
use crate::path::Path;
use crate::publish::{self, Feed};
use crate::roles::calls::{hello, hop};
use crate::roles::capture::Capture;
use crate::roles::downstream::Downstream;
use crate::roles::output;
use crate::roles::upstream::Upstream;
use crate::stop::Stop;
use crate::transports;
use crate::watch;
use crate::word::Talk;

impl Session {
    pub async fn watch(self: Arc<Self>, call: Call) -> Order {
        self.change(|view| *view = View::at(Place::Watching));
        let (path, leave) = (Arc::new(Path::new(hop("player"))), Stop::default());
        let upstream = Upstream::new(&self.job, path, false, false);
        let (job, output, frames) = (self.job.clone(), (self.show)(self.clone()), upstream.merge.out.subscribe());
        let wanted = job.frames;
        std::thread::spawn(move || {
            output::run(&job, output, frames, &|| false);
            if wanted.is_some() {
                job.stop.say(); // it has as many as were wanted
            }
        });
        self.job.board.whole().stream = call.to.name.clone();
        let watching = Watching { call: call.clone(), upstream };
        let next = self.stay(&call, &watching, &leave).await;
        watching.upstream.merge.out.close();
        next
    }

    pub async fn stream(self: Arc<Self>, call: Call, source: String, take_over: bool) -> Order {
        self.change(|view| *view = View::at(Place::Streaming));
        let leave = Stop::default();
        let streaming = match Streaming::open(&self, &call, source, take_over, &leave).await {
            Ok(streaming) => streaming,
            Err(error) => return self.refused(fault::of_device(error), Order::Look(call)),
        };
        if self.attended {
            let (job, output) = (self.job.clone(), (self.show)(self.clone()));
            let frames = streaming.capture.frames.subscribe();
            std::thread::spawn(move || output::run(&job, output, frames, &|| false));
        }
        self.job.board.whole().stream = Some(call.to.name().to_string());
        let next = self.stay(&call, &streaming, &leave).await;
        leave.say(); // the source ends with it
        next
    }
}

struct Watching {
    call: Call,
    upstream: Upstream,
}

impl Stay for Watching {
    fn hello(&self) -> Hello {
        let visit = Visit { rung: Some(self.call.rung.clone()), ..Visit::default() };
        Hello { visit, ..hello(Side::Watch, self.call.to.name.clone()) }
    }

    fn is_over(&self) -> bool {
        false
    }

    async fn with(&self, link: Link, welcome: Welcome, leave: &Stop, talk: Option<&Talk>) -> Result<End> {
        self.upstream
            .path
            .extend(welcome.stream.path.clone())
            .map_err(|error| fault::Fault::refused(error.to_string()))?;
        self.upstream.job.board.whole().stream = Some(crate::greet::printable(&welcome.name));
        Ok(match self.upstream.pass(link, welcome.stream, leave, talk).await {
            Ok(watch::End::Over(reason)) => End::Over(reason),
            Ok(watch::End::Left(reason)) => End::Left(reason),
            Ok(watch::End::Stopped) => End::Stopped,
            Err(error) => End::Broken(fault::line(&error)),
        })
    }
}

struct Streaming {
    call: Call,
    take_over: bool,
    capture: Arc<Capture>,
    downstream: Downstream,
}

impl Streaming {
    async fn open(session: &Session, call: &Call, source: String, take_over: bool, leave: &Stop) -> Result<Streaming> {
        // As `send` does it: what may be lost by datagrams is made of tiles.
        let lossy = transports::find(&call.to.scheme).is_some_and(|transport| transport.is_lossy());
        let wanted = Wanted { gate: lossy.then_some(gate::Mode::Auto), ..Wanted::default() };
        let wish = Wish { recode: wanted.recodes(), ..Wish::default() };
        let opened = {
            let (source, wish, stop) = (source.clone(), wish.clone(), session.job.stop.clone());
            smol::unblock(move || devices::open(&source, &wish, &stop)).await?
        };
        let about = opened.about();
        log::info!("sending {}", about.text);
        let job = &session.job;
        let limits = Arc::new(Limits::new(None, about.live));
        let about = About { rate: about.rate, ..About::default() };
        let capture = Capture::new(job, about.clone(), wanted.clone(), &limits, leave);
        let path = Arc::new(Path::source(hop("player")));
        let told = Arc::new(OnceCell::from(about));
        let downstream = Downstream::new(job, &capture.frames, &path, told, &capture.encoded).within(&limits);
        capture.start.say();
        capture.run(opened, source, wish, wanted);
        Ok(Streaming { call: call.clone(), take_over, capture, downstream })
    }
}

impl Stay for Streaming {
    fn hello(&self) -> Hello {
        let visit = Visit { take_over: self.take_over, ..Visit::default() };
        let stream = About { path: self.downstream.path.hops(), ..self.capture.about.clone() };
        Hello { visit, stream, ..hello(Side::Publish, self.call.to.name.clone()) }
    }

    fn is_over(&self) -> bool {
        self.capture.encoded.said()
    }

    async fn with(&self, link: Link, _: Welcome, leave: &Stop, talk: Option<&Talk>) -> Result<End> {
        let mut feed = Feed { talk: talk.cloned(), ..self.downstream.feed() };
        Ok(match self.downstream.carry(link, &mut feed, leave).await {
            Ok(publish::End::Over) => End::Over("the source is over".to_string()),
            Ok(publish::End::Left(reason)) => End::Left(reason),
            Ok(publish::End::Stopped) => End::Stopped,
            Err(error) => End::Broken(fault::line(&error)),
        })
    }
}
