//! Handshakes that fit and that do not, packets that were touched, numbers that come again.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn key(word: &str) -> Key {
    Key::new(word).unwrap()
}

fn pair() -> (Sealed, Sealed) {
    let key = key("the key of both");
    let (caller, message) = call(&key, b"context");
    let (listener, reply) = answer(&key, b"context", &message).unwrap();
    (caller.finish(&reply).unwrap(), listener)
}

#[test]
fn packets_cross_both_ways() {
    let (caller, listener) = pair();
    for (from, to) in [(&caller, &listener), (&listener, &caller)] {
        for number in [0, 1, 7, u64::MAX - 1] {
            let mut packet = b"a picture".to_vec();
            from.seal.seal(number, b"header", &mut packet);
            assert_eq!(packet.len(), 9 + TAG);
            assert!(!packet.windows(9).any(|w| w == b"a picture"));
            to.open.open(number, b"header", &mut packet).unwrap();
            assert_eq!(packet, b"a picture");
        }
    }
}

#[test]
fn what_was_touched_does_not_open() {
    let (caller, listener) = pair();
    let mut sealed = b"a picture".to_vec();
    caller.seal.seal(3, b"header", &mut sealed);
    for at in 0..sealed.len() {
        let mut packet = sealed.clone();
        packet[at] ^= 1;
        assert_eq!(listener.open.open(3, b"header", &mut packet), Err(Forged));
    }
    for (number, ad) in [(4, &b"header"[..]), (3, b"headex"), (3, b"")] {
        assert_eq!(listener.open.open(number, ad, &mut sealed.clone()), Err(Forged));
    }
    for cut in 0..sealed.len() {
        assert_eq!(listener.open.open(3, b"header", &mut sealed[..cut].to_vec()), Err(Forged));
    }
    // Nor does what was sent come back to its sender.
    assert_eq!(caller.open.open(3, b"header", &mut sealed.clone()), Err(Forged));
}

#[test]
fn another_key_or_context_does_not_shake_hands() {
    let ours = key("the key of both");
    let (caller, message) = call(&ours, b"context");
    assert_eq!(answer(&key("another"), b"context", &message).unwrap_err(), Forged);
    assert_eq!(answer(&ours, b"another", &message).unwrap_err(), Forged);
    for length in [0, 1, 31, 47] {
        assert_eq!(answer(&ours, b"context", &message[..length]).unwrap_err(), Forged);
    }
    for at in 0..HANDSHAKE {
        let mut message = message;
        message[at] ^= 0x10;
        assert_eq!(answer(&ours, b"context", &message).unwrap_err(), Forged, "byte {at}");
    }
    // An answer to somebody else, or of somebody without the key.
    let (_, other) = call(&ours, b"context");
    let (_, reply) = answer(&ours, b"context", &other).unwrap();
    assert_eq!(caller.finish(&reply).unwrap_err(), Forged);
}

#[test]
fn a_caller_recorded_and_replayed_gets_keys_that_it_cannot_use() {
    let key = key("the key of both");
    let (caller, message) = call(&key, b"");
    let (_, first) = answer(&key, b"", &message).unwrap();
    let (again, second) = answer(&key, b"", &message).unwrap();
    assert_ne!(first, second);
    let caller = caller.finish(&first).unwrap();
    let mut packet = b"hello".to_vec();
    caller.seal.seal(0, b"", &mut packet);
    assert_eq!(again.open.open(0, b"", &mut packet), Err(Forged));
}

#[test]
fn nothing_secret_is_shown() {
    let (caller, _) = pair();
    let shown = format!("{caller:?}");
    assert!(!shown.contains('['), "{shown}");
}

proptest! {
    #[test]
    fn each_number_comes_once(numbers in prop::collection::vec(0u64..9000, 1..300), start in prop_oneof![Just(0), Just(u64::MAX - 9001)]) {
        let (mut window, mut seen, mut newest) = (Window::default(), BTreeSet::new(), None);
        for number in numbers.into_iter().map(|n| n + start) {
            let old = newest.is_some_and(|newest: u64| newest >= WINDOW && number <= newest - WINDOW);
            let fresh = !old && !seen.contains(&number);
            prop_assert_eq!(window.awaits(number), fresh);
            prop_assert_eq!(window.take(number), fresh);
            seen.insert(number);
            newest = newest.max(Some(number));
        }
    }
}

#[test]
fn the_last_number_is_never_used() {
    let mut window = Window::default();
    assert!(!window.take(u64::MAX) && window.take(u64::MAX - 1) && !window.take(0));
}
