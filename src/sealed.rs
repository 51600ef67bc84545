//! Links over a stream of bytes, sealed where there is a key: both sides prove it before anything else is said, and
//! whoever comes without it, or with another, hears why it is turned away. What tcp and tls share beside `stream.rs`.

use std::io::{self, Error};

use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter, split};

use crate::fault::Fault;
use crate::handshake;
use crate::key::Key;
use crate::link::Link;
use crate::message::{Message, NoHello, PREFIX, Refuse, SEAL, opening};
use crate::records::Records;
use crate::seal::{self, HANDSHAKE};
use crate::stream::{StreamRx, StreamTx};

use first::First;

mod first;

/// Who of a link called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Caller,
    Listener,
}

/// Records are sealed and written together, some of them at a time.
const WRITTEN: usize = 64 << 10;

/// A link over a stream of bytes, under the key where there is one.
pub fn link<S>(stream: S, end: End, key: Option<Key>, peer: String) -> Link
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Some(key) = key else { return whole(stream, peer) };
    let shaken = async move {
        match end {
            End::Caller => call(stream, &key).await,
            End::Listener => answer(stream, &key).await,
        }
    };
    whole(handshake::Stream::new(shaken), peer)
}

fn whole(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, peer: String) -> Link {
    let (reader, writer) = split(stream);
    let rx = StreamRx::new(reader);
    let tx = StreamTx::new(BufWriter::with_capacity(WRITTEN, First::new(writer)));
    Link { tx: Box::new(tx), rx: Box::new(rx), peer }
}

async fn call<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, key: &Key) -> io::Result<Records<S>> {
    let (caller, message) = seal::call(key, &opening());
    stream.write_all(&[&prefix(opening().len() + HANDSHAKE)[..], &opening(), &message].concat()).await?;
    stream.flush().await?;
    let head = read::<PREFIX>(&mut stream).await?;
    if head == prefix(HANDSHAKE) {
        let answer = read::<HANDSHAKE>(&mut stream).await?;
        let keys = caller.finish(&answer).map_err(|forged| Error::other(format!("its answer is forged: {forged}")))?;
        return Ok(Records::new(stream, keys));
    }
    match refusal(&mut stream, head).await {
        Some(reason) => {
            let hint = "both sides take the same key: --key-file FILE or VSTREAM_KEY";
            Err(Error::other(Fault::refused(format!("refused: {reason}")).hint(hint)))
        }
        None => Err(Error::other("it answered the key with something else")),
    }
}

/// What a listener says in the open instead of an answer.
async fn refusal<S: AsyncRead + Unpin>(stream: &mut S, head: [u8; PREFIX]) -> Option<String> {
    let mut payload = vec![0; Message::length(head).ok().filter(|_| Message::begins_refuse(head))?];
    stream.read_exact(&mut payload).await.ok()?;
    match Message::decode(head[0], payload.into()).ok()? {
        Message::Refuse(Refuse { reason }) => Some(crate::greet::printable(&reason)),
        _ => None,
    }
}

/// Answers a caller that proves the key; tells another why it is turned away.
pub async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, key: &Key) -> io::Result<Records<S>> {
    match hear(&mut stream, key).await? {
        Ok((keys, answer)) => {
            stream.write_all(&[&prefix(HANDSHAKE)[..], &answer].concat()).await?;
            stream.flush().await?;
            Ok(Records::new(stream, keys))
        }
        Err(why) => {
            let (head, _) = Message::Refuse(Refuse { reason: why.to_string() }).encode();
            // It may have gone before it has heard all of it.
            if stream.write_all(&head).await.is_ok() && stream.close().await.is_ok() {
                let mut sink = [0; 256];
                while stream.read(&mut sink).await.is_ok_and(|n| n > 0) {} // the greeting's time limit ends it
            }
            Err(Error::other(Fault::refused(why.to_string())))
        }
    }
}

/// A caller's first bytes: keys that fit, or why there are none.
async fn hear<S: AsyncRead + Unpin>(
    stream: &mut S,
    key: &Key,
) -> io::Result<Result<(seal::Sealed, [u8; HANDSHAKE]), NoHello>> {
    let head = read::<PREFIX>(stream).await?;
    if head != prefix(opening().len() + HANDSHAKE) {
        return Ok(Err(match NoHello::begins(head) {
            NoHello::Tls => NoHello::Tls,
            _ if Message::begins_hello(head) => NoHello::Open,
            _ => NoHello::Stranger,
        }));
    }
    let said = read::<{ opening().len() }>(stream).await?;
    let message = read::<HANDSHAKE>(stream).await?;
    if let Some(other) = NoHello::of(&said) {
        return Ok(Err(other));
    }
    Ok(seal::answer(key, &opening(), &message).map_err(|_| NoHello::Key))
}

fn prefix(length: usize) -> [u8; PREFIX] {
    let [a, b, c, d] = (length as u32).to_le_bytes();
    [SEAL, a, b, c, d]
}

async fn read<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
