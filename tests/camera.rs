//! A V4L2 camera, a real one or the kernel's virtual one (`modprobe vivid`): `VSTREAM_TEST_CAMERA=/dev/videoN`, or the
//! first that is found. Without a camera these tests are skipped, also where CI=true: a camera cannot be installed.
//!
//! `VSTREAM_TEST_UNPLUG=/sys/bus/platform/drivers/vivid/vivid.0` (the camera as its driver has it; needs root) lets a test
//! unplug the camera and plug it in again.

#![cfg(feature = "camera")]

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use vstream::clock;
use vstream::codec::{decode, jpeg};
use vstream::devices::{Wish, camera};
use vstream::fault::{Fault, Kind};
use vstream::frame::{Image, Shot, Source};
use vstream::stop::Stop;

/// A camera has one user at a time.
static CAMERA: Mutex<()> = Mutex::new(());

/// Runs `test` with the camera's path, or says why not.
fn with_camera(test: impl FnOnce(&str)) {
    let _one = CAMERA.lock().unwrap_or_else(|e| e.into_inner());
    let path = std::env::var("VSTREAM_TEST_CAMERA").ok();
    let first = || camera::list().into_iter().find(|c| c.problem.is_none()).map(|c| c.path);
    match path.or_else(first) {
        Some(path) => test(&path),
        None => eprintln!("skipped: no V4L2 camera here, and none can be installed; `modprobe vivid` makes one"),
    }
}

fn open(path: &str, wish: &Wish) -> Box<dyn Source> {
    camera::open(Some(path), wish, &Stop::default()).unwrap()
}

fn size(shot: &Shot) -> (usize, usize) {
    match &shot.image {
        Image::Picture(picture) => (picture.width(), picture.height()),
        Image::Jpeg(bytes) => jpeg::parse(bytes).map(|header| (header.width, header.height)).unwrap(),
    }
}

fn shots(source: &mut dyn Source, count: usize) -> Vec<Shot> {
    (0..count).map(|_| source.next().unwrap().expect("a camera does not end")).collect()
}

/// The camera's formats that are read and their sizes; of a range one that is neither end of it.
fn modes(path: &str) -> Vec<(String, usize, usize)> {
    let camera = camera::list().into_iter().find(|c| c.path == path).expect("the camera is listed");
    let mut modes = Vec::new();
    for format in camera.formats.iter().filter(|format| format.usable) {
        for size in &format.sizes {
            let among = |most: &camera::UpTo| (most.width.min(640), most.height.min(360));
            let (width, height) = size.up_to.as_ref().map_or((size.width, size.height), among);
            modes.push((format.fourcc.clone(), width as usize, height as usize));
        }
    }
    modes
}

#[test]
fn the_camera_is_listed_with_its_formats() {
    with_camera(|path| {
        let camera = camera::list().into_iter().find(|c| c.path == path).unwrap();
        assert!(!camera.name.is_empty() && camera.problem.is_none(), "{camera:?}");
        assert!(camera.formats.iter().any(|format| format.usable), "{camera}");
        assert!(camera.to_string().starts_with(path));
    });
}

#[test]
fn frames_come_at_the_asked_size_with_advancing_times() {
    with_camera(|path| {
        let mut sizes = modes(path);
        sizes.sort_by_key(|&(_, width, height)| width * height);
        sizes.dedup_by_key(|&mut (_, width, height)| (width, height));
        let wishes = sizes.iter().take(3).map(|&(_, width, height)| Some((width, height)));
        for wish in wishes.chain([None]) {
            let began = clock::now();
            let mut source = open(path, &Wish { size: wish, ..Wish::default() });
            let shots = shots(source.as_mut(), 5);
            eprintln!("{}", source.about().text);
            for pair in shots.windows(2) {
                assert!(pair[0].captured < pair[1].captured);
            }
            assert!(shots[0].captured + Duration::from_secs(1) > began && shots[4].captured <= clock::now());
            if let Some(wish) = wish {
                assert!(shots.iter().all(|shot| size(shot) == wish), "{wish:?} asked, {:?} came", size(&shots[0]));
            }
        }
    });
}

#[test]
fn mjpg_is_passed_through_and_decodes() {
    with_camera(|path| {
        let Some((_, width, height)) = modes(path).into_iter().find(|(fourcc, ..)| fourcc == "MJPG") else {
            return eprintln!("skipped: {path} gives no MJPG");
        };
        let mut source = open(path, &Wish { size: Some((width, height)), ..Wish::default() });
        for shot in shots(source.as_mut(), 5) {
            let Image::Jpeg(bytes) = shot.image else { panic!("{} gives pixels", source.about().text) };
            let picture = decode::decode(&bytes).unwrap();
            assert_eq!((picture.width(), picture.height()), (width, height));
            assert!(jpeg::parse(&bytes).unwrap().has_huffman && bytes.ends_with(&[0xFF, jpeg::EOI]));
        }
    });
}

#[test]
fn pixels_come_when_they_are_wanted() {
    with_camera(|path| {
        if !modes(path).iter().any(|(fourcc, ..)| fourcc != "MJPG" && fourcc != "JPEG") {
            return eprintln!("skipped: {path} gives no pixels");
        }
        let mut source = open(path, &Wish { recode: true, size: Some((320, 240)), ..Wish::default() });
        assert!(matches!(shots(source.as_mut(), 1)[0].image, Image::Picture(_)), "{}", source.about().text);
    });
}

#[test]
fn old_buffers_are_not_sent() {
    with_camera(|path| {
        let mut source = open(path, &Wish::default());
        shots(source.as_mut(), 3);
        let interval = Duration::from_secs_f64(1.0 / source.about().rate.unwrap_or(30.0));
        // Nobody watches for a while: a time, not an event, is what this is about.
        std::thread::sleep(8 * interval);
        let asked = clock::now();
        let shot = &shots(source.as_mut(), 1)[0];
        let early = asked.since(shot.captured);
        assert!(early <= 3 * interval, "a picture {early:?} old after a pause, at one every {interval:?}");
    });
}

#[test]
fn a_busy_camera_is_said_to_be() {
    with_camera(|path| {
        let mut source = open(path, &Wish::default());
        shots(source.as_mut(), 1);
        let Err(error) = camera::open(Some(path), &Wish::default(), &Stop::default()) else {
            return eprintln!("skipped: {path} has several users at a time");
        };
        let fault = error.downcast_ref::<Fault>().unwrap();
        assert_eq!(
            (fault.kind, fault.to_string()),
            (Kind::Device, format!("could not open {path}: device or resource busy"))
        );
        assert!(fault.hint.as_deref().unwrap().contains("fuser"));
        shots(source.as_mut(), 3); // the one that has it goes on
    });
}

#[test]
fn stop_ends_it_soon() {
    with_camera(|path| {
        let stop = Stop::default();
        let mut source = camera::open(Some(path), &Wish::default(), &stop).unwrap();
        shots(source.as_mut(), 1);
        stop.say();
        let began = Instant::now();
        assert!(source.next().unwrap().is_none());
        drop(source);
        assert!(began.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn what_is_no_camera_is_refused() {
    let text = |path| {
        let error = camera::open(Some(path), &Wish::default(), &Stop::default()).err().unwrap();
        assert_eq!(error.downcast_ref::<Fault>().unwrap().kind, Kind::Device);
        error.to_string()
    };
    assert_eq!(text("/dev/video4711"), "there is no camera /dev/video4711");
    assert_eq!(text("/dev/null"), "/dev/null is not a camera: it is no V4L2 device");
    assert!(text("/dev").starts_with("could not open /dev:"));
}

#[test]
fn unplugged_and_plugged_in_again() {
    with_camera(|path| {
        let Ok(wire) = std::env::var("VSTREAM_TEST_UNPLUG") else {
            return eprintln!("skipped: VSTREAM_TEST_UNPLUG names no driver and device to unplug");
        };
        let wire = Path::new(&wire);
        let device = wire.file_name().expect("a driver's folder and a device").as_encoded_bytes();
        let pull = |what: &str| fs::write(wire.with_file_name(what), device).unwrap();
        for _ in 0..3 {
            let mut source = open(path, &Wish::default());
            shots(source.as_mut(), 2);
            pull("unbind");
            let error = (0..100).find_map(|_| source.next().err()).expect("an unplugged camera fails");
            assert_eq!(error.to_string(), format!("the camera {path} was unplugged"));
            assert!(source.next().is_err(), "and stays so");
            drop(source);
            let gone = camera::open(Some(path), &Wish::default(), &Stop::default()).err().unwrap();
            assert_eq!(gone.to_string(), format!("there is no camera {path}"));
            pull("bind");
        }
        shots(open(path, &Wish::default()).as_mut(), 2);
    });
}
