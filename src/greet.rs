//! The first words on a link: a hello from the caller, a welcome or a refusal from the listener. Each has a time limit.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_io::Timer;
use smol::future::or;

use crate::fault::{self, Fault};
use crate::link::Link;
use crate::message::{Hello, Message, NoHello, Refuse, Welcome};

/// Time for a greeting: several round trips to the far side of the earth.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The far side said nothing for so long.
#[derive(Debug)]
pub struct Silent;

impl std::fmt::Display for Silent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no greeting within {} s", PATIENCE.as_secs())
    }
}

impl std::error::Error for Silent {}

/// This program and its version, as greetings carry it.
pub fn agent() -> String {
    concat!("vstream/", env!("CARGO_PKG_VERSION")).to_string()
}

/// Greets a listener. A refusal is a `Fault` with its exit code.
pub async fn call(link: &mut Link, hello: Hello) -> Result<Welcome> {
    let said = async {
        link.tx.send(Message::Hello(hello)).await?;
        match link.rx.recv().await? {
            Some(Message::Welcome(welcome)) => Ok(Ok(welcome)),
            Some(Message::Refuse(refuse)) => Ok(Err(format!("refused: {}", printable(&refuse.reason)))),
            Some(_) => bail!("it answered the hello with something else"),
            None => bail!("it closed the connection instead of an answer"),
        }
    };
    let answer = in_time(async { said.await.map_err(fault::bared) }).await?;
    answer.map_err(|refused| Fault::refused(refused).into())
}

/// Hears a caller's hello. A caller of another version is told so.
pub async fn hear(link: &mut Link) -> Result<Hello> {
    let heard = in_time(async { link.rx.hello().await.map_err(fault::bared) }).await;
    match heard {
        Ok(Message::Hello(hello)) => Ok(hello),
        Ok(_) => bail!(NoHello::Stranger),
        Err(error) => {
            let unread = || error.chain().any(|e| e.is::<serde_json::Error>()).then(|| error.to_string());
            let reason = error.downcast_ref::<NoHello>().map(NoHello::to_string).or_else(unread);
            if let Some(reason) = reason {
                let _ = refuse(link, reason).await; // the error itself is what matters
            }
            Err(error)
        }
    }
}

pub async fn refuse(link: &mut Link, reason: String) -> Result<()> {
    in_time(async {
        link.tx.send(Message::Refuse(Refuse { reason })).await?;
        link.tx.close().await?;
        link.rx.drain().await;
        Ok(())
    })
    .await
}

async fn in_time<T>(act: impl Future<Output = Result<T>>) -> Result<T> {
    let late = async {
        Timer::after(PATIENCE).await;
        bail!(Silent)
    };
    or(act, late).await.context("the greeting failed")
}

/// A peer's words in one line without control characters: they go to the user's terminal.
pub fn printable(words: &str) -> String {
    words.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
