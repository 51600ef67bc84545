//! What segments save and cost: bytes, quality and processor time of three clips (a film, a noisy camera, a desktop) through
//! the real encoder and decoder, each as a ratio to plain MJPEG of the same pictures in the same run.
//! `cargo bench --bench segments -- [FILM.i420 [WxH]]`; benches/run.sh prepares the film. Without one the other two run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rayon::ThreadPoolBuilder;
use vstream::clock::Time;
use vstream::codec::coder::{Coder, Wanted};
use vstream::codec::decode::Decoder;
use vstream::codec::gate::Mode;
use vstream::codec::tiles::Grid;
use vstream::codec::{encode, jpeg};
use vstream::frame::{Frame, Image};
use vstream::picture::{Picture, byte_len};
use vstream::runs;
use vstream::segments::{Coded, splice};

#[path = "segments/clips.rs"]
mod clips;

/// What a link carries besides the runs of a frame: begin and end.
const AROUND: usize = 67;

fn timed<T>(sum: &mut Duration, act: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = act();
    *sum += begun.elapsed();
    done
}

/// Sums over one clip.
#[derive(Default)]
struct Sums {
    frames: f64,
    bytes: f64,
    tiles: f64,
    /// Mean squared error of each plane, summed over frames.
    errors: [f64; 3],
    /// Mean squared error of every tile of every tenth frame.
    worst: Vec<f64>,
    encode: Duration,
    decode: Duration,
}

impl Sums {
    fn psnr(&self, plane: usize) -> f64 {
        -10.0 * (self.errors[plane] / self.frames).log10()
    }

    /// Luma of the worst tile in a hundred.
    fn worst(&mut self) -> f64 {
        self.worst.sort_by(f64::total_cmp);
        10.0 * (65025.0 / self.worst[self.worst.len() * 99 / 100]).log10()
    }

    fn add(&mut self, source: &Picture, shown: &Picture) {
        for (sum, db) in self.errors.iter_mut().zip(source.psnr(shown)) {
            *sum += 10f64.powf(-db / 10.0);
        }
        if self.frames % 10.0 == 9.0 {
            let grid = Grid::new(source.width(), source.height());
            self.worst.extend((0..grid.tiles()).map(|tile| tile_error(source, shown, grid, tile)));
        }
        self.frames += 1.0;
    }
}

fn tile_error(a: &Picture, b: &Picture, grid: Grid, tile: usize) -> f64 {
    let (mut sum, mut count) = (0u32, 0);
    for (x, y, mcus) in grid.runs(grid.mcus_of(tile)) {
        for y in y..(y + 16).min(a.height()) {
            let row = y * a.width() + x..y * a.width() + (x + mcus * 16).min(a.width());
            count += row.len();
            let pairs = a.planes()[0][row.clone()].iter().zip(&b.planes()[0][row]);
            sum += pairs.map(|(&a, &b)| u32::from(a.abs_diff(b)).pow(2)).sum::<u32>();
        }
    }
    f64::from(sum) / count as f64
}

/// Plays a clip through a coder, a link's bytes and a decoder.
fn play(clip: &mut dyn Iterator<Item = Picture>, gate: Mode, rate: f64) -> Sums {
    let mut coder = Coder::new(Wanted { gate: Some(gate), ..Wanted::default() });
    let (mut decoder, mut sums, mut had) = (Decoder::default(), Sums::default(), None::<Coded>);
    for (seq, picture) in clip.enumerate() {
        let captured = Time::from_micros((seq as f64 * 1e6 / rate) as i64);
        let image = Image::Picture(Arc::new(picture.clone()));
        let (coded, _) = timed(&mut sums.encode, || coder.encode(image, seq as u64, captured)).expect("it encodes");
        // Plain MJPEG sends every byte of every frame.
        let before = had.take().filter(|_| gate != Mode::Off);
        let lacking = coded.lacking(before.as_ref());
        sums.bytes += match gate {
            Mode::Off => coded.bytes.len() as f64,
            _ => (runs::encode(&coded, &lacking).len() + AROUND) as f64,
        };
        sums.tiles += lacking.len() as f64 / coded.head.count as f64;
        let frame = Frame { epoch: 0, seq: seq as u64, captured, error: Duration::ZERO, coded: coded.clone() };
        let mut whole = Decoder::default();
        let decoder = if gate == Mode::Off { &mut whole } else { &mut decoder };
        let decoded = timed(&mut sums.decode, || decoder.decode(&frame)).expect("it decodes");
        sums.add(&picture, &decoded.picture);
        had = Some(coded);
    }
    sums
}

fn compare(name: &str, clip: &dyn Fn() -> Box<dyn Iterator<Item = Picture>>, rate: f64) {
    let mut plain = play(&mut clip(), Mode::Off, rate);
    let mut gated = play(&mut clip(), Mode::Auto, rate);
    // A plane without any error in both is as good as it was.
    let db = |plane| Some(gated.psnr(plane) - plain.psnr(plane)).filter(|db| db.is_finite()).unwrap_or_default();
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    println!(
        "| {name} | {:.2} | {:.0} % | {:+.2} / {:+.2} / {:+.2} | {:.1} / {:.1} | {:.2} | {:.2} |",
        gated.bytes / plain.bytes,
        100.0 * gated.tiles / gated.frames,
        db(0),
        db(1),
        db(2),
        gated.worst(),
        plain.worst(),
        ratio(gated.encode, plain.encode),
        ratio(gated.decode, plain.decode),
    );
}

/// What a camera that gives JPEG costs as it is, and coded anew: kilobytes and milliseconds for a frame.
fn recoding(clip: impl Iterator<Item = Picture>) {
    println!("| a camera's own JPEG, 1080p | kB a frame | ms of processor time |\n|---|---|---|");
    let shots: Vec<Bytes> = clip.map(|picture| clips::plain(&picture, 85).into()).collect();
    for (name, gate) in [("passed through", None), ("coded anew with the gate", Some(Mode::Auto))] {
        let mut coder = Coder::new(Wanted { gate, ..Wanted::default() });
        let (mut took, mut bytes, mut had) = (Duration::ZERO, 0, None::<Coded>);
        for (seq, shot) in shots.iter().enumerate() {
            let captured = Time::from_micros(seq as i64 * 33_333);
            let image = Image::Jpeg(shot.clone());
            let (coded, _) = timed(&mut took, || coder.encode(image, seq as u64, captured)).expect("it is a JPEG");
            bytes += runs::encode(&coded, &coded.lacking(had.as_ref())).len() + AROUND;
            had = Some(coded);
        }
        let each = |sum: f64| sum / shots.len() as f64;
        println!("| {name} | {:.0} | {:.1} |", each(bytes as f64 / 1000.0), each(took.as_secs_f64() * 1000.0));
    }
    println!();
}

fn median_us(count: usize, mut act: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..count)
        .map(|_| {
            let mut took = Duration::ZERO;
            timed(&mut took, &mut act);
            took.as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[count / 2]
}

/// The parts that stand between coding and the network.
fn parts(first: &Picture, second: &Picture) {
    let [old, new] = [first, second].map(|picture| {
        let bytes = encode::encode(picture, 80).expect("it encodes");
        jpeg::segments(bytes, 1).expect("it is a JPEG")
    });
    let count = old.head.count;
    let half: Vec<_> = (0..count).step_by(2).map(|i| (i, 2, new.segment(i))).collect();
    let spliced = splice(Some(&old), &old.head, &half).expect("it fits");
    println!("| 1080p, µs | |\n|---|---|");
    println!(
        "| splice of every second segment | {:.0} |",
        median_us(200, || drop(splice(Some(&old), &old.head, &half)))
    );
    println!("| comparison by versions | {:.0} |", median_us(200, || drop(spliced.lacking(Some(&old)))));
    println!("| comparison by bytes | {:.0} |", median_us(200, || drop(new.clone().after(&spliced))));
    println!("| finding the segments | {:.0} |", median_us(200, || drop(jpeg::segments(new.bytes.clone(), 1))));
}

/// Bytes that the restart markers cost, at eight widths.
fn markers(pictures: &[Picture]) {
    println!("\n| width | restart intervals cost |\n|---|---|");
    for width in [320usize, 640, 720, 854, 1024, 1280, 1600, 1920] {
        let height = (width * 9 / 16).next_multiple_of(2);
        let (mut ours, mut plain) = (0, 0);
        for picture in pictures {
            let scaled = vstream::codec::scale::scale(picture, width, height).expect("a size");
            ours += encode::encode(&scaled, 80).expect("it encodes").len();
            plain += clips::plain(&scaled, 80).len();
        }
        println!("| {width} | {:.1} % |", 100.0 * (ours as f64 / plain as f64 - 1.0));
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let (width, height) = vstream::units::size(args.get(1).map_or("1080p", String::as_str)).expect("a size");
    let film = args.first().cloned();
    // One thread: processor time, not the time of waiting for each other.
    ThreadPoolBuilder::new().num_threads(1).build_global().expect("the first pool");
    println!(
        "| clip | bytes | tiles sent | Y / Cb / Cr dB | worst 1 % of tiles, dB, gated / plain | encode time | decode time |"
    );
    println!("|---|---|---|---|---|---|---|");
    if std::env::var("GATE").is_err()
        && let Some(path) = &film
    {
        compare("film", &|| Box::new(clips::film(path, width, height)), 24.0);
    }
    for noise in [1.0, 2.0] {
        let name = format!("camera at rest, noise of {noise} steps, one person moving");
        compare(&name, &|| Box::new(clips::camera(width, height, 240, noise)), 30.0);
    }
    compare("desktop, a terminal scrolls", &|| Box::new(clips::desktop(width, height, 240)), 30.0);
    println!();
    recoding(clips::camera(width, height, 150, 1.0));
    if let Some(path) = &film {
        assert_eq!(std::fs::metadata(path).expect("the film").len() as usize % byte_len(width, height), 0);
        let pictures: Vec<Picture> = clips::film(path, width, height).take(2).collect();
        parts(&pictures[0], &pictures[1]);
        markers(&clips::film(path, width, height).step_by(48).collect::<Vec<_>>());
    }
}
