//! `vstream player`: a hub ↔ a window with controls, or a script.

use anyhow::Result;
use async_channel::{Sender, bounded};
use clap::Args;

use super::output::{self, Output};
use super::{Common, Job};
use crate::chat::LINE;
use crate::endpoint::{self, Endpoint};
use crate::fault::Fault;
use crate::playout::Mode;
use crate::word::Word;
use crate::{transports, units};

mod memory;
mod poster;
mod room;
mod session;
mod view;
#[cfg_attr(not(feature = "window"), path = "player/no_window.rs")]
mod window;

use memory::Memory;
use session::{Call, Order, Session};

/// Watch and talk at a hub, or stream to it, in a window
///
/// Examples:
///   vstream player                                      a window that asks for all that it needs
///   vstream player HUB                                  what there is at this hub
///   vstream player HUB/talk --user anna                 straight to the stream `talk`
///   vstream player HUB/desk --stream camera             stream the camera there
///   vstream player HUB/talk --headless --stats json     without a window: figures, and chat on stdin and in the log
///
/// Keys: Tab and arrows move, Enter presses, Esc goes back, f or F11 full screen, c chat, space plays and pauses a
/// video, on whose bar arrows move 5 s, Home and End to its ends
#[derive(Args, Clone, Debug)]
#[command(verbatim_doc_comment)]
pub struct PlayerArgs {
    /// Hub to call; with the name of a stream that one is watched [default: the hub of the last time, or this machine's]
    #[arg(value_name = "URL", value_parser = transports::dialled)]
    url: Option<Endpoint>,
    /// Your name there [default: that of the last time; without a window none, and so no chat]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Stream this there: test, camera, /dev/videoN, a file, http://…
    #[arg(long, value_name = "SOURCE", conflicts_with_all = ["join", "video"])]
    stream: Option<String>,
    /// Watch at once: the stream that the address names, or the only one there is
    #[arg(long)]
    join: bool,
    /// Watch this video of the library
    #[arg(long, value_name = "NAME", conflicts_with = "join", value_parser = endpoint::check_name)]
    video: Option<String>,
    /// What to watch: auto (what the network takes), source, or a size as 240p to 1080p
    #[arg(long, value_name = "RUNG", default_value = "auto", value_parser = rung)]
    rung: String,
    /// Stream in the place of whoever does; the hub must have a key
    #[arg(long, requires = "stream")]
    take_over: bool,
    /// No window: figures by --stats, chat in the log, and lines on stdin are said, or done: /rung 480p, /seek 90, /pause, /play
    #[arg(long)]
    headless: bool,
    #[command(flatten)]
    common: Common,
}

fn rung(text: &str) -> Result<String, String> {
    let known = ["auto", "source"].contains(&text) || (text.ends_with('p') && units::size(text).is_ok());
    known.then(|| text.to_string()).ok_or_else(|| "a rung is auto, source, or a size as 720p".to_string())
}

fn somebody() -> String {
    format!("guest {}", fastrand::u16(1000..10_000))
}

fn this_machine() -> Endpoint {
    Endpoint { host: "localhost".to_string(), ..Endpoint::any() }
}

impl PlayerArgs {
    fn call(&self, memory: &Memory) -> Call {
        let last = || memory.address.as_deref().and_then(|address| transports::dialled(address).ok());
        let to = self.url.clone().or_else(|| last().filter(|_| !self.headless)).unwrap_or_else(this_machine);
        let to = Endpoint { name: self.video.clone().or(to.name), ..to };
        // In a window one is to have a voice, and who has no name has none.
        let known = || memory.user.clone().or_else(|| std::env::var("USER").ok()).unwrap_or_else(somebody);
        let user = self.user.clone().or_else(|| Some(known()).filter(|_| !self.headless));
        Call { to, user, rung: self.rung.clone() }
    }

    /// What to begin with; the window may ask for it.
    fn first(&self, call: Call) -> Order {
        let named = self.url.as_ref().is_some_and(|url| url.name.is_some());
        match &self.stream {
            Some(source) => Order::Stream(call, source.clone(), self.take_over),
            None if self.join || self.video.is_some() || named || self.headless => Order::Watch(call),
            None if self.url.is_some() => Order::Look(call),
            None => Order::Rest,
        }
    }
}

/// Orders that wait to be done.
const ORDERS: usize = 64;

pub fn run(args: PlayerArgs) -> Result<()> {
    if let Some((named, video)) = args.url.as_ref().and_then(|url| url.name.as_ref()).zip(args.video.as_ref()) {
        let text = format!("the address names {named} and --video names {video}: leave one of them out");
        return Err(Fault::usage(text).into());
    }
    let job = Job::start("player", &args.common)?;
    let call = args.call(&Memory::load());
    let (order, orders) = bounded(ORDERS);
    if !args.headless {
        let first = args.first(call.clone());
        return window::run(&job, call, first, (order, orders));
    }
    let nothing = |_| Output { name: "nothing".to_string(), sink: Box::new(output::Nothing), mode: Mode::Off };
    let session = Session::new(&job, orders, (Box::new(|| {}), Box::new(nothing)), false);
    talk(&job, order, call.user.is_some());
    let first = args.first(call);
    smol::future::block_on(async {
        job.spawn(session.run(first));
        job.ended().await
    })
}

/// Lines on stdin are said in the chat, or done.
fn talk(job: &Job, order: Sender<Order>, has_voice: bool) {
    job.on_line(move |line| match asked(line) {
        _ if !has_voice => log::warn!("who has no name has no voice here: --user NAME"),
        Ok(word) => _ = order.send_blocking(Order::Tell(word)), // it fails when the session has gone
        Err(why) => log::warn!("{why}"),
    });
}

/// What a line asks for.
fn asked(mut line: String) -> Result<Word, String> {
    match line.trim().split_once(' ').unwrap_or((line.trim(), "")) {
        ("/rung", name) => return rung(name.trim()).map(|rung| Word::Choose { rung }),
        ("/seek", to) => {
            let to = to.trim().parse().ok().filter(|to| (0.0..1e9).contains(to));
            return to.map(|to| Word::Seek { to }).ok_or_else(|| "/seek takes seconds from the beginning".to_string());
        }
        (does @ ("/pause" | "/play"), "") => return Ok(Word::Pause { paused: does == "/pause" }),
        _ => {}
    }
    if let Some((end, _)) = line.char_indices().nth(LINE) {
        log::warn!("a line of chat has {LINE} characters: the rest is left out");
        line.truncate(end);
    }
    Ok(Word::Say { text: line })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_on_stdin_are_said_or_done() {
        let asked = |line: &str| asked(line.to_string());
        assert_eq!(asked("/rung 480p"), Ok(Word::Choose { rung: "480p".into() }));
        assert_eq!(asked("/seek 90.5 "), Ok(Word::Seek { to: 90.5 }));
        assert_eq!([asked("/pause"), asked("/play")], [true, false].map(|paused| Ok(Word::Pause { paused })));
        assert!(
            ["/rung", "/rung 480", "/seek", "/seek -1", "/seek nan", "/seek 1e99"].iter().all(|l| asked(l).is_err())
        );
        for said in ["hello", "/names", "/playing", " /pause it"] {
            assert_eq!(asked(said), Ok(Word::Say { text: said.into() }));
        }
        let long = "ü".repeat(LINE + 1);
        assert!(matches!(asked(&long), Ok(Word::Say { text }) if text.chars().count() == LINE));
    }
}
