//! A crowd: while the task of a link waits for the next frame, whoever puts that frame sends it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smol::future::{or, poll_once};
use smol::net::unix::UnixStream;
use smol::{LocalExecutor, Timer, block_on};
use vstream::clock;
use vstream::draft::Draft;
use vstream::fanout::{CROWD, Fanout};
use vstream::frame::Frame;
use vstream::latest::Latest;
use vstream::link::{Link, Rx, Tx};
use vstream::message::{Message, Report};
use vstream::path::{Hop, Path};
use vstream::publish::{Feed, publish};
use vstream::segments::Coded;
use vstream::stats::Peer;
use vstream::stop::Stop;
use vstream::stream::{StreamRx, StreamTx};

/// Until then all that the far side says is heard at once.
const FIRST: u64 = 40;

/// One of a crowd, and the far end of its link; its task runs only where the executor does.
struct One<'a> {
    executor: LocalExecutor<'a>,
    all: Fanout<Draft>,
    _others: Vec<Latest<Draft>>,
    far: (StreamTx<UnixStream>, StreamRx<UnixStream>),
    frames: u64,
}

impl One<'_> {
    fn new() -> Self {
        let (executor, all) = (LocalExecutor::new(), Fanout::new(false));
        let others = (0..CROWD).map(|_| all.subscribe()).collect();
        let (near, far) = UnixStream::pair().unwrap();
        let (tx, rx) = (StreamTx::new(near.clone()), StreamRx::new(near));
        let link = Link { tx: Box::new(tx), rx: Box::new(rx), peer: String::new() };
        let (held, limits, over) = Default::default();
        let path = Arc::new(Path::new(Hop::default()));
        let mut feed = Feed { frames: all.subscribe(), held, every: false, limits, over, path, talk: None };
        let serve = async move { publish(link, &mut feed, &Arc::new(Peer::new("far")), &Stop::default()).await };
        executor.spawn(serve).detach();
        One { executor, all, _others: others, far: (StreamTx::new(far.clone()), StreamRx::new(far)), frames: 0 }
    }

    fn put(&mut self, bytes: usize) {
        let coded = Coded::whole(vec![0; bytes].into(), self.frames);
        let (seq, error) = (self.frames, Duration::ZERO);
        self.all.put(Frame { epoch: 1, seq, captured: clock::now(), error, coded }.into());
        self.frames += 1;
    }

    /// Serves it until all is told that makes it one of a crowd, and its task waits.
    fn settled() -> Self {
        let mut one = One::new();
        while one.frames < FIRST {
            block_on(one.executor.run(one.all.until_wanted()));
            one.put(9);
            let executor = std::mem::take(&mut one.executor);
            block_on(executor.run(one.answer()));
            one.executor = executor;
        }
        while one.executor.try_tick() {}
        one
    }

    /// Hears the next frame, and says so; how long it is.
    async fn answer(&mut self) -> usize {
        let mut bytes: Bytes = Bytes::new();
        let heard = async {
            loop {
                match self.far.1.recv().await.unwrap().unwrap() {
                    Message::Runs(runs) => bytes = runs.body,
                    Message::End(end) => return end.number,
                    _ => {}
                }
            }
        };
        let late = async {
            Timer::after(Duration::from_secs(10)).await;
            panic!("no frame came")
        };
        let (acknowledged, now) = (or(heard, late).await, clock::now());
        self.far.0.send(Message::Report(Report { acknowledged, began: now, arrived: now })).await.unwrap();
        bytes.len()
    }
}

#[test]
fn whoever_puts_a_frame_sends_it() {
    let mut one = One::settled();
    for _ in 0..3 {
        one.put(9);
        assert!(block_on(one.answer()) >= 9, "and no task ran");
    }
}

#[test]
fn the_task_sends_what_the_network_does_not_take_at_once() {
    const LARGE: usize = 4 << 20;
    let mut one = One::settled();
    one.put(LARGE);
    assert!(block_on(poll_once(one.all.until_wanted())).is_none(), "the task is busy with it");
    one.put(7);
    let executor = std::mem::take(&mut one.executor);
    let lengths = block_on(executor.run(async { [one.answer().await, one.answer().await] }));
    assert!(lengths[0] >= LARGE && (7..100).contains(&lengths[1]), "{lengths:?}");
}
