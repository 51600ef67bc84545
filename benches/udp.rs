//! What comes of a film's frames on bad networks, in real time: over `udp://`, and over SRT (`srt-live-transmit`, package
//! srt-tools) with as many bytes at the same times through the same `vstream shape`.
//! `cargo bench --bench udp -- FILM.i420 [WxH] [SECONDS] [NETWORK]`; benches/run.sh prepares the film. NETWORK, as
//! `burst-loss=2%:8`, is instead of those of the table.
//!
//! The frames are coded before: only what sends and receives them is measured, and it knows which version of each
//! tile a frame should show.

use std::sync::Arc;
use std::time::Duration;

use vstream::clock::{self, Time};
use vstream::codec::coder::{Coder, Wanted};
use vstream::codec::gate::Mode;
use vstream::frame::Image;
use vstream::runs;
use vstream::segments::Coded;

#[path = "segments/clips.rs"]
#[allow(dead_code, reason = "the film alone is needed")]
mod clips;
#[path = "udp/fates.rs"]
mod fates;
#[path = "udp/ours.rs"]
mod ours;
mod processes;
#[path = "udp/srt.rs"]
mod srt;

use fates::Fates;

const FRAME: Duration = Duration::from_micros(33_333);
/// One way.
const DELAY: Duration = Duration::from_millis(20);
/// What a link carries besides the runs of a frame: begin and end.
const AROUND: usize = 67;
/// Frames before the count begins.
const WARM: u64 = 30;

/// Networks, and the latency of those who wait for what was lost, in ms.
const NETWORKS: [(&str, u64); 5] =
    [("loss=0%", 0), ("loss=5%", 160), ("loss=10%", 240), ("loss=5%", 0), ("burst-loss=2%:8", 0)];

/// A film that is played again and again, with a cut at its end.
pub struct Film {
    /// It and, as coded after that, it again.
    twice: Vec<Coded>,
    /// Frames to play.
    count: u64,
}

impl Film {
    fn read(path: &str, (width, height): (usize, usize), count: u64) -> Film {
        let mut coder = Coder::new(Wanted { gate: Some(Mode::Auto), ..Wanted::default() });
        let twice = clips::film(path, width, height).chain(clips::film(path, width, height));
        let coded = twice.zip(0..).map(|(picture, seq)| {
            let captured = Time::default() + FRAME * seq as u32;
            coder.encode(Image::Picture(Arc::new(picture)), seq, captured, &|_, _| ()).expect("it encodes").0
        });
        Film { twice: coded.collect(), count }
    }

    /// The third time is as the second, but for the versions.
    pub fn frame(&self, seq: u64) -> Coded {
        let once = self.twice.len() as u64 / 2;
        let later = seq.saturating_sub(once) / once * once;
        let mut coded = self.twice[(seq - later) as usize].clone();
        coded.versions = coded.versions.iter().map(|version| version + later).collect();
        coded.shared = Arc::default();
        coded
    }

    /// Gives each frame when it is time; when that was.
    pub fn play(&self, mut give: impl FnMut(u64, Coded)) -> Vec<Time> {
        let begun = clock::now();
        let sent = (0..self.count).map(|seq| {
            let coded = self.frame(seq);
            std::thread::sleep((begun + FRAME * seq as u32).since(clock::now()));
            let at = clock::now();
            give(seq, coded);
            at
        });
        sent.collect()
    }

    /// Bytes of each frame as a link without losses carries them.
    pub fn bytes(&self) -> impl Iterator<Item = usize> {
        let mut before = None;
        (0..self.count).map(move |seq| {
            let coded = self.frame(seq);
            let runs = runs::encode(&coded, &coded.lacking(before.as_ref()));
            before = Some(coded);
            runs.len() + AROUND
        })
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let Some(path) = args.first() else {
        return println!("udp: no film given; benches/run.sh prepares one");
    };
    let size = vstream::units::size(args.get(1).map_or("1080p", String::as_str)).expect("a size");
    let seconds: u64 = args.get(2).map_or(30, |text| text.parse().expect("seconds"));
    let film = Arc::new(Film::read(path, size, 30 * seconds + WARM));
    println!("{}", Fates::HEAD);
    let own = args.get(3).map(|network| vec![(network.as_str(), 0)]);
    for (network, latency) in own.unwrap_or(NETWORKS.to_vec()) {
        let latency = Duration::from_millis(latency);
        println!("{}", ours::play(&film, network, latency).row("udp", network, latency));
        if !latency.is_zero() && srt::is_there() {
            println!("{}", srt::play(&film, network, latency).row("SRT", network, latency));
        }
    }
}

/// A shaper of this network before a socket: deterministic, and it counts what passes.
fn shape(to: &str, network: &str) -> processes::Role {
    let both = format!("delay={}ms,{network}", DELAY.as_millis());
    let base = ["shape", "--udp", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--seed", "1"];
    processes::role(&[&base[..], &["--to", to, "--up", &both, "--down", &both]].concat())
}

/// Bytes that went through it towards the target.
fn through(shape: &processes::Role) -> u64 {
    let up = shape.stats().into_iter().filter(|line| line["way"] == "up");
    up.filter_map(|line| line["bytes"].as_u64()).max().unwrap_or(0)
}
