//! One connection between its tasks: both halves of the link, and the driver that sends what is due.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use event_listener::{Event, listener};
use smol::future::{or, yield_now};

use super::batch::{self, From, Socket};
use crate::alarm::Alarm;
use crate::clock;
use crate::datagrams::connection::{Connection, Heard};
use crate::datagrams::door::canonical;
use crate::link::{Crossing, Link, Overhead, Packets, Repaired, Rx, Tx};
use crate::lock::lock;
use crate::message::{Message, NoHello};
use crate::until::until;

/// Datagrams that leave in a row, before others have their turn: the more, the more of one length leave in one call.
const TURN: usize = 64;

pub struct Shared {
    connection: Mutex<Connection>,
    pub socket: Arc<Socket>,
    /// The address of ours that the peer knows.
    local: Option<IpAddr>,
    /// Something may have to leave; something has come; there is room again.
    stirred: Event,
    readable: Event,
    writable: Event,
    /// Halves that somebody has.
    halves: AtomicUsize,
}

impl Shared {
    pub fn new(connection: Connection, socket: Arc<Socket>, local: Option<IpAddr>) -> Arc<Shared> {
        let connection = Mutex::new(connection);
        let (stirred, readable, writable, halves) = Default::default();
        Arc::new(Shared { connection, socket, local, stirred, readable, writable, halves })
    }

    pub fn link(self: &Arc<Self>) -> Link {
        self.halves.store(2, Ordering::Relaxed);
        let connection = lock(&self.connection);
        let peer = canonical(connection.peer()).to_string();
        Link { tx: Box::new(UdpTx(self.clone())), rx: Box::new(UdpRx(self.clone())), peer }
    }

    /// A datagram came; `stir` follows after the last of several.
    pub fn receive(&self, from: From, datagram: &[u8]) {
        lock(&self.connection).receive(clock::now(), from.address, datagram.to_vec());
    }

    pub fn stir(&self) {
        if lock(&self.connection).has_message() {
            self.readable.notify(usize::MAX);
        }
        self.stirred.notify(usize::MAX);
    }

    /// Some network says that nobody is there any more on the peer's host: if it is ours, it does not answer.
    pub fn refused(&self, host: IpAddr) {
        let mut connection = lock(&self.connection);
        if canonical(connection.peer()).ip() == host.to_canonical() {
            connection.doubt(clock::now());
            drop(connection);
            self.stirred.notify(usize::MAX);
        }
    }

    /// The peer asks for datagrams of no more than this, before anything has crossed.
    pub fn shorten(&self, mtu: usize) {
        lock(&self.connection).shorten(mtu);
    }

    /// The peer knows of no such connection, or is not there any more.
    pub fn lose(&self) {
        lock(&self.connection).lose();
        self.stir();
    }

    fn drop_half(&self) {
        if self.halves.fetch_sub(1, Ordering::AcqRel) == 1 {
            lock(&self.connection).leave(clock::now());
            self.stirred.notify(usize::MAX);
        }
    }

    /// Sends what is due, until the connection is over.
    pub async fn drive(&self) {
        let (mut alarm, mut bytes) = (Alarm::default(), Vec::new());
        loop {
            listener!(self.stirred => stirred);
            let (batch, wake, over) = {
                let mut connection = lock(&self.connection);
                let now = clock::now();
                let mut batch: Vec<_> = std::iter::from_fn(|| connection.transmit(now)).take(TURN).collect();
                if connection.room(true) {
                    self.writable.notify(usize::MAX);
                }
                if connection.has_message() || connection.settled() {
                    self.readable.notify(usize::MAX);
                }
                // The longest, parities among them, last: they are not needed if the others come.
                batch.sort_by_key(|(to, datagram)| (*to, datagram.len()));
                (batch, connection.wake(), connection.is_over(now))
            };
            let mut rest = &batch[..];
            while !rest.is_empty() {
                let together = batch::run(rest, self.socket.at_once());
                let (to, first) = &rest[together.start];
                bytes.clear();
                together.clone().chain(0..together.start).for_each(|place| bytes.extend_from_slice(&rest[place].1));
                match self.socket.send(*to, self.local, &bytes, first.len()).await {
                    Err(error) if batch::is_too_long(&error) => lock(&self.connection).too_long(),
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => self.lose(),
                    _ => {} // a network that is away for a moment loses datagrams, as networks do
                }
                rest = &rest[together.end..];
            }
            if over {
                self.readable.notify(usize::MAX);
                self.writable.notify(usize::MAX);
                return;
            }
            if batch.len() == TURN {
                yield_now().await;
                continue;
            }
            or(alarm.until(wake), stirred).await;
        }
    }
}

struct UdpTx(Arc<Shared>);
struct UdpRx(Arc<Shared>);

impl Drop for UdpTx {
    fn drop(&mut self) {
        self.0.drop_half();
    }
}

impl Drop for UdpRx {
    fn drop(&mut self) {
        self.0.drop_half();
    }
}

#[async_trait]
impl Tx for UdpTx {
    async fn send(&mut self, message: Message) -> Result<()> {
        let shared = &self.0;
        let ended = matches!(message, Message::End(_));
        let stirs = {
            let mut connection = lock(&shared.connection);
            // While pictures wait the driver looks again in any case: more of them are no news.
            let stirs = !connection.waits() || !matches!(message, Message::Runs(_));
            connection.send(clock::now(), message)?;
            stirs
        };
        if stirs {
            shared.stirred.notify(usize::MAX);
        }
        let room = || {
            let connection = lock(&shared.connection);
            (connection.is_gone() || connection.room(ended)).then(|| connection.is_gone())
        };
        ensure!(!until(&shared.writable, room).await, "the connection was closed");
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(()) // parts leave as they fill
    }

    async fn close(&mut self) -> Result<()> {
        let shared = &self.0;
        lock(&shared.connection).end();
        shared.stirred.notify(usize::MAX);
        until(&shared.readable, || lock(&shared.connection).settled().then_some(())).await;
        Ok(())
    }

    fn lost(&mut self) -> Vec<(usize, u64)> {
        lock(&self.0.connection).take_lost()
    }

    fn settled(&mut self) -> Option<u64> {
        lock(&self.0.connection).settled_number()
    }

    fn holds(&self) -> Duration {
        lock(&self.0.connection).holds()
    }

    fn overhead(&self) -> Overhead {
        lock(&self.0.connection).overhead()
    }

    fn packets(&self) -> Packets {
        lock(&self.0.connection).packets()
    }

    fn give_up(&mut self) {
        lock(&self.0.connection).give_up(clock::now());
    }

    fn pace(&mut self, kept_to: Option<f64>, passing: Option<f64>) {
        lock(&self.0.connection).pace(kept_to, passing);
    }
}

#[async_trait]
impl Rx for UdpRx {
    async fn recv(&mut self) -> Result<Option<Message>> {
        let shared = &self.0;
        let heard = || match lock(&shared.connection).message(clock::now()) {
            Ok(Heard::Message(message)) => Some(Ok(Some(message))),
            Ok(Heard::End) => Some(Ok(None)),
            Ok(Heard::Nothing) => None,
            Err(error) => Some(Err(error)),
        };
        until(&shared.readable, heard).await
    }

    async fn hello(&mut self) -> Result<Message> {
        let begun = || {
            let connection = lock(&self.0.connection);
            let prefix = connection.prefix();
            (prefix.is_some() || connection.is_gone()).then_some(prefix)
        };
        let prefix = until(&self.0.readable, begun).await.context("it left without a word")?;
        ensure!(Message::begins_hello(prefix), NoHello::Stranger);
        self.recv().await?.ok_or_else(|| NoHello::Stranger.into())
    }

    async fn drain(&mut self) {
        while let Ok(Some(_)) = self.recv().await {}
    }

    fn crossing(&mut self) -> Option<Crossing> {
        Some(lock(&self.0.connection).take_crossing())
    }

    fn passed(&mut self, number: u64) -> f64 {
        lock(&self.0.connection).passed(number)
    }

    fn repaired(&mut self) -> Repaired {
        lock(&self.0.connection).repaired()
    }
}
