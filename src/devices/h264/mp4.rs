//! MP4 and QuickTime files, by re_mp4: where the samples of the first video track are, and when they are shown. Only
//! the index is read, and `boxes` makes it safe before re_mp4 sees it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use re_mp4::{Mp4, StsdBoxContent};

use crate::devices::h264::boxes::{self, Video, cleaned};
use crate::devices::h264::store::{Cursor, Patience, Store, read_exact_at};
use crate::devices::h264::{Samples, Track};
use crate::devices::recording::seconds;
use crate::fault::Fault;
use crate::frame::BYTES_MAX;
use crate::guard::guarded;

/// Frames of a film: 18 hours at 30 a second.
const SAMPLES_MAX: u64 = 2_000_000;
/// Bytes of an index: 12 to 20 a sample and track.
const INDEX_MAX: u64 = 64 << 20;
/// re_mp4 reads the index in pieces of four bytes or more.
const READS_MAX: u32 = INDEX_MAX as u32;
/// Boxes side by side: a fragmented file has two a second or so.
const BOXES_MAX: usize = 1_000_000;

/// Where a sample is, and when it is shown after the first.
struct Place {
    at: u64,
    size: u32,
    shown: Duration,
}

struct Reader {
    store: Arc<dyn Store>,
    places: std::vec::IntoIter<Place>,
}

/// Finds the H.264 track. An error says what the file is otherwise, or how it is damaged.
pub fn open(store: Arc<dyn Store>) -> Result<(Track, Box<dyn Samples>)> {
    let index = Index::read(&*store)?;
    if index.video.format != *b"avc1" {
        return Err(other(&index.video.format).into());
    }
    let patience = Patience::default();
    patience.renew(READS_MAX);
    let cursor = Cursor::new(store.clone(), &patience).with(index.instead);
    let parsed = guarded(|| Mp4::read(cursor, index.end));
    let mp4 = parsed.ok_or_else(|| damaged("its index contradicts itself"))?.map_err(|e| damaged(&e.to_string()))?;
    let config = mp4.moov.traks.iter().find_map(|trak| match &trak.mdia.minf.stbl.stsd.contents {
        StsdBoxContent::Avc1(avc1) => Some(avc1.avcc.raw.clone()),
        _ => None,
    });
    let track = mp4.tracks().get(&index.video.track);
    let (Some(config), Some(track)) = (config, track) else { return Err(damaged("its video is not described").into()) };
    let times = || track.samples.iter().map(|s| s.composition_timestamp);
    let (first, last) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    let places: Vec<Place> = track.samples.iter().filter_map(|sample| place(sample, first)).collect();
    ensure!(!places.is_empty(), damaged("its video has no frames"));
    let span = last.saturating_sub(first) as f64 / track.timescale as f64;
    let about = Track {
        config,
        colour: index.video.colour,
        shown: (usize::from(track.width), usize::from(track.height)),
        rate: rate((places.len() - 1) as f64 / span),
        length: Some(places.len() as u64),
    };
    Ok((about, Box::new(Reader { store, places: places.into_iter() })))
}

/// Frames a second without the noise of the division.
fn rate(rate: f64) -> Option<f64> {
    (0.001..=1000.0).contains(&rate).then(|| (rate * 1e6).round() / 1e6)
}

fn damaged(why: &str) -> Fault {
    Fault::device(format!("a damaged MP4 file: {why}"))
}

fn other(format: &[u8; 4]) -> Fault {
    let name = match format {
        b"av01" => "AV1".into(),
        b"hvc1" | b"hev1" => "H.265".into(),
        format => String::from_utf8_lossy(format).trim().to_string(),
    };
    Fault::device(format!("its video is {name}, and only H.264 is decoded without ffmpeg")).hint("install ffmpeg")
}

fn place(sample: &re_mp4::Sample, first: i64) -> Option<Place> {
    let size = u32::try_from(sample.size).ok().filter(|&size| size as usize <= BYTES_MAX)?;
    let shown = seconds(sample.composition_timestamp.saturating_sub(first) as f64 / sample.timescale as f64);
    Some(Place { at: sample.offset, size, shown })
}

impl Samples for Reader {
    fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<Duration>> {
        let Some(place) = self.places.next() else { return Ok(None) };
        // A file that broke off: what is left of it has been shown.
        if place.at.saturating_add(place.size.into()) > self.store.len() {
            return Ok(None);
        }
        out.resize(place.size as usize, 0);
        read_exact_at(&*self.store, out, place.at).context("could not read")?;
        Ok(Some(place.shown))
    }
}

/// The file's index after the check.
struct Index {
    video: Video,
    /// Copies of the index' boxes, and where they stand in the file.
    instead: Vec<(u64, Vec<u8>)>,
    /// Where the last box that can be read ends.
    end: u64,
}

impl Index {
    fn read(store: &dyn Store) -> Result<Index> {
        let mut found = None;
        let (mut instead, mut end) = (Vec::new(), 0);
        let (mut samples, mut bytes, mut at) = (0, 0, 0);
        for _ in 0..BOXES_MAX {
            let Some((code, head, size)) = top(store, at) else { break };
            if matches!(&code, b"moov" | b"moof" | b"ftyp" | b"emsg") {
                bytes += size;
                ensure!(bytes <= INDEX_MAX, damaged("its index is too long to be true"));
                if at + size > store.len() {
                    break; // cut off
                }
                let mut data = vec![0; size as usize];
                read_exact_at(store, &mut data, at).context("could not read")?;
                match &code {
                    b"moov" if found.is_none() => {
                        found = Some(boxes::video(&data, head).ok_or_else(|| Fault::device("it holds no video"))?);
                    }
                    b"moof" => {}
                    b"ftyp" => {}
                    _ => data[4..8].copy_from_slice(b"free"), // a second index, events: not needed
                }
                if let (Some(video), b"moov" | b"moof") = (&found, &code) {
                    let (copy, count) = cleaned(&data, head, video.track).ok_or_else(|| damaged("its index"))?;
                    samples += count;
                    data = copy;
                }
                instead.push((at, data));
            }
            at += size;
            end = at;
        }
        let unfinished = || damaged("its index (moov) is missing: a recording that was not finished?");
        let video = found.ok_or_else(unfinished)?;
        ensure!(samples <= SAMPLES_MAX, damaged("its index is too long to be true"));
        Ok(Index { video, instead, end })
    }
}

/// The box at `at`: its code, and the bytes of its header and in all.
fn top(store: &dyn Store, at: u64) -> Option<([u8; 4], usize, u64)> {
    let mut head = [0; 16];
    read_exact_at(store, &mut head[..8], at).ok()?;
    let code = [head[4], head[5], head[6], head[7]];
    let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    let (head, size) = match size {
        1 => {
            read_exact_at(store, &mut head[8..], at + 8).ok()?;
            (16, u64::from_be_bytes(std::array::from_fn(|i| head[8 + i])))
        }
        size => (8, size.into()),
    };
    // A size of zero means "to the end": re_mp4 stops there, and so does this. Beyond 2^62 lies no file.
    (size >= head as u64 && size < 1 << 62 && at < 1 << 62).then_some((code, head, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::h264::boxes::tests::{boxed, track};

    #[test]
    fn counts_that_cannot_be_true_are_not_believed() {
        let error = |file: Vec<u8>| Index::read(&file).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error(boxed(b"moov", &track(b"vide", 1, u32::MAX))).contains("too long"));
        let tfhd = boxed(b"tfhd", &[0, 0, 0, 0, 0, 0, 0, 1]);
        let run = boxed(b"trun", &[&[0; 4][..], &[0xFF; 4]].concat());
        let moof = boxed(b"moof", &boxed(b"traf", &[tfhd, run].concat()));
        assert!(error([boxed(b"moov", &track(b"vide", 1, 1)), moof].concat()).contains("too long"));
        assert!(error(boxed(b"moov", &track(b"soun", 1, 1))).contains("no video"));
    }

    #[test]
    fn an_unfinished_recording_is_named() {
        let file = [boxed(b"ftyp", b"isom0000"), boxed(b"mdat", &[0; 100])].concat();
        assert!(open(Arc::new(file)).err().unwrap().to_string().contains("was not finished"));
    }
}
