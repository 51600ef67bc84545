//! Addresses: `scheme://host:port/name?option=value`. Syntax alone; which schemes and options there are is the
//! transports' to say.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;

use crate::key::Key;

/// The port of a vstream that does not say another.
pub const PORT: u16 = 9000;
/// The name of a stream that does not say another.
pub const NAME: &str = "live";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub scheme: String,
    /// Empty: every interface to listen on, this machine to call.
    pub host: String,
    pub port: u16,
    /// The stream's name where one was given.
    pub name: Option<String>,
    pub options: Vec<(String, String)>,
    /// Of the option `key`, which is not among them: a secret that nothing prints.
    pub key: Option<Key>,
}

impl Endpoint {
    /// Reads an address; what is left out becomes `tcp`, every interface, port 9000.
    pub fn parse(text: &str) -> Result<Endpoint, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, name) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = authority_parts(authority)?;
        let name = (!name.is_empty()).then(|| check_name(name)).transpose()?;
        let options = query.split('&').filter(|o| !o.is_empty());
        let options: Vec<_> = options.map(|option| option.split_once('=').unwrap_or((option, ""))).collect();
        let mut seen = HashSet::new();
        if let Some((name, _)) = options.iter().find(|(name, _)| !seen.insert(*name)) {
            return Err(format!("the option `{name}` is given twice"));
        }
        let (secrets, options): (Vec<_>, Vec<_>) = options.into_iter().partition(|(name, _)| *name == "key");
        let key = secrets.first().map(|(_, key)| Key::new(&percent_decode_str(key).decode_utf8_lossy())).transpose()?;
        let options = options.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Ok(Endpoint { scheme: scheme.to_ascii_lowercase(), host, port, name, options, key })
    }

    /// Every interface, on the default port.
    pub fn any() -> Endpoint {
        Endpoint::parse("").expect("an empty address is every interface on the default port")
    }

    /// Whether it is every interface's to listen on: without a host, or by an address that says so.
    pub fn is_everywhere(&self) -> bool {
        self.host.is_empty() || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
    }

    /// Whether it is this machine's alone to call.
    pub fn is_here_alone(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(NAME)
    }

    /// The value of an option; empty where it has none.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn authority_parts(authority: &str) -> Result<(String, u16), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("the `[` of an IPv6 address is not closed")?;
            // RFC 6874 has %25 before the name of a link; most people, and the system, have %.
            let (address, zone) = host.split_once('%').map_or((host, None), |(address, zone)| (address, Some(zone)));
            let zone = zone.map(|zone| zone.strip_prefix("25").filter(|zone| !zone.is_empty()).unwrap_or(zone));
            let fine = zone.is_none_or(|zone| check_name(zone).is_ok());
            if address.parse::<std::net::Ipv6Addr>().is_err() || !fine {
                return Err(format!("`{host}` is not an IPv6 address"));
            }
            let host = zone.map_or(address.to_string(), |zone| format!("{address}%{zone}"));
            let port = after.strip_prefix(':').or((after.is_empty()).then_some(""));
            (host, port.ok_or("a port follows an IPv6 address as in [::1]:9000")?)
        }
        None if authority.matches(':').count() > 1 => {
            return Err(format!(
                "`{authority}` has too many colons: one address at a time, IPv6 in brackets as [::1]:9000"
            ));
        }
        None => {
            let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
            (host.to_string(), port)
        }
    };
    let strange = |c: char| c.is_control() || c.is_whitespace() || "@\\\"<>#".contains(c);
    if host.contains(strange) {
        return Err(format!("`{host}` is not a host"));
    }
    let port = if port.is_empty() { Ok(PORT) } else { port.parse() };
    Ok((host, port.map_err(|_| "a port is a number from 0 to 65535".to_string())?))
}

/// 1 to 32 of letters, digits, `-`, `_`, `.`; so it is also a file name, but not `.` or `..`.
pub fn check_name(name: &str) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 32 || !name.chars().all(fine) || name.chars().all(|c| c == '.') {
        return Err(format!("`{name}` is not a stream's name: 1 to 32 of letters, digits, - _ and ., not dots alone"));
    }
    Ok(name.to_string())
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        write!(f, "{}://{host}:{}", self.scheme, self.port)?;
        if let Some(name) = &self.name {
            write!(f, "/{name}")?;
        }
        for (i, (key, value)) in self.options.iter().enumerate() {
            let mark = if i == 0 { '?' } else { '&' };
            write!(f, "{mark}{key}")?;
            if !value.is_empty() {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Endpoint::parse(text).map_or_else(|e| format!("error: {e}"), |e| e.to_string())
    }

    #[test]
    fn every_interface_is_known_whatever_it_is_called() {
        for (text, everywhere) in
            [("", true), ("0.0.0.0", true), ("[::]:7", true), ("[::1]", false), ("localhost", false)]
        {
            assert_eq!(Endpoint::parse(text).unwrap().is_everywhere(), everywhere, "{text}");
        }
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        assert_eq!(shown("host"), "tcp://host:9000");
        assert_eq!(shown(":7"), "tcp://:7");
        assert_eq!(shown("host:1/cam"), "tcp://host:1/cam");
        assert_eq!(shown("TLS://[::1]/a.b?pin=sha256:00&insecure"), "tls://[::1]:9000/a.b?pin=sha256:00&insecure");
        assert_eq!(shown("[fe80::1%eth0]:1"), "tcp://[fe80::1%eth0]:1");
        assert_eq!(shown("[fe80::1%25eth0]"), "tcp://[fe80::1%eth0]:9000");
        assert_eq!(Endpoint::parse("h").unwrap().name(), "live");
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(shown("h/x?key=hunter2&mtu=576"), "tcp://h:9000/x?mtu=576");
        let endpoint = Endpoint::parse("h?key=hunter%26+3").unwrap();
        assert_eq!(endpoint.key, Some(Key::new("hunter&+3").unwrap()));
        assert!(!format!("{endpoint:?}").contains("hunter"));
        assert!(!Endpoint::parse("h?key=").unwrap_err().is_empty());
    }

    #[test]
    fn nonsense_is_explained() {
        for bad in ["::1", "[::1", "[zz]", "[zz%eth0]", "[::1%]", "[::1%a b]", "h:99999", "h:x", "h/../etc", "h/a b"] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
        for bad in ["a b", "h/..", "[::1]9", "h?mtu=576&mtu=1200", "h?key=one&key=two"] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }
}
