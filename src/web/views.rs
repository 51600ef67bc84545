//! The frames of a role for browsers: each viewer has its own newest frame, a slow one delays nobody, and where nobody
//! looks nothing is asked of the role.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use bytes::Bytes;
use smol::future::or;

use crate::clock;
use crate::codec;
use crate::draft::Draft;
use crate::fanout::Fanout;
use crate::fault;
use crate::frame::Frame;
use crate::latest::Latest;
use crate::lock::lock;
use crate::meter::Meter;
use crate::segments::{Coded, Form};
use crate::stop::Stop;

/// Where a role's frames come from, and how it wants to be asked for them.
pub struct Origin {
    pub frames: Arc<Fanout<Draft>>,
    /// Frames come anyway, or wait for all who take them: they are taken at once. Else one is asked for when a viewer
    /// wants one, so that none is made in vain.
    pub eager: bool,
    /// The role has nothing new to give: what it still has is taken at once.
    pub over: Stop,
}

pub struct Views {
    origin: Origin,
    frames: Fanout<Frame>,
    /// The newest frame of the role, had without asking for it: for who comes when the stream stands still.
    newest: Mutex<Option<Frame>>,
    passed: Mutex<Meter>,
}

/// Where frames come anyway the newest is kept for viewers that come late; one that is made on demand would be old.
fn fanout<T: Clone>(eager: bool) -> Fanout<T> {
    if eager { Fanout::keeping() } else { Fanout::new(false) }
}

/// The JPEG of a frame that viewers get.
pub fn jpeg(frame: &Frame) -> Bytes {
    frame.coded.bytes.clone()
}

/// A frame as browsers know it. What is packed without loss is encoded once for all, apart from the tasks.
async fn as_jpeg(frame: Frame) -> Result<Frame> {
    match frame.coded.head.form {
        Form::Whole | Form::Tiles => Ok(frame),
        Form::Lz4 => {
            smol::unblock(move || Ok(Frame { coded: Coded::whole(codec::as_jpeg(&frame.coded)?, frame.seq), ..frame }))
                .await
        }
    }
}

impl Views {
    pub fn new(origin: Origin) -> Views {
        let frames = fanout(origin.eager);
        Views { origin, frames, newest: Mutex::default(), passed: Mutex::default() }
    }

    /// A fan-out for what is made of these frames.
    pub fn fanout<T: Clone>(&self) -> Fanout<T> {
        fanout(self.origin.eager)
    }

    /// A viewer's frames, from now on.
    pub fn subscribe(&self) -> Latest<Frame> {
        self.frames.subscribe()
    }

    /// Frames a second that viewers are offered now.
    pub fn fps(&self) -> f64 {
        lock(&self.passed).fps(clock::now())
    }

    /// Passes the role's frames to the viewers, while there are any, until there are no more frames.
    pub async fn run(&self) {
        or(self.keep(), self.serve()).await;
    }

    /// Where frames come anyway the newest is kept, unless who comes late gets it from the role itself.
    async fn keep(&self) {
        if self.origin.eager && !self.origin.frames.keeps() {
            let mut frames = self.origin.frames.beside();
            while let Some(draft) = frames.next().await {
                if let Some(frame) = draft.frame().await {
                    *lock(&self.newest) = Some(frame);
                }
            }
        }
        std::future::pending().await
    }

    async fn serve(&self) {
        loop {
            self.frames.until_read().await;
            let frames = self.origin.frames.subscribe();
            let newest = lock(&self.newest).clone();
            let passing = async {
                if let Some(frame) = newest {
                    self.show(frame).await;
                }
                self.pass(frames).await;
                true
            };
            let left = async {
                self.frames.until_alone().await;
                false
            };
            if or(passing, left).await {
                break;
            }
            self.frames.forget();
        }
        self.frames.close();
    }

    async fn pass(&self, mut frames: Latest<Draft>) {
        loop {
            if !self.origin.eager {
                or(self.frames.until_wanted(), self.origin.over.heard()).await;
            }
            let Some(draft) = frames.next().await else { return };
            if let Some(frame) = draft.frame().await {
                self.show(frame).await;
            }
        }
    }

    async fn show(&self, frame: Frame) {
        match as_jpeg(frame).await {
            Ok(frame) => {
                lock(&self.passed).add(clock::now(), jpeg(&frame).len());
                self.frames.put(frame);
            }
            Err(error) => log::debug!("a frame is not shown: {}", fault::line(&error)),
        }
    }
}
