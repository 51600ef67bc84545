//! The key that both ends share: what it becomes, how it is compared, and that nobody sees it. It reads no file and knows
//! no flag.

use std::fmt;
use std::sync::Arc;

use argon2::Argon2;
use ring::hmac;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// What the ends of a link work with: 32 bytes that only who knows the key can make. Cloning shares them.
#[derive(Clone)]
pub struct Key(Arc<Secret>);

struct Secret {
    stretched: [u8; LENGTH],
    /// Of the word itself, for those who are asked for it.
    tag: [u8; LENGTH],
    short: bool,
}

/// Of a pre-shared key, as Noise has it.
pub const LENGTH: usize = 32;
/// More than any passphrase; a file of more is not a key.
pub const LONGEST: usize = 1024;
/// Whoever records one greeting can try keys on it at home: shorter ones are found soon. SRT asks for as many.
const SHORT: usize = 10;
/// Both ends must come to the same bytes before they have spoken, so the salt can only keep tables that were made for
/// other programs from being of use.
const SALT: &[u8] = b"vstream key of a stream, 1";

impl Key {
    /// Stretches a key by Argon2id with its recommended cost (19 MiB, two passes; some 30 ms), so that whoever tries keys
    /// on a recorded greeting pays that for each. Keys are passphrases, as a rule; one of 128 random bits needs none of it.
    pub fn new(text: &str) -> Result<Key, String> {
        if text.is_empty() || text.len() > LONGEST {
            return Err(format!("a key has 1 to {LONGEST} bytes"));
        }
        let short = text.len() < SHORT;
        let mut secret = Secret { stretched: [0; LENGTH], tag: [0; LENGTH], short };
        let made = Argon2::default().hash_password_into(text.as_bytes(), SALT, &mut secret.stretched);
        made.map_err(|error| format!("the key cannot be used: {error}"))?;
        secret.tag = sign(&secret.stretched, text.as_bytes());
        Ok(Key(Arc::new(secret)))
    }

    /// Whether trying soon finds it.
    pub fn is_short(&self) -> bool {
        self.0.short
    }

    pub fn bytes(&self) -> &[u8; LENGTH] {
        &self.0.stretched
    }

    /// Whether this is the word that the key was made of: as quick for every wrong one, and no work for who asks often.
    pub fn is(&self, offered: &str) -> bool {
        same(&sign(self.bytes(), offered.as_bytes()), &self.0.tag)
    }

    /// A secret for another purpose, from which the key cannot be told.
    pub fn derived(&self, purpose: &str) -> [u8; LENGTH] {
        sign(&sign(self.bytes(), b"for another purpose"), purpose.as_bytes())
    }
}

fn sign(by: &[u8; LENGTH], what: &[u8]) -> [u8; LENGTH] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, by), what);
    tag.as_ref().try_into().expect("HMAC-SHA256 has as many bytes as a key")
}

/// In the same time whatever differs.
pub fn same(a: &[u8; LENGTH], b: &[u8; LENGTH]) -> bool {
    a.ct_eq(b).into()
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        same(self.bytes(), other.bytes())
    }
}

impl Eq for Key {}

impl Drop for Secret {
    fn drop(&mut self) {
        self.stretched.zeroize();
        self.tag.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_word_is_the_same_key() {
        let key = Key::new("a word that both know").unwrap();
        assert_eq!(key, Key::new("a word that both know").unwrap());
        assert_ne!(key, Key::new("a word that both knew").unwrap());
        assert!(key.is("a word that both know") && !key.is("another") && !key.is(""));
        assert_ne!(key.derived("a"), key.derived("b"));
    }

    #[test]
    fn no_key_is_empty_or_endless() {
        assert!(Key::new("").is_err() && Key::new(&"x".repeat(LONGEST + 1)).is_err());
    }

    #[test]
    fn it_is_not_shown() {
        let key = Key::new("hunter2 hunter2").unwrap();
        let shown = format!("{key:?} {:?}", Some(&key));
        assert!(!shown.contains("hunter2") && !shown.contains(&format!("{:?}", key.bytes())), "{shown}");
    }
}
