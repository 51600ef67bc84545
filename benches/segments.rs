//! What segments save and cost: bytes, quality and processor time of three clips (a film, a noisy camera, a desktop) through
//! the real encoder and decoder, each as a ratio to plain MJPEG of the same pictures in the same run.
//! `cargo bench --bench segments -- [FILM.i420 [WxH]]`; benches/run.sh prepares the film. Without one the other two run.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rayon::ThreadPoolBuilder;
use rustix::time::{ClockId, clock_gettime};
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

/// Processor time of all threads, so that other programs' does not count.
fn timed<T>(sum: &mut Duration, act: impl FnOnce() -> T) -> T {
    let now = || Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).expect("no time before zero");
    let begun = now();
    let done = act();
    *sum += now() - begun;
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
    /// The same of the luma, against the scene before noise was added.
    scene: f64,
    /// Mean squared error of every tile of every tenth frame.
    worst: Vec<f64>,
    encode: Duration,
    decode: Duration,
}

impl Sums {
    /// Decibels of each plane, and of the luma against the scene.
    fn psnr(&self) -> [f64; 4] {
        let [y, cb, cr] = self.errors;
        [y, cb, cr, self.scene].map(|error| -10.0 * (error / self.frames).log10())
    }

    /// Luma of the worst tile in a hundred.
    fn worst(&mut self) -> f64 {
        self.worst.sort_by(f64::total_cmp);
        10.0 * (65025.0 / self.worst[self.worst.len() * 99 / 100]).log10()
    }

    fn add(&mut self, source: &Picture, scene: &Picture, shown: &Picture) {
        self.scene += 10f64.powf(-scene.psnr(shown)[0] / 10.0);
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

/// A coder, what its link carries, and a decoder.
struct Player {
    gate: Mode,
    coder: Coder,
    decoder: Decoder,
    had: Option<Coded>,
    sums: Sums,
}

impl Player {
    fn new(gate: Mode) -> Player {
        let coder = Coder::new(Wanted { gate: Some(gate), ..Wanted::default() });
        Player { gate, coder, decoder: Decoder::default(), had: None, sums: Sums::default() }
    }

    fn play(&mut self, seq: u64, captured: Time, shot: &Shot) {
        let sums = &mut self.sums;
        let image = Image::Picture(shot.picture.clone());
        let (coded, _) =
            timed(&mut sums.encode, || self.coder.encode(image, seq, captured, &|_, _| ())).expect("it encodes");
        // Plain MJPEG sends and decodes every byte of every frame.
        if self.gate == Mode::Off {
            (self.had, self.decoder) = (None, Decoder::default());
        }
        let lacking = coded.lacking(self.had.as_ref());
        sums.bytes += match self.gate {
            Mode::Off => coded.bytes.len() as f64,
            _ => (runs::encode(&coded, &lacking).len() + AROUND) as f64,
        };
        sums.tiles += lacking.len() as f64 / coded.head.count as f64;
        let frame = Frame { epoch: 0, seq, captured, error: Duration::ZERO, coded: coded.clone() };
        let decoded = timed(&mut sums.decode, || self.decoder.decode(&frame)).expect("it decodes");
        sums.add(&shot.picture, shot.scene.as_ref().unwrap_or(&shot.picture), &decoded.picture);
        self.had = Some(coded);
    }
}

/// What a source gives, and the same without its noise.
struct Shot {
    picture: Arc<Picture>,
    scene: Option<Picture>,
}

fn compare(name: &str, clip: impl Iterator<Item = Shot>, rate: f64) {
    let mut players = [Mode::Off, Mode::Auto].map(Player::new);
    for (seq, shot) in clip.enumerate() {
        let captured = Time::from_micros((seq as f64 * 1e6 / rate) as i64);
        // In turn, as the first one waits for the picture to come into the processor's cache.
        let (first, second) = players.split_at_mut(1);
        let order = if seq % 2 == 0 { [&mut first[0], &mut second[0]] } else { [&mut second[0], &mut first[0]] };
        order.into_iter().for_each(|player| player.play(seq as u64, captured, &shot));
    }
    let [mut plain, mut gated] = players.map(|player| player.sums);
    // A plane without any error in both is as good as it was.
    let better = |(gated, plain): (f64, f64)| Some(gated - plain).filter(|db| db.is_finite()).unwrap_or_default();
    let [y, cb, cr, scene] = [0, 1, 2, 3].map(|i| better((gated.psnr()[i], plain.psnr()[i])));
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    println!(
        "| {name} | {:.2} | {:.0} % | {y:+.2} / {cb:+.2} / {cr:+.2} | {scene:+.2} | {:.1} / {:.1} | {:.2} | {:.2} |",
        gated.bytes / plain.bytes,
        100.0 * gated.tiles / gated.frames,
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
            let (coded, _) =
                timed(&mut took, || coder.encode(image, seq as u64, captured, &|_, _| ())).expect("it is a JPEG");
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

/// Bytes that the restart intervals cost, at eight widths: the less there is in a tile, the more.
fn markers(clips: &[(&str, Vec<Picture>)]) {
    let widths = [320usize, 640, 720, 854, 1024, 1280, 1600, 1920];
    println!("\n| restart intervals cost, by width |{}|", widths.map(|width| format!(" {width} ")).join("|"));
    println!("|---|{}", "---|".repeat(widths.len()));
    for (name, pictures) in clips {
        let costs = widths.map(|width| {
            let height = (width * 9 / 16).next_multiple_of(2);
            let (mut ours, mut plain) = (0, 0);
            for picture in pictures {
                let scaled = vstream::codec::scale::scale(picture, width, height).expect("a size");
                ours += encode::encode(&scaled, 80).expect("it encodes").len();
                plain += clips::plain(&scaled, 80).len();
            }
            format!(" {:.1} % ", 100.0 * (ours as f64 / plain as f64 - 1.0))
        });
        println!("| {name} |{}|", costs.join("|"));
    }
}

/// Pictures without a scene behind them.
fn shots(clip: impl Iterator<Item = Picture>) -> impl Iterator<Item = Shot> {
    clip.map(|picture| Shot { picture: picture.into(), scene: None })
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let (width, height) = vstream::units::size(args.get(1).map_or("1080p", String::as_str)).expect("a size");
    let film = args.first().cloned();
    // One thread: processor time, not the time of waiting for each other.
    ThreadPoolBuilder::new().num_threads(1).build_global().expect("the first pool");
    println!(
        "| clip | bytes | tiles sent | Y / Cb / Cr dB | Y dB against the scene without noise | worst 1 % of tiles, dB, \
         gated / plain | encode time | decode time |\n|---|---|---|---|---|---|---|---|"
    );
    if let Some(path) = &film {
        compare("film", shots(clips::film(path, width, height)), 24.0);
    }
    for noise in [1.0, 2.0] {
        let [pictures, scenes] = [noise, 0.0].map(|noise| clips::camera(width, height, 240, noise));
        let clip = pictures.zip(scenes).map(|(picture, scene)| Shot { picture: picture.into(), scene: Some(scene) });
        compare(&format!("camera at rest, noise of {noise} steps, one person moving"), clip, 30.0);
    }
    compare("desktop, a terminal scrolls", shots(clips::desktop(width, height, 240)), 30.0);
    println!();
    recoding(clips::camera(width, height, 150, 1.0));
    let mut clips = vec![
        ("camera", clips::camera(width, height, 1, 1.0).collect()),
        ("desktop", clips::desktop(width, height, 1).collect()),
    ];
    if let Some(path) = &film {
        assert_eq!(std::fs::metadata(path).expect("the film").len() as usize % byte_len(width, height), 0);
        let pictures: Vec<Picture> = clips::film(path, width, height).take(2).collect();
        parts(&pictures[0], &pictures[1]);
        clips.insert(0, ("film", clips::film(path, width, height).step_by(48).collect::<Vec<_>>()));
    }
    markers(&clips);
}
