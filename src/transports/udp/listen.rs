//! A listener: one socket, one reader, and by the ids that packets carry one connection for each guest. Who has not
//! shown a cookie is not remembered.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

use anyhow::{Result, bail, ensure};
use async_channel::{Receiver, Sender, bounded};
use async_trait::async_trait;
use bytes::Bytes;
use event_listener::{Event, listener};
use smol::future::or;

use super::batch::{From, Socket};
use super::link::Shared;
use super::random;
use crate::clock;
use crate::datagrams::Wish;
use crate::datagrams::connection::{Connection, Terms};
use crate::datagrams::cookies::Cookies;
use crate::datagrams::door::{self, Answer, Call, Misfit, Word};
use crate::datagrams::guard::Guard;
use crate::datagrams::packet::addressee;
use crate::datagrams::parity;
use crate::endpoint::Endpoint;
use crate::key::Key;
use crate::link::Link;
use crate::lock::lock;
use crate::log::Repeated;
use crate::seal;
use crate::tasks;
use crate::transports::{Listener, socket};

/// Connections at a time; more callers are not answered.
const GUESTS: usize = 1024;
/// Guests that nobody has taken yet.
const WAITING: usize = 64;

pub struct Udp {
    guests: Receiver<Link>,
    door: Arc<Door>,
    local: Endpoint,
}

struct Door {
    socket: Arc<Socket>,
    wish: Wish,
    key: Option<Key>,
    cookies: Cookies,
    guests: Mutex<Guests>,
    /// Callers that were turned away, by the reason.
    misfits: Mutex<[Repeated; 3]>,
    /// Links for whoever accepts; closed when nobody does any more.
    arrived: Sender<Link>,
    /// Rings when a guest or the listener leaves.
    left: Event,
}

#[derive(Default)]
struct Guests {
    by_id: HashMap<u64, Arc<Shared>>,
    /// Answers that were given, by the caller's address and id: one that was lost is given again.
    answers: HashMap<(SocketAddr, u64), Answer>,
}

pub fn open(bound: UdpSocket, on: &Endpoint, wish: Wish) -> Result<Udp> {
    let socket = Arc::new(Socket::shared(bound)?);
    let local = Endpoint { host: socket::reached_at(on), port: socket.local()?.port(), ..on.clone() };
    let (arrived, guests) = bounded(WAITING);
    let [low, high] = random()?;
    let secret = (u128::from(high) << 64 | u128::from(low)).to_le_bytes();
    let (cookies, left) = (Cookies::new(secret), Event::new());
    let key = on.key.clone();
    let door = Arc::new(Door {
        socket,
        wish,
        key,
        cookies,
        guests: Mutex::default(),
        misfits: Mutex::default(),
        arrived,
        left,
    });
    parity::warm_up();
    tasks::spawn(read(door.clone())).detach();
    Ok(Udp { guests, door, local })
}

#[async_trait]
impl Listener for Udp {
    async fn accept(&self) -> Result<Link> {
        Ok(self.guests.recv().await?)
    }

    fn local(&self) -> Endpoint {
        self.local.clone()
    }
}

impl Drop for Udp {
    fn drop(&mut self) {
        self.guests.close();
        self.door.left.notify(usize::MAX);
    }
}

/// Reads until nobody listens and the last guest has left.
async fn read(door: Arc<Door>) {
    loop {
        listener!(door.left => left);
        if door.arrived.is_closed() && lock(&door.guests).by_id.is_empty() {
            return;
        }
        let mut words = Vec::new();
        let mut stirred: Vec<Arc<Shared>> = Vec::new();
        let receive = async {
            let each = |from, datagram: &[u8]| door.take(from, datagram, &mut words, &mut stirred);
            _ = door.socket.receive(each, |host| door.refused(host)).await; // a broken socket is told by those who send
        };
        or(receive, left).await;
        stirred.iter().for_each(|guest| guest.stir());
        for (to, word) in words {
            let bytes = word.encode();
            let _ = door.socket.send(to.address, to.local, &bytes, bytes.len()).await; // it will ask again
        }
    }
}

impl Door {
    /// Some network says that nobody is there of the guests on this host; it may be another's word.
    fn refused(&self, host: IpAddr) {
        let guests: Vec<_> = lock(&self.guests).by_id.values().cloned().collect();
        guests.iter().for_each(|guest| guest.refused(host));
    }

    /// Takes a datagram; what is to be answered at once goes to `words`, who got something to `stirred`.
    fn take(
        self: &Arc<Self>,
        from: From,
        datagram: &[u8],
        words: &mut Vec<(From, Word)>,
        stirred: &mut Vec<Arc<Shared>>,
    ) {
        if let Some(id) = addressee(datagram) {
            let guest = lock(&self.guests).by_id.get(&id).cloned();
            match guest {
                Some(guest) => {
                    guest.receive(from, datagram);
                    if !stirred.iter().any(|other| Arc::ptr_eq(other, &guest)) {
                        stirred.push(guest);
                    }
                }
                // One that this program had before it was started again. The answer is no longer than what came.
                None if datagram.len() > door::GONE => words.push((from, Word::Gone(id))),
                None => {}
            }
            return;
        }
        let answer = match Word::decode(Bytes::copy_from_slice(datagram)) {
            Ok(Word::Call(call)) => self.called(from, call),
            Ok(Word::Version { caller, .. }) => Ok(Some(Word::Version { caller, version: door::VERSION })),
            _ => return,
        };
        if let Ok(Some(word)) = answer {
            words.push((from, word));
        }
    }

    /// What guards the connection, and our half of the handshake of keys where there is one.
    fn proved(&self, caller: u64, ours: u64, proof: &[u8]) -> Result<(Guard, Bytes), Misfit> {
        match &self.key {
            None if proof.is_empty() => Ok((Guard::sum(ours, caller), Bytes::new())),
            None => Err(Misfit::NoneHere),
            Some(_) if proof.is_empty() => Err(Misfit::Needed),
            Some(key) => {
                let answered = seal::answer(key, &door::context(caller), proof).map_err(|_| Misfit::Wrong)?;
                Ok((Guard::Key(Box::new(answered.0)), Bytes::copy_from_slice(&answered.1)))
            }
        }
    }

    /// What to answer to a call, if anything.
    fn called(self: &Arc<Self>, from: From, call: Call) -> Result<Option<Word>> {
        let (now, caller) = (clock::now(), call.caller);
        if !self.cookies.is_fresh(call.cookie, now, from.address, caller) {
            let cookie = self.cookies.bake(now, from.address, caller);
            return Ok(Some(Word::Cookie { caller, cookie }));
        }
        let mut guests = lock(&self.guests);
        let Guests { by_id, answers } = &mut *guests;
        if let Some(answer) = answers.get_mut(&(from.address, caller)) {
            // It may have been too long for the way, and so the caller asks for less.
            answer.mtu = door::agree(call.mtu, answer.mtu)?;
            by_id.get(&answer.listener).inspect(|guest| guest.shorten(answer.mtu));
            return Ok(Some(Word::Answer(answer.clone())));
        }
        if guests.by_id.len() >= GUESTS || self.arrived.is_full() {
            bail!("too many guests");
        }
        let [ours, _] = random()?;
        let mtu = door::agree(call.mtu, self.wish.mtu)?;
        let latency = self.wish.latency.max(call.latency);
        let (guard, proof) = match self.proved(caller, ours, &call.proof) {
            Ok(proved) => proved,
            Err(why) => {
                if let Some(n) = lock(&self.misfits)[why as usize].again(now) {
                    let from = door::canonical(from.address);
                    let others = if n > 1 { format!(", and {} others before it", n - 1) } else { String::new() };
                    log::info!("{from} was turned away: {}{others}", why.words());
                }
                return Ok(Some(Word::Refused { caller, why }));
            }
        };
        let terms = Terms { ours, theirs: caller, mtu, latency, share: self.wish.share, guard };
        let connection = Connection::new(terms, from.address, now);
        let shared = Shared::new(connection, self.socket.clone(), from.local);
        ensure!(self.arrived.try_send(shared.link()).is_ok(), "nobody takes guests any more");
        let answer = Answer { caller, listener: ours, mtu, latency, proof };
        guests.by_id.insert(ours, shared.clone());
        guests.answers.insert((from.address, caller), answer.clone());
        let door = self.clone();
        let served = async move {
            shared.drive().await;
            let mut guests = lock(&door.guests);
            guests.by_id.remove(&ours);
            guests.answers.remove(&(from.address, caller));
            drop(guests);
            door.left.notify(usize::MAX);
        };
        tasks::spawn(served).detach();
        Ok(Some(Word::Answer(answer)))
    }
}
