//! What goes in comes out, in pieces of any size; what was touched, cut or moved does not.

use smol::future::block_on;
use smol::io::{AsyncReadExt, AsyncWriteExt, Cursor};

use super::*;
use crate::key::Key;
use crate::seal;

fn keys() -> (Sealed, Sealed) {
    let key = Key::new("the key of both").unwrap();
    let (caller, message) = seal::call(&key, b"");
    let (listener, answer) = seal::answer(&key, b"", &message).unwrap();
    (caller.finish(&answer).unwrap(), listener)
}

/// What is on the wire when these are written and the stream is closed.
fn sealed(keys: Sealed, writes: &[&[u8]]) -> Vec<u8> {
    block_on(async {
        let mut records = Records::new(Cursor::new(Vec::new()), keys);
        for bytes in writes {
            records.write_all(bytes).await.unwrap();
        }
        records.close().await.unwrap();
        records.stream.into_inner()
    })
}

fn opened(keys: Sealed, wire: &[u8]) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    block_on(Records::new(Cursor::new(wire), keys).read_to_end(&mut all))?;
    Ok(all)
}

#[test]
fn what_goes_in_comes_out() {
    let big: Vec<u8> = (0..300_000u32).map(|i| (i / 7) as u8).collect();
    let few: [&[&[u8]]; 4] = [&[], &[b""], &[b"a"], &[b"ab", b"", b"c"]];
    let many: [&[&[u8]]; 2] = [&[&big], &[b"x", &big, &big[..LONGEST], b"y"]];
    for writes in few.into_iter().chain(many) {
        let (caller, listener) = keys();
        let wire = sealed(caller, writes);
        let whole = writes.concat();
        assert_eq!(opened(listener, &wire).unwrap(), whole);
        assert!(wire.len() <= whole.len() + (HEADER + TAG) * (whole.len() / LONGEST + writes.len() * 2 + 1));
    }
}

#[test]
fn what_was_touched_ends_the_stream() {
    let (writes, wire_of) = (&[&b"hello"[..], b"world"], HEADER + 5 + TAG);
    let touched = |touch: &dyn Fn(&mut Vec<u8>)| {
        let (caller, listener) = keys();
        let mut wire = sealed(caller, writes);
        touch(&mut wire);
        opened(listener, &wire)
    };
    assert_eq!(touched(&|_| ()).unwrap(), b"helloworld");
    for at in 0..2 * wire_of + HEADER + TAG {
        assert!(touched(&|wire| wire[at] ^= 1).is_err(), "byte {at}");
        assert!(touched(&|wire| wire.truncate(at)).is_err(), "cut at {at}");
    }
    assert!(touched(&|wire| wire.rotate_left(wire_of)).is_err(), "records moved");
    assert!(touched(&|wire| drop(wire.drain(..wire_of))).is_err(), "the first left out");
    assert!(touched(&|wire| drop(wire.drain(wire_of..2 * wire_of))).is_err(), "the second left out");
    let twice = touched(&|wire| wire.splice(0..0, wire[..wire_of].to_vec()).for_each(drop));
    assert!(twice.is_err(), "the first doubled");
}

#[test]
fn a_length_that_no_record_has_is_not_waited_for() {
    for length in [0u16, 15, (LONGEST + TAG + 1) as u16, u16::MAX] {
        let (_, listener) = keys();
        let error = opened(listener, &length.to_le_bytes()).unwrap_err();
        assert!(error.to_string().contains("claims"), "{error}");
    }
}
