//! The fuzzers' corpus, and mutations of it, through the entries that the fuzzers use: no panic, and no input that takes
//! longer than its size allows.

use std::path::Path;
use std::time::Duration;

use vstream::clock;
use vstream::devices::replay::{Parse, TARGETS};
use vstream::roles::library::index;

/// All parsers of foreign bytes by the names of their corpora.
fn targets() -> impl Iterator<Item = (&'static str, Parse)> {
    TARGETS.into_iter().chain([("index", index::replay as Parse)])
}

/// The corpus of one target, in the order of names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&dir)
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

/// A loaded machine without optimisation takes 20 ms for the slowest of them.
const PATIENCE: Duration = Duration::from_secs(3);

fn timed(name: &str, parse: Parse, data: &[u8]) -> usize {
    let started = clock::now();
    let found = parse(data);
    let took = clock::now().since(started);
    assert!(took < PATIENCE, "{name}: {took:?} for {} bytes", data.len());
    found
}

#[test]
fn the_corpus_is_read() {
    for (target, parse) in targets() {
        let files = corpus(target);
        let found: usize = files.iter().map(|(name, data)| timed(&format!("{target}/{name}"), parse, data)).sum();
        assert!(found > 0, "nothing is found in the corpus of {target}");
    }
}

#[test]
fn mutations_do_no_harm() {
    let rounds = std::env::var("VSTREAM_FUZZ_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    for (target, parse) in targets() {
        let files = corpus(target);
        let mut random = fastrand::Rng::with_seed(1);
        for (name, data) in &files {
            for round in 0..rounds {
                let other = &files[random.usize(..files.len())].1;
                let bad = mutated(data, other, &mut random);
                timed(&format!("{target}/{name} in round {round}"), parse, &bad);
            }
        }
    }
}

/// Numbers that lengths and counts go wrong with.
const EXTREMES: [u32; 8] = [0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, u32::MAX];

fn mutated(data: &[u8], other: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bad = data.to_vec();
    for _ in 0..random.usize(1..6) {
        if bad.len() < 8 {
            break;
        }
        let at = random.usize(..bad.len() - 4);
        match random.u8(..6) {
            0 => bad[at] ^= 1 << random.u8(..8),
            1 => bad[at] = random.u8(..),
            2 => bad[at..at + 4].copy_from_slice(&EXTREMES[random.usize(..EXTREMES.len())].to_be_bytes()),
            3 => bad[at..at + 4].copy_from_slice(&EXTREMES[random.usize(..EXTREMES.len())].to_le_bytes()),
            4 => bad.truncate(at),
            _ => {
                let from = random.usize(..other.len());
                let count = random.usize(..(other.len() - from).min(64) + 1);
                bad.splice(at..at, other[from..from + count].iter().copied());
            }
        }
    }
    bad
}
