//! The clips: a film from a file, and two that are made here from seeds, the same on every machine.

use std::io::Read;

use font8x8::UnicodeFonts;
use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, SamplingFactor};
use vstream::picture::{Picture, byte_len};

pub fn film(path: &str, width: usize, height: usize) -> impl Iterator<Item = Picture> + use<> {
    let mut file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    std::iter::from_fn(move || {
        let mut data = vec![0; byte_len(width, height)];
        file.read_exact(&mut data).ok()?;
        Some(Picture::from_planes(width, height, data).expect("a whole frame"))
    })
}

/// A room (slopes, edges, texture) behind normal noise, through which a striped figure walks. `noise`: its standard
/// deviation in steps of 255.
pub fn camera(width: usize, height: usize, frames: usize, noise: f64) -> impl Iterator<Item = Picture> {
    let mut random = fastrand::Rng::with_seed(1);
    let room = room(width, height, &mut random);
    // A table of normal values; drawing three million a frame by formula would take longer than coding them.
    let normal: Vec<i16> = (0..1 << 16)
        .map(|_| ((0..12).map(|_| random.f64()).sum::<f64>() - 6.0) * noise)
        .map(|noise| noise.round() as i16)
        .collect();
    (0..frames).map(move |frame| {
        let mut picture = room.clone();
        person(&mut picture, width * (frame + 20) / (frames + 40), frame);
        for plane in picture.planes_mut() {
            for run in plane.chunks_mut(997) {
                let at = random.usize(..normal.len() - run.len());
                for (sample, noise) in run.iter_mut().zip(&normal[at..]) {
                    *sample = (i16::from(*sample) + noise).clamp(0, 255) as u8;
                }
            }
        }
        picture
    })
}

fn room(width: usize, height: usize, random: &mut fastrand::Rng) -> Picture {
    let mut picture = Picture::new(width, height);
    let (chroma_width, chroma_height) = picture.chroma();
    let [luma, cb, cr] = picture.planes_mut();
    for (i, sample) in luma.iter_mut().enumerate() {
        let (x, y) = (i % width, i / width);
        let shelf = if y % (height / 5) < 12 || x % (width / 4) < 10 { 40.0 } else { 0.0 };
        let weave = 6.0 * ((x as f64 / 3.0).sin() * (y as f64 / 5.0).cos());
        *sample = (70.0 + 90.0 * x as f64 / width as f64 + shelf + weave + random.f64() * 3.0) as u8;
    }
    for (plane, tint) in [(cb, 118.0), (cr, 138.0)] {
        for (i, sample) in plane.iter_mut().enumerate() {
            *sample = (tint + 14.0 * (i / chroma_width) as f64 / chroma_height as f64) as u8;
        }
    }
    picture
}

/// A head and a striped shirt, as tall as half the picture.
fn person(picture: &mut Picture, x: usize, frame: usize) {
    let (width, height) = (picture.width(), picture.height());
    let sway = (frame as f64 / 5.0).sin() * height as f64 / 60.0;
    let (radius, top) = (height as f64 / 12.0, height as f64 / 2.0 + sway);
    let [luma, _, cr] = picture.planes_mut();
    for y in 0..height {
        for dx in -(height as i64) / 7..height as i64 / 7 {
            let column = x as i64 + dx;
            if !(0..width as i64).contains(&column) {
                continue;
            }
            let (down, aside) = (y as f64 - top, dx as f64);
            let head = aside.powi(2) + (down + radius).powi(2) < radius.powi(2);
            let body = down > 0.0 && aside.abs() < radius * 1.6;
            if head || body {
                let stripe = if body { (down / 18.0).sin() * 50.0 } else { 0.0 };
                let shade = aside / radius * 25.0;
                luma[y * width + column as usize] = (125.0 + stripe + shade).clamp(0.0, 255.0) as u8;
                cr[y / 2 * (width / 2) + column as usize / 2] = if head { 155 } else { 110 };
            }
        }
    }
}

/// A desktop at rest with windows, one of them a terminal in which text scrolls by a line in every fourth frame.
pub fn desktop(width: usize, height: usize, frames: usize) -> impl Iterator<Item = Picture> {
    let mut random = fastrand::Rng::with_seed(2);
    let text: Vec<String> = (0..200)
        .map(|_| {
            (0..random.usize(20..78)).map(|_| if random.u8(..6) == 0 { ' ' } else { random.char('!'..='~') }).collect()
        })
        .collect();
    let mut still = Picture::new(width, height);
    for (i, sample) in still.planes_mut()[0].iter_mut().enumerate() {
        *sample = 40 + (i / width * 60 / height) as u8;
    }
    window(&mut still, width / 20, height / 12, 90, 50, 235, 20, &text);
    (0..frames).map(move |frame| {
        let mut picture = still.clone();
        window(&mut picture, width / 2, height / 3, 80, 24, 16, 220, &text[frame / 4 % 150..]);
        picture
    })
}

/// A window of text, 8 by 16 pixels a letter.
#[expect(clippy::too_many_arguments, reason = "a rectangle, two colours and what is in it")]
fn window(
    picture: &mut Picture,
    x: usize,
    y: usize,
    columns: usize,
    lines: usize,
    paper: u8,
    ink: u8,
    text: &[String],
) {
    let (width, height) = (picture.width(), picture.height());
    let luma = &mut picture.planes_mut()[0];
    for row in y..(y + lines * 16).min(height) {
        let end = (x + columns * 8).min(width);
        luma[row * width + x..row * width + end].fill(paper);
        let line = text[(row - y) / 16].bytes().take(columns).enumerate();
        for (column, letter) in line {
            let glyph = font8x8::BASIC_FONTS.get(char::from(letter)).unwrap_or_default()[(row - y) % 16 / 2];
            for bit in (0..8).filter(|bit| glyph >> bit & 1 == 1) {
                let at = x + column * 8 + bit;
                if at < end {
                    luma[row * width + at] = ink;
                }
            }
        }
    }
}

/// The picture as jpeg-encoder codes it by itself, without restart markers.
pub fn plain(picture: &Picture, quality: u8) -> Vec<u8> {
    struct Whole<'a>(&'a Picture);
    impl ImageBuffer for Whole<'_> {
        fn get_jpeg_color_type(&self) -> JpegColorType {
            JpegColorType::Ycbcr
        }
        fn width(&self) -> u16 {
            self.0.width() as u16
        }
        fn height(&self) -> u16 {
            self.0.height() as u16
        }
        fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
            let (width, (chroma_width, _), y) = (self.0.width(), self.0.chroma(), usize::from(y));
            let [luma, cb, cr] = self.0.planes();
            buffers[0].extend_from_slice(&luma[y * width..][..width]);
            for x in 0..width {
                buffers[1].push(cb[y / 2 * chroma_width + x / 2]);
                buffers[2].push(cr[y / 2 * chroma_width + x / 2]);
            }
        }
    }
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, quality);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder.encode_image(Whole(picture)).expect("it encodes");
    out
}
