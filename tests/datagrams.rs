//! Two ends of a connection joined by a bad network, in virtual time: what arrives, when, and what becomes of the rest.

mod common;

use std::time::Duration;

use common::rig::{FRAME, HERE, Rig, address, film, rig};
use proptest::prelude::*;
use vstream::adapt::{Burst, Rate};
use vstream::clock::Time;
use vstream::datagrams::connection::Heard;
use vstream::flow::Flow;
use vstream::link::{Packets, Repaired};
use vstream::message::{Begin, Bye, Message};

fn overhead(rig: &Rig, count: u64) -> f64 {
    rig.sent_bytes as f64 / (count as f64 * 600.0 * 200.0) - 1.0
}

#[test]
fn on_a_clean_network_everything_arrives_at_once() {
    let (rig, good) = film("delay=20ms", Duration::ZERO, 60, Duration::from_millis(35));
    assert_eq!(good, 1.0);
    assert_eq!(rig.watcher.repaired(), Repaired::default());
    assert!(overhead(&rig, 60) < 0.13, "{}", overhead(&rig, 60)); // padding and one parity, headers among it
}

#[test]
fn a_link_knows_what_its_frames_take_of_the_network() {
    for (network, latency) in [("delay=20ms", 0), ("delay=20ms,loss=5%", 160)] {
        let (rig, _) = film(network, Duration::from_millis(latency), 120, Duration::MAX);
        let (known, all) = (rig.publisher.overhead(), 1.0 + overhead(&rig, 120));
        assert!((known.all / all - 1.0).abs() < 0.03, "{network}: {known:?} of {all:.3}");
        assert!((1.01..1.08).contains(&known.packets) && known.packets < known.all, "{network}: {known:?}");
    }
}

#[test]
fn five_per_cent_with_four_round_trips() {
    let latency = Duration::from_millis(160);
    let (rig, good) = film("delay=20ms,loss=5%", latency, 1000, latency + Duration::from_millis(25));
    println!("whole {good}, overhead {}, {:?}", overhead(&rig, 1000), rig.watcher.repaired());
    assert!(good >= 0.999, "{good}");
    assert!(overhead(&rig, 1000) < 0.25, "{}", overhead(&rig, 1000));
}

#[test]
fn how_a_frame_crossed_is_told_without_what_it_was_held_for() {
    let latency = Duration::from_millis(160);
    let (rig, _) = film("delay=20ms,loss=10%", latency, 300, Duration::MAX);
    let mut held = 0;
    for (number, (ended, _)) in rig.frames() {
        let crossing = &rig.crossings[&number];
        let sent = Time::from_micros(1_000_000) + FRAME * number as u32;
        let (found, took) = (crossing.began.since(sent), crossing.arrived.since(crossing.began));
        // Pacing spreads a frame and its parities over 8 ms and a little; the first datagrams may be the lost ones.
        assert!((20..25).contains(&found.as_millis()), "frame {number} began to arrive after {found:?}");
        assert!((5..15).contains(&took.as_millis()), "frame {number} took {took:?}");
        held += u32::from(ended.since(crossing.arrived) > Duration::from_millis(30));
    }
    assert!(held > 10, "{held} frames waited for what was sent again");
}

#[test]
fn delays_that_vary_are_not_taken_for_a_slow_network() {
    let took = |network| -> Duration {
        let (rig, _) = film(network, Duration::from_millis(100), 200, Duration::MAX);
        let mut took: Vec<Duration> = rig.crossings.values().map(|c| c.arrived.since(c.began)).collect();
        took.sort_unstable();
        took[took.len() / 2]
    };
    // 8 ms of pacing, and 40 between the fastest and the slowest.
    let (calm, varying) = (took("delay=40ms"), took("delay=40ms,jitter=20ms"));
    assert!(varying < 2 * calm, "{varying:?}, {calm:?} where nothing varies");
    let slow = took("delay=40ms,jitter=5ms,rate=40mbit");
    assert!(slow > Duration::from_millis(22), "{slow:?} of 24 ms and more at 40 Mbit/s");
}

#[test]
fn ten_per_cent_with_six_round_trips() {
    let latency = Duration::from_millis(240);
    let (rig, good) = film("delay=20ms,loss=10%", latency, 600, latency + Duration::from_millis(25));
    println!("whole {good}, overhead {}, {:?}", overhead(&rig, 600), rig.watcher.repaired());
    assert!(good >= 0.99, "{good}");
}

#[test]
fn five_per_cent_and_the_newest_wins() {
    let (rig, good) = film("delay=20ms,loss=5%", Duration::ZERO, 600, Duration::from_millis(45));
    println!("whole {good}, overhead {}, {:?}", overhead(&rig, 600), rig.watcher.repaired());
    assert!(good >= 0.98, "{good}");
    assert!(rig.frames().len() >= 599, "{} frames ended", rig.frames().len());
    let late = rig
        .frames()
        .iter()
        .filter(|(n, (at, _))| at.since(Time::from_micros(1_000_000) + FRAME * **n as u32) > Duration::from_millis(40))
        .count();
    assert!(late < 30, "{late} of 600");
}

#[test]
fn bursts_of_losses_freeze_nothing() {
    let (rig, good) = film("delay=20ms,burst-loss=2%:8", Duration::ZERO, 900, Duration::from_millis(45));
    let ends: Vec<Time> = rig.frames().values().map(|(at, _)| *at).collect();
    let longest = ends.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
    println!("whole {good}, overhead {}, longest pause {longest:?}", overhead(&rig, 900));
    assert!(longest < Duration::from_millis(200) && good > 0.9, "{longest:?}, {good}");
}

/// What a publisher does: the newest image goes when the flow allows. The longest time between two frames' ends.
fn longest_pause(rig: &mut Rig, images: u32) -> Duration {
    let (mut flow, mut number, begun) = (Flow::default(), 0, rig.now);
    flow.round_trip(Duration::from_millis(40), true);
    for image in 0..images {
        let next = begun + FRAME * (image + 1);
        let mut waits = true;
        while rig.now < next {
            rig.publisher.settled_number().into_iter().for_each(|settled| _ = flow.acknowledged(settled));
            if waits && flow.room(rig.now) {
                flow.sent(number, rig.now, 1);
                rig.frame(number, &(0..600).collect::<Vec<_>>(), 200, 600);
                (number, waits) = (number + 1, false);
            }
            let look = rig.now + Duration::from_millis(5);
            rig.run(if waits { look.min(next) } else { next });
        }
        if image == 30 {
            rig.deaf = 45; // as the longest of 400 bursts of 8 on average
        }
    }
    let ends: Vec<Time> = rig.frames().values().map(|(at, _)| *at).collect();
    ends.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap()
}

#[test]
fn acknowledgements_lost_on_end_stop_the_stream_for_no_longer_than_a_few_frames() {
    let mut rig = rig("delay=20ms", Duration::ZERO, 7);
    rig.greet(false);
    let longest = longest_pause(&mut rig, 60);
    assert!(longest < Duration::from_millis(160) && rig.deaf == 0, "{longest:?}");
}

/// Frames of so many tiles of 200 bytes, which leave as fast as those before were seen to pass. How long each took from end
/// to end.
fn at_the_speed_of_the_network(rig: &mut Rig, count: u64, tiles: usize, apart: Duration) -> Vec<Duration> {
    rig.greet(false);
    let (mut rate, mut told, begun) = (Rate::default(), 0, rig.now);
    for number in 0..count {
        rate.begun(number, rig.now);
        rig.frame(number, &(0..tiles).collect::<Vec<_>>(), 200, tiles);
        let bytes = (tiles as f64 * 200.0 * rig.publisher.overhead().packets) as usize;
        rate.sent(rig.now, Burst { bytes, wire: bytes, ..Burst::default() });
        rig.run(begun + apart * (number + 1) as u32);
        rig.report(&mut rate, &mut told);
        rig.publisher.pace(rate.budget(), rate.passing());
    }
    rig.frames().iter().map(|(number, (at, _))| at.since(begun + apart * *number as u32)).collect()
}

/// 60 Mbit/s as 125 kB 60 times a second, through 80 Mbit/s with 64 KiB of buffer.
#[test]
fn a_frame_is_no_burst() {
    let mut rig = rig("delay=10ms,rate=80mbit,queue=64KiB", Duration::ZERO, 7);
    at_the_speed_of_the_network(&mut rig, 300, 625, FRAME / 2);
    let Packets { lost, sent, .. } = rig.publisher.packets();
    assert!(sent > 30_000 && lost == 0, "{lost} of {sent} packets overflowed the buffer");
}

#[test]
fn a_frame_is_no_burst_where_some_is_lost_all_the_same() {
    let lost = |network: &str| {
        let mut rig = rig(network, Duration::ZERO, 7);
        at_the_speed_of_the_network(&mut rig, 300, 500, FRAME / 2);
        let Packets { lost, sent, .. } = rig.publisher.packets();
        assert!(sent > 24_000, "{sent}");
        lost as f64 / sent as f64
    };
    let (wide, narrow) = (lost("delay=10ms,loss=5%"), lost("delay=10ms,loss=5%,rate=80mbit,queue=64KiB"));
    assert!(narrow < wide + 0.005, "{narrow} and {wide}");
}

#[test]
fn a_network_that_takes_frames_at_once_gets_them_so() {
    for (network, most) in [("delay=20ms", 24), ("delay=20ms,loss=5%", 24)] {
        let took = at_the_speed_of_the_network(&mut rig(network, Duration::ZERO, 7), 120, 1500, FRAME);
        assert!(took[60..].iter().all(|took| *took < Duration::from_millis(most)), "{network}: {took:?}");
    }
}

#[test]
fn frames_that_come_after_later_ones_hold_nothing_up() {
    // Of every tenth frame all is late by more than its successor needs.
    let (rig, _) = film("delay=20ms,jitter=60ms,reorder=10%", Duration::ZERO, 400, Duration::from_secs(1));
    let frames = rig.frames();
    assert!(frames.len() > 300 && *frames.keys().last().unwrap() > 395, "{} frames", frames.len());
}

#[test]
fn every_frame_arrives_whatever_the_network_does() {
    let mut rig = rig("delay=10ms,jitter=8ms,loss=20%,reorder=5%,duplicate=5%,corrupt=5%", Duration::ZERO, 3);
    rig.greet(true);
    let places: Vec<usize> = (0..100).collect();
    for number in 0..100 {
        rig.frame(number, &places, 300, 100);
        let next = rig.now + FRAME;
        rig.run(next);
    }
    let end = rig.now + Duration::from_secs(5);
    rig.run(end);
    let frames = rig.frames();
    assert_eq!(frames.len(), 100);
    assert!(frames.iter().all(|(number, (_, came))| came.len() == 100 && came.iter().all(|(_, v)| v == number)));
    assert!(rig.watcher.refused > 100 && rig.publisher.settled());
}

/// What is not whole is told: a publisher that puts it into the next frame heals it soon.
#[test]
fn what_is_lost_is_told_and_heals() {
    let mut rig = rig("delay=20ms,burst-loss=5%:20", Duration::ZERO, 11);
    rig.greet(false);
    let all: Vec<usize> = (0..300).collect();
    let mut due = all.clone();
    let mut had = vec![None; 300];
    for number in 0..310u64 {
        let calm = number >= 300;
        if calm {
            rig.up.set(rig.now, &"delay=20ms".parse().unwrap());
        }
        rig.frame(number, &due, 200, 300);
        due.iter().for_each(|&place| had[place] = Some(number));
        let next = rig.now + FRAME;
        rig.run(next);
        // A tenth changes with each frame, and what was lost must come again.
        due = all.iter().copied().filter(|place| !calm && place % 10 == number as usize % 10).collect();
        let lost = rig.publisher.take_lost();
        due.extend(lost.iter().filter(|(place, version)| had[*place] == Some(*version)).map(|(place, _)| *place));
        due.sort_unstable();
        due.dedup();
    }
    let end = rig.now + Duration::from_millis(300);
    rig.run(end);
    let mut have = vec![None; 300];
    for (_, (_, came)) in rig.frames() {
        came.iter().for_each(|&(place, version)| have[place] = have[place].max(Some(version)));
    }
    let stale = (0..300).filter(|&place| have[place] != had[place]).count();
    assert_eq!(stale, 0, "tiles that are old at the end");
}

#[test]
fn a_client_that_moves_keeps_its_connection() {
    let mut rig = rig("delay=5ms", Duration::ZERO, 5);
    rig.greet(false);
    for number in 0..30 {
        if number == 10 {
            rig.from = address("10.9.9.9:4242");
        }
        rig.frame(number, &[0, 1, 2], 500, 3);
        rig.watcher.send(rig.now, Message::Ping(Time::from_micros(number as i64))).unwrap();
        let next = rig.now + FRAME;
        rig.run(next);
    }
    assert_eq!(rig.watcher.peer(), address("10.9.9.9:4242"));
    assert_eq!(
        rig.said.iter().filter(|m| matches!(m, Message::Ping(_))).count(),
        30,
        "what went to the old address too"
    );
}

#[test]
fn a_forged_address_gets_a_challenge_and_no_stream() {
    let mut rig = rig("delay=5ms", Duration::ZERO, 5);
    rig.greet(false);
    let soon = rig.now + FRAME;
    rig.run(soon);
    rig.publisher.send(rig.now, Message::Ping(Time::default())).unwrap();
    let (_, packet) = rig.publisher.transmit(rig.now).unwrap();
    let victim = address("10.6.6.6:6");
    rig.watcher.receive(rig.now, victim, packet);
    let (mut bytes, mut now) = (0, rig.now);
    for _ in 0..300 {
        now = now + Duration::from_millis(10);
        while let Some((to, packet)) = rig.watcher.transmit(now) {
            bytes += if to == victim { packet.len() } else { 0 };
        }
    }
    assert!((1..1200).contains(&bytes), "{bytes} bytes went to an address that never asked");
    assert_eq!(rig.watcher.peer(), address(HERE));
}

#[test]
fn packets_that_are_none_are_refused() {
    let mut rig = rig("delay=5ms", Duration::ZERO, 5);
    rig.greet(false);
    let (_, packet) = rig.publisher.transmit(rig.now).unwrap();
    let mut forged = packet.clone();
    forged[20] ^= 1;
    for bad in [forged, packet[..packet.len() - 1].to_vec(), packet[..12].to_vec(), Vec::new(), vec![16; 70_000]] {
        rig.watcher.receive(rig.now, address(HERE), bad);
    }
    assert_eq!(rig.watcher.refused, 5);
    rig.watcher.receive(rig.now, address(HERE), packet.clone());
    assert!(matches!(rig.watcher.message(rig.now).unwrap(), Heard::Message(Message::Hello(_))));
    rig.watcher.receive(rig.now, address(HERE), packet);
    assert_eq!(rig.watcher.refused, 6, "a packet that comes again is a replay");
}

#[test]
fn a_farewell_in_the_middle_of_a_frame_is_heard() {
    let mut rig = rig("delay=5ms", Duration::ZERO, 5);
    rig.greet(true);
    rig.frame(0, &[0, 1, 2], 500, 3);
    let begin = Begin { number: 1, epoch: 5, seq: 1, captured: rig.now, error: Duration::ZERO, head: None };
    rig.publisher.send(rig.now, Message::Begin(begin)).unwrap();
    let soon = rig.now + Duration::from_millis(20);
    rig.run(soon);
    rig.publisher.send(rig.now, Message::Bye(Bye { reason: "over".into(), over: true })).unwrap();
    rig.publisher.end();
    let soon = rig.now + Duration::from_millis(200);
    rig.run(soon);
    assert!(rig.publisher.settled());
    assert!(matches!(rig.heard.last(), Some((_, Message::Bye(bye))) if bye.over), "{:?}", rig.heard.last());
    assert_eq!(rig.frames().len(), 1);
}

#[test]
fn silence_and_a_leaving_peer_end_it() {
    let mut rig = rig("delay=5ms", Duration::ZERO, 5);
    rig.greet(false);
    let soon = rig.now + FRAME;
    rig.run(soon);
    let late = rig.now + Duration::from_secs(9);
    assert!(rig.publisher.message(late).is_err(), "nothing came for 9 s");
    rig.watcher.leave(rig.now);
    let soon = rig.now + FRAME;
    rig.run(soon);
    assert!(matches!(rig.publisher.message(rig.now).unwrap(), Heard::End));
    assert!(rig.watcher.is_over(rig.now));
}

/// Forty frames over a network that does everything to them; how many were seen. Tiles must be right and frames in order.
fn survivors(seed: u64, loss: u8, jitter: u8, corrupt: u8, latency: u64) -> usize {
    let network = format!("delay=20ms,jitter={jitter}ms,loss={loss}%,reorder=3%,duplicate=3%,corrupt={corrupt}%");
    let mut rig = rig(&network, Duration::from_millis(latency), seed);
    rig.greet(false);
    let mut random = fastrand::Rng::with_seed(seed);
    for number in 0..40 {
        let mut places: Vec<usize> = (0..80).filter(|_| number == 0 || random.u8(..4) == 0).collect();
        places.sort_unstable();
        let size = if random.u8(..10) == 0 { 3000 } else { random.usize(..300) };
        rig.frame(number, &places, size, 80);
        let next = rig.now + FRAME;
        rig.run(next);
    }
    let end = rig.now + Duration::from_secs(1);
    rig.run(end);
    let frames = rig.frames(); // which checks every tile
    let ends = rig.heard.iter().filter_map(|(_, m)| if let Message::End(e) = m { Some(e.number) } else { None });
    let numbers: Vec<u64> = ends.collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    frames.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_the_network_does_tiles_are_right_and_frames_in_order(
        seed in any::<u64>(), loss in 0u8..50, jitter in 0u8..40, corrupt in 0u8..10, latency in 0u64..200,
    ) {
        let frames = survivors(seed, loss, jitter, corrupt, latency);
        // What comes later than frames are held for is of no use to them.
        let held = latency == 0 || latency > 2 * u64::from(jitter);
        prop_assert!(loss > 30 || !held || frames > 20, "{frames} frames");
    }
}

/// The first frame's last part, in which its header is said again, comes before the first one.
#[test]
fn a_header_is_put_together_from_any_of_its_copies() {
    let frames = survivors(1870930582939709182, 19, 13, 4, 27);
    assert!(frames > 30, "{frames} frames of 40");
}

#[test]
fn who_has_lost_its_peer_waits_for_no_time() {
    let mut rig = rig("delay=10ms", Duration::ZERO, 1);
    rig.greet(false);
    rig.run(rig.now + Duration::from_secs(1));
    rig.frame(0, &(0..500).collect::<Vec<_>>(), 300, 500);
    assert!(rig.publisher.wake().is_some() && !rig.publisher.room(true), "pictures wait to leave");
    rig.publisher.lose();
    assert!(rig.publisher.transmit(rig.now).is_none());
    assert_eq!(rig.publisher.wake(), None);
}
