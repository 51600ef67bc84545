//! `vstream hub`: links and browsers ↔ rooms, one for each stream.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::calls::{self, listen, refuse, serve};
use super::http::{self, HttpArgs};
use super::library::Library;
use super::secure::CertArgs;
use super::{Common, Job, neighbours};
use crate::adapt::Limits;
use crate::endpoint::{self, Endpoint};
use crate::fault;
use crate::link::Link;
use crate::lock::lock;
use crate::message::{Hello, Side};
use crate::{transports, units};

mod flight;
mod golive;
mod hall;
mod pictures;
mod places;
mod playing;
mod room;
mod site;
mod socket;
mod streamer;
mod viewer;
mod watched;

use places::{LimitArgs, Place, Places};
use room::Room;

/// One streamer, many viewers: each at its own quality, with chat, on links and in browsers
///
/// Examples:
///   vstream hub --http :8080                            a page where everybody watches, chats and goes live
///   vstream send --to HUB/talk                          ... and what a camera sees is the stream `talk` there
///   vstream recv --play --from HUB/talk                 watch it in a window, or with `vstream player HUB`
///   vstream hub --library films --http :8080            also videos, each viewer where it likes
///   vstream hub --listen 'tcp://:9000?key=KEY' --listen :9001         streaming needs the key, watching (:9001) does not
///   vstream hub --listen tls://:9000 --listen udp://:9000 --key-file KEY --http :8080
#[derive(Args, Clone, Debug)]
#[command(verbatim_doc_comment)]
pub struct HubArgs {
    /// Wait here for streamers and viewers; more than once for several transports [default: tcp://:9000]
    #[arg(long, value_name = "URL", value_parser = transports::endpoint)]
    pub listen: Vec<Endpoint>,
    /// Folder of videos to offer: each viewer where it likes, at the quality that its network takes
    #[arg(long, value_name = "DIR")]
    pub library: Option<PathBuf>,
    /// Make all videos ready before anything else, not each when it is first watched
    #[arg(long, requires = "library")]
    pub prepare: bool,
    /// Sizes below the stream's own that a viewer can choose
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = rung, default_value = "1080p,720p,480p,360p,240p")]
    pub rungs: Vec<String>,
    #[command(flatten)]
    limits: LimitArgs,
    /// Send no more than this to all viewers together: 100mbit
    #[arg(long, value_name = "RATE", value_parser = units::rate)]
    pub rate_max: Option<u64>,
    /// Lines of chat that are kept for those who come late
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub chat_history: usize,
    /// Announce this hub on the local network (multicast DNS), where `vstream player` lists it
    #[arg(long)]
    pub announce: bool,
    #[command(flatten)]
    cert: CertArgs,
    #[command(flatten)]
    pub http: HttpArgs,
    #[command(flatten)]
    pub common: Common,
}

/// Streams at once: each costs a thread for every rung that is watched.
const ROOMS: usize = 64;
/// What a refusal names of what there is.
const NAMED: usize = 20;
/// How often everybody is told how it stands.
const TELL: Duration = Duration::from_secs(1);

pub struct Hub {
    pub job: Arc<Job>,
    rooms: Mutex<BTreeMap<String, Arc<Room>>>,
    places: Places,
    /// Of those who only look what there is.
    lookers: Places,
    /// What every viewer's link keeps within.
    pub limits: Arc<Limits>,
    rate_max: Option<u64>,
    rungs: Vec<String>,
    chat_history: usize,
    pub library: Option<Library>,
    /// Some of its doors have a key: those who come by another only watch.
    guarded: bool,
}

fn rung(text: &str) -> Result<String, String> {
    let size = units::size(text)?;
    if text.ends_with('p') { Ok(text.to_string()) } else { Err(format!("{}p names a rung, not a size", size.1)) }
}

pub fn run(args: HubArgs) -> Result<()> {
    let job = Job::start("hub", &args.common)?;
    let mut rungs = args.rungs.clone();
    rungs.sort_by_key(|rung| std::cmp::Reverse(units::size(rung).map_or(0, |size| size.1)));
    rungs.dedup();
    let heights: Vec<u32> = rungs.iter().filter_map(|rung| Some(units::size(rung).ok()?.1 as u32)).collect();
    let library = args.library.as_ref().map(|dir| Library::open(dir, &heights, &job.stop)).transpose()?;
    let prepared = library.as_ref().filter(|_| args.prepare).map(Library::prepare);
    if job.stop.said() {
        log::info!("it was told to stop while it prepared: the next start goes on with that");
        return smol::future::block_on(job.ended());
    }
    if let Some(Err(error)) = prepared {
        log::warn!("{}", fault::line(&error));
    }
    let on = if args.listen.is_empty() { vec![Endpoint::any()] } else { args.listen.clone() };
    let hub = Arc::new(Hub {
        job: job.clone(),
        rooms: Mutex::default(),
        places: Places::new(args.limits.clone()),
        lookers: Places::new(args.limits.of_lookers()),
        limits: Arc::new(Limits::new(args.rate_max, true)),
        rate_max: args.rate_max,
        rungs,
        chat_history: args.chat_history,
        library,
        guarded: job.key.is_some() || on.iter().any(|on| on.key.is_some()),
    });
    let ended = smol::future::block_on(async {
        let mut announced = Vec::new();
        for on in on {
            let on = args.cert.on(on, &args.http)?;
            let listener = listen(&job, &on).await?;
            let local = listener.local();
            if args.announce && local.is_here_alone() {
                log::warn!("{local} is for this machine alone: it is not announced");
            } else if args.announce {
                announced.push(neighbours::announce(&local)?);
            }
            let (me, keyed) = (hub.clone(), job.keyed(&on).key.is_some());
            let guest = move |link, hello| me.clone().guest(link, hello, on.name.clone(), keyed);
            job.spawn(serve(job.clone(), listener, guest));
        }
        if let Some(on) = &args.http.http {
            let door = http::open(on, &args.cert).await?;
            door.serve(&job, args.http.allow_origin.clone(), Arc::new(site::Hall { hub: hub.clone() }));
        }
        let counting = hub.clone();
        job.board.count_otherwise(Box::new(move |line, now| counting.lines(line, now)));
        job.spawn(hub.clone().tell());
        job.ended().await
    });
    job.stop.say();
    ended
}

impl Hub {
    /// `keyed`: it has the key of the door that it came by.
    async fn guest(self: Arc<Self>, link: Link, hello: Hello, only: Option<String>, keyed: bool) {
        let name = hello.name.clone().or(only);
        match hello.role {
            Side::Join => refuse(link, calls::NO_COORDINATOR.to_string()).await,
            Side::Browse => hall::serve(&self, link, hello).await,
            Side::Publish => {
                let room = match self.room(&name.unwrap_or_else(|| endpoint::NAME.to_string())) {
                    Ok(room) => room,
                    Err(why) => return refuse(link, why).await,
                };
                let over = streamer::serve(&self, &room, link, hello, keyed).await;
                self.left(&room, over);
            }
            Side::Watch => match self.find(name.as_deref()) {
                Ok(room) => {
                    viewer::serve(&self, &room, link, hello).await;
                    self.left(&room, false);
                }
                Err(why) => refuse(link, why).await,
            },
        }
    }

    /// The room of a stream, a new one where there is none. Errors: why there can be none.
    fn room(self: &Arc<Self>, name: &str) -> Result<Arc<Room>, String> {
        let name = endpoint::check_name(name)?;
        let mut rooms = lock(&self.rooms);
        if let Some(room) = rooms.get(&name) {
            return Ok(room.clone());
        }
        if rooms.len() >= ROOMS {
            return Err(format!("there are {ROOMS} streams here, no other can begin"));
        }
        if self.library.as_ref().is_some_and(|library| library.entry(&name).is_some()) {
            return Err(format!("{name} is a video of the library: stream under another name"));
        }
        let room = Room::live(&self.job, &name, self.chat_history, &self.rungs, &self.limits);
        rooms.insert(name, room.clone());
        Ok(room)
    }

    /// The room of a stream or a video that somebody wants to watch: without a name the only stream. Errors: what there is.
    fn find(&self, name: Option<&str>) -> Result<Arc<Room>, String> {
        let mut rooms = lock(&self.rooms);
        let named = name.filter(|name| !rooms.contains_key(*name)).zip(self.library.as_ref());
        if let Some((name, library)) = named.filter(|(name, library)| library.entry(name).is_some()) {
            let room = Room::video(library, name, self.chat_history);
            rooms.insert(name.to_string(), room);
        }
        let found = match name {
            Some(name) => rooms.get(name),
            None => {
                let mut live = rooms.values().filter(|room| room.stream().is_some());
                let (first, more) = (live.next(), live.next().is_some());
                rooms.get(endpoint::NAME).filter(|room| room.stream().is_some()).or(first.filter(|_| !more))
            }
        };
        let why = match name {
            Some(name) => format!("there is no stream {}", crate::greet::printable(name)),
            None if rooms.values().all(|room| room.stream().is_none()) => "nobody streams here now".to_string(),
            None => "name one of several, as HUB/NAME".to_string(),
        };
        found.cloned().ok_or_else(|| why + &self.there(&rooms))
    }

    /// What can be watched, by name, to be said after a refusal.
    fn there(&self, rooms: &BTreeMap<String, Arc<Room>>) -> String {
        let videos = self.library.as_ref().map(Library::list).unwrap_or_default();
        let names: BTreeSet<&str> =
            rooms.keys().chain(videos.iter().map(|video| &video.name)).map(String::as_str).collect();
        let more = names.len().saturating_sub(NAMED);
        let named = names.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
        match (named.is_empty(), more) {
            (true, _) => String::new(),
            (_, 0) => format!(": there is {named}"),
            _ => format!(": there is {named}, and {more} more"),
        }
    }

    /// Somebody has left a room: without anybody it ends, and when its stream is over.
    fn left(&self, room: &Arc<Room>, over: bool) {
        let mut rooms = lock(&self.rooms);
        let ends = over || (room.is_empty() && !room.is_held());
        if ends && rooms.get(&room.name).is_some_and(|there| Arc::ptr_eq(there, room)) {
            rooms.remove(&room.name);
            room.end();
        }
    }

    fn rooms(&self) -> Vec<Arc<Room>> {
        lock(&self.rooms).values().cloned().collect()
    }

    /// A place for a viewer; the rate that all may take is shared out anew.
    fn place(&self, peer: &str, room: &Room) -> Result<Place, String> {
        let place = self.places.take(peer, &room.name)?;
        self.share();
        Ok(place)
    }

    /// Whether one who has the key, or has not, may stream, in the place of another if that is wanted. Errors: why not.
    fn may_stream(&self, keyed: bool, take_over: bool) -> Result<(), String> {
        if self.guarded && !keyed {
            return Err("streaming needs the key here: this way in is for watching".to_string());
        }
        match take_over && !keyed {
            true => Err("nobody may take over where everybody could: start the hub with a key".to_string()),
            false => Ok(()),
        }
    }

    fn share(&self) {
        if let Some(rate) = self.rate_max {
            self.limits.set_rate_max(Some((rate / self.places.taken().max(1) as u64).max(1)));
        }
    }

    /// Tells everybody how it stands, until the hub ends, and then that it does.
    async fn tell(self: Arc<Self>) {
        while !self.job.stop.said() {
            self.job.stop.pause(TELL).await;
            self.share();
            for room in self.rooms() {
                room.tell_figures();
            }
        }
        self.rooms().iter().for_each(|room| room.close());
    }
}
