//! What every caller says first of all, and why it may be no hello.

use super::{PREFIX, kind};

/// Both sides must speak the same version; a change of any message's form raises it.
pub const VERSION: u16 = 3;
/// The first byte of a TLS client; its version follows (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;
const MAGIC: [u8; 4] = *b"VSTR";

/// Whose protocol a caller speaks, and which version.
pub const fn opening() -> [u8; 6] {
    let ([a, b, c, d], [low, high]) = (MAGIC, VERSION.to_le_bytes());
    [a, b, c, d, low, high]
}

/// Why the first bytes of a caller are no hello.
#[derive(Debug, PartialEq, Eq)]
pub enum NoHello {
    /// A vstream of another version.
    Version(u16),
    /// A TLS client.
    Tls,
    /// Something else altogether.
    Stranger,
    /// It has a key, and this vstream none.
    Sealed,
    /// It has no key.
    Open,
    /// It has another key.
    Key,
}

impl std::fmt::Display for NoHello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoHello::Version(theirs) => write!(
                f,
                "the caller speaks version {theirs} of the protocol, this vstream {VERSION}: update the older one"
            ),
            NoHello::Tls => f.write_str("the caller begins with TLS, and this listener has none: it is to call tcp://"),
            NoHello::Stranger => f.write_str("the caller does not speak vstream's protocol"),
            NoHello::Sealed => f.write_str("no key is set here: call without one, or start this vstream with it"),
            NoHello::Open => f.write_str("a key is needed: call with --key-file FILE or VSTREAM_KEY"),
            NoHello::Key => f.write_str("the key is wrong"),
        }
    }
}

impl std::error::Error for NoHello {}

impl NoHello {
    /// What is wrong with an opening, if anything is.
    pub fn of(opening: &[u8; 6]) -> Option<NoHello> {
        let [magic @ .., low, high] = *opening;
        match u16::from_le_bytes([low, high]) {
            _ if magic != MAGIC => Some(NoHello::Stranger),
            VERSION => None,
            theirs => Some(NoHello::Version(theirs)),
        }
    }

    /// Why a message that begins so is none.
    pub fn begins(prefix: [u8; PREFIX]) -> NoHello {
        match prefix {
            [kind::SEAL, _, 0, 0, 0] => NoHello::Sealed,
            [TLS_HANDSHAKE, 3, ..] => NoHello::Tls,
            _ => NoHello::Stranger,
        }
    }
}
