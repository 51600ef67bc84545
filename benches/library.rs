//! How fast films become rungs, in times of their own length, beside reading them alone; and what a viewer takes of a
//! processor. `cargo bench --bench library -- FILM`
//!
//! With a folder of films (20, for as many viewers; what is made of them stays in it) the steps of library/steps.rs.

use std::path::Path;
use std::time::{Duration, Instant};

use vstream::devices::{Wish, file};
use vstream::roles::library::Library;
use vstream::stop::Stop;

mod processes;
#[path = "library/steps.rs"]
mod steps;

/// The rungs of the manual.
const RUNGS: [u32; 5] = [240, 360, 480, 720, 1080];
/// Single frames are given as fast as they can be had.
const FRAMES: usize = 2000;

fn main() {
    let Some(film) = std::env::args().skip(1).find(|word| !word.starts_with("--")) else {
        return eprintln!("which film?");
    };
    if Path::new(&film).is_dir() {
        return steps::run(&film, &RUNGS);
    }
    let dir = std::env::temp_dir().join(format!("vstream-library-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a folder of our own");
    let name = dir.join(Path::new(&film).file_name().expect("a file"));
    std::fs::copy(&film, &name).expect("the film can be read");
    let read = timed(|| read(&name));
    println!("| rungs | x real time | of the time of reading alone | Mbit/s |\n|---|---|---|---|");
    for rungs in [&RUNGS[..1], &RUNGS[..]] {
        prepared(&dir, rungs, read);
    }
    let library = Library::open(&dir, &RUNGS, &Stop::default()).expect("a folder");
    for height in [240, 1080] {
        watched(&library, height);
    }
    std::fs::remove_dir_all(&dir).expect("it is ours");
}

fn timed(act: impl FnOnce()) -> f64 {
    let started = Instant::now();
    act();
    started.elapsed().as_secs_f64()
}

fn read(film: &Path) {
    let wish = Wish { recode: true, ahead: true, ..Wish::default() };
    let mut source = file::open(film, &wish, &Stop::default()).expect("a film");
    while source.next().expect("a film that is whole").is_some() {}
}

fn prepared(dir: &Path, rungs: &[u32], read: f64) {
    let _ = std::fs::remove_dir_all(dir.join(".vstream")); // the first time there is none
    let library = Library::open(dir, rungs, &Stop::default()).expect("a folder");
    let took = timed(|| library.prepare().expect("a film"));
    let entry = library.list().remove(0);
    let seconds = entry.seconds.expect("it was prepared");
    let list = |of: &dyn Fn(&vstream::roles::library::Offer) -> String| {
        entry.rungs.iter().map(of).collect::<Vec<_>>().join(", ")
    };
    let rates = list(&|rung| format!("{:.1}", rung.bitrate / 1e6));
    let heights = list(&|rung| format!("{}p", rung.height));
    println!("| {heights} | {:.2} | {:.2} | {rates} |", seconds / took, took / read);
}

/// Frames here and there, without their times.
fn watched(library: &Library, height: u32) {
    let name = library.list().remove(0).name;
    let mut playback = library.play(&name).expect("it was prepared");
    playback.choose(height);
    playback.pause(true);
    let mut bytes = 0;
    let took = timed(|| {
        for nth in 0..FRAMES {
            playback.seek(nth as f64 * 0.04 % 5.0);
            bytes += smol::block_on(playback.next()).expect("a frame").coded.bytes.len();
        }
    });
    let each = Duration::from_secs_f64(took / FRAMES as f64);
    println!("a frame at {height}p: {each:.1?}, {} bytes", bytes / FRAMES);
}
