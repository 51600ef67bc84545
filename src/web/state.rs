//! `/state`: ustreamer's shape, which its clients read, and vstream's own figures beside it.

use serde_json::{Map, Value, json};

use super::live::Live;
use crate::clock;

pub fn of(live: &Live) -> Value {
    let now = clock::now();
    let lines = live.board.lines(now);
    let viewers = live.board.viewer_lines(now);
    let whole = live.board.whole();
    let (width, height) = whole.size.unwrap_or((0, 0));
    let quality = whole.quality.unwrap_or(0);
    drop(whole);
    let fps = lines.iter().filter_map(|line| line.fps).fold(live.views.fps(), f64::max);
    let queued = viewers.iter().filter_map(|line| line.fps).fold(0.0, f64::max);
    let clients: Map<String, Value> = viewers
        .iter()
        .filter_map(|line| {
            let known = json!({
                "fps": line.fps.map(f64::round), "key": "0",
                "extra_headers": false, "advance_headers": false, "dual_final_frames": false, "zero_data": false,
            });
            Some((line.peer.clone()?, known))
        })
        .collect();
    let settings = live.control.as_ref().map(|control| control.settings());
    let desired = settings.as_ref().and_then(|s| s["fps"].as_f64()).unwrap_or(fps);
    json!({
        "ok": true,
        "result": {
            "encoder": { "type": "CPU", "quality": quality },
            "source": {
                "resolution": { "width": width, "height": height },
                "online": fps > 0.0,
                "desired_fps": desired.round(),
                "captured_fps": fps.round(),
            },
            "stream": { "queued_fps": queued.round(), "clients": viewers.len(), "clients_stat": clients },
            "time": now.unix_micros(),
            "control": settings,
            "stats": lines,
            "viewers": viewers,
        },
    })
}
