//! What becomes of frames that come in part.

use super::*;
use crate::runs::encode_segments;
use crate::segments::Form;

/// A frame, numbered 7, of which the first half arrived.
fn half_there(losses: Losses, now: Time) -> Outbox {
    let mut outbox = Outbox::new(1200, Hold::Newest, Share::Auto);
    let head = Head { form: Form::Tiles, since: 0, header: Bytes::from_static(b"x"), count: 40 };
    let (captured, error) = Default::default();
    outbox.begin(Begin { number: 7, epoch: 1, seq: 0, captured, error, head: Some(head) }, losses).unwrap();
    let segments: Vec<_> = (0..40).map(|place| (place, 0, vec![place as u8; 500])).collect();
    outbox.runs(Runs { epoch: 1, since: 0, body: encode_segments(&segments).into() }, losses).unwrap();
    outbox.end(End { number: 7, state: 0 }, losses).unwrap();
    let places: Vec<Place> = std::iter::from_fn(|| outbox.next(now)).map(|(_, place, _)| place).collect();
    let (came, lost) = places.split_at(places.len() / 2);
    came.iter().for_each(|place| outbox.arrived(*place));
    lost.iter().for_each(|place| outbox.lost(*place));
    outbox
}

#[test]
fn what_is_given_up_is_left_to_the_next_frame() {
    let (losses, now) = (Losses::default(), Time::default());
    let mut outbox = half_there(losses, now);
    outbox.settle(now, losses);
    assert!(outbox.waiting() > 0 && !outbox.is_settled(), "it is to be sent again");
    outbox.give_up();
    outbox.settle(now, losses);
    assert!(outbox.is_settled() && outbox.waiting() == 0 && outbox.next(now).is_none());
    assert!((15..25).contains(&outbox.take_lost().len()));
}

#[test]
fn what_came_only_when_it_was_sent_again_was_not_passed_on() {
    let (losses, now) = (Losses::default(), Time::default());
    let mut outbox = half_there(losses, now);
    let passed = outbox.passed(7);
    assert!((0.4..0.6).contains(&passed), "{passed}");
    outbox.settle(now, losses);
    while let Some((_, place, first)) = outbox.next(now) {
        assert!(!first);
        outbox.arrived(place);
    }
    outbox.settle(now, losses);
    assert!(outbox.is_settled());
    assert_eq!(outbox.passed(7), passed);
}
