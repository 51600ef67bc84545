//! A publisher and a watcher of vstream's over `udp://`, as roles have them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use smol::future::zip;
use vstream::clock;
use vstream::draft::Draft;
use vstream::endpoint::Endpoint;
use vstream::fanout::Fanout;
use vstream::frame::Frame;
use vstream::greet;
use vstream::latest::Latest;
use vstream::link::Link;
use vstream::merge::Merge;
use vstream::message::{About, Hello, Message, Side, Welcome};
use vstream::path::{Hop, Path};
use vstream::publish::{Feed, publish};
use vstream::stats::Board;
use vstream::stop::Stop;
use vstream::transports;
use vstream::watch::watch;

use super::fates::{Fates, Shown};
use super::{Film, shape, through};

pub fn play(film: &Arc<Film>, network: &str, latency: Duration) -> Fates {
    let on = Endpoint::parse(&format!("udp://127.0.0.1:0?latency={}ms", latency.as_millis())).expect("an address");
    let udp = transports::find("udp").expect("it is built in");
    let listener = smol::block_on(udp.listen(&on)).expect("a free port");
    let shape = shape(&format!("127.0.0.1:{}", listener.local().port), network);
    let to = Endpoint::parse(&format!("udp://{}", shape.address)).expect("an address");
    let (caller, guest) = smol::block_on(zip(udp.connect(&to), listener.accept()));
    let (caller, guest) = greeted(caller.expect("it listens"), guest.expect("one called"));

    let frames = Arc::new(Fanout::new(false));
    let into = Arc::new(Merge::new(true)); // each frame that comes is looked at
    let (stop, path) = (Stop::default(), |id| Arc::new(Path::new(Hop { id, ..Hop::default() })));
    let mut feed = Feed {
        frames: frames.subscribe(),
        held: Default::default(),
        every: false,
        limits: Default::default(),
        over: Stop::default(),
        path: path(1),
        talk: None,
    };
    let looked = std::thread::spawn({
        let (drafts, film) = (into.out.subscribe(), film.clone());
        move || look(drafts, &film)
    });
    let publishing = vstream::tasks::spawn(async move {
        publish(caller, &mut feed, &Board::new("send").join("receiver"), &Stop::default()).await
    });
    let watching = vstream::tasks::spawn({
        let (stop, into, way) = (stop.clone(), into.clone(), path(2));
        async move { watch(guest, &into, &way, &Board::new("recv").join("sender"), (&stop, &stop), None, |_, _| true).await }
    });
    let sent = film.play(|seq, coded| {
        let captured = clock::now();
        frames.put(Frame { epoch: 1, seq, captured, error: Duration::ZERO, coded }.into());
    });
    std::thread::sleep(2 * latency + Duration::from_secs(2)); // what is still on its way, and the shaper's next line of stats
    let crossed = through(&shape);
    stop.say();
    frames.close();
    smol::block_on(async {
        watching.await.expect("nothing breaks the rules");
        let _ = publishing.await; // its peer has left
    });
    into.out.close();
    let (shown, healed_after) = looked.join().expect("it looks to the end");
    let (tiles, bytes) = (Some(film.frame(0).head.count), film.bytes().sum::<usize>());
    Fates { sent, tiles, shown, healed_after, bytes, crossed }
}

fn greeted(mut caller: Link, mut guest: Link) -> (Link, Link) {
    let hello = Hello {
        role: Side::Publish,
        name: None,
        agent: greet::agent(),
        instance: 1,
        listening: None,
        visit: Default::default(),
        stream: About::default(),
    };
    let welcome = async {
        greet::hear(&mut guest).await.expect("it says hello");
        let welcome = Welcome { name: "live".into(), agent: greet::agent(), stream: About::default() };
        guest.tx.send(Message::Welcome(welcome)).await.expect("it waits for that");
    };
    smol::block_on(zip(async { greet::call(&mut caller, hello).await.expect("it is welcome") }, welcome));
    (caller, guest)
}

/// Compares what is shown with what should be; for how many frames each tile was stale that was.
fn look(mut drafts: Latest<Draft>, film: &Film) -> (Vec<Shown>, Vec<u32>) {
    let (mut shown, mut healed_after) = (Vec::new(), Vec::new());
    // Of stale tiles: the version that they should have had, and since how many frames.
    let mut stale: HashMap<usize, (u64, u32)> = HashMap::new();
    while let Some(draft) = drafts.next_blocking() {
        let Some(Frame { seq, coded, .. }) = smol::block_on(draft.frame()) else { continue };
        let at = clock::now();
        let should = film.frame(seq).versions;
        stale.retain(|&tile, (wanted, frames)| {
            *frames += 1;
            let healed = coded.versions[tile] >= *wanted;
            healed_after.extend(healed.then_some(*frames));
            !healed
        });
        let older: Vec<usize> = (0..should.len()).filter(|&tile| coded.versions[tile] < should[tile]).collect();
        for &tile in &older {
            stale.entry(tile).or_insert((should[tile], 0));
        }
        shown.push(Shown { seq, at, stale: older.len() });
    }
    (shown, healed_after)
}
