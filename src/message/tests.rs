//! What the messages look like on the wire, and what is refused.

use super::*;

fn round(message: &Message) -> Message {
    let (head, tail) = message.encode();
    let (prefix, payload) = head.split_first_chunk::<PREFIX>().unwrap();
    let whole = [payload, &tail].concat();
    assert_eq!(Message::length(*prefix).unwrap(), whole.len());
    Message::decode(prefix[0], whole.into()).unwrap()
}

#[test]
fn messages_survive_the_wire() {
    let hop = Hop { id: 7, name: "a".into(), latency_ms: Some(1.5), error_ms: None, frames: vec![(9, 1.25)] };
    assert!(matches!(round(&Message::Path(vec![hop.clone()])), Message::Path(p) if p == [hop.clone()]));
    let stream = About { rate: Some(29.97), every_frame: true, path: vec![hop] };
    let listening = Some("tcp://:4".to_string());
    let visit = Visit { user: Some("b".into()), rung: None, take_over: true };
    let hello = Hello {
        role: Side::Watch,
        name: Some("a".into()),
        agent: "x".into(),
        instance: u64::MAX,
        listening,
        visit,
        stream,
    };
    assert!(matches!(round(&Message::Hello(hello.clone())), Message::Hello(h) if h == hello));
    let captured = Time::from_micros(-5);
    let head = Head { form: Form::Lz4, since: 3, header: vec![9; 50].into(), count: 7 };
    for head in [Some(head), None] {
        let begin = Begin { number: 3, epoch: 1, seq: 2, captured, error: Duration::from_micros(7), head };
        assert!(matches!(round(&Message::Begin(begin.clone())), Message::Begin(b) if b == begin));
    }
    let runs = Runs { epoch: 1, since: 2, body: vec![5; 9].into() };
    assert!(matches!(round(&Message::Runs(runs.clone())), Message::Runs(r) if r == runs));
    let end = End { number: 4, state: u64::MAX };
    assert!(matches!(round(&Message::End(end)), Message::End(e) if e == end));
    let report = Report { acknowledged: 5, began: Time::from_micros(i64::MIN), arrived: captured };
    assert!(matches!(round(&Message::Report(report)), Message::Report(r) if r == report));
    let pong = Pong { sent: captured, received: captured, answered: captured };
    assert!(matches!(round(&Message::Pong(pong)), Message::Pong(p) if p == pong));
    let order = Order { from: Some("tcp://h:1".into()), heirs: 2 };
    assert!(matches!(round(&Message::Order(order.clone())), Message::Order(o) if o == order));
    let status = Status {
        frames: 3,
        fps: 29.97,
        ready: true,
        at: Some("tcp://h:1".into()),
        from: Some("a".into()),
        ..Status::default()
    };
    assert!(matches!(round(&Message::Status(status.clone())), Message::Status(s) if s == status));
    let bye = Bye { reason: "done".into(), over: true };
    assert!(matches!(round(&Message::Bye(bye.clone())), Message::Bye(b) if b == bye));
}

#[test]
fn lengths_are_bounded_before_anything_is_read() {
    assert!(Message::length([kind::RUNS, 0xFF, 0xFF, 0xFF, 0xFF]).is_err());
    assert!(Message::length([kind::HELLO, 0, 0, 1, 0]).is_err());
    assert!(Message::length(*b"GET /").is_err());
    assert!(!Message::begins_hello(*b"GET /"));
}

#[test]
fn another_version_is_told_from_a_stranger() {
    let other = [&opening()[..4], &7u16.to_le_bytes(), b"{}"].concat();
    let error = hello(&other).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&NoHello::Version(7)));
    assert_eq!(hello(b"SSH-2.0").unwrap_err().downcast_ref(), Some(&NoHello::Stranger));
}

#[test]
fn unknown_fields_are_room_for_later() {
    let json = br#"{"role":"publish","future":{"x":[1]}}"#;
    let payload = [&opening()[..], json].concat();
    assert_eq!(hello(&payload).unwrap().role, Side::Publish);
}
