//! Where a proxy of the command line listens and whom it calls: `host:port`, and before it the protocol if one is said.

use super::proxy::Protocol;
use crate::fault::Fault;
use crate::roles::http::address_or;

/// One above vstream's own.
pub const PORT: u16 = crate::endpoint::PORT + 1;

#[derive(Clone, Debug)]
pub struct Place {
    /// `host:port`
    pub address: String,
    protocol: Option<Protocol>,
}

pub fn listening(text: &str) -> Result<Place, String> {
    place(text, PORT).map(|(place, _)| place)
}

pub fn target(text: &str) -> Result<Place, String> {
    match place(text, crate::endpoint::PORT)? {
        (_, 0) => Err("port 0 is for listening: name the port of the target".to_string()),
        (place, _) => Ok(place),
    }
}

/// The address, and its port once more.
fn place(text: &str, port: u16) -> Result<(Place, u16), String> {
    let (protocol, plain) = match text.split_once("://") {
        None => (None, text),
        Some(("tcp", plain)) => (Some(Protocol::Tcp), plain),
        Some(("udp", plain)) => (Some(Protocol::Udp), plain),
        Some((scheme, _)) => {
            return Err(format!(
                "{scheme}: a proxy passes bytes and datagrams: addresses are host:port, tcp:// or udp://"
            ));
        }
    };
    let endpoint = address_or(plain, port)?;
    let address = endpoint.to_string().split_once("://").map(|(_, address)| address.to_string()).unwrap_or_default();
    Ok((Place { address, protocol }, endpoint.port))
}

/// What flags and addresses say together; tcp where nobody says.
pub fn protocol(udp: bool, both: bool, places: [&Option<Place>; 2]) -> Result<Protocol, Fault> {
    let flags = [udp.then_some(Protocol::Udp), both.then_some(Protocol::Both)];
    let addresses = places.map(|place| place.as_ref().and_then(|place| place.protocol));
    let mut said = flags.into_iter().chain(addresses).flatten();
    let protocol = said.next().unwrap_or_default();
    match said.find(|other| *other != protocol) {
        Some(other) => Err(Fault::usage(format!(
            "{} and {} do not agree: a proxy passes tcp, datagrams (--udp, udp://) or, with plain addresses, --both",
            protocol.name(),
            other.name()
        ))),
        None => Ok(protocol),
    }
}
