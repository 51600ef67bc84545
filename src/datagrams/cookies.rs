//! Cookies: what a listener gives a caller so that it shows that it receives at its address. Nothing is remembered of
//! them: each is a keyed hash of whom it is for, and when.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use siphasher::sip::SipHasher24;

use crate::clock::Time;

/// A cookie is good for this long, and once more as long.
const COOKIE: Duration = Duration::from_secs(10);
/// Gives cookies and knows its own.
#[derive(Debug)]
pub struct Cookies(SipHasher24);

impl Cookies {
    pub fn new(secret: [u8; 16]) -> Cookies {
        Cookies(SipHasher24::new_with_key(&secret))
    }

    /// A cookie for a caller at this address, now; never zero.
    pub fn bake(&self, now: Time, from: SocketAddr, caller: u64) -> u64 {
        self.of(age(now), from, caller)
    }

    pub fn is_fresh(&self, cookie: u64, now: Time, from: SocketAddr, caller: u64) -> bool {
        let age = age(now);
        [age, age - 1].iter().any(|&age| self.of(age, from, caller) == cookie)
    }

    fn of(&self, age: i64, from: SocketAddr, caller: u64) -> u64 {
        let mut data = Vec::with_capacity(40);
        match from.ip() {
            IpAddr::V4(ip) => data.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => data.extend_from_slice(&ip.octets()),
        }
        data.extend_from_slice(&from.port().to_le_bytes());
        data.extend_from_slice(&age.to_le_bytes());
        data.extend_from_slice(&caller.to_le_bytes());
        self.0.hash(&data) | 1
    }
}

fn age(now: Time) -> i64 {
    now.micros() / COOKIE.as_micros() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_of_one_caller_at_one_address_for_a_while() {
        let cookies = Cookies::new([1; 16]);
        let (here, there) = ("10.0.0.1:5".parse().unwrap(), "10.0.0.1:6".parse().unwrap());
        let (now, cookie) = (Time::from_micros(25_000_000), cookies.bake(Time::from_micros(25_000_000), here, 7));
        assert!(cookies.is_fresh(cookie, now, here, 7) && cookies.is_fresh(cookie, now + COOKIE, here, 7));
        assert!(!cookies.is_fresh(cookie, now + 2 * COOKIE, here, 7));
        assert!(!cookies.is_fresh(cookie, now, there, 7) && !cookies.is_fresh(cookie, now, here, 8));
        assert!(!cookies.is_fresh(0, now, here, 7) && !Cookies::new([2; 16]).is_fresh(cookie, now, here, 7));
    }
}
