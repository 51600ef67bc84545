//! A browser's connection: in the open, or inside TLS where it begins with TLS's handshake. Its first byte tells which.

use std::io;
use std::net::TcpStream;

use async_io::Async;
use smol::io::{AsyncRead, AsyncWrite};

use crate::connected::Connected;
use crate::endpoint::Endpoint;

pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub type Stream = Box<dyn Io>;

/// The record that TLS begins with (RFC 8446, 5.1); no request of HTTP does.
const HANDSHAKE: u8 = 0x16;

/// A connection as its caller has begun it, and whether that is inside TLS.
pub async fn begun(stream: Async<TcpStream>, tls: &Tls) -> io::Result<(Stream, bool)> {
    let stream = Connected::new(stream.into_inner()?)?;
    let encrypted = stream.first().await? == Some(HANDSHAKE);
    Ok((if encrypted { tls.accept(stream).await? } else { Box::new(stream) }, encrypted))
}

#[cfg(feature = "tls")]
pub use with_tls::Tls;
#[cfg(not(feature = "tls"))]
pub use without_tls::Tls;

#[cfg(feature = "tls")]
mod with_tls {
    use std::sync::Mutex;

    use anyhow::Result;
    use async_native_tls::TlsAcceptor;
    use smol::lock::OnceCell;

    use super::{Connected, Endpoint, Stream, io};
    use crate::identity::{Identity, Pin};
    use crate::lock::lock;
    use crate::log::Repeated;
    use crate::{clock, fault};

    /// What is shown to those who begin with TLS: read, or made, when it is first wanted.
    pub struct Tls {
        on: Endpoint,
        shown: OnceCell<(TlsAcceptor, Pin)>,
        trouble: Mutex<Repeated>,
    }

    impl Tls {
        /// With the certificate that the address names, or this user's own.
        pub fn new(on: &Endpoint) -> Tls {
            Tls { on: on.clone(), shown: OnceCell::new(), trouble: Mutex::default() }
        }

        /// The fingerprint of the certificate.
        pub async fn pin(&self) -> Result<Option<String>> {
            self.shown().await.map(|(_, pin)| Some(pin.to_string()))
        }

        async fn shown(&self) -> Result<&(TlsAcceptor, Pin)> {
            let find = async {
                let on = self.on.clone();
                let identity = smol::unblock(move || Identity::find(&on)).await?;
                let pin = identity.pin.clone();
                Ok((identity.acceptor()?, pin))
            };
            self.shown.get_or_try_init(|| find).await
        }

        pub async fn accept(&self, stream: Connected) -> io::Result<Stream> {
            let (acceptor, _) = self.shown().await.map_err(|error| {
                let why = fault::line(&error);
                if let Some(n) = lock(&self.trouble).again(clock::now()) {
                    log::warn!("{n} browsers asked for https in vain: {why}");
                }
                io::Error::other(why)
            })?;
            let shaken = acceptor.accept(stream).await.map_err(io::Error::other)?;
            Ok(Box::new(shaken))
        }
    }
}

#[cfg(not(feature = "tls"))]
mod without_tls {
    use anyhow::Result;

    use super::{Connected, Endpoint, Stream, io};

    /// Nobody is served so where vstream was built without TLS.
    pub struct Tls;

    impl Tls {
        pub fn new(_on: &Endpoint) -> Tls {
            Tls
        }

        pub async fn pin(&self) -> Result<Option<String>> {
            Ok(None)
        }

        pub async fn accept(&self, _stream: Connected) -> io::Result<Stream> {
            Err(io::Error::other("this vstream was built without TLS"))
        }
    }
}
