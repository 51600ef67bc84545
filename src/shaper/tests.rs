//! The shaper in virtual time.

use proptest::prelude::*;

use super::*;

fn ms(t: i64) -> Time {
    Time::from_micros(t * 1000)
}

fn shaper(carrier: Carrier, settings: &str) -> Shaper<usize> {
    let mut shaper = Shaper::new(carrier, 1);
    shaper.set(ms(0), &settings.parse().unwrap());
    shaper
}

/// All that comes out, each with the time at which it did.
fn drain<T: Clone>(shaper: &mut Shaper<T>, from: Time, until: Time) -> Vec<(Time, T, Vec<u8>)> {
    let (mut now, mut out) = (from, Vec::new());
    loop {
        while let Some((to, bytes)) = shaper.pop(now) {
            out.push((now, to, bytes));
        }
        match shaper.wake() {
            Some(next) if next <= until => now = next.max(now),
            _ => return out,
        }
    }
}

#[test]
fn a_clean_network_passes_at_once_and_in_order() {
    let mut shaper = shaper(Carrier::Datagrams, "");
    (0..3).for_each(|n| shaper.push(ms(0), n, vec![n as u8]));
    let out = drain(&mut shaper, ms(0), ms(0));
    assert_eq!(out.iter().map(|o| o.1).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(shaper.is_clear() && shaper.wake().is_none());
    assert_eq!((shaper.stats.packets, shaper.stats.bytes), (3, 3));
}

#[test]
fn a_delay_is_exact() {
    let mut shaper = shaper(Carrier::Datagrams, "delay=50ms");
    shaper.push(ms(7), 0, vec![0; 100]);
    assert_eq!(shaper.pop(ms(56)), None);
    assert_eq!(shaper.wake(), Some(ms(57)));
    assert!(shaper.pop(ms(57)).is_some());
}

#[test]
fn a_rate_is_kept_from_100_kbit_to_a_gigabit() {
    for rate in [100_000u64, 5_000_000, 1_000_000_000] {
        for carrier in [Carrier::Datagrams, Carrier::Stream] {
            let mut shaper = shaper(carrier, &format!("rate={rate}bit,queue=100ms"));
            let (mut now, mut bytes) = (ms(0), 0);
            while now <= ms(10_000) {
                // A source that always has more than fits, and looks whenever the network asks it to.
                while shaper.room() > 0 && shaper.queued < 50_000 {
                    let size = shaper.room().min(1250);
                    shaper.push(now, 0, vec![0; size]);
                }
                bytes += std::iter::from_fn(|| shaper.pop(now)).map(|(_, b)| b.len() as u64).sum::<u64>();
                now = shaper.wake().map_or(now, |at| at.max(now + Duration::from_micros(50)));
            }
            let off = (bytes * 8) as f64 / 10.0 / rate as f64 - 1.0;
            assert!(off.abs() < 0.02, "{carrier:?} at {rate}: {off}");
        }
    }
}

#[test]
fn a_short_queue_and_a_delay_do_not_lower_a_streams_rate() {
    let mut shaper = shaper(Carrier::Stream, "rate=100kbit,queue=10ms,delay=200ms");
    let (mut now, mut bytes) = (ms(0), 0);
    while now <= ms(10_200) {
        bytes += std::iter::from_fn(|| shaper.pop(now)).map(|(_, b)| b.len()).sum::<usize>();
        while shaper.room() > 0 {
            let size = shaper.room();
            shaper.push(now, 0, vec![0; size]);
        }
        now = shaper.wake().unwrap();
    }
    assert!((122_000..128_000).contains(&bytes), "{bytes}");
}

#[test]
fn a_full_queue_drops_its_tail_by_time_and_by_bytes() {
    for queue in ["100ms", "12500B"] {
        let mut shaper = shaper(Carrier::Datagrams, &format!("rate=1mbit,queue={queue}"));
        (0..100).for_each(|n| shaper.push(ms(0), n, vec![0; 1250]));
        let out = drain(&mut shaper, ms(0), ms(10_000));
        assert_eq!((out.len(), shaper.stats.overflowed), (10, 90), "{queue}");
        assert_eq!((out[0].0, out[9].0, out[9].1), (ms(10), ms(100), 9));
        assert_eq!(shaper.stats.queued_us, 550_000);
    }
}

#[test]
fn a_change_of_rate_holds_for_what_waits() {
    let mut shaper = shaper(Carrier::Datagrams, "rate=8kbit,queue=1MiB");
    (0..10).for_each(|n| shaper.push(ms(0), n, vec![0; 1000]));
    shaper.set(ms(500), &"rate=8mbit,queue=1MiB".parse().unwrap());
    let out = drain(&mut shaper, ms(500), ms(600));
    assert_eq!((out.len(), out[0].0, out[9].0), (10, ms(501), ms(510)));
}

#[test]
fn connections_share_the_bottleneck_and_have_their_own() {
    let shared = Arc::default();
    let mut both: Vec<Shaper<()>> = (0..2).map(|n| Shaper::sharing(Carrier::Stream, n, Arc::clone(&shared))).collect();
    both.iter_mut().for_each(|s| s.set(ms(0), &"rate=8mbit".parse().unwrap()));
    let mut passed = [0; 2];
    for now in 0..1000 {
        for (shaper, passed) in both.iter_mut().zip(&mut passed) {
            while shaper.room() > 0 {
                let size = shaper.room();
                shaper.push(ms(now), (), vec![0; size]);
            }
            *passed += std::iter::from_fn(|| shaper.pop(ms(now))).map(|(_, b)| b.len()).sum::<usize>();
        }
    }
    assert!(passed.iter().all(|p| (480_000..520_000).contains(p)), "{passed:?}");
    both[0].set(ms(1000), &"rate=8mbit,bandwidth=80kbit".parse().unwrap());
    assert_eq!(both[0].rate(), Some(80_000));
}

#[test]
fn streams_never_reorder_and_lose_only_time() {
    let mut shaper = shaper(Carrier::Stream, "delay=20ms,jitter=20ms,loss=10%,reorder=50%,duplicate=50%,corrupt=5%");
    (0..1000).for_each(|n| shaper.push(ms(n as i64), n, vec![7; 100]));
    let out = drain(&mut shaper, ms(0), ms(3_600_000));
    assert_eq!(out.iter().map(|o| o.1).collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
    assert!(out.iter().all(|o| o.2 == [7; 100]));
    assert!(shaper.stats.lost > 50 && shaper.stats.duplicated + shaper.stats.corrupted == 0);
}

#[test]
fn a_lost_segment_costs_its_retransmission() {
    let mut shaper = shaper(Carrier::Stream, "delay=50ms,loss=100%");
    shaper.push(ms(0), 0, vec![0]);
    assert!(shaper.wake().unwrap() > ms(100_000), "what is always lost does not come");
    assert_eq!(retransmission(Duration::from_millis(300), 2), Duration::from_millis(300 + 600));
}

#[test]
fn an_outage_ends_for_what_it_had_stopped_with_the_next_retransmission() {
    let mut shaper = shaper(Carrier::Stream, "delay=50ms,loss=100%,rate=1mbit");
    (0..10).for_each(|n| shaper.push(ms(100 * n as i64), n, vec![0; 1250]));
    shaper.push(ms(999), 10, vec![0; 1250]); // and this one is still in the queue then
    assert!(drain(&mut shaper, ms(0), ms(1000)).is_empty());
    shaper.set(ms(1000), &"delay=50ms,rate=1mbit".parse().unwrap());
    let out = drain(&mut shaper, ms(1000), ms(10_000));
    assert_eq!(out.iter().map(|o| o.1).collect::<Vec<_>>(), (0..11).collect::<Vec<_>>());
    // Of the first, sent at 10 ms: in vain then, after 300 ms and 600 more; the fourth time is after 1200 more.
    assert!(out.iter().all(|o| o.0 == ms(10 + 2100 + 50)), "{out:?}");
    assert_eq!(shaper.stats.lost, 11 + 2 + 6, "each at first, one twice more and six once more within the second");
}

#[test]
fn a_stream_that_is_not_read_is_not_kept_without_end() {
    for settings in ["delay=1h", "delay=1h,loss=1%", "rate=8kbit", ""] {
        let mut shaper = shaper(Carrier::Stream, settings);
        let mut pushed = 0;
        while shaper.room() > 0 && pushed <= HELD {
            let size = shaper.room();
            shaper.push(ms(0), 0, vec![0; size]);
            pushed += size;
        }
        assert!(shaper.held() <= HELD, "{settings}");
    }
    let mut shaper = shaper(Carrier::Datagrams, "delay=1h");
    (0..300).for_each(|n| shaper.push(ms(0), n, vec![0; 65_507]));
    assert!(shaper.held() <= HELD && shaper.stats.overflowed > 0);
}

#[test]
fn datagrams_are_doubled_damaged_and_overtaken() {
    let mut shaper = shaper(Carrier::Datagrams, "delay=10ms,duplicate=10%,corrupt=10%,reorder=10%");
    (0..10_000).for_each(|n| shaper.push(ms(n as i64), n, vec![0; 50]));
    let out = drain(&mut shaper, ms(0), ms(20_000));
    let stats = shaper.stats;
    assert_eq!(out.len() as u64, 10_000 + stats.duplicated);
    let damaged = out.iter().filter(|o| o.2.iter().map(|b| b.count_ones()).sum::<u32>() == 1).count();
    assert!(damaged as u64 >= stats.corrupted);
    for count in [stats.duplicated, stats.corrupted, stats.reordered] {
        assert!((900..1300).contains(&count), "{stats:?}");
    }
    assert!(out.windows(2).any(|w| w[0].1 > w[1].1));
    let mut held_back = self::shaper(Carrier::Datagrams, "reorder=20%");
    (0..100).for_each(|n| held_back.push(ms(n as i64), n, vec![0]));
    assert!(drain(&mut held_back, ms(0), ms(200)).windows(2).any(|w| w[0].1 > w[1].1));
}

proptest! {
    #[test]
    fn the_same_seed_and_input_give_the_same_output(
        seed: u64,
        packets in prop::collection::vec((0i64..1000, 0usize..2000), 1..100),
        stream: bool,
    ) {
        let text = "delay=5ms,jitter=4ms,distribution=normal,loss=5%,burst-loss=5%:3,reorder=5%,duplicate=5%,corrupt=5%,rate=1mbit";
        let run = |look: i64| {
            let mut shaper = Shaper::new(if stream { Carrier::Stream } else { Carrier::Datagrams }, seed);
            shaper.set(ms(0), &text.parse().unwrap());
            let (mut sorted, mut out) = (packets.clone(), Vec::new());
            sorted.sort_by_key(|p| p.0);
            for (n, (at, size)) in sorted.into_iter().enumerate() {
                // How often somebody looks changes nothing but when it is seen.
                if at % look == 0 {
                    out.extend(std::iter::from_fn(|| shaper.pop(ms(at))));
                }
                shaper.push(ms(at), n, vec![0; size]);
            }
            out.extend(drain(&mut shaper, ms(1000), ms(10_000_000)).into_iter().map(|o| (o.1, o.2)));
            (out, shaper.stats)
        };
        prop_assert_eq!(run(1), run(7));
    }

    #[test]
    fn nothing_is_made_up_and_nothing_lost_without_a_reason(
        delay in 0u64..200, jitter in 0u64..100, loss in 0u8..50, duplicate in 0u8..50, rate in 10_000u64..10_000_000,
        packets in prop::collection::vec((0i64..1000, 1usize..1500), 1..100),
    ) {
        let text = format!("delay={delay}ms,jitter={jitter}ms,loss={loss}%,duplicate={duplicate}%,rate={rate}bit");
        let mut shaper = shaper(Carrier::Datagrams, &text);
        let mut sorted = packets;
        sorted.sort_by_key(|p| p.0);
        for (n, (at, size)) in sorted.iter().enumerate() {
            shaper.push(ms(*at), n, vec![0; *size]);
        }
        let out = drain(&mut shaper, ms(0), ms(10_000_000)).len() as u64;
        let stats = shaper.stats;
        prop_assert_eq!(out + stats.lost + stats.overflowed, sorted.len() as u64 + stats.duplicated);
        prop_assert!(shaper.is_empty() && shaper.held() == 0);
    }
}
