//! Rooms of a few guests, in virtual time.

use super::*;

fn at(ms: u64) -> Time {
    Time::from_micros(ms as i64 * 1000)
}

fn room(names: &[&str]) -> (Chat, Vec<u64>) {
    let mut chat = Chat::new(3);
    let enter = |(i, name): (usize, &&str)| chat.enter(Some(name), i == 0, at(0)).unwrap().0;
    let ids = names.iter().enumerate().map(enter).collect();
    (chat, ids)
}

/// What each effect says, in words.
fn shown(effects: &[Effect]) -> Vec<String> {
    let word = |word: &Word| match word {
        Word::Said(said) => format!("{}: {}", said.from, said.text),
        Word::Told { text } => text.clone(),
        other => format!("{other:?}"),
    };
    let one = |effect: &Effect| match effect {
        Effect::To(id, told) => format!("{id}< {}", word(told)),
        Effect::All(told) => format!("*< {}", word(told)),
        Effect::Out(id, why) => format!("{id}! {why}"),
    };
    effects.iter().map(one).collect()
}

#[test]
fn a_line_goes_to_all_and_late_comers_get_what_was_said() {
    let (mut chat, ids) = room(&["anna", "bob"]);
    for i in 0..5 {
        assert_eq!(shown(&chat.say(ids[1], &format!(" {i}\n"), at(2000 * i), 7)), [format!("*< bob: {i}")]);
    }
    let (id, told) = chat.enter(Some("cleo"), false, at(9000)).unwrap();
    let said = ["2< bob: 2", "2< bob: 3", "2< bob: 4"];
    assert_eq!(shown(&told)[1..4], said);
    assert_eq!((id, &*shown(&told)[4]), (2, "*< cleo is here"));
    assert_eq!(shown(&chat.leave(id, at(9000))), ["*< cleo has left"]);
    assert!(chat.leave(id, at(9000)).is_empty() && chat.say(id, "x", at(0), 0).is_empty());
}

#[test]
fn names_are_ones_own_and_can_be_read() {
    let (mut chat, _) = room(&["anna"]);
    for (name, why) in [
        ("anna", "is taken"),
        (" Anna ", "is taken"),
        ("", "1 to 32"),
        ("a\u{1b}[2J", "1 to 32"),
        ("a\u{202E}nna", "1 to 32"),
        (&"x".repeat(33), "1 to 32"),
    ] {
        let refused = chat.enter(Some(name), false, at(0)).unwrap_err();
        assert!(refused.contains(why), "{name:?}: {refused}");
    }
    assert!(chat.enter(Some(&"ß".repeat(32)), false, at(0)).is_ok());
    let (guest, told) = chat.enter(None, false, at(0)).unwrap();
    assert_eq!((chat.name(guest), told.len()), (Some("guest 1"), 1));
    assert!(chat.leave(guest, at(9000)).is_empty());
    let (streamer, told) = chat.enter(None, true, at(0)).unwrap();
    assert_eq!(shown(&told)[1..], ["*< streamer 1 streams"]);
    assert_eq!(shown(&chat.leave(streamer, at(9000))), ["*< streamer 1 has left"]);
}

#[test]
fn messages_reach_one_alone_also_where_names_have_spaces() {
    let (mut chat, ids) = room(&["anna", "bob", "bob b"]);
    let private = chat.say(ids[0], "/msg bob b hello there", at(0), 1);
    assert_eq!(shown(&private), ["2< anna: hello there", "0< anna: hello there"]);
    assert_eq!(shown(&chat.say(ids[0], "/msg BOB hi", at(0), 1))[0], "1< anna: hi");
    assert!(shown(&chat.say(ids[0], "/msg bobo hi", at(0), 1))[0].contains("nobody of that name"));
    assert!(shown(&chat.say(ids[0], "/msg bob", at(0), 1))[0].contains("what is to be said"));
    assert!(shown(&chat.say(ids[0], "/msg", at(1000), 1))[0].contains("and to whom"));
    assert!(shown(&chat.say(ids[0], "/names", at(1000), 1))[0].contains("anna (streams), bob, bob b"));
}

#[test]
fn who_talks_too_fast_is_told_so() {
    let (mut chat, ids) = room(&["anna"]);
    let answers: Vec<_> = (0..8).flat_map(|i| shown(&chat.say(ids[0], "x", at(i), 0))).collect();
    assert_eq!(answers[..5], ["*< anna: x"; 5]);
    assert_eq!(answers[5..], ["0< not so fast: 5 lines at once, then one a second"]); // once
    assert_eq!(shown(&chat.say(ids[0], "x", at(1100), 0)), ["*< anna: x"]);
}

#[test]
fn who_comes_and_goes_without_end_is_not_told_without_end() {
    let (mut chat, _) = room(&[]);
    let mut told = 0;
    for i in 0..40 {
        let (id, effects) = chat.enter(Some("anna"), false, at(10 * i)).unwrap();
        told += effects.len() - 1 + chat.leave(id, at(10 * i)).len();
    }
    assert_eq!(told, 10);
    assert_eq!(chat.enter(Some("bob"), false, at(2000)).unwrap().1.len(), 2);
}

#[test]
fn the_streamer_keeps_order_and_nobody_else() {
    let (mut chat, ids) = room(&["anna", "bob", "cleo"]);
    assert!(shown(&chat.say(ids[1], "/kick cleo", at(0), 0))[0].contains("only the streamer"));
    assert_eq!(shown(&chat.say(ids[0], "/mute bob", at(0), 0)), ["*< anna has muted bob"]);
    assert!(shown(&chat.say(ids[1], "hey", at(0), 0))[0].contains("muted you"));
    assert!(shown(&chat.say(ids[1], "/msg cleo hey", at(0), 0))[0].contains("muted you"));
    // Nor when he comes back.
    chat.leave(ids[1], at(9000));
    let again = chat.enter(Some("Bob"), false, at(0)).unwrap().0;
    assert!(shown(&chat.say(again, "hey", at(0), 0))[0].contains("muted you"));
    chat.leave(again, at(9000));
    let (back, _) = chat.enter(Some("bob"), false, at(0)).unwrap();
    chat.say(ids[0], "/unmute bob", at(0), 0);
    assert_eq!(shown(&chat.say(back, "hey", at(0), 0)), ["*< bob: hey"]);
    assert_eq!(shown(&chat.say(ids[0], "/kick bob", at(0), 0))[1], "4! anna has put you out");
    assert!(shown(&chat.say(ids[0], "/kick anna", at(0), 0))[0].contains("for viewers"));
}

#[test]
fn lines_are_bounded_and_without_control_characters() {
    let (mut chat, ids) = room(&["anna"]);
    let said = &shown(&chat.say(ids[0], &"\u{1b}[31mx".repeat(80), at(0), 0))[0];
    assert!(said.starts_with("*< anna: [31mx [31mx") && !said.contains('\u{1b}'));
    let told = shown(&chat.say(ids[0], &"\u{1b}[31mx".repeat(1 << 20), at(0), 0));
    assert_eq!(told, ["0< that line has 6291455 characters, and 500 are the most: it was not said"]);
    assert!(chat.say(ids[0], " \n\t ", at(0), 0).is_empty());
}
