//! Strips against the whole, new tiles against all, damage, and JPEGs of every kind.

use super::*;
use crate::clock::Time;
use crate::codec::blocks::Tables;
use crate::codec::encode::{encode, encode_all, encode_tiles, head};
use crate::codec::testing::{noise, smooth};
use crate::segments::{Coded, splice};

fn frame(seq: u64, coded: Coded) -> Frame {
    Frame { epoch: 1, seq, captured: Time::default(), error: Default::default(), coded }
}

#[test]
fn strips_decode_to_the_bits_of_the_whole() {
    for (w, h) in [(16, 16), (17, 31), (130, 70), (128, 128), (333, 211), (640, 360), (1921, 1081)] {
        let jpeg = encode(&noise(w, h, 3), 80).unwrap();
        let coded = jpeg::segments(jpeg.clone(), 0).unwrap();
        assert_eq!(coded.head.form, Form::Tiles, "vstream's own frames have segments");
        let strips = Decoder::default().decode(&frame(0, coded)).unwrap();
        assert_eq!(strips.bad, 0);
        assert!(*strips.picture == whole(&jpeg).unwrap(), "{w}x{h}");
    }
}

#[test]
fn new_tiles_over_old_ones_are_the_picture_at_once() {
    let (old, new) = (noise(333, 211, 1), noise(333, 211, 2));
    let mut decoder = Decoder::default();
    let head = head(&old, 80, 0).unwrap();
    let mut coded = splice(None, &head, &encode_all(&old, 80, 0)).unwrap();
    let mut random = fastrand::Rng::with_seed(3);
    let mut held = Vec::new();
    for seq in 1..20 {
        let from = if random.bool() { &new } else { &old };
        let some: Vec<usize> = (0..head.count).filter(|_| random.u8(..4) == 0).collect();
        coded = splice(Some(&coded), &head, &encode_tiles(from, &Tables::new(80), &some, seq)).unwrap();
        if random.bool() {
            continue; // a frame that this decoder never sees
        }
        let decoded = decoder.decode(&frame(seq, coded.clone())).unwrap();
        assert!(*decoded.picture == whole(&coded.bytes).unwrap());
        held.push((decoded.picture.clone(), (*decoded.picture).clone()));
    }
    assert!(held.iter().all(|(shown, then)| **shown == *then), "a picture that somebody holds does not change");
}

#[test]
fn tiles_decoded_early_are_the_picture_at_once() {
    let (old, new) = (noise(333, 211, 1), noise(333, 211, 2));
    let head = head(&old, 80, 0).unwrap();
    let first = splice(None, &head, &encode_all(&old, 80, 0)).unwrap();
    let mut news = encode_all(&new, 80, 1);
    let second = splice(Some(&first), &head, &news).unwrap();
    fastrand::Rng::with_seed(4).shuffle(&mut news);
    let mut decoder = Decoder::default();
    let before = decoder.decode(&frame(0, first.clone())).unwrap().picture;
    let (_pen, draft) = Draft::begin(1, 1, Time::default(), Default::default(), head);
    let (some, more) = (&news[..20], &news[10..30]); // some of them come twice
    [some, more].into_iter().for_each(|lot| decoder.begin(&draft, lot.to_vec()).unwrap());
    assert!(*before == whole(&first.bytes).unwrap(), "the picture that somebody looks at does not change");
    assert!(*decoder.decode(&frame(1, second.clone())).unwrap().picture == whole(&second.bytes).unwrap());
}

#[test]
fn a_damaged_segment_leaves_its_tile_standing_and_is_counted() {
    let (old, new) = (noise(640, 360, 1), noise(640, 360, 2));
    let head = head(&old, 80, 0).unwrap();
    let first = splice(None, &head, &encode_all(&old, 80, 0)).unwrap();
    let mut news = encode_all(&new, 80, 1);
    news[30].2 = Bytes::from_static(b"\xFF\0\xFF\0\xFF\0\xFF\0"); // no code is all ones
    let second = splice(Some(&first), &head, &news).unwrap();
    let mut decoder = Decoder::default();
    let before = decoder.decode(&frame(0, first)).unwrap().picture;
    let after = decoder.decode(&frame(1, second)).unwrap();
    assert_eq!(after.bad, 1);
    let (x, y) = Grid::new(640, 360).position(30 * 8);
    let at = |p: &Picture| p.planes()[0][y * 640 + x..][..16].to_vec();
    assert_eq!(at(&before), at(&after.picture));
    assert_ne!(before.planes()[0][..16], after.picture.planes()[0][..16]);
}

#[test]
fn a_head_that_lies_is_refused() {
    let jpeg = encode(&noise(320, 240, 1), 80).unwrap();
    let coded = jpeg::segments(jpeg, 0).unwrap();
    for (count, header) in [
        (coded.head.count - 1, coded.head.header.clone()),
        (coded.head.count, Bytes::from_static(b"\xFF\xD8")),
        (coded.head.count, Bytes::new()),
    ] {
        let head = Arc::new(crate::segments::Head { header, count, ..(*coded.head).clone() });
        let news: Vec<_> = (0..count).map(|i| (i, 0, coded.segment(i))).collect();
        let lie = splice(None, &head, &news).unwrap();
        assert!(Decoder::default().decode(&frame(0, lie)).is_err());
    }
}

#[test]
fn a_smooth_picture_survives() {
    for (w, h) in [(16, 16), (101, 67), (7680, 4320)] {
        let picture = smooth(w, h);
        let psnr = picture.psnr(&decode(&encode(&picture, 90).unwrap()).unwrap());
        assert!(psnr.iter().all(|&db| db > 38.0), "{w}x{h}: {psnr:?}");
    }
}

#[test]
fn damage_costs_tiles_or_is_an_error_but_never_a_panic() {
    let jpeg = encode(&noise(320, 240, 5), 80).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..300 {
        let mut bad = jpeg.to_vec();
        for _ in 0..random.usize(1..20) {
            let at = random.usize(..bad.len());
            bad[at] ^= 1 << random.u8(..8);
        }
        bad.truncate(random.usize(bad.len() / 2..=bad.len()));
        let _ = decode(&bad.into());
    }
}

#[test]
fn foreign_samplings_come_to_420() {
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
    let (w, h) = (50u16, 38u16);
    let pixels: Vec<u8> = (0..usize::from(w) * usize::from(h)).flat_map(|i| [(i % 50 * 4) as u8, 120, 150]).collect();
    for factor in [SamplingFactor::R_4_4_4, SamplingFactor::R_4_2_2, SamplingFactor::R_4_2_0, SamplingFactor::R_4_4_0] {
        for progressive in [false, true] {
            let mut data = Vec::new();
            let mut encoder = Encoder::new(&mut data, 90);
            encoder.set_sampling_factor(factor);
            encoder.set_progressive(progressive);
            encoder.encode(&pixels, w, h, ColorType::Ycbcr).unwrap();
            let picture = decode(&data.into()).unwrap_or_else(|e| panic!("{factor:?} {progressive}: {e}"));
            assert!(picture.planes()[1].iter().all(|&s| s.abs_diff(120) < 6), "{factor:?}");
            assert!(picture.planes()[0][5 * 50 + 25].abs_diff(100) < 8);
        }
    }
    let mut grey = Vec::new();
    Encoder::new(&mut grey, 90).encode(&vec![77; 50 * 38], w, h, ColorType::Luma).unwrap();
    assert_eq!(decode(&grey.into()).unwrap().planes()[1][0], 128);
}

#[test]
fn rgb_is_refused_and_not_shown_in_wrong_colours() {
    let mut data = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut data, 90);
    encoder.encode(&[90; 16 * 16 * 3], 16, 16, jpeg_encoder::ColorType::Ycbcr).unwrap();
    let at = jpeg::parse(&data).unwrap().size_at + 5; // the components begin behind height, width and their number
    let own = [0, 3, 6].map(|i| data[at + i]);
    (0..3).for_each(|i| data[at + 3 * i] = b"RGB"[i]);
    assert!(decode(&data.clone().into()).unwrap_err().to_string().contains("RGB"));
    let adobe = [&[0xFF, 0xEE, 0, 14][..], b"Adobe", &[0, 100, 0, 0, 0, 0, 0]].concat();
    (0..3).for_each(|i| data[at + 3 * i] = own[i]);
    assert!(decode(&data.clone().into()).is_ok());
    data.splice(2..2, adobe);
    assert!(decode(&data.into()).unwrap_err().to_string().contains("RGB"));
}
