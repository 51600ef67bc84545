//! What runs the tasks: one thread, which waits itself for what the network and the time bring them.
//!
//! smol's own would hand each event over from the thread of async-io: 50 to 250 µs from the kernel to the task, and ten switches
//! between threads. To keep that thread from taking over, both have to look some hundred times a second, a tenth of what a hub
//! does. So links wait here (`Source`), and all else (callers, pages, timers of a second) with async-io, which sleeps meanwhile.

use std::collections::HashMap;
use std::future::{pending, poll_fn};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::time::Timespec;
use smol::{Executor, Task};

use crate::lock::lock;

/// Runs a task until it ends, or its handle is dropped.
pub fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Task<T> {
    TASKS.executor.spawn(task)
}

static TASKS: LazyLock<Tasks> = LazyLock::new(|| {
    let poll = epoll::create(CreateFlags::CLOEXEC).expect("the kernel waits for several things");
    let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("the kernel has events");
    epoll::add(&poll, &bell, EventData::new_u64(BELL), EventFlags::IN | EventFlags::ET)
        .expect("they can be waited for");
    std::thread::Builder::new().name("tasks".into()).spawn(|| TASKS.run()).expect("there is a thread for the tasks");
    let (executor, sources, count, rung, sleeps) = Default::default();
    Tasks { executor, poll, bell, sources, count, rung, sleeps }
});

/// The number of no source.
const BELL: u64 = 0;
/// Events that are taken from the kernel at once.
const EVENTS: usize = 256;

struct Tasks {
    executor: Executor<'static>,
    poll: OwnedFd,
    /// Ends the wait for the network where a task has become ready otherwise.
    bell: OwnedFd,
    sources: Mutex<HashMap<u64, Arc<Mutex<Waits>>>>,
    /// Sources so far.
    count: AtomicU64,
    /// A task has become ready since they were last looked at; and nobody looks.
    rung: AtomicBool,
    sleeps: AtomicBool,
}

struct Ring;

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        TASKS.ring();
    }
}

impl Tasks {
    fn run(&'static self) {
        let (ring, mut events) = (Waker::from(Arc::new(Ring)), Vec::with_capacity(EVENTS));
        loop {
            // A task that panics ends the program, unless it is a test; the others go on.
            let mut running = pin!(self.executor.run(pending::<()>()));
            _ = catch_unwind(AssertUnwindSafe(|| {
                loop {
                    self.rung.store(false, Ordering::SeqCst);
                    _ = running.as_mut().poll(&mut Context::from_waker(&ring));
                    self.wait(&mut events);
                }
            }));
        }
    }

    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) && self.sleeps.load(Ordering::SeqCst) {
            _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes()); // one that is full rings already
        }
    }

    /// Waits until something has come, or a task is ready.
    fn wait(&self, events: &mut Vec<Event>) {
        self.sleeps.store(true, Ordering::SeqCst);
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let at_once = self.rung.load(Ordering::SeqCst).then_some(&none);
        _ = epoll::wait(&self.poll, spare_capacity(events), at_once); // a signal is another's
        self.sleeps.store(false, Ordering::SeqCst);
        for Event { flags, data } in events.drain(..) {
            let waits = lock(&self.sources).get(&data.u64()).cloned();
            waits.into_iter().for_each(|waits| lock(&waits).happened(flags));
        }
    }
}

/// A socket, or whatever else can be waited for.
#[derive(Debug)]
pub struct Source<T: AsFd> {
    io: T,
    number: u64,
    waits: Arc<Mutex<Waits>>,
}

/// Who waits for a source.
#[derive(Debug, Default)]
struct Waits {
    read: Side,
    write: Side,
}

#[derive(Debug, Default)]
struct Side {
    /// It can be done now, as far as is known; nobody has been told.
    ready: bool,
    wakers: Vec<Waker>,
}

impl Waits {
    /// The kernel tells once, so who waits for the other side is to ask again.
    fn happened(&mut self, flags: EventFlags) {
        let broken = flags.intersects(EventFlags::HUP | EventFlags::ERR);
        for (side, flag) in [(&mut self.read, EventFlags::IN), (&mut self.write, EventFlags::OUT)] {
            side.ready |= broken || flags.contains(flag);
            side.wakers.drain(..).for_each(Waker::wake);
        }
    }

    /// What the kernel is to tell next, once.
    fn wanted(&self) -> EventFlags {
        let of = |side: &Side, flag| if side.wakers.is_empty() { EventFlags::empty() } else { flag };
        of(&self.read, EventFlags::IN) | of(&self.write, EventFlags::OUT) | EventFlags::ONESHOT
    }
}

impl<T: AsFd> Source<T> {
    /// From now on it does not block.
    pub fn new(io: T) -> io::Result<Source<T>> {
        rustix::io::ioctl_fionbio(&io, true)?;
        let number = TASKS.count.fetch_add(1, Ordering::Relaxed) + BELL + 1;
        let waits = Arc::<Mutex<Waits>>::default();
        epoll::add(&TASKS.poll, &io, EventData::new_u64(number), EventFlags::ONESHOT)?;
        lock(&TASKS.sources).insert(number, waits.clone());
        Ok(Source { io, number, waits })
    }

    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Whether there is something to read, or the end; who is told so tries, and comes back if there was not.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |waits| &mut waits.read)
    }

    /// Whether there is room to write.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |waits| &mut waits.write)
    }

    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_writable(cx)).await
    }

    fn poll(&self, cx: &mut Context<'_>, side: fn(&mut Waits) -> &mut Side) -> Poll<io::Result<()>> {
        let mut waits = lock(&self.waits);
        let before = waits.wanted();
        let Side { ready, wakers } = side(&mut waits);
        if std::mem::take(ready) {
            return Poll::Ready(Ok(()));
        }
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        let wanted = waits.wanted();
        if wanted != before {
            epoll::modify(&TASKS.poll, &self.io, EventData::new_u64(self.number), wanted)?;
        }
        Poll::Pending
    }
}

impl<T: AsFd> Drop for Source<T> {
    fn drop(&mut self) {
        lock(&TASKS.sources).remove(&self.number);
        _ = epoll::delete(&TASKS.poll, &self.io); // it goes with the file otherwise
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use smol::future::{or, poll_once};

    use super::*;

    fn pair() -> (Source<UnixStream>, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        (Source::new(near).unwrap(), far)
    }

    #[test]
    fn who_waits_is_told_of_bytes_of_room_and_of_the_end() {
        let (near, mut far) = pair();
        let (asks, asked) = async_channel::bounded(1);
        let task = spawn(async move {
            let mut seen = Vec::new();
            while seen.last() != Some(&0) {
                let mut bytes = [0; 8];
                match near.get_ref().read(&mut bytes) {
                    Ok(count) => seen.push(count),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        asks.send(()).await.unwrap();
                        near.readable().await.unwrap();
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            near.writable().await.unwrap();
            seen
        });
        for count in [3, 5] {
            asked.recv_blocking().unwrap();
            far.write_all(&[1; 8][..count]).unwrap();
        }
        asked.recv_blocking().unwrap();
        far.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(smol::future::block_on(task), [3, 5, 0]);
    }

    #[test]
    fn several_may_wait_on_both_sides_and_each_is_told() {
        let (near, mut far) = pair();
        while near.get_ref().write(&[0; 4096]).is_ok() {}
        let near = Arc::new(near);
        let wait = |reads: bool| {
            let near = near.clone();
            spawn(async move { if reads { near.readable().await } else { near.writable().await } })
        };
        let (read, also, write) = (wait(true), wait(true), wait(false));
        smol::future::block_on(async {
            assert!(poll_once(near.readable()).await.is_none() && poll_once(near.writable()).await.is_none());
        });
        far.write_all(&[1]).unwrap();
        // The first is told; the other asks again, and finds it still there.
        for task in [read, also] {
            assert!(smol::future::block_on(task).is_ok());
        }
        far.set_nonblocking(true).unwrap();
        while far.read(&mut [0; 4096]).is_ok() {}
        assert!(smol::future::block_on(write).is_ok());
    }

    #[test]
    fn a_task_that_panics_leaves_the_others_running_and_what_is_gone_is_not_waited_for() {
        let (near, far) = pair();
        drop((near, far));
        let broken = spawn(async { assert!(std::env::args().count() == 0, "on purpose") });
        let other = spawn(async { 7 });
        assert_eq!(smol::future::block_on(other), 7);
        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| smol::future::block_on(broken)));
        assert!(ended.is_err());
        let timed = or(async { Some(spawn(async { 8 }).await) }, async {
            async_io::Timer::after(std::time::Duration::from_secs(10)).await;
            None
        });
        assert_eq!(smol::future::block_on(timed), Some(8));
    }
}
