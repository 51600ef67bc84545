//! Who gets the stream from whom, whoever comes and goes.

use super::*;

fn member(name: &str, instance: u64) -> Member {
    let address = Endpoint::parse(&format!("{}.example:7", name.replace(|c: char| !c.is_ascii_alphanumeric(), "")))
        .unwrap_or_else(|_| Endpoint::any());
    Member { name: name.to_string(), instance, address, leave: Stop::default() }
}

fn joined(fanout: usize, names: &str) -> (Roster, Vec<u64>) {
    let mut roster = Roster::new(fanout);
    let keys = names.chars().map(|name| roster.join(member(&name.to_string(), name as u64)).unwrap()).collect();
    (roster, keys)
}

/// Of each who is there: the one above and how many are below, as `a:-1 b:a1 c:b0`.
fn shape(roster: &Roster) -> String {
    let one = |seat: &Seat| {
        let Order { from, heirs } = roster.order(seat.key).unwrap();
        let from = from.map_or("-".to_string(), |url| url["tcp://".len()..][..1].to_string());
        format!("{}:{from}{heirs}", seat.member.name)
    };
    roster.seats.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn in_a_chain_only_the_next_one_moves() {
    let (mut roster, keys) = joined(1, "abcd");
    assert_eq!(shape(&roster), "a:-1 b:a1 c:b1 d:c0");
    assert!(roster.leave(keys[1]) && !roster.leave(keys[1]));
    assert_eq!(shape(&roster), "a:-1 c:a1 d:c0");
    roster.leave(keys[0]);
    roster.leave(keys[3]);
    assert_eq!((shape(&roster), roster.heirs()), ("c:-0".to_string(), 1));
}

#[test]
fn in_a_tree_the_last_takes_the_place() {
    let (mut roster, keys) = joined(2, "abcdefg");
    assert_eq!(shape(&roster), "a:-2 b:-2 c:a0 d:a0 e:b0 f:b0 g:c0".replace("c:a0", "c:a1"));
    roster.leave(keys[0]);
    assert_eq!(shape(&roster), "g:-2 b:-2 c:g0 d:g0 e:b0 f:b0");
}

#[test]
fn nobody_is_above_himself_whoever_leaves() {
    let mut random = fastrand::Rng::with_seed(6);
    for fanout in 1..5 {
        let mut roster = Roster::new(fanout);
        for i in 0..500u64 {
            if random.bool() {
                _ = roster.join(member(&format!("p{i}"), i));
            } else if let Some(seat) = roster.seats.get(random.usize(..roster.len().max(1))) {
                let key = seat.key;
                roster.leave(key);
            }
            let below: usize = (0..=roster.len()).map(|place| roster.below(place)).sum();
            assert_eq!(below, roster.len(), "everybody is below one");
            assert!((0..roster.len()).all(|place| roster.above(place).is_none_or(|above| above < place)));
            assert!((0..roster.len()).all(|place| roster.depth(place) < HOPS_MAX - 1));
        }
    }
}

#[test]
fn a_name_is_one_process() {
    let (mut roster, keys) = joined(1, "ab");
    let taken = roster.join(member("a", 1)).unwrap_err();
    assert!(taken.contains("the name a is taken, by tcp://a.example:7"), "{taken}");
    let first = roster.seats[0].member.leave.clone();
    let again = roster.join(member("a", 'a' as u64)).unwrap();
    assert!(first.said() && roster.order(keys[0]).is_none());
    assert!(!roster.leave(keys[0]), "the old link's end does not take out the new one");
    assert_eq!(roster.order(again).unwrap().from, None, "its place is the one it had");
    for bad in ["send", "", "a/b", "..", "a b", &"x".repeat(33)] {
        assert!(roster.join(member(bad, 9)).is_err(), "{bad}");
    }
}

#[test]
fn who_cannot_reach_the_one_above_gets_the_stream_from_the_source() {
    let (mut roster, keys) = joined(1, "abc");
    let at = |seconds| Time::default() + Duration::from_secs(seconds);
    let a = roster.order(keys[1]).unwrap().from;
    let mut tell =
        |seconds, ready| roster.tell(keys[1], Status { ready, at: a.clone(), ..Status::default() }, at(seconds));
    assert_eq!(tell(0, true), Told::default());
    assert!(tell(1, false).broke && !tell(4, false).broke);
    assert_eq!(tell(4, true), Told::default(), "it has come back");
    tell(5, false);
    assert_eq!(tell(9, false).unreached.as_deref(), Some("a"));
    assert_eq!(tell(20, false).unreached, None, "there is no other");
    assert_eq!((shape(&roster), roster.heirs()), ("a:-0 b:-1 c:b0".to_string(), 2));
}

#[test]
fn who_stands_where_it_was_before_is_not_ready() {
    let (mut roster, keys) = joined(1, "ab");
    let at = |roster: &Roster| roster.order(keys[1]).unwrap().from;
    let told = |at| Status { ready: true, at, ..Status::default() };
    let before = at(&roster);
    roster.tell(keys[1], told(before.clone()), Time::default());
    assert_eq!(roster.ready(), 1);
    roster.leave(keys[0]);
    assert_eq!(roster.ready(), 0, "it is to move");
    roster.tell(keys[1], told(before), Time::default());
    assert_eq!(roster.ready(), 0, "it said so before it was told");
    roster.tell(keys[1], told(at(&roster)), Time::default());
    assert_eq!(roster.ready(), 1);
}

#[test]
fn a_chain_ends_where_hops_do() {
    let (mut roster, _) = joined(1, "abcdefghijklmno");
    assert!(roster.join(member("p", 1)).unwrap_err().contains("--fanout"));
}

#[test]
fn what_a_hop_adds_is_told_by_those_that_it_leads_to() {
    let (mut roster, keys) = joined(1, "ab");
    let status = |from: &str, latency_ms, added_ms| Status {
        from: Some(from.to_string()),
        latency_ms: Some(latency_ms),
        added_ms: Some(added_ms),
        added_err_ms: Some(0.25),
        ready: true,
        ..Status::default()
    };
    roster.tell(keys[0], status("send", 2.0, 2.0), Time::default());
    roster.tell(keys[1], status("a", 5.0, 3.0), Time::default());
    let base = Line::default();
    let hops: Vec<_> = roster.lines(&base).into_iter().filter_map(|line| line.hop).collect();
    assert_eq!((hops[0].added_ms, hops[1].added_ms, hops[1].added_err_ms), (Some(2.0), Some(3.0), Some(0.25)));
    assert_eq!(&*hops[1].upstream, "a");
}
