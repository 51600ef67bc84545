//! MP4 and QuickTime files, by re_mp4: where the samples of the first video track are, and when they are shown. Only
//! the index is read; re_mp4 trusts its counts, so they are checked here before it sees them.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use re_mp4::{Mp4, StsdBoxContent};

use crate::devices::h264::{Samples, Track};
use crate::devices::recording::seconds;
use crate::devices::store::{Cursor, Store, read_exact_at};
use crate::fault::Fault;
use crate::frame::BYTES_MAX;

/// Frames of a film: 18 hours at 30 a second.
const SAMPLES_MAX: u64 = 2_000_000;
/// Bytes of an index: 12 to 20 a sample and track.
const INDEX_MAX: u64 = 64 << 20;
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
    let cursor = Cursor::with(store.clone(), index.moov_at, index.moov);
    let parsed = catch_unwind(AssertUnwindSafe(|| Mp4::read(cursor, index.end)));
    let mp4 = parsed.map_err(|_| damaged("its index contradicts itself"))?.map_err(|e| damaged(&e.to_string()))?;
    let mut video = None;
    for trak in &mp4.moov.traks {
        if let StsdBoxContent::Avc1(avc1) = &trak.mdia.minf.stbl.stsd.contents {
            video = mp4.tracks().get(&trak.tkhd.track_id).map(|track| (track, avc1));
            break;
        }
    }
    let (track, avc1) = video.ok_or_else(|| other(&mp4))?;
    let places: Vec<Place> = track.samples.iter().filter_map(place).collect();
    ensure!(!places.is_empty(), damaged("its video has no frames"));
    let last = track.samples.iter().map(|s| s.composition_timestamp).max().unwrap_or(0);
    let span = last as f64 / track.timescale as f64;
    let config = avc1.avcc.raw.clone();
    let about = Track {
        config,
        colour: None,
        shown: (usize::from(track.width), usize::from(track.height)),
        rate: Some((places.len() - 1) as f64 / span).filter(|rate| rate.is_normal() && *rate <= 1000.0),
        length: Some(places.len() as u64),
    };
    Ok((about, Box::new(Reader { store, places: places.into_iter() })))
}

fn damaged(why: &str) -> Fault {
    Fault::device(format!("a damaged MP4 file: {why}"))
}

fn other(mp4: &Mp4) -> Fault {
    let codec = mp4.moov.traks.iter().find_map(|trak| match &trak.mdia.minf.stbl.stsd.contents {
        StsdBoxContent::Av01(_) => Some("AV1"),
        StsdBoxContent::Hvc1(_) | StsdBoxContent::Hev1(_) => Some("H.265"),
        StsdBoxContent::Vp08(_) | StsdBoxContent::Vp09(_) => Some("VP8 or VP9"),
        _ => None,
    });
    match codec {
        Some(codec) => Fault::device(format!("its video is {codec}, and only H.264 is decoded without ffmpeg"))
            .hint("install ffmpeg"),
        None => Fault::device("it holds no H.264 video").hint("with ffmpeg installed, more formats open"),
    }
}

fn place(sample: &re_mp4::Sample) -> Option<Place> {
    let size = u32::try_from(sample.size).ok().filter(|&size| size as usize <= BYTES_MAX)?;
    let shown = seconds(sample.composition_timestamp as f64 / sample.timescale as f64);
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
#[derive(Debug)]
struct Index {
    moov_at: u64,
    moov: Vec<u8>,
    /// Where the last box that can be read ends.
    end: u64,
}

impl Index {
    fn read(store: &dyn Store) -> Result<Index> {
        let mut index = Index { moov_at: 0, moov: Vec::new(), end: 0 };
        let (mut samples, mut at) = (0, 0);
        for _ in 0..BOXES_MAX {
            let Some((code, head, size)) = top(store, at) else { break };
            let read = matches!(&code, b"moov" | b"moof" | b"ftyp" | b"emsg");
            if read && (size > INDEX_MAX || at + size > store.len()) {
                break; // cut off
            }
            if matches!(&code, b"moov" | b"moof") {
                let mut bytes = vec![0; size as usize];
                read_exact_at(store, &mut bytes, at).context("could not read")?;
                if &code == b"moof" {
                    samples += runs(&bytes, head);
                } else if index.moov.is_empty() {
                    samples += tame(&mut bytes, head);
                    (index.moov_at, index.moov) = (at, bytes);
                }
            }
            at += size;
            index.end = at;
        }
        if index.moov.is_empty() {
            let why = "its index (moov) is missing: a recording that was not finished?";
            return Err(damaged(why).into());
        }
        ensure!(samples <= SAMPLES_MAX, damaged("its index is too long to be true"));
        Ok(index)
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

type Boxed = ([u8; 4], Range<usize>);

/// The boxes in `data[within]`, with the places of their contents.
fn boxes(data: &[u8], within: Range<usize>) -> Vec<Boxed> {
    let (mut at, mut out) = (within.start, Vec::new());
    while let Some(head) = data.get(at..at + 8).filter(|_| at + 8 <= within.end) {
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        if size < 8 || at + size > within.end {
            break;
        }
        out.push(([head[4], head[5], head[6], head[7]], at + 8..at + size));
        at += size;
    }
    out
}

fn find(data: &[u8], within: Range<usize>, path: &[&[u8; 4]]) -> Option<Range<usize>> {
    let [code, rest @ ..] = path else { return Some(within) };
    let (_, body) = boxes(data, within).into_iter().find(|(c, _)| c == *code)?;
    find(data, body, rest)
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

/// Empties the sample tables of all tracks but the first video, as PCM sound has a sample each 20 µs, and counts the
/// samples that are left.
fn tame(moov: &mut [u8], head: usize) -> u64 {
    let (mut samples, mut seen) = (0, false);
    for (code, trak) in boxes(moov, head..moov.len()) {
        if &code != b"trak" {
            continue;
        }
        let handler = find(moov, trak.clone(), &[b"mdia", b"hdlr"]).and_then(|h| moov.get(h.start + 8..h.start + 12));
        let video = handler == Some(b"vide") && !seen;
        seen |= video;
        let Some(stbl) = find(moov, trak, &[b"mdia", b"minf", b"stbl"]) else { continue };
        for (code, stsz) in boxes(moov, stbl) {
            if &code != b"stsz" || stsz.len() < 12 {
                continue;
            }
            if video {
                samples += u64::from(u32_at(moov, stsz.start + 8).unwrap_or(0));
            } else {
                moov[stsz.start + 4..stsz.start + 8].copy_from_slice(&1u32.to_be_bytes());
                moov[stsz.start + 8..stsz.start + 12].fill(0);
            }
        }
    }
    samples
}

/// Samples of a fragment.
fn runs(moof: &[u8], head: usize) -> u64 {
    let tracks = boxes(moof, head..moof.len()).into_iter().filter(|(code, _)| code == b"traf");
    let runs = tracks.flat_map(|(_, body)| boxes(moof, body)).filter(|(code, _)| code == b"trun");
    runs.map(|(_, run)| u64::from(u32_at(moof, run.start + 4).unwrap_or(0))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(code: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes(), &code[..], body].concat()
    }

    fn track(handler: &[u8; 4], count: u32) -> Vec<u8> {
        let stsz = boxed(b"stsz", &[&[0; 4][..], &1u32.to_be_bytes(), &count.to_be_bytes()].concat());
        let hdlr = boxed(b"hdlr", &[&[0; 8][..], handler, &[0; 12]].concat());
        let minf = boxed(b"minf", &boxed(b"stbl", &stsz));
        boxed(b"trak", &boxed(b"mdia", &[hdlr, minf].concat()))
    }

    #[test]
    fn counts_that_cannot_be_true_are_not_believed() {
        let moov = boxed(b"moov", &track(b"vide", u32::MAX));
        let error = Index::read(&moov).unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
        let run = boxed(b"trun", &[&[0; 4][..], &[0xFF; 4]].concat());
        let file = [boxed(b"moov", &track(b"vide", 1)), boxed(b"moof", &boxed(b"traf", &run))].concat();
        assert!(Index::read(&file).is_err());
    }

    #[test]
    fn sound_of_any_length_is_left_out() {
        let moov = boxed(b"moov", &[track(b"soun", 4_000_000_000), track(b"vide", 9)].concat());
        let index = Index::read(&moov).unwrap();
        assert_eq!(index.end, moov.len() as u64);
        let places: Vec<usize> = memchr::memmem::find_iter(&index.moov, b"stsz").collect();
        let count = |at: usize| u32_at(&index.moov, at + 12).unwrap();
        assert_eq!(places.iter().map(|&at| count(at)).collect::<Vec<_>>(), [0, 9]);
    }

    #[test]
    fn an_unfinished_recording_is_named() {
        let file = [boxed(b"ftyp", b"isom0000"), boxed(b"mdat", &[0; 100])].concat();
        assert!(open(Arc::new(file)).err().unwrap().to_string().contains("was not finished"));
    }
}
