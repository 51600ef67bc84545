//! The block coder: 8x8 samples to Huffman-coded bytes, in loops over lanes of eight that compilers turn into vectors.
//! Every byte is the one that `jpeg-encoder` 0.7 would write without its feature `simd`. The transform is the IJG's
//! accurate integer one (jfdctint.c); this software is based in part on the work of the Independent JPEG Group.

use crate::picture::Picture;

/// Eight values side by side, one vector of sixteen bytes.
type Lanes = [i16; 8];

/// Index in a block of the coefficients in the order of the scan.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Which coefficients of a row are not zero, as bits, to their places in the scan: a table for each row.
static SCAN: [[u64; 256]; 8] = scan();

const fn scan() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut place = 0;
    while place < 64 {
        let (row, column) = (ZIGZAG[place] / 8, ZIGZAG[place] % 8);
        let mut bits = 0;
        while bits < 256 {
            tables[row as usize][bits] |= ((bits as u64 >> column) & 1) << place;
            bits += 1;
        }
        place += 1;
    }
    tables
}

/// Annex K.1 of ITU-T T.81, in the order of rows.
const LUMA_STEPS: [u8; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
];
const CHROMA_STEPS: [u8; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99,
];

/// Annex K.3: how many codes there are of each length from 1 bit on, and their symbols.
const LUMA_DC: ([u8; 16], &[u8]) = ([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &DC_SYMBOLS);
const CHROMA_DC: ([u8; 16], &[u8]) = ([0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &DC_SYMBOLS);
const LUMA_AC: ([u8; 16], &[u8]) = ([0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D], &LUMA_AC_SYMBOLS);
const CHROMA_AC: ([u8; 16], &[u8]) = ([0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77], &CHROMA_AC_SYMBOLS);
const DC_SYMBOLS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
const LUMA_AC_SYMBOLS: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14,
    0x32, 0x81, 0x91, 0xA1, 0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09,
    0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A,
    0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64, 0x65,
    0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88,
    0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9,
    0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA,
    0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA,
    0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
];
const CHROMA_AC_SYMBOLS: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22, 0x32,
    0x81, 0x08, 0x14, 0x42, 0x91, 0xA1, 0xB1, 0xC1, 0x09, 0x23, 0x33, 0x52, 0xF0, 0x15, 0x62, 0x72, 0xD1, 0x0A, 0x16,
    0x24, 0x34, 0xE1, 0x25, 0xF1, 0x17, 0x18, 0x19, 0x1A, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x35, 0x36, 0x37, 0x38, 0x39,
    0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64,
    0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x82, 0x83, 0x84, 0x85, 0x86,
    0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7,
    0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8,
    0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9,
    0xEA, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
];
/// Symbols after a run of sixteen zeros that is followed by more, and at the end of a block.
const ZEROS: usize = 0xF0;
const END: usize = 0x00;

/// What one quality needs: quantisers and codes, of luma and of chroma.
pub struct Tables {
    luma: Table,
    chroma: Table,
}

struct Table {
    /// Added to magnitudes to round them, then multiplied by the reciprocals of the steps in 1/65536.
    rounding: [[u16; 8]; 8],
    reciprocals: [[u16; 8]; 8],
    dc: Codes,
    ac: Codes,
}

/// By symbol: the code, shifted left by the size of the value that follows it, and the length of both, in the low
/// `LENGTH` bits.
type Codes = [u32; 256];
const LENGTH: u32 = 5;

impl Tables {
    /// The tables of `jpeg_encoder::Encoder::new(_, quality)`.
    pub fn new(quality: u8) -> Tables {
        Tables {
            luma: Table::new(&LUMA_STEPS, quality, LUMA_DC, LUMA_AC),
            chroma: Table::new(&CHROMA_STEPS, quality, CHROMA_DC, CHROMA_AC),
        }
    }
}

impl Table {
    fn new(steps: &[u8; 64], quality: u8, dc: ([u8; 16], &[u8]), ac: ([u8; 16], &[u8])) -> Table {
        let scale = scale(quality);
        let (mut rounding, mut reciprocals) = ([[0; 8]; 8], [[0; 8]; 8]);
        for (at, &step) in steps.iter().enumerate() {
            let step = ((u32::from(step) * scale + 50) / 100).clamp(1, 255);
            [rounding[at / 8][at % 8], reciprocals[at / 8][at % 8]] = quantizer(step);
        }
        Table { rounding, reciprocals, dc: codes(dc), ac: codes(ac) }
    }
}

/// How coarse the quantisers of a quality are: per cent of the standard tables' steps, as libjpeg has it.
pub fn scale(quality: u8) -> u32 {
    let quality = u32::from(quality.clamp(1, 100));
    if quality < 50 { 5000 / quality } else { 200 - quality * 2 }
}

/// Rounding and reciprocal for one step. The crate works in 1/32768 and the last bit of its rounding shows, so its
/// reciprocals are doubled here instead of taken more exactly.
fn quantizer(step: u32) -> [u16; 2] {
    // The transform's coefficients are eight times too large.
    let divisor = step * 8;
    let (reciprocal, rest) = ((1 << 15) / divisor, (1 << 15) % divisor);
    let half = divisor / 2;
    let (rounding, reciprocal) = match rest {
        0 => (half, reciprocal),
        rest if rest <= half => (half + 1, reciprocal),
        _ => (half, reciprocal + 1),
    };
    [rounding as u16, 2 * reciprocal as u16]
}

fn codes((counts, symbols): ([u8; 16], &[u8])) -> Codes {
    let (mut codes, mut code, mut symbols) = ([0; 256], 0, symbols.iter());
    for (count, length) in counts.into_iter().zip(1..) {
        for &symbol in symbols.by_ref().take(usize::from(count)) {
            let size = u32::from(symbol & 15);
            codes[usize::from(symbol)] = code << size << LENGTH | (length + size);
            code += 1;
        }
        code <<= 1;
    }
    codes
}

/// The entropy-coded bytes of one tile: its MCUs in order, given by their pixel positions. The prediction of DC starts
/// from zero, and the last byte is filled with ones as before a marker.
pub fn tile(picture: &Picture, tables: &Tables, mcus: impl Iterator<Item = (usize, usize)>, out: &mut Vec<u8>) {
    let [luma, cb, cr] = picture.planes();
    let (width, chroma_width) = (picture.width(), picture.chroma().0);
    let mut bits = Bits { out, pending: 0, free: 64 };
    let mut dc = [0; 3];
    for (x, y) in mcus {
        for (x, y) in [(x, y), (x + 8, y), (x, y + 8), (x + 8, y + 8)] {
            block(luma, width, x, y, &tables.luma, &mut dc[0], &mut bits);
        }
        block(cb, chroma_width, x / 2, y / 2, &tables.chroma, &mut dc[1], &mut bits);
        block(cr, chroma_width, x / 2, y / 2, &tables.chroma, &mut dc[2], &mut bits);
    }
    bits.finish();
}

fn block(plane: &[u8], width: usize, x: usize, y: usize, table: &Table, dc: &mut i16, bits: &mut Bits) {
    let coefficients = quantize(&transform(&gather(plane, width, x, y)), table);
    let previous = std::mem::replace(dc, coefficients.dc());
    coefficients.write(previous, table, bits);
}

/// The samples of a block, a row in each number, the last ones repeated beyond the edges.
#[inline(always)]
fn gather(plane: &[u8], width: usize, x: usize, y: usize) -> [u64; 8] {
    let mut rows = [0; 8];
    match plane.get(y * width + x..(y + 7) * width + x + 8) {
        Some(samples) if x + 8 <= width => {
            for (row, samples) in rows.iter_mut().zip(samples.chunks(width)) {
                *row = u64::from_le_bytes(*samples.first_chunk().expect("eight samples"));
            }
        }
        _ => gather_clamped(plane, width, x, y, &mut rows),
    }
    rows
}

#[cold]
fn gather_clamped(plane: &[u8], width: usize, x: usize, y: usize, rows: &mut [u64; 8]) {
    for (row, y) in rows.iter_mut().zip(y..) {
        let samples = &plane[y.min(plane.len() / width - 1) * width..][..width];
        *row = u64::from_le_bytes(std::array::from_fn(|column| samples[(x + column).min(width - 1)]));
    }
}

/// The forward DCT of the samples less 128, scaled by eight: of rows, whose sums are kept in quarters, then of columns.
#[inline(always)]
fn transform(rows: &[u64; 8]) -> [Lanes; 8] {
    let [mut first, mut second] = [[[0; 8]; 8]; 2];
    widen(&transpose_bytes(*rows).map(u64::to_le_bytes), &mut first);
    pass::<11>(&first, &mut second, |sum| sum << 2);
    second[0] = second[0].map(|sum| sum - 4 * 8 * 128);
    transpose(&second, &mut first);
    pass::<15>(&first, &mut second, |sum| (sum + 2) >> 2);
    second
}

#[inline(never)]
fn widen(columns: &[[u8; 8]; 8], out: &mut [Lanes; 8]) {
    for (out, &sample) in out.as_flattened_mut().iter_mut().zip(columns.as_flattened()) {
        *out = i16::from(sample);
    }
}

/// The one-dimensional transform of Loeffler, Ligtenberg and Moschytz on eight lanes at once, its multiplications
/// by 1/8192 multiplied out: sums of products in pairs are one instruction.
#[inline(never)]
fn pass<const SHIFT: u32>(input: &[Lanes; 8], out: &mut [Lanes; 8], scale: impl Fn(i16) -> i16) {
    for n in 0..8 {
        let at = |i: usize| input[i][n];
        let [s0, s1, s2, s3] = [at(0) + at(7), at(1) + at(6), at(2) + at(5), at(3) + at(4)];
        let [d0, d1, d2, d3] = [at(0) - at(7), at(1) - at(6), at(2) - at(5), at(3) - at(4)];
        // Negated here because compilers find no fast instruction for negative factors.
        let [n1, n2, n3] = [at(6) - at(1), at(5) - at(2), at(4) - at(3)];
        let pair = |a, f, b, g| i32::from(a) * f + i32::from(b) * g;
        let descale = |sum: i32| ((sum + (1 << (SHIFT - 1))) >> SHIFT) as i16;
        out[0][n] = scale((s0 + s3) + (s1 + s2));
        out[1][n] = descale(pair(d0, 11363, d1, 9633) + pair(d2, 6437, d3, 2260));
        out[2][n] = descale(pair(s0 - s3, 10703, s1 - s2, 4433));
        out[3][n] = descale(pair(d0, 9633, n1, 2259) + pair(n2, 11362, n3, 6436));
        out[4][n] = scale((s0 + s3) - (s1 + s2));
        out[5][n] = descale(pair(d0, 6437, n1, 11362) + pair(d2, 2261, d3, 9633));
        out[6][n] = descale(pair(s0 - s3, 4433, s2 - s1, 10704));
        out[7][n] = descale(pair(d0, 2260, n1, 6436) + pair(d2, 9633, n3, 11363));
    }
}

#[inline(never)]
fn transpose(rows: &[Lanes; 8], out: &mut [Lanes; 8]) {
    for x in 0..8 {
        for y in 0..8 {
            out[x][y] = rows[y][x];
        }
    }
}

/// Swaps ever smaller squares of the block: of four samples a side, of two and of one.
#[inline(always)]
fn transpose_bytes(mut rows: [u64; 8]) -> [u64; 8] {
    for (side, mask) in [(4, 0x0000_0000_FFFF_FFFF), (2, 0x0000_FFFF_0000_FFFF), (1, 0x00FF_00FF_00FF_00FF)] {
        for upper in (0..8).filter(|row| row & side == 0) {
            let (a, b) = (rows[upper], rows[upper + side]);
            let swapped = ((a >> (8 * side)) ^ b) & mask;
            rows[upper] = a ^ (swapped << (8 * side));
            rows[upper + side] = b ^ swapped;
        }
    }
    rows
}

/// Quantised coefficients in the order of rows, and which of them are not zero in the order of the scan.
struct Coefficients {
    magnitudes: [[u16; 8]; 8],
    /// All ones where the coefficient is negative.
    signs: [[u16; 8]; 8],
    places: u64,
}

#[inline(always)]
fn quantize(block: &[Lanes; 8], table: &Table) -> Coefficients {
    let (mut magnitudes, mut signs, mut places) = ([[0; 8]; 8], [[0; 8]; 8], 0);
    for row in 0..8 {
        for n in 0..8 {
            let value = block[row][n];
            let magnitude = u32::from(value.unsigned_abs() + table.rounding[row][n]);
            magnitudes[row][n] = ((magnitude * u32::from(table.reciprocals[row][n])) >> 16) as u16;
            signs[row][n] = (value >> 15) as u16;
        }
        let flags = u64::from_le_bytes(magnitudes[row].map(|magnitude| u8::from(magnitude != 0)));
        // Moves bit 0 of each byte to the top byte, the first byte's lowest.
        places |= SCAN[row][(flags.wrapping_mul(0x0102_0408_1020_4080) >> 56) as usize];
    }
    Coefficients { magnitudes, signs, places }
}

impl Coefficients {
    fn dc(&self) -> i16 {
        ((self.magnitudes[0][0] ^ self.signs[0][0]).wrapping_sub(self.signs[0][0])) as i16
    }

    #[inline(always)]
    fn write(&self, previous: i16, table: &Table, bits: &mut Bits) {
        let difference = self.dc() - previous;
        bits.value(difference.unsigned_abs(), (difference >> 15) as u16, 0, &table.dc);
        let (mut rest, mut last) = (self.places & !1, 0);
        while rest != 0 {
            let place = rest.trailing_zeros();
            let mut run = place - last - 1;
            while run > 15 {
                bits.code(table.ac[ZEROS]);
                run -= 16;
            }
            let at = usize::from(ZIGZAG[place as usize & 63]);
            bits.value(self.magnitudes[at / 8][at % 8], self.signs[at / 8][at % 8], run, &table.ac);
            last = place;
            rest &= rest - 1;
        }
        if last < 63 {
            bits.code(table.ac[END]);
        }
    }
}

/// Bits to bytes, with a zero after each 0xFF.
struct Bits<'a> {
    out: &'a mut Vec<u8>,
    /// The last bits, aligned to the low end.
    pending: u64,
    free: u32,
}

impl Bits<'_> {
    /// The code for a size and the zeros before it, then as many bits: of a negative value those of the next lower.
    #[inline(always)]
    fn value(&mut self, magnitude: u16, sign: u16, run: u32, codes: &Codes) {
        let size = u32::BITS - u32::from(magnitude).leading_zeros();
        let low = u32::from(magnitude ^ sign) & ((1 << size) - 1);
        self.code(codes[((run << 4 | size) & 255) as usize] + (low << LENGTH));
    }

    #[inline(always)]
    fn code(&mut self, code: u32) {
        let (code, length) = (u64::from(code >> LENGTH), code & ((1 << LENGTH) - 1));
        if length > self.free {
            self.flush(code, length);
        } else {
            self.pending = self.pending << length | code;
            self.free -= length;
        }
    }

    /// Adds a code that does not fit any more.
    #[inline(always)]
    fn flush(&mut self, code: u64, length: u32) {
        let left = length - self.free;
        let full = self.pending << self.free | code >> left;
        self.write(&full.to_be_bytes());
        self.pending = code;
        self.free = 64 - left;
    }

    #[inline(always)]
    fn write(&mut self, bytes: &[u8; 8]) {
        let word = u64::from_be_bytes(*bytes);
        const TOPS: u64 = 0x8080_8080_8080_8080;
        // Only 0xFF has its top bit set and loses it when one is added; carries can but ring the bell too often.
        if word & TOPS & !word.wrapping_add(TOPS >> 7) == 0 {
            self.out.extend_from_slice(bytes);
        } else {
            bytes.iter().for_each(|&byte| self.stuffed(byte));
        }
    }

    fn stuffed(&mut self, byte: u8) {
        self.out.push(byte);
        if byte == 0xFF {
            self.out.push(0);
        }
    }

    fn finish(mut self) {
        let used = 64 - self.free;
        if used > 0 {
            let last = self.pending << self.free | ((1u64 << self.free) - 1);
            last.to_be_bytes()[..used.div_ceil(8) as usize].iter().for_each(|&byte| self.stuffed(byte));
        }
    }
}
