//! Playout in virtual time.

use super::*;
use crate::segments::Coded;
use bytes::Bytes;

const PERIOD: i64 = 33_333;

fn t(us: i64) -> Time {
    Time::from_micros(us)
}

fn frame(epoch: u64, seq: u64, captured: i64) -> Frame {
    Frame {
        epoch,
        seq,
        captured: t(captured),
        error: Duration::ZERO,
        coded: Coded::whole(Bytes::from_static(&[0; 10]), seq),
    }
}

/// Plays frames that come at the given times after their captures (µs); what was shown when, and the playout.
fn play(mode: Mode, took: &[i64]) -> (Vec<(u64, i64)>, Playout) {
    let mut arrivals: Vec<(i64, u64)> =
        took.iter().enumerate().map(|(i, took)| (i as i64 * PERIOD + took, i as u64)).collect();
    arrivals.sort();
    let (mut playout, mut shown) = (Playout::new(mode), Vec::new());
    let mut show = |playout: &mut Playout, now: i64| {
        if let Some(frame) = playout.pop(t(now)) {
            shown.push((frame.seq, now));
        }
    };
    for (at, seq) in arrivals {
        while let Some(due) = playout.wake().filter(|due| due.micros() < at) {
            show(&mut playout, due.micros());
        }
        playout.push(t(at), frame(1, seq, seq as i64 * PERIOD));
        show(&mut playout, at);
    }
    while let Some(due) = playout.wake() {
        show(&mut playout, due.micros());
    }
    (shown, playout)
}

/// Standard deviation of the distances between neighbours, over those of frames that follow each other, ms.
fn unevenness(shown: &[(u64, i64)]) -> f64 {
    let gaps: Vec<f64> =
        shown.windows(2).map(|w| (w[1].1 - w[0].1 - (w[1].0 - w[0].0) as i64 * PERIOD) as f64).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    (gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt() / 1000.0
}

fn jittered(count: usize, least: i64, jitter: i64) -> Vec<i64> {
    let mut random = fastrand::Rng::with_seed(3);
    (0..count).map(|_| least + random.i64(0..=jitter)).collect()
}

#[test]
fn modes_are_read_as_typed() {
    for (text, mode) in [
        ("0", Mode::Off),
        ("0ms", Mode::Off),
        ("auto", Mode::Auto),
        ("200ms", Mode::Fixed(Duration::from_millis(200))),
        ("1.5s", Mode::Fixed(Duration::from_millis(1500))),
    ] {
        assert_eq!(text.parse::<Mode>().unwrap(), mode);
    }
    for text in ["", "ms", "s", "200", "-1s", "1e1s", "infs", "NaNs", "6s", "99999999999999999999s", "Auto", "1.2.3s"] {
        let error = text.parse::<Mode>().unwrap_err();
        assert_eq!(error.downcast_ref::<Fault>().map(|f| f.kind), Some(crate::fault::Kind::Usage), "{text}");
    }
}

#[test]
fn off_shows_each_frame_as_it_comes() {
    let took = jittered(100, 5_000, 30_000);
    let (shown, playout) = play(Mode::Off, &took);
    assert!(shown.iter().all(|&(seq, at)| at == seq as i64 * PERIOD + took[seq as usize]));
    assert_eq!((shown.len(), playout.late(), playout.delay()), (100, 0, Duration::ZERO));
}

#[test]
fn fixed_counts_from_the_capture() {
    let (shown, playout) = play(Mode::Fixed(Duration::from_millis(200)), &jittered(200, 20_000, 150_000));
    assert!(shown.iter().all(|&(seq, at)| at == seq as i64 * PERIOD + 200_000));
    assert_eq!((shown.len(), playout.late()), (200, 0));
    assert!((170..=180).contains(&playout.delay().as_millis()), "{:?}", playout.delay());
    // Where the way takes longer, nothing is held.
    let (shown, playout) = play(Mode::Fixed(Duration::from_millis(200)), &[250_000; 50]);
    assert!(shown.iter().all(|&(seq, at)| at == seq as i64 * PERIOD + 250_000));
    assert_eq!((shown.len(), playout.delay()), (50, Duration::ZERO));
}

#[test]
fn auto_evens_out_the_jitter_at_its_percentile() {
    let took = jittered(900, 40_000, 30_000);
    let (shown, playout) = play(Mode::Auto, &took);
    let (raw, _) = play(Mode::Off, &took);
    let settled = &shown[shown.len() / 3..];
    let (before, after) = (unevenness(&raw), unevenness(settled));
    assert!(before > 10.0 && after < before / 8.0, "{before} ms became {after} ms");
    let held: f64 =
        settled.iter().map(|&(seq, at)| (at - seq as i64 * PERIOD) as f64).sum::<f64>() / settled.len() as f64;
    assert!((68_000.0..=71_000.0).contains(&held), "{held} µs from capture to showing");
    assert!((28..=30).contains(&playout.delay().as_millis()), "{:?}", playout.delay());
    assert!(playout.late() <= 2, "{} late", playout.late());
}

#[test]
fn auto_holds_nothing_on_a_clean_network() {
    let mut took = jittered(300, 3_000, 800);
    took[0] = 90_000; // the first frame waits for the handshake
    let (shown, playout) = play(Mode::Auto, &took);
    assert!(playout.delay() <= Duration::from_millis(2), "{:?}", playout.delay());
    let (seq, at) = *shown.last().unwrap();
    assert!(at - seq as i64 * PERIOD <= 5_000);
}

#[test]
fn auto_follows_steps_of_the_path_within_a_second() {
    let mut took = jittered(150, 10_000, 4_000);
    took.extend(jittered(150, 90_000, 4_000));
    took.extend(jittered(150, 10_000, 4_000));
    let (shown, _) = play(Mode::Auto, &took);
    let age = |seq: u64| shown.iter().find(|s| s.0 == seq).map(|&(seq, at)| at - seq as i64 * PERIOD);
    for seq in 150 + 30..300 {
        assert!(age(seq).is_some_and(|age| (90_000..=95_000).contains(&age)), "{seq}: {:?}", age(seq));
    }
    for seq in 300 + 30..450 {
        assert!(age(seq).is_some_and(|age| (10_000..=15_000).contains(&age)), "{seq}: {:?}", age(seq));
    }
}

#[test]
fn auto_forgets_a_burst_within_seconds_and_never_holds_more_than_half_a_second() {
    let mut took = vec![10_000; 600];
    for (i, took) in took[100..160].iter_mut().enumerate() {
        *took = 2_000_000 - i as i64 * PERIOD; // a stall of two seconds, then everything at once
    }
    let (shown, playout) = play(Mode::Auto, &took);
    for &(seq, at) in &shown {
        let came = seq as i64 * PERIOD + took[seq as usize];
        assert!((0..=500_000).contains(&(at - came)), "{seq} held {} µs", at - came);
    }
    assert!(playout.delay() < Duration::from_millis(20), "{:?}", playout.delay());
    assert!(shown.is_sorted());
    assert_eq!(shown.len() as u64 + playout.late(), 600);
}

#[test]
fn order_is_by_sequence_and_old_frames_are_late() {
    let mut p = Playout::new(Mode::Fixed(Duration::from_millis(100)));
    for seq in [1, 0, 3, 3, 2] {
        p.push(t(10_000), frame(1, seq, seq as i64 * 10_000 - 40_000));
    }
    assert_eq!(p.wake(), Some(t(60_000)));
    assert_eq!(p.pop(t(60_000)).map(|f| f.seq), Some(0));
    assert!(p.pop(t(60_000)).is_none());
    assert_eq!(p.pop(t(85_000)).map(|f| f.seq), Some(2));
    assert_eq!(p.late(), 1);
    for seq in [1, 2] {
        p.push(t(86_000), frame(1, seq, 0)); // too late, and a double of what is on show
    }
    assert_eq!((p.late(), p.pop(t(90_000)).map(|f| f.seq), p.wake()), (2, Some(3), None));
}

#[test]
fn a_new_epoch_starts_from_nothing() {
    let mut p = Playout::new(Mode::Auto);
    for seq in 0..100 {
        p.push(t(seq * PERIOD + 400_000 * (seq % 2)), frame(1, seq as u64, seq * PERIOD));
        p.pop(t(seq * PERIOD));
    }
    let now = 100 * PERIOD;
    p.push(t(now), frame(2, 0, now - 5_000));
    assert_eq!(p.pop(t(now)).map(|f| (f.epoch, f.seq)), Some((2, 0)));
    assert_eq!(p.delay(), Duration::ZERO);
}

#[test]
fn the_queue_is_bounded_and_still_shows_every_frame_of_a_fast_stream() {
    let mut p = Playout::new(Mode::Fixed(FIXED_MAX));
    let mut shown = 0;
    for seq in 0..2000 {
        p.push(t(seq * 5_000), frame(1, seq as u64, seq * 5_000));
        shown += u64::from(p.pop(t(seq * 5_000)).is_some());
        assert!(p.waiting.len() <= FRAMES_MAX);
    }
    assert_eq!((shown, p.late()), (2000 - FRAMES_MAX as u64 + 1, 0));
    let big = Bytes::from(vec![0; BYTES_MAX / 3]);
    for seq in 0..20 {
        p.push(t(0), Frame { coded: Coded::whole(big.clone(), seq), ..frame(9, seq, 0) });
    }
    assert!(p.bytes <= BYTES_MAX);
}

#[test]
fn hostile_times_neither_panic_nor_hold_for_long() {
    for mode in [Mode::Off, Mode::Auto, Mode::Fixed(FIXED_MAX)] {
        let mut p = Playout::new(mode);
        let mut random = fastrand::Rng::with_seed(5);
        for seq in 0..500 {
            let captured = *random.choice(&[i64::MIN, i64::MAX, 0, -1, seq * PERIOD]).unwrap();
            p.push(t(seq * PERIOD), frame(random.u64(0..2) / 2, random.u64(..), captured));
            let _ = (p.pop(t(seq * PERIOD)), p.wake(), p.delay(), p.late());
        }
    }
    let mut p = Playout::new(Mode::Auto);
    p.push(t(0), frame(1, 0, 3_600_000_000));
    assert!(p.wake().is_some_and(|at| at <= t(500_000)), "{:?}", p.wake());
}
