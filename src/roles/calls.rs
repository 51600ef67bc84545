//! Calling and being called: what every role does with addresses. The one layer that retries.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use async_io::Timer;
use smol::future::or;

use super::Job;
use crate::clock;
use crate::endpoint::Endpoint;
use crate::fault::{self, Fault};
use crate::greet;
use crate::link::Link;
use crate::lock::lock;
use crate::log::Repeated;
use crate::message::{Hello, Side, Welcome};
use crate::path::Hop;
use crate::retry::Retry;
use crate::strangers::{Stranger, Strangers};
use crate::transports::{self, Listener, Transport};

/// Callers that have not said hello yet.
const STRANGERS: usize = 64;

/// What is said to a guest of a hub where there is none.
pub const NO_HUB: &str = "this vstream is no hub: call one that was started as vstream hub";

/// What is said to one who wants to join where nothing is joined.
pub const NO_COORDINATOR: &str = "nobody coordinates here: join a vstream that was started as send --coordinate";

fn transport(endpoint: &Endpoint) -> Result<&'static dyn Transport> {
    let found = transports::find(&endpoint.scheme);
    found.ok_or_else(|| Fault::usage(format!("unknown scheme {}", endpoint.scheme)).into())
}

/// A hello of this process.
pub fn hello(role: Side, name: Option<String>) -> Hello {
    let (listening, visit, stream) = Default::default();
    Hello { role, name, agent: greet::agent(), instance: instance(), listening, visit, stream }
}

/// This process on the way of a stream.
pub fn hop(name: &str) -> Hop {
    Hop { id: instance(), name: name.to_string(), ..Hop::default() }
}

fn instance() -> u64 {
    static INSTANCE: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *INSTANCE.get_or_init(|| fastrand::u64(..))
}

/// Calls until somebody answers: the greeted link, or none when told to stop. A refusal is final.
pub async fn dial(job: &Job, to: &Endpoint, hello: &Hello) -> Result<Option<(Link, Welcome)>> {
    dial_telling(job, to, hello, waiting(to)).await
}

/// Whether who is refused may wait and call again. A refusal ends a visit, but where one has been, the hub may be back before
/// its stream is, or not have noticed yet that the old link is dead; unless it has just sent one off.
#[derive(Debug, Default)]
pub struct Visits {
    been: bool,
    sent_off: bool,
}

impl Visits {
    pub fn arrived(&mut self) {
        self.been = true;
    }

    pub fn left(&mut self, sent_off: bool) {
        self.sent_off = sent_off;
    }

    /// Whether a refusal is to be waited out; `failed`: a call since then was in vain.
    pub fn go_on(&mut self, failed: bool) -> bool {
        let sent_off = std::mem::take(&mut self.sent_off);
        self.been && (failed || !sent_off)
    }
}

/// Tells for what a call fails, once.
pub fn waiting(to: &Endpoint) -> impl FnMut(&anyhow::Error) {
    let mut said = false;
    move |error| match std::mem::replace(&mut said, true) {
        false => log::info!("waiting for {to}: {}", fault::line(error)),
        true => log::debug!("still waiting for {to}: {}", fault::line(error)),
    }
}

/// The same; `trouble` is told what each call failed for that will be made again.
pub async fn dial_telling(
    job: &Job,
    to: &Endpoint,
    hello: &Hello,
    mut trouble: impl FnMut(&anyhow::Error),
) -> Result<Option<(Link, Welcome)>> {
    let transport = transport(to)?;
    let to = &job.keyed(to);
    let mut retry = Retry::default();
    while !job.stop.said() {
        let call = async {
            let mut link = transport.connect(to).await?;
            let welcome = greet::call(&mut link, hello.clone()).await?;
            anyhow::Ok(Some((link, welcome)))
        };
        let stopped = async {
            job.stop.heard().await;
            Ok(None)
        };
        match or(call, stopped).await {
            Ok(greeted) => return Ok(greeted),
            Err(error) if error.downcast_ref::<Fault>().is_some() => return Err(error.context(to.to_string())),
            Err(error) => trouble(&error),
        }
        job.stop.pause(retry.delay()).await;
    }
    Ok(None)
}

/// Opens a listener and says where peers find it.
pub async fn listen(job: &Job, on: &Endpoint) -> Result<Box<dyn Listener>> {
    let on = &job.keyed(on);
    let listener = transport(on)?.listen(on).await?;
    let local = listener.local();
    log::info!("listening on {local}");
    if on.is_everywhere() && on.key.is_none() {
        log::warn!("no key is set: whoever reaches port {} of this machine is served", local.port);
    }
    let mut whole = job.board.whole();
    let others = whole.listening.take().map_or(String::new(), |others| format!("{others} "));
    whole.listening = Some(format!("{others}{local}"));
    drop(whole);
    Ok(listener)
}

/// Takes callers until told to stop; each is greeted and served in a task of its own.
pub async fn serve<F>(job: Arc<Job>, listener: Box<dyn Listener>, guest: impl Fn(Link, Hello) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    const AGAIN: Duration = Duration::from_millis(100);
    let strangers = Strangers::new(STRANGERS);
    let (greeted, guests) = async_channel::bounded::<(Link, Hello)>(STRANGERS);
    let mut trouble = Repeated::default();
    let silent = Arc::<Mutex<Repeated>>::default();
    let accept = async {
        loop {
            match listener.accept().await {
                Ok(link) => {
                    let (stranger, gave_way) = strangers.enter(host(&link.peer));
                    if let Some(n) = gave_way.then(|| trouble.again(clock::now())).flatten() {
                        log::warn!("too many silent callers at once: {n} were turned away, the last for {}", link.peer);
                    }
                    job.spawn(hear(link, stranger, greeted.clone(), silent.clone()));
                }
                Err(error) => {
                    if let Some(n) = trouble.again(clock::now()) {
                        log::warn!("could not take a caller ({n} times): {}", fault::line(&error));
                    }
                    Timer::after(AGAIN).await; // out of file descriptors, most likely: asking at once would spin
                }
            }
        }
    };
    let serve = async {
        while let Ok((link, hello)) = guests.recv().await {
            job.spawn(guest(link, hello));
        }
    };
    or(or(accept, serve), job.stop.heard()).await;
}

/// A peer's address without its port.
pub fn host(peer: &str) -> &str {
    peer.rsplit_once(':').map_or(peer, |(host, _)| host)
}

async fn hear(
    mut link: Link,
    stranger: Stranger,
    greeted: async_channel::Sender<(Link, Hello)>,
    silent: Arc<Mutex<Repeated>>,
) {
    let gave_way = async {
        stranger.leave.heard().await;
        None
    };
    match or(async { Some(greet::hear(&mut link).await) }, gave_way).await {
        Some(Ok(hello)) => _ = greeted.send((link, hello)).await,
        Some(Err(error)) => {
            let count = if error.is::<greet::Silent>() { lock(&silent).again(clock::now()) } else { Some(1) };
            let others = |count: u64| if count > 1 { format!(" ({count} of such)") } else { String::new() };
            if let Some(others) = count.map(others) {
                log::info!("{} was turned away: {}{others}", link.peer, fault::line(&error));
            }
        }
        None => log::debug!("{} said nothing, and others came", link.peer),
    }
}

/// Turns a guest away with a reason that it shows its user.
pub async fn refuse(mut link: Link, reason: String) {
    log::info!("{} was refused: {reason}", link.peer);
    if let Err(error) = greet::refuse(&mut link, reason).await {
        log::debug!("{}: {}", link.peer, fault::line(&error));
    }
}
