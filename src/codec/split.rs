//! Cuts a stream of bytes into JPEGs: files of concatenated pictures, pipes, multipart answers. Header segments are
//! walked by their lengths, so that an EXIF thumbnail is no picture of its own; entropy-coded data goes on to EOI,
//! over further scans where the picture has them. What lies between pictures is skipped and counted.
//!
//! Damage costs the picture it is in: the search goes on right after the last marker that could be believed, which
//! also keeps the work linear in the bytes.

use bytes::{Buf, Bytes, BytesMut};

use crate::codec::jpeg::{EOI, RST0, SOI, SOS};
use crate::frame::BYTES_MAX;

#[derive(Debug, Default)]
pub struct Splitter {
    /// Begins with the current picture, or with what is still to be searched for one.
    buffer: BytesMut,
    /// Everything before it has been looked at.
    at: usize,
    part: Part,
    /// Whether more scans may follow the first: progressive, or a component to a scan.
    scans: bool,
    components: u8,
    skipped: u64,
    broken: u64,
    ended: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Part {
    /// Before a picture.
    #[default]
    Between,
    Headers,
    Scan,
}

/// What one look at the buffer found.
enum Found {
    Picture(usize),
    More,
    Nothing,
}

impl Splitter {
    /// Adds what was read. Take all pictures with `next` before more is pushed: that bounds the memory.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete picture, from its SOI to its EOI; `None` until more is pushed.
    #[expect(clippy::should_implement_trait, reason = "an iterator that ended does not begin again")]
    pub fn next(&mut self) -> Option<Bytes> {
        loop {
            let found = match self.part {
                Part::Between => self.search(),
                Part::Headers => self.header(),
                Part::Scan => self.scan(),
            };
            match found {
                Found::Picture(end) => {
                    self.part = Part::Between;
                    self.at = 0;
                    return Some(self.buffer.split_to(end).freeze());
                }
                Found::More => {}
                Found::Nothing if self.part != Part::Between && (self.ended || self.buffer.len() > BYTES_MAX) => {
                    self.give_up(self.at + 2);
                }
                Found::Nothing => return None,
            }
        }
    }

    /// Nothing more will be pushed: what waits for its end is broken, and `next` may find pictures in it.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// Bytes so far that belong to no picture.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Pictures so far that began and did not end as they should.
    pub fn broken(&self) -> u64 {
        self.broken
    }

    fn skip(&mut self, count: usize) {
        self.skipped += count as u64;
        self.buffer.advance(count);
        self.at = 0;
    }

    /// The picture is no picture: the search goes on at `from`.
    fn give_up(&mut self, from: usize) -> Found {
        self.broken += 1;
        self.part = Part::Between;
        self.skip(from.min(self.buffer.len()));
        Found::More
    }

    fn search(&mut self) -> Found {
        match memchr::memmem::find(&self.buffer, &[0xFF, SOI, 0xFF]) {
            Some(start) => {
                self.skip(start);
                (self.part, self.at, self.scans, self.components) = (Part::Headers, 2, false, 0);
                Found::More
            }
            None => {
                self.skip(self.buffer.len().saturating_sub(2)); // a start may be cut by the end of what was pushed
                Found::Nothing
            }
        }
    }

    /// One marker segment at `at`.
    fn header(&mut self) -> Found {
        let data = &self.buffer[self.at..];
        let [first, rest @ ..] = data else { return Found::Nothing };
        let [marker, rest @ ..] = rest else { return Found::Nothing };
        match (*first, *marker) {
            (0xFF, 0xFF) => {
                self.at += 1; // a fill byte
                return Found::More;
            }
            (0xFF, EOI) if self.scans => return Found::Picture(self.at + 2),
            (0xFF, SOI) => return self.give_up(self.at), // cut off, and the next begins
            (0xFF, 0xC0..=0xFE) => {}
            _ => return self.give_up(self.at),
        }
        if (RST0..=EOI).contains(marker) {
            return self.give_up(self.at + 2);
        }
        let marker = *marker;
        let [high, low, body @ ..] = rest else { return Found::Nothing };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length < 2 {
            return self.give_up(self.at + 2);
        }
        let Some(body) = body.get(..length - 2) else { return Found::Nothing };
        let after = self.at + 2 + length;
        // The next marker must stand where the length says, or the length is not to be believed.
        match self.buffer.get(after) {
            None => return Found::Nothing,
            Some(&next) if marker != SOS && next != 0xFF => return self.give_up(self.at + 2),
            Some(_) => {}
        }
        if !(0xE0..=0xEF).contains(&marker) && memchr::memmem::find(body, &[0xFF, SOI, 0xFF]).is_some() {
            return self.give_up(self.at + 2); // cut off: only APPn has room for a picture
        }
        match marker {
            0xC0..=0xCF if marker != 0xC4 && marker != 0xC8 && marker != 0xCC => {
                self.components = body.get(5).copied().unwrap_or(0);
                self.scans |= marker == 0xC2 || marker == 0xC6 || marker == 0xCA || marker == 0xCE;
            }
            SOS => {
                let count = body.first().copied().unwrap_or(0);
                if length != 6 + 2 * usize::from(count) {
                    return self.give_up(self.at + 2);
                }
                self.scans |= count < self.components;
                self.part = Part::Scan;
            }
            _ => {}
        }
        self.at = after;
        Found::More
    }

    /// Entropy-coded data from `at` to the next marker that ends it.
    fn scan(&mut self) -> Found {
        while let Some(next) = memchr::memchr(0xFF, &self.buffer[self.at..]) {
            self.at += next;
            let Some(&marker) = self.buffer.get(self.at + 1) else { return Found::Nothing };
            match marker {
                EOI => return Found::Picture(self.at + 2),
                0xFF => self.at += 1,
                SOI => match self.buffer.get(self.at + 2) {
                    None => return Found::Nothing,
                    Some(0xFF) => return self.give_up(self.at),
                    Some(_) => self.at += 2,
                },
                0xC4 | 0xCC | SOS..=0xDD | 0xE0..=0xEF | 0xFE if self.scans => {
                    self.part = Part::Headers;
                    return Found::More;
                }
                _ => self.at += 2, // stuffed zeros, restart markers, damage: the decoder's business
            }
        }
        self.at = self.buffer.len();
        Found::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::encode::encode;
    use crate::codec::testing::{noise, smooth};

    fn all(data: &[u8], chunk: usize) -> (Vec<Bytes>, Splitter) {
        let (mut splitter, mut out) = (Splitter::default(), Vec::new());
        for part in data.chunks(chunk) {
            splitter.push(part);
            out.extend(std::iter::from_fn(|| splitter.next()));
        }
        splitter.finish();
        out.extend(std::iter::from_fn(|| splitter.next()));
        (out, splitter)
    }

    fn pictures() -> Vec<Bytes> {
        (0..6).map(|i| encode(&noise(64 + 16 * i, 48, i as u64), 70).unwrap()).collect()
    }

    /// A picture with another in its APP1, as EXIF thumbnails are.
    fn with_thumbnail() -> Vec<u8> {
        let (whole, inner) = (encode(&smooth(96, 64), 80).unwrap(), encode(&smooth(16, 16), 80).unwrap());
        let mut out = whole[..2].to_vec();
        out.extend_from_slice(&[0xFF, 0xE1]);
        out.extend_from_slice(&(inner.len() as u16 + 2).to_be_bytes());
        out.extend_from_slice(&inner);
        out.extend_from_slice(&whole[2..]);
        out
    }

    fn progressive(level: u8) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut out, 80);
        encoder.set_progressive(true);
        encoder.encode(&[level; 48 * 32 * 3], 48, 32, jpeg_encoder::ColorType::Rgb).unwrap();
        out
    }

    #[test]
    fn pictures_come_out_as_they_went_in_however_they_are_cut() {
        let mut wanted: Vec<Vec<u8>> = pictures().iter().map(|p| p.to_vec()).collect();
        wanted.insert(2, with_thumbnail());
        wanted.insert(4, progressive(90));
        for (gap, chunk) in [("", 1), ("", 7), ("\r\n--edge\r\n\r\n", 3), ("\0\0\0", 1000), ("\u{ff}", usize::MAX)] {
            let stream: Vec<u8> = wanted.iter().flat_map(|p| [p.as_slice(), gap.as_bytes()].concat()).collect();
            let (got, splitter) = all(&stream, chunk);
            assert!(got == wanted, "{gap:?} {chunk}: {} of {}", got.len(), wanted.len());
            assert_eq!(splitter.broken(), 0);
            assert!(splitter.skipped() <= (gap.len() * wanted.len()) as u64);
        }
    }

    #[test]
    fn a_truncated_picture_costs_itself_alone() {
        let pictures = pictures();
        for cut in 3..pictures[1].len() {
            let stream = [&pictures[0][..], &pictures[1][..cut], &pictures[2][..], &pictures[3][..]].concat();
            let (got, _) = all(&stream, 4096);
            // Cut two bytes before the end of APP0, it swallows the next SOI: the next picture lives on under it.
            let whole = pictures.iter().filter(|p| got.iter().any(|g| g.ends_with(&p[2..]))).count();
            assert!(whole == 3, "cut at {cut}: {whole} of 3 whole ones");
        }
    }

    #[test]
    fn flipped_bits_cost_the_picture_they_are_in() {
        let pictures = pictures();
        let mut random = fastrand::Rng::with_seed(4);
        for _ in 0..2000 {
            let mut bad = pictures[1].to_vec();
            let at = random.usize(..bad.len());
            bad[at] ^= 1 << random.u8(..8);
            let stream = [&pictures[0][..], &bad, &pictures[2][..], &pictures[3][..]].concat();
            let (got, _) = all(&stream, 4096);
            assert!([0, 2, 3].iter().all(|&i| got.contains(&pictures[i])), "byte {at}: {:02X}", bad[at]);
        }
    }

    #[test]
    fn hostile_streams_take_linear_time_and_bounded_memory() {
        let nested = [0xFF, SOI, 0xFF, 0xFE, 0, 4].repeat(1 << 20);
        let chains = [0xFF, SOI, 0xFF, 0xE0, 0xFF, 0xFF, 0, 0].repeat(1 << 19);
        let starts = [0xFF, SOI].repeat(1 << 20);
        let started = crate::clock::now();
        for stream in [nested, chains, starts] {
            all(&stream, 65_536);
        }
        assert!(crate::clock::now().since(started).as_secs() < 5);
        let mut endless = pictures()[0].to_vec();
        endless.truncate(endless.len() - 2);
        let mut splitter = Splitter::default();
        splitter.push(&endless);
        for _ in 0..70 << 4 {
            splitter.push(&[0x55; 65_536]);
            assert!(splitter.next().is_none());
            assert!(splitter.buffer.len() <= BYTES_MAX + 65_536);
        }
        assert_eq!(splitter.broken(), 1);
    }
}
