//! Matroska files, by matroska-demuxer: the frames of the first video track, read as they are needed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use matroska_demuxer::{Frame, MatrixCoefficients, MatroskaFile, Range, TrackEntry, TrackType};

use crate::codec::color::{Colour, Matrix};
use crate::devices::h264::store::{Cursor, Patience, Store};
use crate::devices::h264::{Samples, Track};
use crate::fault::Fault;
use crate::guard;

struct Reader {
    file: MatroskaFile<Cursor>,
    frame: Frame,
    track: u64,
    /// Nanoseconds.
    tick: u64,
    first: Option<u64>,
    patience: Patience,
}

/// Reads to open a file or find its next frame: ten hours of cue points take about a million.
const READS_MAX: u32 = 4_000_000;

/// Finds the H.264 track. An error says what the file is otherwise, or how it is damaged.
pub fn open(store: Arc<dyn Store>) -> Result<(Track, Box<dyn Samples>)> {
    let patience = Patience::default();
    patience.renew(READS_MAX);
    let file = guarded(|| MatroskaFile::open(Cursor::new(store, &patience)))?;
    let videos = || file.tracks().iter().filter(|t| t.track_type() == TrackType::Video);
    let track = videos().find(|t| t.codec_id() == "V_MPEG4/ISO/AVC" && t.codec_private().is_some());
    let Some(track) = track else {
        let what = videos().next().map_or("it holds no video".into(), |t| {
            format!("its video is {}, and only H.264 is decoded without ffmpeg", t.codec_id().trim_start_matches("V_"))
        });
        return Err(Fault::device(what).hint("install ffmpeg").into());
    };
    ensure!(
        track.content_encodings().is_none_or(<[_]>::is_empty),
        Fault::device("its video is compressed once more or encrypted").hint("install ffmpeg")
    );
    let tick = file.info().timestamp_scale().get();
    let rate = track.default_duration().map(|d| 1e9 / d.get() as f64).filter(|rate| *rate <= 1000.0);
    let duration = file.info().duration().filter(|d| d.is_finite()).map(|d| d * tick as f64 / 1e9);
    let about = Track {
        config: track.codec_private().unwrap_or_default().to_vec(),
        colour: colour(track),
        shown: shown(track),
        rate,
        length: rate.zip(duration).map(|(rate, duration)| (rate * duration).round() as u64),
    };
    let track = track.track_number().get();
    Ok((about, Box::new(Reader { file, frame: Frame::default(), track, tick, first: None, patience })))
}

/// The crate's arithmetic is not checked everywhere: a panic is damage.
fn guarded<T, E: ToString>(act: impl FnOnce() -> Result<T, E>) -> Result<T> {
    let damaged = |why: &str| Fault::device(format!("a damaged Matroska file: {why}")).into();
    match guard::guarded(act) {
        Some(done) => done.map_err(|e| damaged(&e.to_string())),
        None => Err(damaged("it contradicts itself")),
    }
}

/// Size in square pixels, zero where it is not said.
fn shown(track: &TrackEntry) -> (usize, usize) {
    let side = |n: Option<std::num::NonZeroU64>| n.and_then(|n| usize::try_from(n.get()).ok()).unwrap_or(0);
    track.video().map_or((0, 0), |v| (side(v.display_width()), side(v.display_height())))
}

fn colour(track: &TrackEntry) -> Option<Colour> {
    let colour = track.video()?.colour()?;
    let matrix = match colour.matrix_coefficients()? {
        MatrixCoefficients::Bt709 => Matrix::Bt709,
        MatrixCoefficients::Bt2020Ncl | MatrixCoefficients::Bt2020Cl => Matrix::Bt2020,
        MatrixCoefficients::Bt470bg | MatrixCoefficients::Smpte170 | MatrixCoefficients::Fcc73682 => Matrix::Bt601,
        _ => return None,
    };
    Some(Colour { matrix, full_range: colour.range() == Some(Range::Full) })
}

impl Samples for Reader {
    fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<Duration>> {
        loop {
            self.patience.renew(READS_MAX);
            let (file, frame) = (&mut self.file, &mut self.frame);
            // Damage ends the file as its end does: without an index there is no going on.
            match guarded(|| file.next_frame(frame)) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => {
                    log::warn!("the file ends early: {error}");
                    return Ok(None);
                }
            }
            if frame.track == self.track && !frame.is_invisible {
                let first = *self.first.get_or_insert(frame.timestamp);
                std::mem::swap(out, &mut frame.data);
                let shown = frame.timestamp.saturating_sub(first).saturating_mul(self.tick);
                return Ok(Some(Duration::from_nanos(shown)));
            }
        }
    }
}
