//! A stream that comes from whom a coordinator says.

use std::sync::Arc;

use smol::Task;
use smol::future::or;

use super::calls::{dial_telling, waiting};
use super::upstream::{Parting, Upstream};
use crate::endpoint::Endpoint;
use crate::fault;
use crate::latest::Latest;
use crate::link::Link;
use crate::lock::lock;
use crate::message::{About, Hello};
use crate::retry::Retry;
use crate::stop::Stop;
use crate::tasks;

impl Upstream {
    /// Gets the stream from whom it is told, and from another when it is told so: it leaves the one when the other has
    /// answered.
    pub async fn follow(self: Arc<Self>, mut orders: Latest<Endpoint>, hello: Hello) {
        let mut told = orders.next().await;
        let mut standing: Option<(Stop, Task<bool>)> = None;
        while let Some(from) = told {
            let newer = async { Err(orders.next().await) };
            let (link, about) = match or(newer, async { Ok(self.reach(&from, &hello).await) }).await {
                Ok(Some(reached)) => reached,
                Ok(None) => break,
                Err(newer) => {
                    told = newer;
                    continue;
                }
            };
            if let Some((leave, watching)) = standing.take() {
                leave.say();
                if watching.await {
                    return; // the stream ended meanwhile
                }
                _ = self.path.extend(about.path.clone()); // until it ended, that one has told its own
            }
            log::info!("connected to {from}");
            let (me, at, leave) = (self.clone(), from.clone(), Stop::default());
            let (_, watching) = standing.insert((
                leave.clone(),
                tasks::spawn(async move {
                    me.stand(Some(at));
                    let over = me.watch(link, about, &leave, None).await == Parting::Over;
                    me.stand(None);
                    over
                }),
            ));
            let newer = async { Err(orders.next().await) };
            told = match or(async { Ok((&mut *watching).await) }, newer).await {
                Ok(true) => return,
                Ok(false) => {
                    standing = None;
                    Some(from) // it is called again
                }
                Err(newer) => newer,
            };
        }
        if let Some((_, watching)) = standing {
            watching.await;
        }
    }

    fn stand(&self, at: Option<Endpoint>) {
        *lock(&self.stands) = at;
        self.moved.notify(usize::MAX);
    }

    /// Waits until the link stands elsewhere, or nowhere any more.
    pub async fn moved(&self) {
        self.moved.listen().await;
    }

    /// Calls until it is let in; none when told to stop, or when the stream is over. While peers change their places one may
    /// still refuse another, or be gone: what fails once is not told.
    async fn reach(&self, from: &Endpoint, hello: &Hello) -> Option<(Link, About)> {
        let mut retry = Retry::default();
        let mut said = false;
        loop {
            let (mut tell, mut failed) = (waiting(from), false);
            let trouble = |error: &anyhow::Error| {
                if std::mem::replace(&mut failed, true) {
                    tell(error);
                }
            };
            let over = async {
                self.over.heard().await;
                Ok(None)
            };
            let error = match or(dial_telling(&self.job, from, hello, trouble), over).await {
                Ok(None) => return None,
                Ok(Some((link, welcome))) => match self.path.extend(welcome.stream.path.clone()) {
                    Ok(()) => return Some((link, welcome.stream)),
                    Err(error) => error.context(from.to_string()),
                },
                Err(error) => error,
            };
            match std::mem::replace(&mut said, true) {
                false => log::info!("{}: trying again", fault::line(&error)),
                true => log::debug!("{}", fault::line(&error)),
            }
            self.job.stop.pause(retry.delay()).await;
        }
    }
}
