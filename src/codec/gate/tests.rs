//! Nothing that changed stays behind, nothing that rests is coded, and no colour freezes.

use super::*;
use crate::codec::encode::{encode_tiles, head};
use crate::codec::testing::{noise as blocks, smooth};
use crate::segments::splice;

const FRAME: Duration = Duration::from_millis(33);

/// A source's pictures through a gate; the tiles that each of them passed.
struct Run {
    gate: Gate,
    coded: Coded,
    now: Time,
}

impl Run {
    fn new(mode: Mode, first: &Picture) -> Run {
        let head = head(first, 80, 0).unwrap();
        let all: Vec<usize> = (0..head.count).collect();
        let coded = splice(None, &head, &encode_tiles(first, 80, &all, 0)).unwrap();
        let now = Time::from_micros(0);
        Run { gate: Gate::new(mode, Some(80), first, now), coded, now }
    }

    fn next(&mut self, picture: &Picture) -> Vec<usize> {
        self.now = self.now + FRAME;
        self.gate.pass(picture, &self.coded, self.now)
    }
}

/// The picture with normal noise of this deviation in every plane.
fn noisy(picture: &Picture, deviation: f64, random: &mut fastrand::Rng) -> Picture {
    let mut out = picture.clone();
    for sample in out.planes_mut().into_iter().flatten() {
        let normal: f64 = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        *sample = (f64::from(*sample) + deviation * normal).round().clamp(0.0, 255.0) as u8;
    }
    out
}

#[test]
fn what_rests_is_not_coded_and_what_moves_is() {
    let still = blocks(640, 360, 1);
    let mut run = Run::new(Mode::Auto, &still);
    for _ in 0..400 {
        assert!(run.next(&still).is_empty(), "nothing to gain from the same picture again");
    }
    let grid = Grid::new(640, 360);
    for tile in [0, 17, grid.tiles() - 1] {
        let mut moved = run.gate.reference.clone();
        let (x, y) = grid.position(tile * 8);
        moved.planes_mut()[0][y * 640 + x + 3] ^= 0x80;
        assert_eq!(run.next(&moved), [tile]);
    }
}

#[test]
fn no_colour_freezes() {
    let mut picture = smooth(320, 240);
    let mut run = Run::new(Mode::Auto, &picture);
    for plane in [1, 2] {
        picture.planes_mut()[plane][160 * 60 + 40] = 0;
        assert_eq!(run.next(&picture).len(), 1, "plane {plane}");
    }
}

#[test]
fn a_noisy_camera_rests_once_its_noise_is_known_and_still_shows_what_moves() {
    let scene = smooth(640, 360);
    let mut random = fastrand::Rng::with_seed(2);
    let mut run = Run::new(Mode::Auto, &scene);
    let tiles = Grid::new(640, 360).tiles();
    let mut passed = 0;
    for frame in 0..120 {
        let count = run.next(&noisy(&scene, 2.0, &mut random)).len();
        passed += if frame >= 60 { count } else { 0 };
    }
    assert!(passed < 60 * tiles / 20, "{passed} tiles in 60 frames of {tiles}");
    let mut moved = scene.clone();
    moved.planes_mut()[0][640 * 100..640 * 108].fill(200);
    assert!(run.next(&noisy(&moved, 2.0, &mut random)).len() >= 5);
}

#[test]
fn drift_never_adds_up() {
    // A level that creeps up by one step in five frames: no single change is seen, their sum must be.
    let mut picture = smooth(320, 240);
    let mut run = Run::new(Mode::Auto, &picture);
    for frame in 0..300 {
        if frame % 5 == 0 {
            picture.planes_mut()[0].iter_mut().for_each(|sample| *sample = sample.saturating_add(1));
        }
        run.next(&picture);
        let off = run.gate.reference.planes()[0].iter().zip(picture.planes()[0]).map(|(&a, &b)| a.abs_diff(b)).max();
        assert!(off.unwrap() <= 7, "frame {frame}: off by {off:?}");
    }
}

#[test]
fn every_tile_that_is_off_is_refreshed_within_ten_seconds() {
    let picture = smooth(640, 360);
    let mut off = picture.clone();
    off.planes_mut()[0].iter_mut().step_by(16).for_each(|sample| *sample += 1);
    let mut run = Run::new(Mode::Fixed(1000.0), &picture);
    let mut refreshed = std::collections::BTreeSet::new();
    let mut most = 0;
    for _ in 0..=Duration::from_secs(10).as_millis() / FRAME.as_millis() + 1 {
        let tiles = run.next(&off);
        most = most.max(tiles.len());
        refreshed.extend(tiles);
    }
    assert_eq!(refreshed.len(), Grid::new(640, 360).tiles());
    assert!(most <= 2, "in turn, not at once: {most}");
}

#[test]
fn modes_are_read() {
    assert_eq!("auto".parse::<Mode>().unwrap(), Mode::Auto);
    assert_eq!("off".parse::<Mode>().unwrap(), Mode::Off);
    assert_eq!("8".parse::<Mode>().unwrap(), Mode::Fixed(8.0));
    for wrong in ["", "on", "-1", "NaN", "1e9"] {
        assert!(wrong.parse::<Mode>().is_err(), "{wrong}");
    }
}
