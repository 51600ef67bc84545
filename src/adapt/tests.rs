//! Rates and ladders one step at a time, and words of a peer that cannot be true. tests/adapt.rs has whole networks.

use super::ladder::Ladder;
use super::rung::{Bounds, Rung};
use super::*;

const FILM: Bounds = Bounds { size: (1920, 1080), quality: Some(80), lossless: false, fps: 30.0 };

fn ms(t: i64) -> Time {
    Time::from_micros(t * 1000)
}

fn report(acknowledged: u64, began: i64, arrived: i64) -> Report {
    Report { acknowledged, began: Time::from_micros(began), arrived: Time::from_micros(arrived) }
}

fn send(rate: &mut Rate, number: u64, at: i64, bytes: usize) {
    rate.begun(number, ms(at));
    rate.sent(ms(at), Burst { bytes, wire: bytes, whole: number == 0, waited: Duration::ZERO });
}

fn limited(rate_max: Option<u64>, adapt: bool) -> Rate {
    Rate::new(Arc::new(Limits::new(rate_max, adapt)))
}

/// A rate that has seen frames of 50 kB pass in 20 ms each: 20 Mbit/s.
fn known() -> Rate {
    let mut rate = limited(None, true);
    rate.round_trip(ms(0), Duration::from_millis(10));
    for n in 0..30 {
        let at = n * 33;
        send(&mut rate, n as u64, at, 50_000);
        rate.reported(&report(n as u64, (at + 5) * 1000, (at + 25) * 1000), 1.0, ms(at + 30));
    }
    rate
}

#[test]
fn the_rate_is_what_the_network_passes() {
    let target = known().target().unwrap();
    assert!((18_000_000..20_000_000).contains(&target), "{target}");
}

#[test]
fn what_a_slow_network_takes_is_measured_from_the_first_packet_on() {
    let mut rate = limited(None, true);
    rate.round_trip(ms(0), Duration::from_millis(10));
    for n in 0..60 {
        // Eight packets of Ethernet at 1.5 Mbit/s: 8 ms each, and the first of them begins the frame when it is there.
        let at = n * 100;
        send(&mut rate, n as u64, at, 8 * 1500);
        rate.reported(&report(n as u64, at * 1000 + 13_000, at * 1000 + 69_000), 1.0, ms(at + 75));
    }
    let target = rate.target().unwrap();
    assert!((1_400_000..1_450_000).contains(&target), "{target}");
}

#[test]
fn the_first_frame_goes_alone_and_shows_a_rate_also_when_most_of_it_was_sent_again() {
    let mut rate = limited(None, true);
    assert_eq!(rate.stalls(), None);
    send(&mut rate, 0, 0, 100_000);
    assert_eq!(rate.stalls(), Some(ms(0)));
    rate.reported(&report(0, 5_000, 25_000), 0.03, ms(2000));
    assert_eq!(rate.stalls(), None);
    let target = rate.target().unwrap();
    assert!((370_000..400_000).contains(&target), "{target}");
}

#[test]
fn what_was_never_sent_is_not_acknowledged() {
    let mut rate = Rate::default();
    rate.reported(&report(0, 0, 0), 1.0, ms(1));
    rate.reported(&report(u64::MAX, 0, 0), 1.0, ms(2));
    assert_eq!(rate.target(), None);
    let mut rate = known();
    let before = rate.target();
    for n in [30, 31, u64::MAX, 29, 0] {
        rate.reported(&report(n, 0, 0), 1.0, ms(2000)); // not sent yet, or settled long ago
    }
    assert_eq!(rate.target(), before);
}

#[test]
fn clocks_that_jump_show_no_queue() {
    for jump in [3_600_000_000, -3_600_000_000, i64::MAX / 2, i64::MIN / 2] {
        let mut rate = known();
        for n in 30..60 {
            let at = n * 33;
            send(&mut rate, n as u64, at, 50_000);
            let theirs = jump + (at + 5) * 1000;
            rate.reported(&report(n as u64, theirs, theirs + 20_000), 1.0, ms(at + 30));
        }
        let load = rate.load(Time::default()).unwrap();
        assert!(load.target > 15e6 && load.why == Why::Passing, "after {jump}: {load:?}");
    }
}

#[test]
fn nonsense_of_a_peer_is_no_panic() {
    let extremes = [i64::MIN, -1, 0, 1, i64::MAX];
    for began in extremes {
        for arrived in extremes {
            let mut rate = known();
            for n in 30..40 {
                let at = n * 33;
                send(&mut rate, n as u64, at, usize::MAX >> 20);
                rate.reported(&report(n as u64, began, arrived), 1.0, ms(at + 30));
                rate.reported(&report(n as u64, arrived, began), 1.0, ms(at - 30));
                rate.wait(ms(at + 31));
            }
            let target = rate.target().unwrap();
            assert!((100_000..=10_000_000_000).contains(&target), "{target}");
        }
    }
    let mut rate = known();
    for packets in [(u64::MAX, 100), (0, u64::MAX), (u64::MAX, u64::MAX), (0, 0)] {
        rate.lost(packets);
    }
    assert!(rate.load(Time::default()).is_some());
}

#[test]
fn a_standstill_is_seen_without_a_word() {
    let mut rate = known();
    let before = rate.target().unwrap();
    send(&mut rate, 30, 1000, 50_000);
    for at in (1100..3000).step_by(100) {
        rate.wait(ms(at));
    }
    let load = rate.load(Time::default()).unwrap();
    assert!(load.target < before as f64 / 2.0 && matches!(load.why, Why::Queue(queue) if queue > 1.0), "{load:?}");
}

#[test]
fn what_stands_in_the_way_gets_nothing_added() {
    let mut rate = known();
    assert_eq!(rate.stalls(), None, "nothing is on its way");
    send(&mut rate, 30, 1000, 50_000);
    let stalls = rate.stalls().unwrap();
    assert!((ms(1050)..ms(1070)).contains(&stalls), "its own 20 ms, those of the way, and some: {stalls:?}");
    assert!(!rate.load(ms(1050)).unwrap().stalled && rate.load(stalls).unwrap().stalled);
    rate.settled(30);
    assert_eq!(rate.stalls(), None, "it was lost");
    for n in 31..100 {
        // The way is 100 ms longer from now on.
        let at = 1000 + 33 * (n - 30);
        send(&mut rate, n as u64, at, 50_000);
        rate.reported(&report(n as u64, (at + 55) * 1000, (at + 75) * 1000), 1.0, ms(at + 130));
    }
    send(&mut rate, 100, 4000, 50_000);
    let stalls = rate.stalls().unwrap();
    assert!((ms(4150)..ms(4170)).contains(&stalls), "that is no queue of ours: {stalls:?}");
    let mut kept = limited(Some(1_000_000), false);
    send(&mut kept, 0, 0, 50_000);
    assert_eq!(kept.stalls(), None, "who does not follow the network waits for none");
}

#[test]
fn two_slow_frames_behind_a_queue_are_another_network() {
    for (queue, falls) in [(0, false), (40, true)] {
        let mut rate = known(); // 20 Mbit/s
        for n in 30..32 {
            let at = 1000 + 300 * (n - 30);
            send(&mut rate, n as u64, at, 50_000);
            let began = at + 5 + queue;
            rate.reported(&report(n as u64, began * 1000, (began + 100) * 1000), 1.0, ms(began + 105));
        }
        let passing = rate.passing().unwrap();
        assert_eq!(passing < 4e6, falls, "{passing} behind {queue} ms");
    }
}

#[test]
fn losses_that_have_ended_are_not_held_against_a_network() {
    let mut rate = known();
    let before = rate.target().unwrap();
    send(&mut rate, 30, 1000, 50_000);
    rate.lost((40, 80));
    assert!(matches!(rate.load(ms(1000)).unwrap().why, Why::Lost(_)));
    send(&mut rate, 31, 1033, 50_000);
    rate.lost((40, 160));
    rate.reported(&report(31, 1_038_000, 1_058_000), 1.0, ms(1063));
    assert!(rate.target().unwrap() as f64 > 0.9 * before as f64, "{:?}", rate.load(ms(1063)));
}

#[test]
fn what_frames_are_held_for_is_no_queue() {
    let mut rate = known();
    rate.held(Duration::from_millis(160));
    for n in 30..90 {
        // Whole only after 160 ms, of which the network took 25.
        let at = n * 200;
        send(&mut rate, n as u64, at, 50_000);
        rate.wait(ms(at + 160));
        rate.reported(&report(n as u64, (at + 5) * 1000, (at + 25) * 1000), 1.0, ms(at + 165));
    }
    let load = rate.load(Time::default()).unwrap();
    assert!(load.target > 18e6 && load.why == Why::Passing, "{load:?}");
    send(&mut rate, 90, 18_000, 50_000);
    (18_100..20_000).step_by(100).for_each(|at| _ = rate.wait(ms(at)));
    let load = rate.load(Time::default()).unwrap();
    assert!(load.target < 9e6 && matches!(load.why, Why::Queue(_)), "a standstill is longer: {load:?}");
}

#[test]
fn losses_without_a_queue_are_the_radios_up_to_a_tenth() {
    for (lost, falls) in [(5, false), (30, true)] {
        let mut rate = known();
        let before = rate.target().unwrap() as f64;
        for n in 30..60 {
            let at = n * 33;
            send(&mut rate, n as u64, at, 50_000);
            rate.lost((lost * (n as u64 - 29), 100 * (n as u64 - 29)));
            rate.reported(&report(n as u64, (at + 5) * 1000, (at + 25) * 1000), 1.0, ms(at + 30));
        }
        assert_eq!((rate.target().unwrap() as f64) < 0.9 * before, falls, "{lost} %");
    }
}

#[test]
fn losses_are_forgotten_also_where_few_packets_go() {
    let mut rate = known();
    rate.lost((20, 60));
    assert!(matches!(rate.load(Time::default()).unwrap().why, Why::Lost(_)));
    for n in 30..60 {
        send(&mut rate, n as u64, 1000 + 50 * (n - 30), 1000);
        rate.lost((20, 60 + n as u64 - 29));
    }
    assert!(!matches!(rate.load(Time::default()).unwrap().why, Why::Lost(_)), "{:?}", rate.load(Time::default()));
}

#[test]
fn rate_max_caps_also_what_does_not_adapt() {
    let mut rate = limited(Some(8_000_000), false);
    for n in 0..3 {
        send(&mut rate, n, 0, 100_000);
    }
    assert_eq!(rate.wait(ms(0)), Duration::from_millis(300));
    assert_eq!(rate.load(Time::default()).unwrap().why, Why::RateMax);
    rate.limits.set_rate_max(Some(1));
    rate.wait(ms(400));
    send(&mut rate, 3, 400, usize::MAX);
    assert!(rate.wait(ms(400)) > Duration::from_secs(3600));
    rate.limits.set_rate_max(None);
    assert_eq!(rate.wait(ms(400)), Duration::ZERO, "no limit, no wait");
    rate.limits.set_rate_max(Some(1_000));
    rate.wait(ms(500));
    send(&mut rate, 4, 500, 100_000);
    assert_eq!(rate.wait(ms(500)), Duration::from_secs(800));
    rate.limits.set_rate_max(Some(8_000_000));
    assert_eq!(rate.wait(ms(500)), Duration::ZERO, "a new limit holds for what comes");
}

#[test]
fn frames_that_come_as_they_are_made_show_no_slow_network() {
    let mut rate = known();
    let before = rate.target().unwrap();
    for n in 30..60 {
        let at = n * 33;
        rate.begun(n as u64, ms(at));
        let waited = Duration::from_millis(20);
        rate.sent(ms(at + 20), Burst { bytes: 10_000, wire: 10_000, whole: false, waited });
        rate.reported(&report(n as u64, (at + 5) * 1000, (at + 25) * 1000), 1.0, ms(at + 30));
    }
    assert!(rate.target().unwrap() >= before);
}

/// Of frames that have been coded alike for long enough.
fn load(at: i64, target: f64, frame_bytes: f64) -> Load {
    Load { target, frame_bytes, since: ms(at - 300), why: Why::Passing, stalled: false }
}

#[test]
fn frames_go_first_then_quality_then_size() {
    let mut ladder = Ladder::default();
    let mut at = 0;
    let mut step = |target: f64| {
        at += 500;
        let top = 0.25e6 * ladder.rung().cost(&FILM) / (ladder.rung().fps(&FILM) / 30.0);
        ladder.decide(ms(at), &FILM, &load(at, target, top));
        ladder.rung().name(&FILM)
    };
    assert_eq!(step(60e6), "1080p30 q80");
    assert_eq!(step(38e6), "1080p20 q80");
    assert_eq!(step(20e6), "1080p10 q80", "the target still falls");
    assert_eq!(step(20e6), "1080p20 q50");
    assert_eq!(step(6e6), "1080p6 q50", "another quality has to wait");
    let mut settled = step(2e6);
    assert_eq!(settled, "360p15 q60", "but not while a frame takes 500 ms");
    for _ in 0..60 {
        settled = step(60e6);
    }
    assert_eq!(settled, "1080p30 q80");
}

#[test]
fn another_quality_waits_until_it_is_known_how_far_a_target_falls() {
    let mut ladder = Ladder::default();
    let mut step = |at: i64, target: f64, stalled: bool| {
        let top = 0.25e6 * ladder.rung().cost(&FILM) / (ladder.rung().fps(&FILM) / 30.0);
        ladder.decide(ms(at), &FILM, &Load { stalled, ..load(at, target, top) });
        ladder.rung().name(&FILM)
    };
    assert_eq!(step(0, 60e6, false), "1080p30 q80");
    assert_eq!(step(100, 30e6, true), "1080p15 q80", "frames at once");
    assert_eq!(step(500, 12e6, true), "1080p6 q80");
    assert_eq!(step(1000, 12e6, true), "1080p6 q80", "nothing comes through yet");
    assert_eq!(step(1200, 12e6, false), "1080p6 q80");
    assert_eq!(step(1300, 12e6, false), "720p20 q60");
}

#[test]
fn frames_of_the_rung_before_tell_nothing_of_this_one() {
    let mut ladder = Ladder::default();
    let mut step = |at: i64, frame_bytes: f64, since: i64| {
        let load = Load { since: ms(since), ..load(at, 12e6, frame_bytes) };
        ladder.decide(ms(at), &FILM, &load);
        ladder.rung().name(&FILM)
    };
    assert_eq!(step(0, 0.25e6, -1000), "720p20 q60");
    assert_eq!(step(500, 0.25e6, -1000), "720p20 q60", "one that was coded before, and is sent after");
    assert_eq!(step(600, 0.25e6, 550), "720p20 q60", "too few");
    assert_eq!(step(900, 0.25e6, 550), "720p6 q60");
}

#[test]
fn a_crawl_ends_when_another_quality_may_come() {
    let mut ladder = Ladder::default();
    let mut at = 0;
    let mut step = |target: f64| {
        at += 500;
        let top = 0.25e6 * ladder.rung().cost(&FILM) / (ladder.rung().fps(&FILM) / 30.0);
        let why = ladder.decide(ms(at), &FILM, &load(at, target, top));
        (ladder.rung().fps(&FILM), why)
    };
    assert!(step(20e6).0 >= 15.0, "with another quality");
    assert!(step(5e6).0 < 6.0);
    let steps: Vec<_> = (0..4).map(|_| step(5e6)).collect();
    assert!(steps[3].0 >= 15.0, "{steps:?}");
    let why: Vec<_> = steps.into_iter().filter_map(|(_, why)| why).collect();
    assert_eq!(why, ["the link takes 5.0 Mbit/s"]);
}

#[test]
fn another_quality_comes_no_sooner_than_after_two_seconds() {
    let (mut ladder, mut random) = (Ladder::default(), fastrand::Rng::with_seed(7));
    let (mut last, mut smaller, mut before) = (None, 0, Rung::TOP);
    for at in (0..600_000).step_by(100) {
        let load = load(at, random.f64() * 60e6, random.f64() * 0.3e6);
        ladder.decide(ms(at), &FILM, &load);
        if ladder.rung().recodes(&before) {
            // Where a frame takes as long, a smaller size of half the bytes is no burden.
            let light = load.frame_bytes * 8.0 >= 0.3 * load.target
                && ladder.rung().size != before.size
                && ladder.rung().frame_cost(&FILM) <= 0.5 * before.frame_cost(&FILM);
            smaller += u32::from(light);
            assert!(light || last.is_none_or(|last| at - last >= 2000), "at {at} ms, after {last:?}");
            last = Some(at);
        }
        before = *ladder.rung();
    }
    assert!(last.is_some() && smaller > 0);
}

#[test]
fn ladders_stand_on_nothing() {
    let small = Bounds { size: (16, 16), quality: None, lossless: true, fps: 0.1 };
    let odd = [0.0, 1e-300, 1.0, 1e300, f64::INFINITY, f64::NAN];
    for bounds in [FILM, small, Bounds { fps: 1000.0, ..FILM }] {
        for target in odd {
            for frame_bytes in odd {
                let mut ladder = Ladder::default();
                for at in (0..20_000).step_by(1000) {
                    ladder.decide(ms(at), &bounds, &load(at, target, frame_bytes));
                    assert!(ladder.rung().halves >= 2 && ladder.rung().cost(&bounds).is_finite());
                }
            }
        }
    }
}

#[test]
fn what_a_narrow_network_has_shown_fades_while_small_frames_pass_freely() {
    for (queue, free) in [(0, true), (50, false)] {
        let mut rate = known(); // 20 Mbit/s
        for n in 30..330 {
            let at = n * 33;
            send(&mut rate, n as u64, at, 2_000);
            rate.reported(
                &report(n as u64, (at + 5 + queue) * 1000, (at + 6 + queue) * 1000),
                1.0,
                ms(at + 11 + queue),
            );
        }
        assert_eq!(rate.target().unwrap() > 40_000_000, free, "{queue} ms of queue: {:?}", rate.target());
    }
}
