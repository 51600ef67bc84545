//! The two threads of a sender before the network: one takes images from the source, one makes frames of the newest.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use smol::future::or;

use super::Job;
use super::control::Control;
use crate::adapt::Limits;
use crate::clock;
use crate::codec::coder::{Coder, Wanted};
use crate::devices::{self, Wish};
use crate::draft::{Draft, Pen};
use crate::fanout::Fanout;
use crate::fault;
use crate::frame::{Frame, Shot, Source};
use crate::latest::{Latest, Writer, latest};
use crate::lock::lock;
use crate::log::Repeated;
use crate::message::About;
use crate::retry::Retry;
use crate::runs;
use crate::segments::{Head, Segment};
use crate::stop::Stop;

/// A numbered image on its way to the encoder.
type Numbered = (u64, Shot);

/// A source that is being captured, and the stream that becomes of it.
pub struct Capture {
    job: Arc<Job>,
    pub frames: Arc<Fanout<Draft>>,
    pub about: About,
    pub control: Arc<Control>,
    /// The source gave its last image; all of them are encoded.
    pub over: Stop,
    pub encoded: Stop,
    /// Said when the source may begin, and when no more of it is wanted.
    pub start: Stop,
    enough: Stop,
}

impl Capture {
    pub fn new(job: &Arc<Job>, about: About, wanted: Wanted, limits: &Arc<Limits>, enough: &Stop) -> Arc<Capture> {
        let (over, encoded, start) = Default::default();
        let frames = Arc::new(Fanout::new(about.every_frame));
        let control = Arc::new(Control::new(wanted, limits.clone()));
        Arc::new(Capture { job: job.clone(), frames, about, control, over, encoded, start, enough: enough.clone() })
    }

    /// Starts the two threads. They hear the word to stop, but a device that does not let go must not hold up the end:
    /// nobody waits for them.
    pub fn run(self: &Arc<Self>, source: Box<dyn Source>, name: String, wish: Wish, wanted: Wanted) {
        let (shots, images) = latest();
        let (capturing, encoding) = (self.clone(), self.clone());
        std::thread::spawn(move || capturing.capture(source, &name, &wish, &shots));
        std::thread::spawn(move || encoding.encode(images, Coder::new(wanted)));
    }

    /// The source's thread: takes an image whenever one is there, while somebody watches.
    fn capture(&self, source: Box<dyn Source>, name: &str, wish: &Wish, shots: &Writer<Numbered>) {
        smol::future::block_on(or(self.start.heard(), or(self.job.stop.heard(), self.enough.heard())));
        let live = source.about().live;
        let mut source = Some(source);
        let (mut retry, mut lost) = (Retry::default(), false);
        let mut seq = 0;
        let ended = || self.job.stop.said() || self.enough.said();
        let end = || or(self.job.stop.heard(), self.enough.heard());
        while !ended() && self.job.frames.is_none_or(|n| seq < n) {
            smol::future::block_on(or(self.frames.until_read(), end()));
            if !lost {
                self.job.alive();
            }
            self.job.asking.store(true, Ordering::Relaxed);
            let opened = source.take().map_or_else(|| devices::open(name, wish, &self.job.stop), Ok);
            let given = opened.and_then(|mut opened| Ok((opened.next()?, opened)));
            match given {
                Ok((Some(shot), opened)) => {
                    if std::mem::take(&mut lost) {
                        log::info!("{name} is back: {}", opened.about().text);
                    }
                    source = Some(opened);
                    retry = Retry::default();
                    self.job.asking.store(false, Ordering::Relaxed);
                    if self.about.every_frame {
                        smol::future::block_on(or(async { _ = shots.until_wanted().await }, end()));
                    }
                    if !self.control.admits(shot.captured, &self.job.board) {
                        continue;
                    }
                    shots.put((seq, shot));
                    seq += 1;
                    self.job.board.whole().position = seq;
                }
                Ok((None, _)) => break,
                Err(_) if ended() => break, // it was stopped while it opened
                Err(error) if live => {
                    match std::mem::replace(&mut lost, true) {
                        false => log::warn!("{}: trying until it is back", fault::line(&error)),
                        true => log::debug!("{}", fault::line(&error)),
                    }
                    smol::future::block_on(self.job.stop.pause(retry.delay()));
                }
                Err(error) => {
                    let text = format!("{name} broke off after {seq} frames: {}", fault::line(&error));
                    self.job.note(fault::Fault::device(text).into());
                    break;
                }
            }
        }
        self.over.say();
    }

    /// The encoder's thread: makes a frame when some receiver wants one, of the newest image there is.
    fn encode(&self, mut images: Latest<Numbered>, mut coder: Coder) {
        let epoch = fastrand::u64(..);
        let mut trouble = Repeated::default();
        let mut frames = 0u64;
        loop {
            if self.frames.readers() == 0 && !self.about.every_frame {
                images.try_next(); // from before everybody left: nobody wants to see that
            }
            let wanted = or(
                async {
                    self.frames.until_wanted().await;
                    true
                },
                async {
                    self.over.heard().await;
                    if self.about.every_frame {
                        std::future::pending::<()>().await;
                    }
                    self.frames.until_alone().await;
                    false
                },
            );
            let Some((seq, shot)) = smol::future::block_on(wanted).then(|| images.next_blocking()).flatten() else {
                break;
            };
            coder = self.control.renewed(&self.job.board).unwrap_or(coder);
            let begun = clock::now();
            let (captured, error) = (shot.captured, Duration::ZERO);
            let making = Mutex::new(None::<Pen>);
            let early = |head: &Arc<Head>, segments: &[Segment<Bytes>]| {
                let begin = || {
                    let (mut pen, draft) = Draft::begin(epoch, seq, captured, error, head.clone());
                    pen.give(&self.frames, draft);
                    pen
                };
                lock(&making).get_or_insert_with(begin).add(runs::lots(segments.to_vec()));
            };
            let encoded = coder.encode(shot.image, seq, captured, &early);
            match encoded {
                Ok((coded, size)) => {
                    frames += 1;
                    let frame = Frame { epoch, seq, captured, error, coded };
                    match lock(&making).take() {
                        Some(pen) => pen.end(frame),
                        None => self.frames.put(frame.into()),
                    }
                    let now = clock::now();
                    let mut whole = self.job.board.whole();
                    whole.encode_ms.add(now, now.since(begun).as_secs_f64() * 1000.0);
                    (whole.size, whole.quality) = (Some(size), coder.quality_used());
                }
                Err(error) => {
                    self.job.board.whole().dropped.corrupt += 1;
                    if let Some(n) = trouble.again(clock::now()) {
                        log::warn!("{n} images were no picture and are left out: {}", fault::line(&error));
                    }
                }
            }
        }
        if frames == 0 && self.over.said() && !self.job.stop.said() && !self.enough.said() {
            self.job.note(fault::Fault::device("there was no picture in the source").into());
        }
        self.frames.close();
        self.encoded.say();
    }
}
