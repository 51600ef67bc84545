//! One who sends a stream to a hub: it alone, until it leaves or another takes over.

use std::sync::Arc;

use async_channel::Receiver;
use smol::future::or;

use super::Hub;
use super::room::{Guest, Room, Stream};
use crate::link::Link;
use crate::message::Hello;
use crate::roles::calls::refuse;
use crate::word::Word;

/// Serves a sender until it leaves; true when its stream is over with that.
pub async fn serve(hub: &Hub, room: &Arc<Room>, link: Link, hello: Hello, keyed: bool) -> bool {
    let take_over = hello.visit.take_over;
    let user = hello.visit.user.as_deref();
    let Some(Stream { upstream, .. }) = room.stream() else {
        refuse(link, room.no_stream()).await;
        return false;
    };
    let identity = format!("process {}", hello.instance);
    if hub.may_stream(keyed, take_over).is_ok() {
        upstream.ask_after_others(&hello).await;
    }
    let entered = hub.may_stream(keyed, take_over).and_then(|()| {
        room.admits(user, &identity)?; // before another must go for it
        let seat = upstream.seat(&link.peer, &hello, take_over);
        let seat = seat.map_err(|why| room.held_by(why))?;
        Ok((seat, room.enter(user, true, identity)?))
    });
    let (seat, guest) = match entered {
        Ok(entered) => entered,
        Err(why) => {
            refuse(link, why).await;
            return false;
        }
    };
    log::info!("{} streams {} as {}", link.peer, room.name, guest.name);
    let (talk, words) = guest.talk(user.is_some());
    let receiving = upstream.receive(link, room.name.clone(), hello.stream, &seat, talk.as_ref());
    // A hub that is stopped ends no streams: their viewers call it again.
    let over = or(receiving, or(listen(&guest, &words), gone(&guest))).await && !hub.job.stop.said();
    if !over && !seat.holder.leave.said() {
        room.announce(format!("{} is gone: the picture stands until somebody streams again", guest.name));
    }
    over
}

async fn listen<T>(guest: &Guest, words: &Receiver<Word>) -> T {
    while let Ok(word) = words.recv().await {
        if let Word::Say { text } = word {
            guest.say(&text);
        }
    }
    std::future::pending().await
}

/// The hub ends.
async fn gone(guest: &Guest) -> bool {
    guest.leave.heard().await;
    false
}
