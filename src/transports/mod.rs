//! Ways across a network. A transport is one file here and one name in the list at the end; help, manual, error texts
//! and the conformance tests all come from that list, and roles never name a transport.

use anyhow::Result;
use async_trait::async_trait;

use crate::endpoint::Endpoint;
use crate::link::Link;

pub mod socket;

#[async_trait]
pub trait Transport: Send + Sync {
    /// The scheme of its addresses: the name of its file.
    fn scheme(&self) -> &'static str;
    /// One line for the help.
    fn about(&self) -> &'static str;
    /// Options of its addresses: name and one line of help.
    fn options(&self) -> &'static [(&'static str, &'static str)];
    /// Whether segments may be lost on the way: then frames must be of many, so that one costs little.
    fn is_lossy(&self) -> bool {
        false
    }
    /// Calls a listener. The greeting is the caller's business.
    async fn connect(&self, to: &Endpoint) -> Result<Link>;
    async fn listen(&self, on: &Endpoint) -> Result<Box<dyn Listener>>;
}

#[async_trait]
pub trait Listener: Send + Sync {
    /// The next caller, not greeted yet: a slow or hostile one blocks nobody.
    async fn accept(&self) -> Result<Link>;
    /// The address that a peer can dial, with the real port.
    fn local(&self) -> Endpoint;
}

/// The transport of a scheme.
pub fn find(scheme: &str) -> Option<&'static dyn Transport> {
    ALL.iter().copied().find(|t| t.scheme() == scheme)
}

/// Reads an address and checks that there is such a transport with such options.
pub fn endpoint(text: &str) -> Result<Endpoint, String> {
    let endpoint = Endpoint::parse(text)?;
    let schemes: Vec<&str> = ALL.iter().map(|t| t.scheme()).collect();
    let Some(transport) = find(&endpoint.scheme) else {
        return Err(unknown("scheme", &endpoint.scheme, &schemes));
    };
    let known: Vec<&str> = transport.options().iter().map(|(name, _)| *name).chain(["key"]).collect();
    match endpoint.options.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        Some((key, _)) => Err(unknown(&format!("option of {}", endpoint.scheme), key, &known)),
        None => Ok(endpoint),
    }
}

/// Reads an address to call: a port is known by then.
pub fn dialled(text: &str) -> Result<Endpoint, String> {
    match endpoint(text)? {
        Endpoint { port: 0, .. } => Err("port 0 is for listening: call the port that the listener tells".to_string()),
        endpoint => Ok(endpoint),
    }
}

/// "unknown scheme `tpc`: there are tcp, udp; did you mean tcp?"
fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return format!("unknown {what} `{given}`: it has none");
    }
    let nearest = known.iter().copied().map(|k| (distance(k, given), k)).min().filter(|&(d, _)| d <= 2);
    let hint = nearest.map_or(String::new(), |(_, k)| format!("; did you mean {k}?"));
    let are = if known.len() == 1 { "is only" } else { "are" };
    format!("unknown {what} `{given}`: there {are} {}{hint}", known.join(", "))
}

/// Edits that turn one word into the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Declares the modules and lists them. rustfmt does not follow modules declared in a macro: `make fmt` names them.
macro_rules! transports {
    ($($(#[$if:meta])* $name:ident),*) => {
        $($(#[$if])* pub mod $name;)*
        pub static ALL: &[&dyn Transport] = &[$($(#[$if])* &$name::Plug),*];
    };
}

transports! { tcp, #[cfg(feature = "tls")] tls, udp }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_words_are_answered_with_the_known_ones() {
        let unknown = endpoint("tpc://h").unwrap_err();
        assert!(unknown.starts_with("unknown scheme `tpc`: there are tcp"), "{unknown}");
        assert!(unknown.ends_with("; did you mean tcp?"), "{unknown}");
        assert!(endpoint("tcp://h?mtu=3").unwrap_err().starts_with("unknown option of tcp `mtu`"));
    }

    #[test]
    fn distances() {
        assert_eq!((distance("tcp", "tcp"), distance("tcp", "tpc"), distance("udp", "")), (0, 2, 3));
    }
}
