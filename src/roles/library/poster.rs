//! The picture that stands for a video in a list: a small JPEG beside its rungs.

use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;

use super::rung::{Rung, bounded};
use crate::codec::{decode, encode, jpeg, scale};
use crate::picture::HEIGHT_MAX;
use crate::web::sizes::fit;

const FILE: &str = "poster.jpg";
/// As wide as lists on phones and pages show it.
const WIDTH: usize = 320;
/// The first at which it is no longer than what crosses a link in one word of base64.
const QUALITIES: [u8; 4] = [80, 60, 40, 20];
const LENGTH: usize = 24_000;
/// Ten times what one has.
const BYTES: u64 = 256 << 10;

/// Makes the poster of a rung's frame one tenth of the way in, where a film has begun and tells nothing yet.
pub fn make(rung: &Rung, dir: &Path) -> Result<()> {
    let frame = rung.frame(rung.times().len() / 10, 0)?;
    let picture = decode::decode(&frame.bytes)?;
    let small = match fit((picture.width(), picture.height()), (WIDTH, HEIGHT_MAX)) {
        Some((width, height)) => scale::scale(&picture, width, height)?,
        None => picture,
    };
    let (part, path) = (dir.join("poster.part"), dir.join(FILE));
    let write = || {
        let mut jpeg = Bytes::new();
        for quality in QUALITIES {
            jpeg = encode::encode(&small, quality)?;
            if jpeg.len() <= LENGTH {
                break;
            }
        }
        std::fs::write(&part, jpeg)?;
        Ok(std::fs::rename(&part, &path)?)
    };
    let written: Result<()> = write();
    if written.is_err() {
        let _ = std::fs::remove_file(&part); // it may not have come to be
    }
    written.with_context(|| format!("could not write {}", path.display()))
}

/// Reads the poster of a video's folder.
pub fn read(dir: &Path) -> Result<Bytes> {
    let jpeg = bounded(&dir.join(FILE), BYTES)?;
    jpeg::parse(&jpeg)?;
    Ok(jpeg.into())
}
