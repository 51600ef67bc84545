//! Hubs of the local network, by multicast DNS (RFC 6762 and 6763): a hub announces itself, who looks for one finds it.

use std::collections::HashMap;
use std::net::IpAddr;

use anyhow::{Context, Result};
use mdns_sd::{IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};

use crate::endpoint::Endpoint;
use crate::greet::printable;

const KIND: &str = "_vstream._tcp.local.";
/// What says by which transport it is called.
const SCHEME: &str = "scheme";
/// The certificate that it shows. Whoever may announce a hub to this network may as well announce another.
const PIN: &str = "pin";

/// A hub that is announced for as long as this is kept.
pub struct Announced {
    daemon: ServiceDaemon,
    name: String,
}

/// Announces a hub that listens there, under the name of this machine.
pub fn announce(on: &Endpoint) -> Result<Announced> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // Two hubs of one machine differ by their ports.
    let (name, host) = (format!("{host} {} {}", on.scheme, on.port), format!("{host}.local."));
    let pin = on.option(PIN).map(|pin| (PIN.to_string(), pin.to_string()));
    let about: HashMap<_, _> = [(SCHEME.to_string(), on.scheme.clone())].into_iter().chain(pin).collect();
    let info = ServiceInfo::new(KIND, &name, &host, "", on.port, about).context("it could not be named")?;
    let info = info.enable_addr_auto();
    let (daemon, name) = (daemon()?, info.get_fullname().to_string());
    daemon.register(info).context("the hub could not be announced")?;
    Ok(Announced { daemon, name })
}

impl Drop for Announced {
    fn drop(&mut self) {
        // Those who saw it are told that it goes; who cannot be told forgets it after two minutes.
        if let Ok(told) = self.daemon.unregister(&self.name) {
            _ = told.recv_timeout(std::time::Duration::from_millis(300));
        }
        _ = self.daemon.shutdown();
    }
}

/// The hubs that announce themselves, as they come and go.
pub struct Neighbours {
    daemon: ServiceDaemon,
    events: Receiver<ServiceEvent>,
    known: HashMap<String, Endpoint>,
}

impl Neighbours {
    pub fn look() -> Result<Neighbours> {
        let daemon = daemon()?;
        let events = daemon.browse(KIND).context("hubs could not be looked for")?;
        Ok(Neighbours { daemon, events, known: HashMap::new() })
    }

    /// All that are known, once that has changed; none when it cannot be known any more.
    pub async fn next(&mut self) -> Option<Vec<(String, Endpoint)>> {
        loop {
            match self.events.recv_async().await.ok()? {
                ServiceEvent::ServiceResolved(found) => {
                    let Some(endpoint) = endpoint(&found) else { continue };
                    self.known.insert(found.get_fullname().to_string(), endpoint);
                }
                ServiceEvent::ServiceRemoved(_, name) => _ = self.known.remove(&name),
                _ => continue,
            }
            let title = |name: &str| printable(name.strip_suffix(KIND).unwrap_or(name).trim_end_matches('.'));
            let mut all: Vec<_> = self.known.iter().map(|(name, at)| (title(name), at.clone())).collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            return Some(all);
        }
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        _ = self.daemon.shutdown();
    }
}

fn daemon() -> Result<ServiceDaemon> {
    let daemon = ServiceDaemon::new().context("multicast DNS is not to be had here")?;
    // Those of this machine are neighbours too, where it has no network besides.
    _ = daemon.enable_interface(IfKind::LoopbackV4);
    Ok(daemon)
}

/// Where it is called; IPv4 first, whose addresses need no zone. Anybody may announce anything: what is no address of ours
/// is passed over.
fn endpoint(found: &ResolvedService) -> Option<Endpoint> {
    let scheme = found.get_property_val_str(SCHEME)?;
    let mut addresses: Vec<IpAddr> = found.get_addresses().iter().map(|address| address.to_ip_addr()).collect();
    addresses.sort_by_key(|address| (address.is_ipv6(), address.is_loopback()));
    let host = match addresses.first()? {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    };
    let pin = found.get_property_val_str(PIN).map_or(String::new(), |pin| format!("?{PIN}={pin}"));
    crate::transports::dialled(&format!("{scheme}://{host}:{}{pin}", found.get_port())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::future::or;

    /// A name of its own, as others may run here at once.
    #[test]
    fn what_is_announced_is_found_until_it_goes() {
        let pin = format!("sha256:{}", "ab".repeat(32));
        let on = Endpoint::parse(&format!("tls://127.0.0.1:41873?pin={pin}")).unwrap();
        let announced = announce(&on).unwrap();
        let mut neighbours = Neighbours::look().unwrap();
        let mut until = |wanted: bool| {
            let seen = async {
                while let Some(all) = neighbours.next().await {
                    let same = |at: &Endpoint| at.port == 41873 && at.scheme == "tls" && at.option(PIN) == Some(&*pin);
                    if all.iter().any(|(name, at)| name.ends_with("tls 41873") && same(at)) == wanted {
                        return true;
                    }
                }
                false
            };
            let late = async {
                smol::Timer::after(std::time::Duration::from_secs(20)).await;
                false
            };
            smol::block_on(or(seen, late))
        };
        assert!(until(true), "it is not found");
        drop(announced);
        assert!(until(false), "it is still there");
    }
}
