//! A page on a WebSocket: one that watches, one that goes live, or one that only looks what there is.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_io::Timer;
use async_tungstenite::{WebSocketReceiver, WebSocketSender};
use bytes::{BufMut, Bytes, BytesMut};
use event_listener::Event;
use serde::Deserialize;
use serde_json::json;
use smol::future::or;
use smol::stream::StreamExt;

use super::Hub;
use super::flight::Flight;
use super::playing::Playing;
use super::room::{Guest, Room};
use super::viewer::{LOOK, hear, rewish, tell_place};
use super::watched::{Seen, Watched};
use crate::allowance::Allowance;
use crate::clock::{self, Time};
use crate::fault;
use crate::frame::Frame;
use crate::lock::lock;
use crate::stats::Viewer;
use crate::until::until;
use crate::web::socket::{Message, Socket, plain};
use crate::web::stream::Stream;
use crate::web::views::jpeg;
use crate::word::Word;

pub type Tx = WebSocketSender<Stream>;
pub type Rx = WebSocketReceiver<Stream>;

/// Bytes of what a page may say: a line of chat is shorter. And of its pictures: one of 8K takes less.
pub const WORD_MAX: usize = 4096;
pub const PICTURE_MAX: usize = 16 << 20;
/// As links do.
const PING: Duration = Duration::from_secs(1);

/// What a page says in text: a picture was shown, or a word.
#[derive(Deserialize)]
#[serde(untagged, expecting = "it is neither a word of the protocol nor of a picture that was shown")]
pub enum Heard {
    Shown {
        shown: u64,
        /// Milliseconds that it took to decode and paint.
        #[serde(default)]
        ms: f64,
    },
    Word(Word),
}

/// Reads what a page says. Errors: it says what no page of ours does.
pub fn heard(text: &str) -> Result<Heard> {
    anyhow::ensure!(text.len() <= WORD_MAX, "a word of {} bytes", text.len());
    serde_json::from_str(text).context("a word cannot be read")
}

/// A page that watches: its guest, and how the network to it does.
struct Page<'a> {
    room: &'a Arc<Room>,
    guest: Guest,
    watched: Watched,
    viewer: Viewer,
    flight: Mutex<Flight>,
    landed: Event,
}

/// Who asks, and for what.
pub struct Visit {
    pub peer: SocketAddr,
    pub user: Option<String>,
    pub rung: Option<String>,
}

impl Visit {
    /// How one who was put out is known again: its address, where others may be, and its name.
    pub fn identity(&self) -> String {
        format!("{} {}", self.peer.ip(), self.user.as_deref().unwrap_or_default())
    }
}

/// Serves a page that watches a stream until it leaves or the stream is over.
pub async fn watch(hub: &Hub, room: &Arc<Room>, mut socket: Socket, visit: Visit) {
    let entered = hub.place(&visit.peer.to_string(), room).and_then(|place| {
        let watched = Watched::new(room, visit.rung.as_deref().unwrap_or(super::pictures::AUTO))?;
        let playing = room.playing(&watched.wish().rung, true)?;
        Ok((place, watched, playing, room.enter(visit.user.as_deref(), false, visit.identity())?))
    });
    let (_place, watched, playing, guest) = match entered {
        Ok(entered) => entered,
        Err(why) => return refuse(&mut socket, visit.peer, why).await,
    };
    log::info!("{} watches {} as {} (browser)", visit.peer, room.name, guest.name);
    watched.word().into_iter().for_each(|word| guest.tell(word));
    let viewer = room.board.view(&guest.name);
    let (flight, landed) = Default::default();
    let page = Page { room, guest, watched, viewer, flight, landed };
    let (mut tx, mut rx) = socket.split();
    let ended = or(page.listen(&mut rx), page.show(hub, playing, &mut tx)).await;
    farewell((&mut tx, &mut rx), (visit.peer, &page.guest.name), ended).await;
}

/// Tells a page why it is not served.
pub async fn refuse(socket: &mut Socket, peer: SocketAddr, why: String) {
    log::info!("{peer} (browser) was refused: {why}");
    _ = socket.send(refused(&why)).await; // it may be gone already
    _ = socket.close(None).await;
}

fn refused(why: &str) -> Message {
    Message::text(json!({ "type": "refused", "reason": why }).to_string())
}

/// Says good bye, if there is somebody to hear it, and why, and takes what the page still says: with that unread the connection
/// would break off, and the page take it for a hub that died.
pub async fn farewell((tx, rx): (&mut Tx, &mut Rx), (peer, name): (SocketAddr, &str), ended: Result<()>) {
    let why = ended.err().map(|error| fault::line(&error));
    match &why {
        None => log::info!("{peer} ({name}, browser) has gone"),
        Some(why) => log::info!("{peer} ({name}, browser) is gone: {why}"),
    }
    let closing = async {
        if let Some(why) = why {
            _ = tx.send(refused(&why)).await;
        }
        _ = tx.close(None).await; // it may be gone already
        while let Some(Ok(_)) = rx.next().await {}
    };
    or(closing, async { _ = Timer::after(PING).await }).await;
}

pub fn text(word: &Word) -> Message {
    Message::text(serde_json::to_string(word).expect("words of strings and numbers always serialise"))
}

enum Next {
    Frame(Frame),
    Word(Word),
    Ping,
    Look,
    /// Another rung.
    Other,
    Gone,
    Over,
}

impl Page<'_> {
    async fn show(&self, hub: &Hub, mut playing: Playing, tx: &mut Tx) -> Result<()> {
        let (mut pinged, mut looked) = (clock::now(), clock::now());
        let (mut due, mut placed) = (pinged, pinged);
        let mut wish = self.watched.wish();
        playing.play(&wish.rung, wish.paused, None);
        self.look(hub, looked);
        loop {
            let mut ended = false;
            loop {
                let frame = async {
                    self.until_free().await;
                    Timer::after(due.since(clock::now())).await; // what was sent is paid for
                    match ended {
                        true => std::future::pending().await,
                        false => playing.frame().await.map_or(Next::Over, Next::Frame),
                    }
                };
                let word = async { self.guest.told.recv().await.map_or(Next::Gone, Next::Word) };
                let ping = async {
                    Timer::after((pinged + PING).since(clock::now())).await;
                    Next::Ping
                };
                let look = async {
                    Timer::after((looked + LOOK).since(clock::now())).await;
                    Next::Look
                };
                let other = async {
                    self.watched.until_other_than(&wish).await;
                    Next::Other
                };
                let gone = async {
                    self.guest.leave.heard().await;
                    Next::Gone
                };
                match or(or(word, or(ping, other)), or(gone, or(frame, look))).await {
                    Next::Frame(frame) => {
                        let bytes = self.send(tx, &frame).await?;
                        let rate = hub.limits.rate_max().map(|rate| bytes as f64 * 8.0 / rate as f64);
                        due = clock::now() + Duration::from_secs_f64(rate.unwrap_or(0.0).min(60.0));
                        placed = tell_place(&self.guest, &playing, placed);
                    }
                    Next::Word(word) => tx.send(text(&word)).await?,
                    Next::Ping => {
                        pinged = clock::now();
                        let sent = pinged.micros().to_le_bytes().to_vec();
                        tx.send(Message::Ping(sent.into())).await?;
                    }
                    Next::Look => {
                        looked = clock::now();
                        self.look(hub, looked);
                    }
                    Next::Other => break,
                    Next::Gone => {
                        while let Ok(word) = self.guest.told.try_recv() {
                            tx.send(text(&word)).await?;
                        }
                        return Ok(());
                    }
                    Next::Over if playing.is_video() => {
                        ended = true; // until the viewer jumps
                        placed = tell_place(&self.guest, &playing, clock::now());
                        playing.trouble().into_iter().for_each(|why| self.guest.send_off(why));
                    }
                    Next::Over => {
                        let over = json!({ "type": "over" });
                        return Ok(tx.send(Message::text(over.to_string())).await?);
                    }
                }
            }
            let old = std::mem::replace(&mut wish, self.watched.wish());
            rewish(self.room, &mut playing, &old, &wish, true);
            placed = tell_place(&self.guest, &playing, clock::now());
        }
    }

    async fn send(&self, tx: &mut Tx, frame: &Frame) -> Result<usize> {
        let message = picture(frame);
        let (bytes, now) = (message.len(), clock::now());
        lock(&self.flight).sent(frame.seq, now, bytes);
        self.count(frame.seq, now, bytes);
        Ok(tx.send(Message::Binary(message)).await.map(|()| bytes)?)
    }

    fn count(&self, seq: u64, now: Time, bytes: usize) {
        let mut link = self.viewer.peer.link();
        let missed = link.sent.replace(seq).map_or(0, |last| seq.saturating_sub(last + 1));
        link.slow += missed;
        link.meter.add(now, bytes);
    }

    async fn until_free(&self) {
        until(&self.landed, || lock(&self.flight).is_free().then_some(())).await
    }

    fn look(&self, hub: &Hub, now: Time) {
        let seen = {
            let flight = lock(&self.flight);
            Seen { takes: flight.takes(now), most: hub.limits.rate_max(), frame_bytes: flight.bytes() }
        };
        if let Some(word) = self.watched.look(now, seen) {
            self.guest.tell(word);
        }
        self.viewer.peer.link().rung = self.watched.plays();
    }

    async fn listen(&self, rx: &mut Rx) -> Result<()> {
        let mut words = Allowance::of_words();
        while let Some(message) = rx.next().await {
            let awaited = match message.map_err(plain)? {
                Message::Text(said) => match heard(&said)? {
                    Heard::Shown { shown, ms } => self.shown(shown, ms),
                    Heard::Word(word) => {
                        hear(&self.guest, &self.watched, word);
                        false
                    }
                },
                Message::Pong(sent) => {
                    self.round_trip(&sent);
                    false
                }
                Message::Close(_) => return Ok(()),
                Message::Ping(_) | Message::Frame(_) => false, // answered below us
                Message::Binary(_) => bail!("a page that watches sends no pictures"),
            };
            if !awaited {
                words.taken().await;
            }
        }
        Ok(())
    }

    /// Whether a picture was on its way that has been shown with that.
    fn shown(&self, seq: u64, ms: f64) -> bool {
        let now = clock::now();
        let own = Duration::from_secs_f64(ms.clamp(0.0, 10_000.0) / 1000.0);
        let landed = lock(&self.flight).shown(seq, now, own);
        if landed {
            self.landed.notify(usize::MAX);
        }
        landed
    }

    fn round_trip(&self, sent: &[u8]) {
        let Ok(sent) = sent.try_into().map(i64::from_le_bytes) else { return };
        let now = clock::now();
        let took = now.since(Time::from_micros(sent));
        lock(&self.flight).round_trip(took);
        self.viewer.peer.link().round_trip = Some(took);
    }
}

/// A picture as pages get it: sequence number, capture time in µs since 1970, JPEG.
fn picture(frame: &Frame) -> Bytes {
    let jpeg = jpeg(frame);
    let mut message = BytesMut::with_capacity(16 + jpeg.len());
    message.put_u64_le(frame.seq);
    message.put_i64_le(frame.captured.unix_micros());
    message.put(jpeg);
    message.freeze()
}
