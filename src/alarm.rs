//! Times that tasks wait for, kept over the turns of their loops, and the kernel's one timer that rings for the first of them.
//!
//! A timer of async-io wakes the thread that waits for all of them whenever it is set, also where that is the very thread that
//! sets it: one more turn of its loop, of six system calls, for each time that something is waited for.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::sync::{LazyLock, Mutex};
use std::task::{Poll, Waker};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::clock::{self, Time};
use crate::lock::lock;
use crate::tasks::{self, Source};

#[derive(Debug, Default)]
pub struct Alarm {
    /// When it rings next, by which number, and for whom.
    set: Option<(Time, u64, Waker)>,
}

impl Alarm {
    /// Waits until then, and for ever where there is no such time. Who gives up waiting loses nothing.
    pub async fn until(&mut self, due: Option<Time>) {
        let Some(due) = due else { return std::future::pending().await };
        poll_fn(|cx| {
            let now = clock::now();
            if now >= due {
                return Poll::Ready(());
            }
            let stays = |(at, _, waker): &(Time, u64, Waker)| *at == due && waker.will_wake(cx.waker());
            if !self.set.as_ref().is_some_and(stays) {
                let before = self.set.take();
                let number = BELL.set(before.as_ref().map(|(at, number, _)| (*at, *number)), due, cx.waker());
                self.set = Some((due, number, cx.waker().clone()));
            }
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some((at, number, _)) = self.set {
            let waker = lock(&BELL.state).alarms.remove(&(at, number));
            drop(waker); // not under the lock
        }
    }
}

/// Makes the kernel's timer, while there are files to be had: strangers may take all that are left.
pub fn start() {
    LazyLock::force(&BELL);
}

static BELL: LazyLock<Bell> = LazyLock::new(|| {
    tasks::spawn(async { BELL.ring().await }).detach();
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = timerfd_create(TimerfdClockId::Monotonic, flags).expect("the kernel has a timer");
    Bell { timer: Source::new(timer).expect("it can be waited for"), state: Mutex::default() }
});

struct Bell {
    timer: Source<OwnedFd>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    alarms: BTreeMap<(Time, u64), Waker>,
    /// Alarms so far.
    count: u64,
    /// When the kernel's timer rings.
    rings: Option<Time>,
}

impl Bell {
    /// Sets an alarm, in place of the one that was set before; its number.
    fn set(&self, before: Option<(Time, u64)>, due: Time, waker: &Waker) -> u64 {
        let mut state = lock(&self.state);
        let waker_before = before.and_then(|before| state.alarms.remove(&before));
        state.count += 1;
        let number = state.count;
        state.alarms.insert((due, number), waker.clone());
        self.wind(&mut state);
        drop(state);
        drop(waker_before); // not under the lock: it may be a task's last
        number
    }

    async fn ring(&self) -> ! {
        loop {
            _ = self.timer.readable().await; // it is its own, and open
            let due = {
                let mut state = lock(&self.state);
                let later = state.alarms.split_off(&(clock::now(), u64::MAX));
                let due = std::mem::replace(&mut state.alarms, later);
                state.rings = None;
                self.wind(&mut state);
                due
            };
            due.into_values().for_each(Waker::wake);
        }
    }

    /// Sets the kernel's timer to the first alarm, if it is not; it also stops ringing for what was before.
    fn wind(&self, state: &mut State) {
        let first = state.alarms.first_key_value().map(|((at, _), _)| *at);
        if state.rings == first && first.is_some() {
            return;
        }
        state.rings = first;
        let at = first.map_or(0, |at| at.micros().max(1)); // 0 is never
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let it_value = Timespec { tv_sec: at / 1_000_000, tv_nsec: at % 1_000_000 * 1000 };
        let spec = Itimerspec { it_interval: never, it_value };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &spec).expect("a timer and a time");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_io::Timer;

    use super::*;
    use smol::future::{or, poll_once};

    const SOON: Duration = Duration::from_millis(5);
    const LATER: Duration = Duration::from_millis(15);

    #[test]
    fn it_rings_no_earlier_than_it_is_asked_for_whatever_it_was_set_to() {
        smol::block_on(async {
            let (mut alarm, begun) = (Alarm::default(), clock::now());
            assert!(poll_once(alarm.until(Some(begun + SOON))).await.is_none());
            alarm.until(Some(begun + LATER)).await;
            assert!(clock::now() >= begun + LATER);
            let begun = clock::now();
            assert!(poll_once(alarm.until(Some(begun + Duration::from_secs(60)))).await.is_none());
            alarm.until(Some(begun + SOON)).await;
            assert!((begun + SOON..begun + Duration::from_secs(60)).contains(&clock::now()));
            alarm.until(Some(begun)).await;
        });
    }

    #[test]
    fn without_a_time_it_never_rings() {
        let mut alarm = Alarm::default();
        let silent = async {
            alarm.until(None).await;
            false
        };
        let time = async {
            Timer::after(SOON).await;
            true
        };
        assert!(smol::block_on(or(silent, time)));
    }
}
