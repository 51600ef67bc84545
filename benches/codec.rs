//! Milliseconds of encoding and decoding one frame of film, on one core and on all. `cargo bench --bench codec --
//! FILM.i420 [WxH]`; benches/run.sh prepares the film.

use std::time::Instant;

use rayon::ThreadPoolBuilder;
use vstream::codec::{decode, encode};
use vstream::picture::Picture;

fn median_ms(frames: usize, mut act: impl FnMut(usize)) -> f64 {
    let mut times: Vec<f64> = (0..frames)
        .map(|i| {
            let begun = Instant::now();
            act(i);
            begun.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let Some(path) = args.first() else {
        println!("codec: no film given; benches/run.sh prepares one");
        return;
    };
    let (width, height) = vstream::units::size(args.get(1).map_or("720p", String::as_str)).expect("a size");
    let data = std::fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let frames = data.chunks_exact(vstream::picture::byte_len(width, height));
    let pictures: Vec<Picture> =
        frames.map(|f| Picture::from_planes(width, height, f.to_vec()).expect("a whole frame")).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("| {width}x{height}, quality 80 | encode ms | decode ms |\n|---|---|---|");
    for threads in [1, cores] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
        let mut coded = Vec::new();
        let encoding = median_ms(pictures.len(), |i| {
            coded.push(pool.install(|| encode::encode(&pictures[i], 80)).expect("film can be encoded"));
        });
        let decoding = median_ms(coded.len(), |i| {
            pool.install(|| decode::decode(&coded[i])).expect("what was encoded can be decoded");
        });
        println!("| {threads} threads | {encoding:.1} | {decoding:.1} |");
    }
}
