//! A viewer of a hub as benches are: whole frames, without decoding them.

use std::time::{Duration, Instant};

use smol::Task;
use vstream::endpoint::Endpoint;
use vstream::frame::Frame;
use vstream::link::Link;
use vstream::merge::Merge;
use vstream::message::{Hello, Side, Visit};
use vstream::path::{Hop, Path};
use vstream::stats::Board;
use vstream::stop::Stop;
use vstream::word::Talk;
use vstream::{greet, transports, watch};

/// A hub and its stream are there by then.
const PATIENCE: Duration = Duration::from_secs(20);

async fn call(to: &Endpoint, visit: &Visit) -> anyhow::Result<Link> {
    let mut link = transports::find(&to.scheme).expect("tcp is there").connect(to).await?;
    let (listening, stream) = Default::default();
    let (name, agent, instance, visit) = (to.name.clone(), "bench".to_string(), fastrand::u64(..), visit.clone());
    greet::call(&mut link, Hello { role: Side::Watch, name, agent, instance, listening, visit, stream }).await?;
    Ok(link)
}

/// Calls until the hub and its stream are there.
pub fn connect(to: &Endpoint, visit: &Visit) -> Link {
    let late = Instant::now() + PATIENCE;
    loop {
        match smol::block_on(call(to, visit)) {
            Ok(link) => return link,
            Err(error) => assert!(Instant::now() < late, "{error:#}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Watches until the task is dropped: what is done with `each` frame as soon as it is whole.
pub fn view(link: Link, talk: Option<Talk>, mut each: impl FnMut(&Frame) + Send + 'static) -> Task<()> {
    vstream::tasks::spawn(async move {
        let merge = Merge::new(false);
        let mut drafts = merge.out.subscribe();
        let (path, peer, stop) = (Path::new(Hop::default()), Board::new("recv").join("hub"), Stop::default());
        let watching =
            async { _ = watch::watch(link, &merge, &path, &peer, (&stop, &stop), talk.as_ref(), |_, _| true).await };
        let counting = async {
            while let Some(draft) = drafts.next().await {
                if let Some(frame) = draft.frame().await {
                    each(&frame);
                }
            }
        };
        smol::future::or(watching, counting).await;
    })
}
