//! A session with hubs, with a window or without: it does one thing at a time, as it is ordered, and says how it goes.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use async_channel::{Receiver, Sender, bounded};
use smol::future::or;

use super::memory::Memory;
use super::poster::{Asking, Poster};
use super::view::{Place, View, making};
use crate::clock;
use crate::endpoint::Endpoint;
use crate::fault::{self, Fault};
use crate::greet::printable;
use crate::link::Link;
use crate::lock::lock;
use crate::message::{Hello, Message, Side, Visit, Welcome};
use crate::retry::Retry;
use crate::roles::calls::{Visits, dial_telling, hello};
use crate::roles::neighbours::Neighbours;
use crate::roles::{Job, output};
use crate::stop::Stop;
use crate::word::{At, Talk, Word};

/// Words that wait, from the hub and to it.
const WORDS: usize = 64;

/// Where somebody goes, and as whom.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name, where it has one, is a stream's.
    pub to: Endpoint,
    pub user: Option<String>,
    pub rung: String,
}

/// What the user wants.
#[derive(Clone, Debug)]
pub enum Order {
    /// To be nowhere.
    Rest,
    /// To see what there is.
    Look(Call),
    /// To watch a stream or a video.
    Watch(Call),
    /// To stream a source; in another's place, if that must be.
    Stream(Call, String, bool),
    /// To say something where they are.
    Tell(Word),
}

/// Makes the output that shows a stream.
pub type Show = Box<dyn Fn(Arc<Session>) -> output::Output + Send + Sync>;

pub struct Session {
    pub job: Arc<Job>,
    view: Mutex<View>,
    orders: Receiver<Order>,
    /// Rings when there is something new to see.
    ring: Box<dyn Fn() + Send + Sync>,
    pub show: Show,
    /// A person looks on, who will want something else when this is over or refused.
    pub attended: bool,
}

/// How something ended that was done with a link.
pub enum End {
    Over(String),
    Left(String),
    Stopped,
    Broken(String),
}

/// What is done in a room: watching or streaming.
pub trait Stay {
    fn hello(&self) -> Hello;
    /// Nothing is left to do.
    fn is_over(&self) -> bool;
    fn with(
        &self,
        link: Link,
        welcome: Welcome,
        leave: &Stop,
        talk: Option<&Talk>,
    ) -> impl Future<Output = Result<End>>;
}

impl Session {
    pub fn new(
        job: &Arc<Job>,
        orders: Receiver<Order>,
        (ring, show): (Box<dyn Fn() + Send + Sync>, Show),
        attended: bool,
    ) -> Arc<Session> {
        Arc::new(Session { job: job.clone(), view: Mutex::default(), orders, ring, show, attended })
    }

    pub fn view(&self) -> View {
        lock(&self.view).clone()
    }

    pub fn change(&self, change: impl FnOnce(&mut View)) {
        change(&mut lock(&self.view));
        (self.ring)();
    }

    /// Does what it is told, one thing after the other, until the job ends.
    pub async fn run(self: Arc<Self>, mut order: Order) {
        while !self.job.stop.said() {
            order = match order {
                Order::Look(call) => self.look(call).await,
                Order::Watch(call) => self.clone().watch(call).await,
                Order::Stream(call, source, take_over) => self.clone().stream(call, source, take_over).await,
                Order::Rest => {
                    self.change(|view| *view = View { error: view.error.take(), ..View::default() });
                    or(self.look_around(), or(self.ordered(None), self.stopped())).await
                }
                Order::Tell(_) => or(self.ordered(None), self.stopped()).await, // nobody is there who would hear it
            };
        }
    }

    /// Shows which hubs announce themselves.
    async fn look_around<T>(&self) -> T {
        match Neighbours::look() {
            Ok(mut hubs) => {
                while let Some(neighbours) = hubs.next().await {
                    self.change(|view| view.neighbours = neighbours);
                }
            }
            Err(error) => log::debug!("{}", fault::line(&error)), // there may be no network that could tell
        }
        std::future::pending().await
    }

    /// Shows what there is, until something else is wanted.
    async fn look(&self, call: Call) -> Order {
        self.change(|view| *view = View { error: view.error.take(), ..View::at(Place::Hall) });
        let looking = async {
            loop {
                let browse = hello(Side::Browse, None);
                let mut link = match self.call(&call, &browse, &mut false).await {
                    Ok(Some((link, _))) => link,
                    Ok(None) => return Order::Rest,
                    Err(error) => return self.refused(error, Order::Rest),
                };
                self.arrived(&call);
                let mut asking = Asking::default();
                while let Ok(Some(message)) = link.rx.recv().await {
                    match message {
                        Message::Word(word @ Word::Hall(_)) => self.change(|view| view.hear(word)),
                        Message::Word(Word::Poster { name, jpeg }) if asking.answers(&name) => {
                            match Poster::read(&jpeg) {
                                Ok(poster) => self.change(|view| view.show(name, poster)),
                                Err(error) => log::debug!("no picture of {}: {error:#}", printable(&name)),
                            }
                        }
                        _ => continue,
                    }
                    // A hub takes who says nothing for dead: there is a word, or a ping, for each of its own.
                    let ask = asking.next(lock(&self.view).hall.as_ref());
                    let answer = ask.map_or_else(|| Message::Ping(clock::now()), Message::Word);
                    if link.tx.send(answer).await.is_err() {
                        break;
                    }
                }
                self.change(|view| view.notice = Some("the hub has gone: it is called again".to_string()));
                self.job.stop.pause(Retry::default().delay()).await;
            }
        };
        or(looking, or(self.ordered(None), self.stopped())).await
    }

    /// Stays in a room until something else is wanted; what that is.
    pub async fn stay<S: Stay>(&self, call: &Call, stay: &S, leave: &Stop) -> Order {
        let ((heard, words), (say, told)) = (bounded(WORDS), bounded(WORDS));
        let talk = call.user.is_some().then_some(Talk { heard, told });
        let hearing = async {
            while let Ok(word) = words.recv().await {
                self.hear(word);
            }
            std::future::pending().await
        };
        let stopping = async {
            self.job.stop.heard().await;
            leave.say();
            std::future::pending().await
        };
        let mut staying =
            pin!(or(self.visits(call, stay, leave, (talk.as_ref(), &words, &say)), or(hearing, stopping)));
        let ordered = async { Err(self.ordered(Some(&say)).await) };
        match or(ordered, async { Ok((&mut staying).await) }).await {
            Ok(next) => next,
            Err(next) => {
                leave.say();
                staying.await;
                next
            }
        }
    }

    /// Calls, and calls again when the link breaks; what is to be done when that is over.
    async fn visits<S: Stay>(
        &self,
        call: &Call,
        stay: &S,
        leave: &Stop,
        (talk, words, say): (Option<&Talk>, &Receiver<Word>, &Sender<Word>),
    ) -> Order {
        let back = || if self.attended { Order::Look(call.clone()) } else { Order::Rest };
        let (mut visits, mut retry) = (Visits::default(), Retry::default());
        let mut was_at = None;
        while !leave.said() && !stay.is_over() {
            let mut failed = false;
            let left = async {
                leave.heard().await;
                Ok(None)
            };
            let greeted = or(self.call(call, &stay.hello(), &mut failed), left).await;
            let (link, welcome) = match greeted {
                Ok(Some(greeted)) => greeted,
                Ok(None) => break,
                Err(error) if visits.go_on(failed) => {
                    self.change(|view| view.notice = Some(format!("{}: calling again", fault::line(&error))));
                    or(self.job.stop.pause(retry.delay()), leave.heard()).await;
                    continue;
                }
                Err(error) => return self.refused(error, back()),
            };
            visits.arrived();
            retry = Retry::default();
            self.arrived(call);
            if let Some(at) = was_at.filter(|_| talk.is_some()) {
                return_to(at, say);
            }
            let ended = stay.with(link, welcome, leave, talk).await;
            while let Ok(word) = words.try_recv() {
                self.hear(word); // what was said before it ended
            }
            if let Some(why) = self.view().out {
                return self.refused(Fault::refused(why).into(), back());
            }
            visits.left(matches!(ended, Ok(End::Left(_))));
            let notice = match ended {
                Ok(End::Stopped) => break,
                Ok(End::Over(reason)) => {
                    log::info!("{} is over: {reason}", call.to);
                    self.change(|view| view.error = Some(format!("the stream is over: {reason}")));
                    self.ends();
                    return back();
                }
                Ok(End::Left(reason)) => format!("{} says good bye: {reason}", call.to),
                Ok(End::Broken(reason)) => format!("{} is gone: {reason}", call.to),
                Err(error) => return self.refused(error, back()),
            };
            was_at = self.view().at.filter(|at| !at.is_over());
            log::warn!("{notice}: calling again");
            self.change(|view| view.notice = Some(format!("{notice}: calling again")));
            or(self.job.stop.pause(retry.delay()), leave.heard()).await; // not in circles, whoever it is
        }
        self.ends();
        back()
    }

    /// Calls until somebody answers, and shows what it waits for; `failed`: the first call was in vain.
    async fn call(&self, call: &Call, hello: &Hello, failed: &mut bool) -> Result<Option<(Link, Welcome)>> {
        let rung = self.view().chosen.or_else(|| hello.visit.rung.clone());
        let visit = Visit { user: call.user.clone(), rung, ..hello.visit.clone() };
        let hello = Hello { visit, ..hello.clone() };
        dial_telling(&self.job, &call.to, &hello, |error| {
            let text = format!("waiting for {}: {}", call.to, fault::line(error));
            match std::mem::replace(failed, true) {
                false => log::info!("{text}"),
                true => log::debug!("{text}"),
            }
            self.change(|view| view.notice = Some(text));
        })
        .await
    }

    fn arrived(&self, call: &Call) {
        log::info!("connected to {}", call.to);
        self.change(|view| view.notice = None);
        if self.attended {
            let hub = Endpoint { name: None, ..call.to.clone() };
            Memory { address: Some(hub.to_string()), user: call.user.clone() }.keep();
        }
    }

    /// What was refused is shown to whoever looks on; else it is the end.
    pub fn refused(&self, error: anyhow::Error, back: Order) -> Order {
        if self.attended {
            log::warn!("{}", fault::line(&error));
            self.change(|view| view.error = Some(fault::line(&error)));
        } else {
            self.job.fail(error);
        }
        back
    }

    fn ends(&self) {
        if !self.attended {
            self.job.stop.say();
        }
    }

    fn hear(&self, word: Word) {
        match &word {
            Word::Said(said) => {
                let to = said.to.as_ref().map_or(String::new(), |to| format!(" → {}", printable(to)));
                log::info!("{}{to}: {}", printable(&said.from), printable(&said.text));
            }
            Word::Told { text } => log::info!("{}", printable(text)),
            Word::Rung { rung, auto, why } => {
                let why = if why.is_empty() { String::new() } else { format!(": {}", printable(why)) };
                log::info!("watching {}{}{why}", printable(rung), if *auto { " (auto)" } else { "" });
                self.job.board.whole().rung = Some(printable(rung));
            }
            Word::Room(room) => {
                self.job.board.whole().viewers = Some(room.count);
                let tenth = |share: f64| (share * 10.0) as u32;
                let (before, plays) = {
                    let view = lock(&self.view);
                    (view.room.preparing, view.at.is_some())
                };
                if let Some(share) = room.preparing.filter(|share| before.map(tenth) != Some(tenth(*share))) {
                    log::info!("{}", making(share, plays));
                }
            }
            Word::At(at) if at.is_over() && !self.attended => {
                log::info!("the video is over");
                self.ends();
            }
            _ => {}
        }
        self.change(|view| view.hear(word));
    }

    /// The next order that ends what is done now; words go where `say` leads.
    async fn ordered(&self, say: Option<&Sender<Word>>) -> Order {
        loop {
            let order = self.orders.recv().await;
            if let Ok(Order::Tell(word)) = &order {
                self.change(|view| view.tell(word));
            }
            match (order, say) {
                (Ok(Order::Tell(word)), Some(say)) => _ = say.try_send(word), // nobody talks so fast that it were full
                (Ok(Order::Tell(_)), None) => {}
                (Ok(order), _) => return order,
                (Err(_), _) => std::future::pending().await, // whoever gave orders has gone
            }
        }
    }

    async fn stopped(&self) -> Order {
        self.job.stop.heard().await;
        Order::Rest
    }
}

/// Goes on in a video where it was, though the hub does not know any more.
fn return_to(at: At, say: &Sender<Word>) {
    let pause = at.paused.then_some(Word::Pause { paused: true });
    let words = [Word::Seek { to: at.position }].into_iter().chain(pause);
    words.for_each(|word| _ = say.try_send(word)); // it is empty but for what was said in vain
}
