//! Reading from a pipe or socket that may stay silent, without missing the word to stop.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use crate::stop::Stop;

/// A reader that looks for `stop` ten times a second while nothing comes; then it reads as ended.
pub struct Patient<R> {
    inner: R,
    stop: Stop,
}

const LOOK: Duration = Duration::from_millis(100);

impl<R: Read + AsFd> Patient<R> {
    pub fn new(inner: R, stop: &Stop) -> Patient<R> {
        widen(&inner);
        Patient { inner, stop: stop.clone() }
    }
}

impl<R: Read + AsFd> Read for Patient<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.stop.said() {
            if readable(&self.inner, LOOK)? {
                return self.inner.read(out);
            }
        }
        Ok(0)
    }
}

/// Lets a pipe hold a raw 720p frame, so that it crosses in few turns of writer and reader instead of twenty. What is no
/// pipe, or a user who may have no larger one, keeps what it has.
pub fn widen(fd: &impl AsFd) {
    const BYTES: usize = 1 << 20; // Linux lets every user have this much (fs.pipe-max-size)
    let _ = rustix::pipe::fcntl_setpipe_size(fd, BYTES);
}

/// Waits until `fd` has something to read (or has ended), for at most `patience`.
pub fn readable(fd: &impl AsFd, patience: Duration) -> io::Result<bool> {
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    let patience = Timespec { tv_sec: patience.as_secs() as _, tv_nsec: patience.subsec_nanos() as _ };
    match poll(&mut fds, Some(&patience)) {
        Ok(n) => Ok(n > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_pipe_ends_when_told() {
        let (reader, _writer) = io::pipe().unwrap();
        let stop = Stop::default();
        let mut patient = Patient::new(reader, &stop);
        let thread = std::thread::spawn(move || patient.read(&mut [0]).unwrap());
        stop.say();
        assert_eq!(thread.join().unwrap(), 0);
    }
}
