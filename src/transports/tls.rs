//! `tls://`: as tcp, inside TLS by the system's OpenSSL. A listener shows a certificate, its own where none is given; a
//! caller knows it by an authority or by its fingerprint. Who calls is not asked for a certificate: that is what a key
//! is for.

use std::io;
use std::net::TcpListener;

use anyhow::{Result, ensure};
use async_io::Async;
use async_native_tls::{TlsAcceptor, TlsConnector, TlsStream};
use async_trait::async_trait;
use native_tls::{Certificate, Protocol};

use crate::connected::Connected;
use crate::endpoint::Endpoint;
use crate::fault::Fault;
use crate::identity::{Identity, Pin};
use crate::link::Link;
use crate::message::Message;
use crate::sealed::{self, End};
use crate::stream::{StreamRx, StreamTx};
use crate::transports::socket;
use crate::transports::{Listener, Transport};
use crate::{greet, handshake};

pub struct Plug;

#[async_trait]
impl Transport for Plug {
    fn scheme(&self) -> &'static str {
        "tls"
    }

    fn about(&self) -> &'static str {
        "tcp inside TLS: encrypted, and the listener proves who it is by a certificate"
    }

    fn options(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("pin", "the certificate to believe, sha256:HEX, as the listener prints it"),
            ("ca", "file of the authority to believe (PEM) [default: the system's]"),
            ("insecure", "believe whoever answers"),
            ("cert", "listening: the certificate to show (PEM) [default: its own]"),
            ("cert-key", "listening: its private key (PEM)"),
        ]
    }

    async fn connect(&self, to: &Endpoint) -> Result<Link> {
        no_options_of(to, &["cert", "cert-key"], "listening")?;
        let trust = Trust::of(to)?;
        let (stream, peer) = socket::opened(socket::connect(to).await?)?;
        let stream = handshake::Stream::new(trust.shake(stream));
        Ok(sealed::link(stream, End::Caller, to.key.clone(), peer))
    }

    async fn listen(&self, on: &Endpoint) -> Result<Box<dyn Listener>> {
        no_options_of(on, &["pin", "ca", "insecure"], "calling")?;
        let identity = Identity::find(on)?;
        let (socket, mut local) = socket::listen(on).await?;
        local.options = vec![("pin".to_string(), identity.pin.to_string())];
        Ok(Box::new(Tls { socket, local, acceptor: identity.acceptor()? }))
    }
}

struct Tls {
    socket: Async<TcpListener>,
    local: Endpoint,
    acceptor: TlsAcceptor,
}

#[async_trait]
impl Listener for Tls {
    async fn accept(&self) -> Result<Link> {
        let (stream, _) = self.socket.accept().await?;
        let (stream, peer) = socket::opened(stream)?;
        let acceptor = self.acceptor.clone();
        let shaken = async move {
            if stream.first().await?.is_some_and(Message::opens) {
                return Err(turned_away(stream).await);
            }
            acceptor.accept(stream).await.map_err(|error| broken(&error.to_string()))
        };
        Ok(sealed::link(handshake::Stream::new(shaken), End::Listener, self.local.key.clone(), peer))
    }

    fn local(&self) -> Endpoint {
        self.local.clone()
    }
}

/// Tells a vstream that has not begun with TLS; why it is none of the callers.
async fn turned_away(stream: Connected) -> io::Error {
    let (rx, tx) = (StreamRx::new(stream.clone()), StreamTx::new(stream));
    let mut link = Link { tx: Box::new(tx), rx: Box::new(rx), peer: String::new() };
    let reason = "this is a tls:// address: call it as its listener printed it".to_string();
    let _ = greet::refuse(&mut link, reason).await; // it may have gone
    io::Error::other("the caller has not begun with TLS: it is to call tls://")
}

/// What would be passed over in silence is refused.
fn no_options_of(address: &Endpoint, others: &[&str], doing: &str) -> Result<()> {
    let other = address.options.iter().find(|(name, _)| others.contains(&name.as_str()));
    other.map_or(Ok(()), |(name, _)| Err(Fault::usage(format!("{name}= is for an address for {doing}")).into()))
}

/// Whom a caller believes.
struct Trust {
    host: String,
    pin: Option<Pin>,
    connector: TlsConnector,
}

impl Trust {
    fn of(to: &Endpoint) -> Result<Trust> {
        let (ca, insecure) = (to.option("ca"), to.option("insecure").is_some());
        let plain = to.option("insecure").is_none_or(str::is_empty);
        ensure!(plain, Fault::usage("insecure takes no value: leave it out to believe only what is vouched for"));
        let pin = to.option("pin").map(|pin| pin.parse().map_err(Fault::usage)).transpose()?;
        ensure!(
            !insecure || (pin.is_none() && ca.is_none()),
            Fault::usage("insecure believes anybody: leave out either it or pin= and ca=")
        );
        let mut builder = native_tls::TlsConnector::builder();
        builder.min_protocol_version(Some(Protocol::Tlsv12));
        if let Some(file) = ca {
            builder.disable_built_in_roots(true);
            for authority in authorities(file)? {
                builder.add_root_certificate(authority);
            }
        } else if insecure || pin.is_some() {
            // Only the proof that it has the certificate's key is left, which a pin needs and asks no authority for.
            builder.disable_built_in_roots(true);
            builder.danger_accept_invalid_certs(true).danger_accept_invalid_hostnames(true);
        }
        if insecure {
            static SAID: std::sync::Once = std::sync::Once::new();
            SAID.call_once(|| log::warn!("insecure: whoever answers is believed to be {}", socket::host(to)));
        }
        Ok(Trust { host: socket::host(to).to_string(), pin, connector: builder.into() })
    }

    async fn shake(self, stream: Connected) -> io::Result<TlsStream<Connected>> {
        let shaken = self.connector.connect(&self.host, stream).await;
        let stream = shaken.map_err(|error| self.refused(&error.to_string()))?;
        let Some(pin) = self.pin else { return Ok(stream) };
        let shown = stream.peer_certificate().map_err(io::Error::other)?;
        let shown = shown.map(|c| c.to_der()).transpose().map_err(io::Error::other)?;
        let shown = Pin::of(&shown.unwrap_or_default());
        if shown == pin {
            return Ok(stream);
        }
        let hint = "where its owner has a new certificate, call the address that the listener prints now; \
                    where not, somebody stands in between";
        Err(io::Error::other(Fault::refused(format!("its certificate is {shown}, not {pin}")).hint(hint)))
    }

    /// What OpenSSL says of a certificate, in words for the user; anything else may pass, so it is tried again.
    fn refused(&self, error: &str) -> io::Error {
        let Some((_, reason)) = error.split_once("certificate verify failed") else {
            let none =
                Fault::refused("it speaks no TLS").hint("a listener without TLS is called by tcp://, as it prints it");
            return if speaks_none(error) { io::Error::other(none) } else { broken(error) };
        };
        let reason = reason.rsplit_once('(').map_or(reason, |(_, r)| r.trim_end_matches(')'));
        let pinned = "call the address that the listener prints, with its pin=sha256:…";
        let (text, hint) = match reason {
            "certificate is not yet valid" => {
                let hint = format!("set this machine's clock if it is wrong, or {pinned}");
                ("its certificate is not valid yet".to_string(), hint)
            }
            "certificate has expired" => ("its certificate has expired".to_string(), pinned.to_string()),
            "hostname mismatch" | "IP address mismatch" => {
                let hint = format!("call it by a name that its certificate has, or {pinned}");
                (format!("its certificate is not one of {}", self.host), hint)
            }
            _ => {
                let hint = format!("{pinned}, or name the authority's file by ca=FILE");
                (format!("nobody that is believed here vouches for its certificate ({reason})"), hint)
            }
        };
        io::Error::other(Fault::refused(text).hint(hint))
    }
}

/// A handshake that came to nothing: "error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../ssl/…", of which
/// OpenSSL 3 may leave out the function.
fn broken(error: &str) -> io::Error {
    let why = match error {
        _ if speaks_none(error) => "the other side speaks no TLS",
        _ if error.contains("unexpected eof") || error.is_empty() => "it broke off",
        _ if error.contains("alert certificate expired") => {
            "the caller finds the certificate expired: show another one by --cert and --cert-key, if its clock is right"
        }
        _ if error.contains("alert unknown ca") || error.contains("alert bad certificate") => {
            "the caller does not believe the certificate: it is to call the address that is printed here, or a name that the \
             certificate has with ca=FILE"
        }
        _ => error.split(':').skip(3).find(|part| part.contains(' ')).unwrap_or(error),
    };
    io::Error::other(format!("the TLS handshake failed: {why}"))
}

/// Whether the other side has answered with something else than TLS.
fn speaks_none(error: &str) -> bool {
    ["wrong version number", "http request", "packet length too long", "unknown protocol"]
        .iter()
        .any(|e| error.contains(e))
}

/// The authorities in a file.
fn authorities(file: &str) -> Result<Vec<Certificate>> {
    let read = || -> Result<Vec<Certificate>> {
        let all = Certificate::stack_from_pem(&std::fs::read(file)?)?;
        ensure!(!all.is_empty(), "there is no certificate in it");
        Ok(all)
    };
    read().map_err(|e| Fault::usage(format!("could not read {file}: {}", crate::fault::line(&e))).into())
}
