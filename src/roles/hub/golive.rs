//! A page that goes live: its pictures are the stream of a room.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::{Buf, Bytes};
use serde_json::json;
use smol::future::or;
use smol::stream::StreamExt;

use super::Hub;
use super::room::{Guest, Room, Stream};
use super::socket::{Heard, Rx, Tx, Visit, farewell, heard, refuse, text};
use crate::allowance::Allowance;
use crate::clock;
use crate::codec;
use crate::frame::Frame;
use crate::merge::{Begin, Feeder, Merge};
use crate::message::{Hello, Side};
use crate::roles::calls;
use crate::segments::Coded;
use crate::stats::Peer;
use crate::web::socket::{Message, Socket, plain};
use crate::word::Word;

/// Serves a page that sends pictures until it stops; true, as its stream is over with that.
pub async fn serve(hub: &Hub, room: &Arc<Room>, mut socket: Socket, visit: Visit, take_over: bool) -> bool {
    // Each page is a source of its own.
    let hello =
        Hello { instance: fastrand::u64(..), agent: "browser".to_string(), ..calls::hello(Side::Publish, None) };
    let Some(Stream { upstream, .. }) = room.stream() else {
        refuse(&mut socket, visit.peer, room.no_stream()).await;
        return false;
    };
    let may = hub.may_stream(hub.job.key.is_some(), take_over);
    if may.is_ok() {
        upstream.ask_after_others(&hello).await;
    }
    let entered = may.and_then(|()| {
        room.admits(visit.user.as_deref(), &visit.identity())?; // before another must go for it
        let seat = upstream.seat(&visit.peer.to_string(), &hello, take_over);
        let seat = seat.map_err(|why| room.held_by(why))?;
        Ok((seat, room.enter(visit.user.as_deref(), true, visit.identity())?))
    });
    let (seat, guest) = match entered {
        Ok(entered) => entered,
        Err(why) => {
            refuse(&mut socket, visit.peer, why).await;
            return false;
        }
    };
    log::info!("{} sends {} as {} (browser)", visit.peer, room.name, guest.name);
    let peer = room.board.join(&visit.peer.to_string());
    let (mut tx, mut rx) = socket.split();
    let (taken, answers) = async_channel::bounded(1);
    let streaming = or(take(room, (&upstream.merge, &guest), &peer, &mut rx, &taken), tell(&guest, &mut tx, &answers));
    let hub_ends = async {
        guest.leave.heard().await; // it may come back when the hub does
        Ok(())
    };
    let replaced = async {
        seat.holder.leave.heard().await;
        bail!("another streams {} in its place", room.name)
    };
    let ended = or(streaming, or(hub_ends, replaced)).await;
    // One whose connection broke may come back; one that was put out has no say in what becomes of the stream.
    let over = ended.is_ok() && !seat.holder.leave.said() && !guest.leave.said();
    room.board.leave(&peer);
    farewell((&mut tx, &mut rx), (visit.peer, &guest.name), ended).await;
    if over {
        room.end();
    }
    over
}

/// Takes its pictures, and its words.
async fn take(
    room: &Room,
    (into, guest): (&Merge, &Guest),
    peer: &Peer,
    rx: &mut Rx,
    taken: &async_channel::Sender<u64>,
) -> Result<()> {
    let feeder = into.join();
    let epoch = fastrand::u64(..);
    let (mut seq, mut words) = (0, Allowance::of_words());
    while let Some(message) = rx.next().await {
        match message.map_err(plain)? {
            Message::Binary(data) => {
                let number = picture(room, &feeder, peer, (epoch, seq), data).await?;
                seq += 1;
                if taken.send(number).await.is_err() {
                    return Ok(());
                }
            }
            Message::Text(said) => {
                words.taken().await;
                if let Heard::Word(Word::Say { text }) = heard(&said)? {
                    guest.say(&text);
                }
            }
            Message::Close(_) => return Ok(()),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => words.taken().await,
        }
    }
    Ok(())
}

/// Puts a picture among the stream's: its number on the page. The page's clock is not ours: a picture's time is when it
/// came.
async fn picture(
    room: &Room,
    feeder: &Feeder<'_>,
    peer: &Peer,
    (epoch, seq): (u64, u64),
    mut data: Bytes,
) -> Result<u64> {
    anyhow::ensure!(data.len() > 16, "a picture of {} bytes", data.len());
    let number = data.get_u64_le();
    data.advance(8);
    let (captured, bytes) = (clock::now(), data.len());
    let coded = Coded::whole(data, seq);
    let size = codec::size(&coded.head, &coded.bytes).context("the page sends what is no picture")?;
    room.board.whole().size = Some(size);
    let error = peer.link().round_trip.unwrap_or_default() / 2;
    let begin = Begin { epoch, seq, captured, error, head: coded.head.clone() };
    if let Some(pen) = feeder.begin(&begin, |_| true).await.pen {
        pen.end(Frame { epoch, seq, captured, error, coded });
    }
    peer.link().meter.add(captured, bytes);
    Ok(number)
}

/// Tells it which pictures have come, and the words of the room.
async fn tell(guest: &Guest, tx: &mut Tx, taken: &async_channel::Receiver<u64>) -> Result<()> {
    loop {
        let word = async { guest.told.recv().await.ok().map(|word| text(&word)) };
        let answer = async {
            let number = taken.recv().await.ok()?;
            Some(Message::text(json!({ "shown": number }).to_string()))
        };
        let Some(message) = or(word, answer).await else { return Ok(()) };
        tx.send(message).await?;
    }
}
