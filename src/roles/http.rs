//! `--http`: where a role serves its page and its figures, and who besides its own pages may ask.

use std::net::TcpListener;
use std::sync::Arc;

use anyhow::{Context, Result};
use async_io::Async;
use clap::Args;
use smol::future::or;

use super::Job;
use super::secure::CertArgs;
use crate::adapt::Limits;
use crate::endpoint::Endpoint;
use crate::fault;
use crate::transports::socket;
use crate::web::access::{self, Access};
use crate::web::live::{Control, Live};
use crate::web::login::Login;
use crate::web::sizes::Sizes;
use crate::web::stream::Tls;
use crate::web::views::{Origin, Views};
use crate::web::{Site, server};

/// The usual port of a program's pages.
const PORT: u16 = 8080;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Browser")]
pub struct HttpArgs {
    /// Serve a page, /stream, /snapshot, /state and /metrics here, by http and https; :8080 is every interface [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "", value_parser = address)]
    pub http: Option<Endpoint>,
    /// Let pages of this origin (http://host:port) read and change what is served; more than once for several
    #[arg(long, value_name = "ORIGIN", value_parser = access::origin, requires = "http")]
    pub allow_origin: Vec<String>,
}

/// Reads the value of `--http`.
pub fn address(text: &str) -> Result<Endpoint, String> {
    address_or(text, PORT)
}

/// The same where another port is usual. What is left out is this machine alone and that port.
pub fn address_or(text: &str, port: u16) -> Result<Endpoint, String> {
    let text = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let text = if number { format!("127.0.0.1:{text}") } else { text.to_string() };
    let text = if text.is_empty() { "127.0.0.1".to_string() } else { text };
    let bare = text.ends_with(']') || !text.contains(':');
    let endpoint = Endpoint::parse(&format!("http://{text}{}", if bare { format!(":{port}") } else { String::new() }))?;
    match endpoint.name.is_some() || !endpoint.options.is_empty() || endpoint.key.is_some() {
        true => Err("an address to serve pages on is host:port".to_string()),
        false => Ok(endpoint),
    }
}

/// A socket that browsers can reach, not served yet.
pub struct Door {
    listener: Async<TcpListener>,
    /// Where a browser finds it.
    pub url: String,
    tls: Tls,
    /// The fingerprint of what it shows by https, where others than this machine can ask for that.
    pin: Option<String>,
}

/// Opens the socket, so that an address in use is told before anything else begins.
pub async fn open(on: &Endpoint, cert: &CertArgs) -> Result<Door> {
    let bound = socket::bind(on).await.with_context(|| format!("could not serve pages on {on}"))?;
    let listener = Async::new(bound)?;
    let local = listener.get_ref().local_addr()?;
    let named = cert.with(on.clone());
    let tls = Tls::new(&named);
    // A certificate of its own is not made for this machine alone, unless somebody asks for it.
    let (given, alone) = (named != *on, local.ip().is_loopback());
    let pin = match if alone && !given { Ok(None) } else { tls.pin().await } {
        Err(error) if given => return Err(error),
        Err(error) => {
            log::warn!("there are no pages by https: {}", fault::line(&error));
            None
        }
        Ok(pin) => pin.filter(|_| !alone),
    };
    let url = format!("{}/", Endpoint { host: socket::reached_at(on), port: local.port(), ..on.clone() });
    Ok(Door { listener, url, tls, pin })
}

impl Door {
    /// Serves a site there until the job ends.
    pub fn serve(self, job: &Job, origins: Vec<String>, site: Arc<dyn Site>) {
        log::info!("serving {}", self.url);
        if let Some(pin) = &self.pin {
            let url = self.url.replacen("http", "https", 1);
            log::info!("serving {url} too (certificate {pin})");
        }
        let open = self.listener.get_ref().local_addr().is_ok_and(|a| a.ip().is_unspecified());
        if open && job.key.is_none() {
            log::warn!("no key is set: whoever reaches port {} of this machine sees the page", self.port());
        }
        let login = job.key.clone().map(|key| Login::new(key, self.port()));
        let access = Access::new(origins).with(login);
        job.spawn(server::serve(self.listener, self.tls, access, site, job.stop.clone()));
    }

    fn port(&self) -> u16 {
        self.listener.get_ref().local_addr().map_or(0, |a| a.port())
    }
}

/// Serves the page of a live stream until the job ends.
pub fn show(
    job: &Arc<Job>,
    door: Door,
    origins: Vec<String>,
    origin: Origin,
    (control, limits): (Option<Arc<dyn Control>>, Arc<Limits>),
) {
    let views = Arc::new(Views::new(origin));
    let sizes = Sizes::new(&views);
    let live = Live { views: views.clone(), board: job.board.clone(), control, sizes, limits };
    let stop = job.stop.clone();
    job.spawn(async move { or(views.run(), stop.heard()).await });
    door.serve(job, origins, Arc::new(live));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let shown = |text| address(text).map_or_else(|e| format!("error: {e}"), |e| e.to_string());
        for (text, address) in [
            ("", "http://127.0.0.1:8080"),
            ("0", "http://127.0.0.1:0"),
            (":0", "http://:0"),
            ("0.0.0.0:81", "http://0.0.0.0:81"),
            ("[::1]", "http://[::1]:8080"),
            ("[::1]:7", "http://[::1]:7"),
            ("localhost", "http://localhost:8080"),
            ("http://localhost:7/", "http://localhost:7"),
        ] {
            assert_eq!(shown(text), address);
        }
        for bad in ["::1", "h:x", "h:99999", "tcp://h", "h/x", "h?x"] {
            assert!(address(bad).is_err(), "{bad}: {}", shown(bad));
        }
    }
}
