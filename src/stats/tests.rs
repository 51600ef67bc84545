//! Totals and what is left out.

use super::*;

#[test]
fn totals_outlive_the_peers() {
    let board = Board::new("recv");
    let peer = board.join("10.0.0.7:4000");
    peer.link().meter.add(clock::now(), 100);
    peer.link().slow = 3;
    assert_eq!(board.lines(clock::now())[0].peer.as_deref(), Some("10.0.0.7:4000"));
    board.leave(&peer);
    let total = board.total(clock::now());
    assert_eq!((total.frames, total.bytes, total.dropped.slow, total.last), (Some(1), 100, 3, true));
    assert!(board.lines(clock::now())[0].peer.is_none());
}

#[test]
fn what_is_not_known_is_left_out() {
    let json = serde_json::to_value(&Board::new("send").lines(clock::now())[0]).unwrap();
    assert!(json.get("latency_ms").is_none() && json.get("final").is_none() && json.get("peer").is_none());
    assert_eq!(json["dropped"]["slow"], 0);
}
