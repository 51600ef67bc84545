//! One suite over every transport in the list, with a key and without. A new transport is tested without touching this file, because a
//! listener's `local()` is an address that can be dialled as it is.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_io::Timer;
use bytes::Bytes;
use smol::future::{or, zip};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};
use vstream::clock::Time;
use vstream::endpoint::Endpoint;
use vstream::greet;
use vstream::link::Link;
use vstream::message::{About, Begin, Bye, End, Hello, Message, Runs, Side, Welcome};
use vstream::runs;
use vstream::segments::{Form, Head};
use vstream::transports::{self, Listener, Transport};

/// All at once: some tests wait.
fn with_each<F: Future<Output = ()>>(test: impl Fn(&'static dyn Transport, Link, Link) -> F + Sync) {
    let run = &|transport: &'static dyn Transport, key: &str| {
        let limit = async {
            Timer::after(Duration::from_secs(20)).await;
            panic!("{}{key}: it hangs", transport.scheme());
        };
        smol::block_on(or(limit, async {
            let (caller, listener) = pair(transport, key).await;
            test(transport, caller, listener).await;
        }));
    };
    std::thread::scope(|threads| {
        for (transport, key) in each() {
            threads.spawn(move || run(transport, key));
        }
    });
}

/// Every transport, with a key and without.
fn each() -> impl Iterator<Item = (&'static dyn Transport, &'static str)> {
    transports::ALL.iter().flat_map(|&transport| [(transport, ""), (transport, "?key=both%20know%20it")])
}

/// A caller and the listener's end of the same link, over the loopback.
async fn pair(transport: &dyn Transport, key: &str) -> (Link, Link) {
    let (listener, dial) = listener(transport, key).await;
    joined(transport, &dial, &*listener).await
}

/// A listener and the address that callers dial.
async fn listener(transport: &dyn Transport, key: &str) -> (Box<dyn Listener>, Endpoint) {
    let on = Endpoint::parse(&format!("{}://127.0.0.1:0{key}", transport.scheme())).unwrap();
    let listener = transport.listen(&on).await.unwrap();
    let dial = Endpoint::parse(&listener.local().to_string()).unwrap();
    assert_eq!(dial.key, None, "{} prints its key", transport.scheme());
    assert_ne!(dial.port, 0, "{} tells its real port", transport.scheme());
    (listener, Endpoint { key: on.key, ..dial })
}

async fn joined(transport: &dyn Transport, dial: &Endpoint, listener: &dyn Listener) -> (Link, Link) {
    let (caller, guest) = zip(transport.connect(dial), listener.accept()).await;
    (caller.unwrap(), guest.unwrap())
}

fn hello() -> Hello {
    let stream = About { rate: Some(30.0), ..About::default() };
    Hello {
        role: Side::Publish,
        name: Some("live".into()),
        agent: "test".into(),
        instance: 1,
        listening: None,
        visit: Default::default(),
        stream,
    }
}

#[test]
fn greetings_cross() {
    with_each(|_, mut caller, mut guest| async move {
        let answer = async {
            let hello = greet::hear(&mut guest).await.unwrap();
            assert_eq!(hello.name.as_deref(), Some("live"));
            let welcome = Welcome { name: "live".into(), agent: "test".into(), stream: About::default() };
            guest.tx.send(Message::Welcome(welcome)).await.unwrap();
        };
        let (welcome, ()) = zip(greet::call(&mut caller, hello()), answer).await;
        assert_eq!(welcome.unwrap().name, "live");
    });
}

#[test]
fn refusals_arrive_with_their_reason() {
    with_each(|_, mut caller, mut guest| async move {
        let answer = async {
            greet::hear(&mut guest).await.unwrap();
            greet::refuse(&mut guest, "it is full".into()).await.unwrap();
        };
        let call = async {
            let refused = greet::call(&mut caller, hello()).await.unwrap_err();
            drop(caller);
            refused
        };
        let (refused, ()) = zip(call, answer).await;
        assert!(format!("{refused:#}").contains("it is full"), "{refused:#}");
    });
}

#[test]
fn segments_of_every_size_in_order() {
    with_each(|_, mut caller, mut guest| async move {
        let sizes = [0, 1, 1000, 65_536, 8_000_000, 3];
        let send = async {
            let stream = About { every_frame: true, ..About::default() };
            caller.tx.send(Message::Hello(Hello { stream, ..hello() })).await.unwrap();
            for (seq, &size) in sizes.iter().enumerate() {
                let number = seq as u64;
                let head = Head { form: Form::Whole, since: number, count: 1, header: Bytes::new() };
                let (captured, error) = (Time::default(), Duration::ZERO);
                let begin = Begin { number, epoch: 9, seq: number, captured, error, head: Some(head) };
                caller.tx.send(Message::Begin(begin)).await.unwrap();
                let body = runs::encode_segments(&[(0, number, vec![seq as u8; size])]).into();
                caller.tx.send(Message::Runs(Runs { epoch: 9, since: number, body })).await.unwrap();
                caller.tx.send(Message::End(End { number, state: 7 })).await.unwrap();
            }
            let bye = Bye { reason: "done".into(), over: true };
            caller.tx.send(Message::Bye(bye)).await.unwrap();
            caller.tx.close().await.unwrap();
            caller.rx.drain().await;
        };
        let receive = async {
            guest.rx.hello().await.unwrap();
            for (seq, &size) in sizes.iter().enumerate() {
                let Some(Message::Begin(begin)) = guest.rx.recv().await.unwrap() else { panic!("no beginning") };
                assert_eq!((begin.number, begin.head.map(|head| head.since)), (seq as u64, Some(seq as u64)));
                let Some(Message::Runs(got)) = guest.rx.recv().await.unwrap() else { panic!("no runs") };
                let segments = runs::decode(got.body).unwrap();
                assert_eq!((got.epoch, got.since, segments.len()), (9, seq as u64, 1));
                let (place, version, bytes) = &segments[0];
                assert_eq!((*place, *version, bytes.len()), (0, seq as u64, size));
                assert!(bytes.iter().all(|&b| b == seq as u8));
                assert!(matches!(guest.rx.recv().await.unwrap(), Some(Message::End(end)) if end.number == seq as u64));
            }
            assert!(matches!(guest.rx.recv().await.unwrap(), Some(Message::Bye(bye)) if bye.over));
            drop(guest);
        };
        zip(send, receive).await;
    });
}

#[test]
fn the_first_packet_of_a_frame_shows_that_it_begins() {
    for (transport, key) in each().filter(|(transport, _)| !transport.is_lossy()) {
        smol::block_on(async {
            let (mut caller, mut guest, left) = narrow_pair(transport, key).await;
            let greeting = zip(caller.tx.send(Message::Hello(hello())), guest.rx.hello());
            assert!(matches!(greeting.await, (Ok(()), Ok(_))));
            *left.lock().unwrap() = 1448;
            let begin =
                Begin { number: 0, epoch: 9, seq: 0, captured: Time::default(), error: Duration::ZERO, head: None };
            let body = runs::encode_segments(&[(0, 0, vec![7; 40_000])]).into();
            let frame = [Message::Begin(begin), Message::Runs(Runs { epoch: 9, since: 0, body })];
            caller.tx.send_all(frame.into()).await.unwrap();
            caller.tx.send(Message::End(End { number: 0, state: 7 })).await.unwrap();
            let begun = async { guest.rx.recv().await.unwrap() };
            let late = async {
                Timer::after(Duration::from_secs(10)).await;
                None
            };
            assert!(matches!(or(begun, late).await, Some(Message::Begin(_))), "{}{key}", transport.scheme());
        });
    }
}

/// As `pair`, over a network that takes so many bytes more of what the caller sends.
async fn narrow_pair(transport: &dyn Transport, key: &str) -> (Link, Link, Arc<Mutex<usize>>) {
    let (listener, dial) = listener(transport, key).await;
    let network = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (port, dial) = (dial.port, Endpoint { port: network.local_addr().unwrap().port(), ..dial });
    let left = Arc::new(Mutex::new(usize::MAX));
    let takes = left.clone();
    smol::spawn(async move {
        let (near, _) = network.accept().await.unwrap();
        let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let up = async {
            let (mut from, mut to, mut buffer) = (near.clone(), far.clone(), [0; 4096]);
            while let Ok(read @ 1..) = from.read(&mut buffer).await {
                let most = read.min(*takes.lock().unwrap());
                *takes.lock().unwrap() -= most;
                to.write_all(&buffer[..most]).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        zip(up, smol::io::copy(far.clone(), near.clone())).await
    })
    .detach();
    let (caller, guest) = joined(transport, &dial, &*listener).await;
    (caller, guest, left)
}

#[test]
fn both_directions_at_once() {
    with_each(|_, caller, guest| async move {
        let talk = |mut link: Link| async move {
            let send = async {
                for i in 0..200 {
                    link.tx.send(Message::Ping(Time::from_micros(i))).await.unwrap();
                }
            };
            let receive = async {
                for i in 0..200 {
                    let got = link.rx.recv().await.unwrap();
                    assert!(matches!(got, Some(Message::Ping(t)) if t.micros() == i), "{got:?}");
                }
            };
            zip(send, receive).await;
        };
        zip(talk(caller), talk(guest)).await;
    });
}

#[test]
fn a_peer_that_dies_ends_the_link() {
    with_each(|transport, caller, mut guest| async move {
        drop(caller);
        let end = guest.rx.recv().await;
        assert!(matches!(end, Ok(None) | Err(_)), "{}: {end:?}", transport.scheme());
    });
}

#[test]
fn a_caller_that_says_nothing_is_given_up() {
    with_each(|transport, caller, mut guest| async move {
        let error = greet::hear(&mut guest).await.unwrap_err();
        assert!(format!("{error:#}").contains("no greeting within"), "{}: {error:#}", transport.scheme());
        drop(caller);
    });
}

#[test]
fn many_guests_do_not_wait_for_a_silent_one() {
    for transport in transports::ALL {
        smol::block_on(async {
            let on = Endpoint::parse(&format!("{}://127.0.0.1:0", transport.scheme())).unwrap();
            let listener = transport.listen(&on).await.unwrap();
            let dial = listener.local();
            let mut kept = Vec::new();
            for _ in 0..5 {
                kept.push(zip(transport.connect(&dial), listener.accept()).await);
            }
            let (mut caller, guest) = kept.pop().unwrap();
            let mut guest = guest.unwrap();
            let (said, heard) =
                zip(caller.as_mut().unwrap().tx.send(Message::Hello(hello())), greet::hear(&mut guest)).await;
            said.unwrap();
            assert_eq!(heard.unwrap().instance, 1);
        });
    }
}

#[test]
fn nobody_there_is_an_error() {
    for transport in transports::ALL {
        smol::block_on(async {
            let on = Endpoint::parse(&format!("{}://127.0.0.1:0", transport.scheme())).unwrap();
            let listener = transport.listen(&on).await.unwrap();
            let dial = listener.local();
            drop(listener);
            let late = async {
                Timer::after(Duration::from_secs(10)).await;
                panic!("{}: it waits for nobody", transport.scheme());
            };
            let call = async {
                let mut link = transport.connect(&dial).await?;
                greet::call(&mut link, hello()).await
            };
            assert!(or(call, late).await.is_err());
        });
    }
}
