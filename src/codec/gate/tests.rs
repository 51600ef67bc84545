//! Nothing that changed stays behind, nothing that rests is coded, and no colour freezes.

use super::*;
use crate::codec::encode::{encode_all, head};
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
        let coded = splice(None, &head, &encode_all(first, 80, 0)).unwrap();
        let now = Time::from_micros(0);
        Run { gate: Gate::new(mode, Some(80), first, now), coded, now }
    }

    fn next(&mut self, picture: &Picture) -> Vec<usize> {
        self.now = self.now + FRAME;
        self.gate.pass(picture, &self.coded, self.now).0
    }
}

/// The picture with normal noise of this deviation in every plane.
fn noisy(picture: &Picture, deviation: f64, random: &mut fastrand::Rng) -> Picture {
    // Each sample draws from some normal values that were drawn before, which is quicker.
    let normal: [f64; 1024] = std::array::from_fn(|_| (0..12).map(|_| random.f64()).sum::<f64>() - 6.0);
    let mut out = picture.clone();
    for sample in out.planes_mut().into_iter().flatten() {
        let noise = deviation * normal[random.usize(..normal.len())];
        *sample = (f64::from(*sample) + noise).round().clamp(0.0, 255.0) as u8;
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
        let mut moved = run.gate.shown.picture().clone();
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
fn a_resting_tile_of_a_noisy_camera_comes_nearer_to_its_scene_than_any_frame() {
    let scene = smooth(640, 360);
    let mut random = fastrand::Rng::with_seed(3);
    let mut frame = noisy(&scene, 2.0, &mut random);
    let mut run = Run::new(Mode::Auto, &frame);
    for _ in 0..150 {
        frame = noisy(&scene, 2.0, &mut random);
        run.next(&frame);
    }
    let gained = |plane: usize| run.gate.shown.picture().psnr(&scene)[plane] - frame.psnr(&scene)[plane];
    assert!((0..3).all(|plane| gained(plane) > 10.0), "{:?}", [0, 1, 2].map(gained));
}

#[test]
fn what_moves_before_noise_leaves_no_ghost() {
    let scene = smooth(640, 360);
    let mut moved = scene.clone();
    moved.planes_mut()[0][640 * 96..640 * 112].fill(200);
    let mut random = fastrand::Rng::with_seed(4);
    let mut run = Run::new(Mode::Auto, &scene);
    for scene in [[&scene; 90], [&moved; 90], [&scene; 90]].concat() {
        run.next(&noisy(scene, 1.0, &mut random));
        if run.gate.noise.level() < AUDIBLE {
            continue;
        }
        let worst =
            run.gate.shown.picture().planes()[0].iter().zip(scene.planes()[0]).map(|(&a, &b)| a.abs_diff(b)).max();
        assert!(worst.unwrap() <= 8, "off by {worst:?} steps, where noise is of six at most");
    }
}

#[test]
fn light_that_changes_slowly_is_followed_before_noise() {
    let mut scene = smooth(320, 240);
    let mut random = fastrand::Rng::with_seed(5);
    let mut run = Run::new(Mode::Auto, &scene);
    for frame in 0..600 {
        if frame % 8 == 0 && frame < 400 {
            scene.planes_mut()[0].iter_mut().for_each(|sample| *sample += 1);
        }
        run.next(&noisy(&scene, 2.0, &mut random));
        let sum = |picture: &Picture| picture.planes()[0].iter().map(|&sample| u64::from(sample)).sum::<u64>() as f64;
        let off = (sum(run.gate.shown.picture()) - sum(&scene)) / (320.0 * 240.0);
        assert!(off.abs() < 1.2, "frame {frame}: off by {off}");
    }
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
        let off =
            run.gate.shown.picture().planes()[0].iter().zip(picture.planes()[0]).map(|(&a, &b)| a.abs_diff(b)).max();
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
