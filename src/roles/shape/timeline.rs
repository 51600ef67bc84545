//! Playing a script: its events change every proxy when their time has come.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use async_io::Timer;

use super::proxies::Proxies;
use crate::clock;
use crate::lock::lock;
use crate::shaper::script::{BUILT_IN, Event, Script, built_in};
use crate::shaper::settings::Settings;
use crate::tasks;

/// A built-in script by its name, or a file.
pub fn read(name: &str, scale: f64) -> Result<Script> {
    let text = match built_in(name) {
        Some(text) => text.to_string(),
        None => super::read(Path::new(name)).with_context(|| {
            let known: Vec<&str> = BUILT_IN.iter().map(|(name, ..)| *name).collect();
            format!("could not read the script {name} (built in are {})", known.join(", "))
        })?,
    };
    Script::parse(&text, scale).map_err(|why| anyhow!("{name}, {why}"))
}

/// Hands out each event when it is due, until all are over.
pub async fn follow(script: &Script, mut act: impl FnMut(&Event)) {
    const INSTANT: Duration = Duration::from_nanos(1);
    let (begun, mut from) = (clock::now(), Duration::ZERO);
    loop {
        let elapsed = clock::now().since(begun);
        for event in script.due(from, elapsed + INSTANT) {
            log::info!("{}", describe(event, elapsed));
            act(event);
        }
        from = elapsed + INSTANT;
        let Some(next) = script.next(elapsed) else { return };
        Timer::after(next - elapsed).await;
    }
}

fn describe(event: &Event, elapsed: Duration) -> String {
    let (mut up, mut down) = (Settings::default(), Settings::default());
    let _ = event.apply(&mut up, &mut down); // it was checked when it was read
    let shown = if up == down { up.to_string() } else { format!("up {up} down {down}") };
    format!("at {:.1} s: {}", elapsed.as_secs_f64(), shown.trim().trim_end_matches(" down").replace("up  down", "down"))
}

impl Proxies {
    /// Plays a script instead of the one that plays now.
    pub fn play(self: &Arc<Self>, name: &str, script: Script) {
        let proxies = Arc::downgrade(self);
        let task = tasks::spawn(async move {
            follow(&script, |event| {
                for proxy in proxies.upgrade().iter().flat_map(|proxies| proxies.all()) {
                    let done = proxy.change(|spec| event.apply(&mut spec.up, &mut spec.down));
                    if let Err(why) = done {
                        log::warn!("the script could not be followed: {why}");
                    }
                }
            })
            .await;
        });
        *lock(&self.script) = Some((name.to_string(), task));
    }

    /// Ends the script; what it has set stays. Its name.
    pub fn end_script(&self) -> Option<String> {
        lock(&self.script).take().map(|(name, _)| name)
    }

    /// The name of the script that plays.
    pub fn playing(&self) -> Option<String> {
        lock(&self.script).as_ref().filter(|(_, task)| !task.is_finished()).map(|(name, _)| name.clone())
    }
}
