//! The boxes of MP4 and QuickTime files (ISO/IEC 14496-12), before re_mp4 sees them: that crate walks in circles at a
//! box of size zero, believes counts, and keeps a record for every sample of sound. So it is given a copy in which only
//! the boxes of the video track stand, each within its parent.

use std::ops::Range;

use crate::codec::color::{Colour, Matrix};

/// What a `moov` box says of the video track, without the tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Video {
    pub track: u32,
    /// The code of its format, `avc1` for H.264.
    pub format: [u8; 4],
    pub colour: Option<Colour>,
}

type Boxed = ([u8; 4], Range<usize>);

/// The boxes in `data[within]`, with the places of their contents, up to the first that cannot be.
pub fn boxes(data: &[u8], within: Range<usize>) -> Vec<Boxed> {
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

/// The first H.264 track of a `moov` box, or the first video track there is.
pub fn video(moov: &[u8], head: usize) -> Option<Video> {
    let traks = boxes(moov, head..moov.len()).into_iter().filter(|(code, _)| code == b"trak");
    let videos: Vec<Video> = traks.filter_map(|(_, trak)| video_of(moov, trak)).collect();
    let best = videos.iter().find(|v| v.format == *b"avc1");
    best.or(videos.first()).cloned()
}

fn video_of(moov: &[u8], trak: Range<usize>) -> Option<Video> {
    let handler = find(moov, trak.clone(), &[b"mdia", b"hdlr"])?;
    if moov.get(handler.start + 8..handler.start + 12)? != b"vide" {
        return None;
    }
    let entry = entry(moov, find(moov, trak.clone(), &[b"mdia", b"minf", b"stbl", b"stsd"])?);
    // `avc3` differs by where the parameter sets may stand.
    let format = entry.as_ref().map_or([b'?'; 4], |(code, _)| if code == b"avc3" { *b"avc1" } else { *code });
    let colour = entry.and_then(|(_, body)| colour(moov.get(find(moov, parts(&body), &[b"colr"])?)?));
    Some(Video { track: track_id(moov, trak)?, format, colour })
}

/// The number of a track: its place depends on the version of `tkhd`, in which times have 4 or 8 bytes.
fn track_id(moov: &[u8], trak: Range<usize>) -> Option<u32> {
    let tkhd = find(moov, trak, &[b"tkhd"])?;
    u32_at(moov, tkhd.start + if *moov.get(tkhd.start)? == 1 { 20 } else { 12 })
}

/// The first sample entry of an `stsd` box.
fn entry(moov: &[u8], stsd: Range<usize>) -> Option<Boxed> {
    boxes(moov, (stsd.start + 8).min(stsd.end)..stsd.end).into_iter().next()
}

/// Where the boxes in a visual sample entry are: after 78 bytes of fields.
fn parts(entry: &Range<usize>) -> Range<usize> {
    (entry.start + 78).min(entry.end)..entry.end
}

/// A `colr` box with code points (ISO/IEC 23091-2), as MP4 or QuickTime have it.
fn colour(colr: &[u8]) -> Option<Colour> {
    let (kind, points) = colr.split_at_checked(4)?;
    let full_range = kind == b"nclx" && points.get(6).is_some_and(|flags| flags & 0x80 != 0);
    let matrix = match (kind, points.get(4..6)?) {
        (b"nclx" | b"nclc", [0, 1]) => Matrix::Bt709,
        (b"nclx" | b"nclc", [0, 4..=6]) => Matrix::Bt601,
        (b"nclx" | b"nclc", [0, 9 | 10]) => Matrix::Bt2020,
        _ => return None,
    };
    Some(Colour { matrix, full_range })
}

/// A copy of a `moov` or `moof` box, header of `head` bytes and all, as long as the original, with what re_mp4 needs of
/// track `track`. And how many samples its tables speak of.
pub fn cleaned(data: &[u8], head: usize, track: u32) -> Option<(Vec<u8>, u64)> {
    let kind: [u8; 4] = data.get(4..8)?.try_into().ok()?;
    let mut copy = Copy { data, track, out: data.get(..head)?.to_vec(), samples: 0 };
    copy.children(&kind, head..data.len());
    match data.len().checked_sub(copy.out.len())? {
        0 => {}
        1..8 => return None, // no room for a box: only a strange `dinf` leads here
        room => {
            copy.out.extend_from_slice(&(room as u32).to_be_bytes());
            copy.out.extend_from_slice(b"free");
            copy.out.resize(data.len(), 0);
        }
    }
    Some((copy.out, copy.samples))
}

struct Copy<'a> {
    data: &'a [u8],
    track: u32,
    out: Vec<u8>,
    samples: u64,
}

/// A `dinf` that says "in this file": 8 bytes of header, a `dref` with one `url `.
const HERE: [u8; 28] = *b"\0\0\0\x1Cdref\0\0\0\0\0\0\0\x01\0\0\0\x0Curl \0\0\0\x01";

impl Copy<'_> {
    fn children(&mut self, parent: &[u8; 4], within: Range<usize>) {
        for (code, body) in boxes(self.data, within) {
            let word = |at: usize| u32_at(self.data, body.start + at);
            match (parent, &code) {
                (b"moov", b"trak") if track_id(self.data, body.clone()) != Some(self.track) => {}
                (b"moof", b"traf") if self.fragment_track(&body) != Some(self.track) => {}
                (b"moov", b"trak" | b"mvex")
                | (b"trak", b"mdia")
                | (b"mdia", b"minf")
                | (b"minf", b"stbl")
                | (b"moof", b"traf") => self.boxed(&code, |copy| copy.children(&code, body)),
                (b"minf", b"dinf") => self.boxed(b"dinf", |copy| copy.out.extend_from_slice(&HERE)),
                (b"stbl", b"stsd") => self.description(body),
                (b"stbl", b"stsz") => {
                    self.samples += u64::from(word(8).unwrap_or(0));
                    self.leaf(&code, body);
                }
                (b"traf", b"trun") => {
                    self.samples += u64::from(word(4).unwrap_or(0));
                    self.leaf(&code, body);
                }
                (b"moov", b"mvhd")
                | (b"trak", b"tkhd")
                | (b"mdia", b"mdhd" | b"hdlr")
                | (b"minf", b"vmhd")
                | (b"stbl", b"stts" | b"ctts" | b"stss" | b"stsc" | b"stco" | b"co64")
                | (b"mvex", b"mehd" | b"trex")
                | (b"moof", b"mfhd")
                | (b"traf", b"tfhd" | b"tfdt") => {
                    self.leaf(&code, body);
                }
                _ => {}
            }
        }
    }

    fn fragment_track(&self, traf: &Range<usize>) -> Option<u32> {
        u32_at(self.data, find(self.data, traf.clone(), &[b"tfhd"])?.start + 4)
    }

    fn leaf(&mut self, code: &[u8; 4], body: Range<usize>) {
        let data = self.data;
        self.boxed(code, |copy| copy.out.extend_from_slice(&data[body]));
    }

    fn boxed(&mut self, code: &[u8; 4], write: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        self.out.extend_from_slice(code);
        write(self);
        let size = (self.out.len() - start) as u32;
        self.out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    }

    /// `stsd` with its first entry, and in that only the decoder's parameters.
    fn description(&mut self, stsd: Range<usize>) {
        let data = self.data;
        let Some((_, entry)) = entry(data, stsd) else { return };
        let Some(config) = find(data, parts(&entry), &[b"avcC"]) else { return };
        self.boxed(b"stsd", |copy| {
            copy.out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
            copy.boxed(b"avc1", |copy| {
                copy.out.extend_from_slice(&data[entry.start..parts(&entry).start]);
                copy.leaf(b"avcC", config);
            });
        });
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn boxed(code: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes(), &code[..], body].concat()
    }

    pub fn track(handler: &[u8; 4], number: u8, count: u32) -> Vec<u8> {
        let tkhd = boxed(b"tkhd", &[&[0; 15][..], &[number], &[0; 68]].concat());
        let stsz = boxed(b"stsz", &[&[0; 4][..], &1u32.to_be_bytes(), &count.to_be_bytes()].concat());
        let colr = boxed(b"colr", b"nclx\0\x01\0\x01\0\x01\x80");
        let avc1 = boxed(b"avc1", &[&[0; 78][..], &colr, &boxed(b"avcC", &[1; 9])].concat());
        let stsd = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &avc1].concat());
        let hdlr = boxed(b"hdlr", &[&[0; 8][..], handler, &[0; 12]].concat());
        let minf = boxed(b"minf", &boxed(b"stbl", &[stsd, stsz].concat()));
        boxed(b"trak", &[tkhd, boxed(b"mdia", &[hdlr, minf].concat())].concat())
    }

    #[test]
    fn only_the_video_is_copied() {
        let sound = track(b"soun", 1, 4_000_000_000);
        let udta = boxed(b"udta", &[0; 12]); // ends in a size of zero, as QuickTime's do
        let moov = boxed(b"moov", &[sound, udta, track(b"vide", 2, 9)].concat());
        let found = video(&moov, 8).unwrap();
        assert_eq!((found.track, &found.format), (2, b"avc1"));
        assert_eq!(found.colour, Some(Colour { matrix: Matrix::Bt709, full_range: true }));
        let (copy, samples) = cleaned(&moov, 8, 2).unwrap();
        assert_eq!((copy.len(), samples), (moov.len(), 9));
        let codes: Vec<_> = boxes(&copy, 8..copy.len()).into_iter().map(|b| b.0).collect();
        assert_eq!(codes, [*b"trak", *b"free"]);
        assert!(memchr::memmem::find(&copy, b"colr").is_none() && memchr::memmem::find(&copy, b"avcC").is_some());
    }

    #[test]
    fn what_sticks_out_of_its_parent_is_left_out() {
        let mut moov = boxed(b"moov", &[boxed(b"mvhd", &[0; 100]), track(b"vide", 1, 9)].concat());
        let stsz = memchr::memmem::find(&moov, b"stsz").unwrap();
        for size in [0u32, 7, 21, u32::MAX] {
            moov[stsz - 4..stsz].copy_from_slice(&size.to_be_bytes());
            let (copy, samples) = cleaned(&moov, 8, 1).unwrap();
            assert_eq!((copy.len(), samples), (moov.len(), 0));
            assert!(memchr::memmem::find(&copy, b"stsz").is_none());
        }
    }
}
