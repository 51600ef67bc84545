//! `tcp://`: messages one after the other on a TCP connection. Nothing is lost on the way; what does not fit is
//! dropped before it is sent.

use std::net::{TcpListener, TcpStream};

use anyhow::Result;
use async_io::Async;
use async_trait::async_trait;

use crate::endpoint::Endpoint;
use crate::key::Key;
use crate::link::Link;
use crate::sealed::{self, End};
use crate::stream::{StreamRx, StreamTx};
use crate::transports::{Listener, Transport, socket};

pub struct Plug;

#[async_trait]
impl Transport for Plug {
    fn scheme(&self) -> &'static str {
        "tcp"
    }

    fn about(&self) -> &'static str {
        "reliable; frames that do not fit are dropped before they are sent"
    }

    fn options(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    async fn connect(&self, to: &Endpoint) -> Result<Link> {
        link(socket::connect(to).await?, End::Caller, &to.key)
    }

    async fn listen(&self, on: &Endpoint) -> Result<Box<dyn Listener>> {
        let (socket, local) = socket::listen(on).await?;
        Ok(Box::new(Tcp { socket, local }))
    }
}

struct Tcp {
    socket: Async<TcpListener>,
    local: Endpoint,
}

#[async_trait]
impl Listener for Tcp {
    async fn accept(&self) -> Result<Link> {
        let (stream, _) = self.socket.accept().await?;
        link(stream, End::Listener, &self.local.key)
    }

    fn local(&self) -> Endpoint {
        self.local.clone()
    }
}

fn link(stream: Async<TcpStream>, end: End, key: &Option<Key>) -> Result<Link> {
    let (stream, peer) = socket::opened(stream)?;
    if key.is_some() {
        return Ok(sealed::link(stream, end, key.clone(), peer));
    }
    // Two handles of one socket need no lock between reading and writing.
    let rx = StreamRx::new(stream.clone());
    Ok(Link { tx: Box::new(StreamTx::new(stream)), rx: Box::new(rx), peer })
}
