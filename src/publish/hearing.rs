//! What the far side of a link says: heard by the link's task, or in a crowd by whoever has just sent it a frame, as to wake
//! each task for it takes several times as long.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Result, bail};
use event_listener::listener;
use smol::future::or;

use super::serving::Serving;
use super::with;
use crate::alarm::Alarm;
use crate::allowance::Allowance;
use crate::clock;
use crate::draft::Draft;
use crate::exchange;
use crate::greet::printable;
use crate::link::Rx;
use crate::message::{Message, Report};
use crate::word::{self, Talk};

/// In a crowd, what a link says is heard when there would be no room for its frames soon, and then all that should have come:
/// to hear of each word when it comes costs more than to send a frame. It is heard after this at the latest.
const REST: Duration = Duration::from_millis(250);
/// What has come is asked for so often at a time: some streams give one message each time.
const TURNS: usize = 16;

impl Serving {
    /// Reads until the far side leaves; its reason.
    pub(super) async fn read(&self, held: &Mutex<VecDeque<Draft>>, talk: Option<&Talk>) -> Result<String> {
        let Serving { peer, state, .. } = self;
        let (mut alarm, mut more, mut words) = (Alarm::default(), false, Allowance::of_words());
        loop {
            if !more {
                self.rest(&mut alarm).await;
            }
            let mut rx = self.rx.lock().await;
            let early = with(&state.early, VecDeque::pop_front);
            let message = if early.is_some() { early } else { rx.recv().await? };
            with(&state.heard, |heard| *heard = clock::now());
            more = rx.has_more();
            let awaited = match message {
                None => bail!("the connection was closed"),
                Some(Message::Report(report)) => {
                    let settled = self.reported(&mut **rx, &report);
                    with(held, |held| held.drain(..settled.min(held.len())).for_each(drop));
                    if !state.patient.load(Ordering::Relaxed) {
                        state.changed.notify(usize::MAX);
                    }
                    settled > 0
                }
                Some(Message::Ping(sent)) => {
                    let offset = peer.link().offset.best().map_or(0, |best| best.offset);
                    with(&state.asked, |asked| *asked = sent.shifted(-offset));
                    let _ = state.replies.0.try_send(exchange::answer(sent)); // a flood of pings is not answered
                    false
                }
                Some(Message::Pong(pong)) => {
                    let taken = with(&state.pinging, |p| p.answered(&pong, clock::now()));
                    let awaited = taken.is_some();
                    if let Some((exchange, clean)) = taken {
                        let another_way = with(&state.flow, |flow| flow.round_trip(exchange.rtt, clean));
                        let mut link = peer.link();
                        link.offset.add(exchange);
                        if another_way {
                            link.rate.another_way();
                        }
                        if clean {
                            link.rate.round_trip(clock::now(), exchange.rtt);
                        }
                    }
                    awaited
                }
                Some(Message::Bye(bye)) => return Ok(printable(&bye.reason)),
                Some(Message::Word(word)) => {
                    word::hear(talk, word)?;
                    false
                }
                Some(_) => bail!("the watcher sent what only a publisher may"),
            };
            if !awaited {
                drop(rx);
                words.taken().await;
            }
        }
    }

    /// Where nothing is waited for: until it is time to hear of the far side again, or to answer it.
    async fn rest(&self, alarm: &mut Alarm) {
        let state = &self.state;
        if !state.patient.load(Ordering::Relaxed) {
            return; // its own task alone makes it patient
        }
        listener!(state.hurried => hurried);
        let (now, asks) = (clock::now(), exchange::after(with(&state.asked, |asked| *asked)));
        let frames = with(&state.flow, |flow| !flow.expects(now) && !flow.idles(now, REST));
        let waits = asks.contains(&now) || with(&state.pinging, |p| p.is_open());
        if !frames || waits || with(&state.early, |early| !early.is_empty()) {
            return;
        }
        let quiet = async {
            loop {
                let due = with(&state.heard, |heard| (*heard + REST).rounded_up(REST));
                let due = if asks.start > now { due.min(asks.start) } else { due };
                if clock::now() >= due {
                    return;
                }
                alarm.until(Some(due)).await;
            }
        };
        or(quiet, hurried).await;
    }

    /// In a crowd the far side is heard in time for the frame after the next. Its words on frames are taken here; all others,
    /// and what has not come yet, are its task's.
    pub(super) fn listen_if_due(&self) {
        let state = &self.state;
        let short = || !with(&state.flow, |flow| flow.room_for_next(clock::now()));
        if !state.patient.load(Ordering::Relaxed) || !short() {
            return; // who is not patient listens anyway
        }
        let (mut early, mut others) = (VecDeque::new(), false);
        if let Some(mut rx) = self.rx.try_lock().filter(|_| with(&state.early, |early| early.is_empty())) {
            for _ in 0..TURNS {
                let there = rx.there();
                if there.is_empty() {
                    break;
                }
                with(&state.heard, |heard| *heard = clock::now());
                for message in there {
                    match message {
                        Message::Report(report) if early.is_empty() => _ = self.reported(&mut **rx, &report),
                        other => early.push_back(other),
                    }
                }
                if !early.is_empty() || !short() {
                    break;
                }
            }
            others = !early.is_empty();
            with(&state.early, |before| before.append(&mut early)); // before the task can read what came after
        }
        if others || short() {
            state.hurried.notify(usize::MAX);
        }
    }

    /// The far side's word on a frame: how many it settles.
    fn reported(&self, rx: &mut dyn Rx, report: &Report) -> usize {
        let passed = rx.passed(report.acknowledged);
        self.peer.link().rate.reported(report, passed, clock::now());
        with(&self.state.flow, |flow| flow.acknowledged(report.acknowledged))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use smol::future::poll_once;

    use super::*;
    use crate::link::Tx;
    use crate::stats::Peer;
    use crate::stream::{StreamRx, StreamTx};

    #[test]
    fn in_a_crowd_words_on_frames_are_heard_where_they_are_due_and_all_others_by_the_task() {
        let (near, far) = smol::net::unix::UnixStream::pair().unwrap();
        let (tx, mut far) = (StreamTx::new(near.clone()), StreamTx::new(far));
        let serving = Serving::new(Box::new(tx), Box::new(StreamRx::new(near)), &Arc::new(Peer::new("peer")));
        let state = &serving.state;
        let say = |word: Message| smol::block_on(far.send(word)).unwrap();
        let report =
            |acknowledged| Message::Report(Report { acknowledged, began: clock::now(), arrived: clock::now() });
        let left = || with(&state.flow, |flow| (0..9).filter(|&number| flow.acknowledged(number) > 0).count());
        state.patient.store(true, Ordering::Relaxed);
        let before = clock::now() - Duration::from_secs(1);
        (0..4).for_each(|number| with(&state.flow, |flow| flow.sent(number, before, 1)));
        listener!(state.hurried => hurried);
        serving.listen_if_due();
        assert!(smol::block_on(poll_once(hurried)).is_some(), "nothing has come: the task has to wait for it");
        [report(0), report(1), Message::Ping(before), report(2)].into_iter().for_each(say);
        listener!(state.hurried => hurried);
        serving.listen_if_due();
        assert!(smol::block_on(poll_once(hurried)).is_some(), "the task is to answer");
        assert_eq!(with(&state.early, |early| early.len()), 2);
        let held = Mutex::default();
        assert!(smol::block_on(poll_once(serving.read(&held, None))).is_none());
        assert!(matches!(state.replies.1.try_recv(), Ok(Message::Pong(_))));
        assert_eq!(left(), 1, "the last is not acknowledged");
    }

    #[test]
    fn it_is_rested_while_frames_go_unless_a_ping_is_due() {
        let (near, _far) = smol::net::unix::UnixStream::pair().unwrap();
        let tx = Box::new(StreamTx::new(near.clone()));
        let serving = Serving::new(tx, Box::new(StreamRx::new(near)), &Arc::new(Peer::new("peer")));
        let (state, now) = (&serving.state, clock::now());
        let rests = || smol::block_on(poll_once(serving.rest(&mut Alarm::default()))).is_none();
        state.patient.store(true, Ordering::Relaxed);
        with(&state.heard, |heard| *heard = now);
        assert!(!rests(), "no frame has gone yet");
        with(&state.flow, |flow| flow.sent(0, now, 1));
        assert!(rests());
        with(&state.asked, |asked| *asked = now - Duration::from_millis(1050));
        assert!(!rests());
        with(&state.asked, |asked| *asked = now);
        assert!(rests());
    }
}
