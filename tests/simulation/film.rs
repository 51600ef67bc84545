//! What frames of a film take: Big Buck Bunny, 10 s from 0:04, 1080p at 30 frames a second (of which 24 are new), coded by
//! `codec::coder` with its gate.

/// Kilobytes that a link sends of each frame at quality 80 when it sent the one before.
pub const FRAMES: [u32; 300] = [
    145, 124, 132, 0, 131, 136, 136, 138, 0, 139, 142, 143, 145, 0, 146, 148, 150, 151, 0, 154, 155, 157, 159, 0, 161,
    163, 165, 166, 0, 168, 169, 171, 173, 0, 176, 174, 179, 178, 0, 181, 183, 184, 185, 0, 188, 190, 190, 193, 0, 194,
    196, 199, 199, 0, 200, 202, 205, 206, 0, 205, 207, 209, 209, 0, 210, 214, 212, 215, 0, 214, 216, 218, 217, 0, 221,
    219, 221, 223, 0, 223, 225, 225, 227, 0, 227, 230, 228, 230, 0, 231, 232, 235, 233, 0, 235, 235, 237, 239, 0, 239,
    241, 240, 242, 0, 243, 245, 244, 248, 0, 247, 250, 253, 252, 0, 256, 258, 262, 261, 0, 265, 269, 269, 272, 0, 273,
    279, 277, 280, 0, 284, 284, 285, 288, 0, 289, 291, 293, 295, 0, 297, 299, 301, 305, 0, 303, 308, 309, 311, 0, 313,
    318, 315, 318, 0, 320, 321, 323, 324, 0, 318, 322, 324, 329, 0, 331, 333, 335, 335, 0, 337, 339, 341, 341, 0, 343,
    345, 348, 348, 0, 351, 351, 354, 358, 0, 352, 357, 356, 360, 0, 356, 359, 357, 370, 0, 355, 356, 354, 362, 0, 353,
    354, 351, 359, 0, 358, 359, 349, 352, 0, 348, 357, 347, 348, 0, 343, 353, 344, 342, 0, 354, 336, 339, 323, 0, 336,
    330, 281, 332, 0, 248, 286, 257, 280, 1, 254, 168, 373, 263, 0, 299, 295, 316, 297, 0, 303, 311, 305, 306, 0, 311,
    327, 298, 310, 0, 299, 326, 290, 316, 0, 296, 328, 288, 315, 0, 285, 329, 292, 312, 0, 298, 326, 301, 314, 0, 294,
    301, 311, 301, 0, 296, 308, 298, 326, 0, 300, 325, 280, 307, 1, 307, 305, 298, 305, 0, 302, 324, 294, 320, 0, 276,
];

/// A part in which frames are of about one size, and motion goes on: what a test of use needs.
pub const STEADY: std::ops::Range<usize> = 200..300;
pub const WHOLE: std::ops::Range<usize> = 0..300;

/// Quality, and its bytes relative to those at 80.
const QUALITIES: [(u8, f64); 6] = [(40, 0.459), (50, 0.522), (60, 0.589), (70, 0.739), (80, 1.0), (95, 2.206)];
/// Height, and its bytes relative to those at 1080.
const HEIGHTS: [(usize, f64); 5] = [(240, 0.054), (360, 0.121), (480, 0.205), (720, 0.425), (1080, 1.0)];
/// What a frame grows by with each that was left out before it: from 3 % at quality 80 to 8 % at 60.
const LEFT_OUT: f64 = 0.05;

/// Bytes of a frame of a part that is played again and again, at a quality and height; `left_out`: frames before it that
/// were not sent, none of a whole one.
pub fn bytes(
    part: &std::ops::Range<usize>,
    frame: usize,
    left_out: Option<usize>,
    quality: u8,
    height: usize,
) -> usize {
    let (_, quality) = QUALITIES.iter().find(|(q, _)| *q >= quality).expect("a quality of the ladder");
    let (_, size) = HEIGHTS.iter().find(|(h, _)| *h == height).expect("a height of the ladder");
    let since = left_out.unwrap_or(10).min(10);
    let changed =
        (0..=since).map(|back| FRAMES[part.start + (frame + part.len() - back) % part.len()]).max().unwrap_or(0);
    let grown = 1.0 + LEFT_OUT * since.min(2) as f64;
    (f64::from(changed) * 1000.0 * grown * quality * size) as usize + 40
}

/// Rungs of a library.
pub const LINES: [usize; 5] = [240, 360, 480, 720, 1080];

/// Bits a second that a library's file has of a part: whole frames, of which a link sends this part.
pub fn bitrate(part: &std::ops::Range<usize>, height: usize) -> f64 {
    const SENT: f64 = 0.78; // README: what film takes of plain MJPEG
    let all = part.clone().map(|frame| bytes(part, frame - part.start, Some(0), 80, height)).sum::<usize>();
    all as f64 * 8.0 * 30.0 / part.len() as f64 / SENT
}
