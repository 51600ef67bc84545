//! A transport of your own: vstream's messages over a Unix socket, from outside the crate. A sender and a receiver in
//! one program; `cargo run --example transport` prints what arrives.
//!
//! Inside vstream the same `impl Transport` is one file in `src/transports/` and one name in the list there.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use smol::net::unix::{UnixListener, UnixStream};
use vstream::endpoint::Endpoint;
use vstream::fanout::Fanout;
use vstream::frame::Frame;
use vstream::link::Link;
use vstream::merge::Merge;
use vstream::message::{About, Hello, Message, Side, Welcome};
use vstream::path::{Hop, Path};
use vstream::publish::{Feed, publish};
use vstream::segments::Coded;
use vstream::stats::Board;
use vstream::stop::Stop;
use vstream::stream::{StreamRx, StreamTx};
use vstream::transports::{Listener, Transport};
use vstream::watch::watch;
use vstream::{clock, codec, greet, picture::Picture};

struct Unix;

fn path(endpoint: &Endpoint) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("vstream-{}.socket", endpoint.host))
}

fn link(stream: UnixStream) -> Link {
    Link { tx: Box::new(StreamTx::new(stream.clone())), rx: Box::new(StreamRx::new(stream)), peer: "unix".into() }
}

#[async_trait]
impl Transport for Unix {
    fn scheme(&self) -> &'static str {
        "unix"
    }
    fn about(&self) -> &'static str {
        "a socket in the file system"
    }
    fn options(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }
    async fn connect(&self, to: &Endpoint) -> Result<Link> {
        Ok(link(UnixStream::connect(path(to)).await?))
    }
    async fn listen(&self, on: &Endpoint) -> Result<Box<dyn Listener>> {
        let _ = std::fs::remove_file(path(on)); // left by an earlier run
        Ok(Box::new(Listening(UnixListener::bind(path(on))?, on.clone())))
    }
}

struct Listening(UnixListener, Endpoint);

#[async_trait]
impl Listener for Listening {
    async fn accept(&self) -> Result<Link> {
        Ok(link(self.0.accept().await?.0))
    }
    fn local(&self) -> Endpoint {
        self.1.clone()
    }
}

/// Calls, and publishes thirty frames of a picture that brightens.
async fn send(to: Endpoint) -> Result<()> {
    let mut link = Unix.connect(&to).await?;
    let stream = About { rate: Some(30.0), every_frame: true, path: Vec::new() };
    let hello = Hello {
        role: Side::Publish,
        name: None,
        agent: greet::agent(),
        instance: 1,
        listening: None,
        visit: Default::default(),
        stream,
    };
    greet::call(&mut link, hello).await?;
    let frames = Arc::new(Fanout::new(true));
    let path = Arc::new(Path::source(Hop { id: 1, name: "example".into(), ..Hop::default() }));
    let mut feed = Feed {
        frames: frames.subscribe(),
        held: Default::default(),
        every: true,
        limits: Default::default(),
        over: Stop::default(),
        path,
        talk: None,
    };
    std::thread::spawn(move || -> Result<()> {
        for seq in 0..30u8 {
            let mut picture = Picture::new(320, 240);
            picture.planes_mut()[0].fill(seq * 8);
            let coded = Coded::whole(codec::encode::encode(&picture, 80)?, seq.into());
            smol::block_on(frames.until_wanted());
            let (captured, error) = (clock::now(), Duration::ZERO);
            frames.put(Frame { epoch: 1, seq: seq.into(), captured, error, coded }.into());
        }
        frames.close();
        Ok(())
    });
    let peer = Board::new("send").join("receiver");
    publish(link, &mut feed, &peer, &Stop::default()).await?;
    Ok(())
}

/// Takes one caller and prints the brightness of each picture.
async fn receive(listener: Box<dyn Listener>) -> Result<()> {
    let mut link = listener.accept().await?;
    let hello = greet::hear(&mut link).await?;
    let welcome = Welcome { name: "live".into(), agent: greet::agent(), stream: About::default() };
    link.tx.send(Message::Welcome(welcome)).await?;
    let stream = Merge::new(hello.stream.every_frame);
    let mut shown = stream.out.subscribe();
    let printing = std::thread::spawn(move || {
        while let Some(draft) = shown.next_blocking() {
            let Some(frame) = smol::block_on(draft.clone().frame()) else { continue };
            let picture = codec::decode::decode(&frame.coded.bytes).expect("we encoded it");
            println!("frame {:2}: luma {}", frame.seq, picture.planes()[0][0]);
        }
    });
    let peer = Board::new("recv").join("sender");
    let path = Path::new(Hop { id: 2, name: "example".into(), ..Hop::default() });
    let stop = Stop::default();
    watch(link, &stream, &path, &peer, (&stop, &stop), None, |_, _| true).await?;
    stream.out.close();
    printing.join().expect("printing does not fail");
    Ok(())
}

fn main() -> Result<()> {
    let endpoint = Endpoint::parse("unix://example").map_err(anyhow::Error::msg)?;
    smol::block_on(async {
        let listener = Unix.listen(&endpoint).await?;
        let sending = smol::spawn(send(endpoint.clone()));
        receive(listener).await?;
        sending.await
    })
}
