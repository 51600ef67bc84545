//! The flags that guard a role: the key, and what a `tls://` listener shows.

use std::convert::Infallible;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Once;

use anyhow::Result;
use clap::Args;
use zeroize::Zeroizing;

use super::http::HttpArgs;
use crate::endpoint::Endpoint;
use crate::fault::{self, Fault};
use crate::key::{Key, LONGEST};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Everywhere")]
pub struct KeyArgs {
    /// Key that both ends share, for links and pages (in VSTREAM_KEY or a file other users do not see it)
    #[arg(long, value_name = "KEY")]
    key: Option<Secret>,
    /// Read the key from a file, its first line; it counts before --key and VSTREAM_KEY
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// What `--key` says, until it is made a key; nothing prints it.
#[derive(Clone)]
struct Secret(Zeroizing<String>);

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Secret, Infallible> {
        Ok(Secret(Zeroizing::new(text.to_string())))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl KeyArgs {
    pub fn key(&self) -> Result<Option<Key>> {
        let word = match (&self.key, &self.key_file) {
            (_, Some(path)) => first_line(path)?,
            (Some(Secret(word)), None) => word.clone(),
            (None, None) => return Ok(None),
        };
        let from = self.key_file.as_ref().map(|path| format!(" (read from {})", path.display())).unwrap_or_default();
        let key = Key::new(&word).map_err(|why| Fault::usage(format!("{why}{from}")))?;
        warn_of(&key);
        Ok(Some(key))
    }
}

/// Says once that a key is soon found, where it is.
pub fn warn_of(key: &Key) {
    static SAID: Once = Once::new();
    let warn = || log::warn!("the key is short and soon found by trying: `openssl rand -base64 18` makes a good one");
    if key.is_short() {
        SAID.call_once(warn);
    }
}

fn first_line(path: &Path) -> Result<Zeroizing<String>> {
    let mut data = Zeroizing::new(Vec::with_capacity(LONGEST + 3));
    let failed = |why: &str| Fault::usage(format!("could not read the key in {}: {why}", path.display()));
    let read = File::open(path).and_then(|file| file.take(LONGEST as u64 + 2).read_to_end(&mut data));
    read.map_err(|error| failed(&fault::plain(&error.to_string())))?;
    let text = std::str::from_utf8(&data).map_err(|_| failed("it is no text"))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_string()))
}

#[derive(Args, Clone, Debug, Default)]
pub struct CertArgs {
    /// Certificate to show on tls:// and on pages by https:// (PEM) [default: one of its own, made once and kept]
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "cert_key")]
    cert: Option<String>,
    /// Private key of that certificate (PEM)
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "cert")]
    cert_key: Option<String>,
}

impl CertArgs {
    /// The address to listen on for links, with the certificate that the flags name; `pages` show it too, if there are any.
    #[cfg(feature = "tls")]
    pub fn on(&self, on: Endpoint, pages: &HttpArgs) -> Result<Endpoint> {
        let takes = crate::transports::find(&on.scheme).is_some_and(|t| t.options().iter().any(|(o, _)| *o == "cert"));
        let idle = self.cert.is_some() && !takes && pages.http.is_none();
        anyhow::ensure!(!idle, Fault::usage(format!("--cert is for tls:// and for --http, and {on} is neither")));
        Ok(if takes { self.with(on) } else { on })
    }

    /// The address with the certificate.
    #[cfg(feature = "tls")]
    pub fn with(&self, mut on: Endpoint) -> Endpoint {
        let named = [("cert", &self.cert), ("cert-key", &self.cert_key)];
        on.options.extend(named.into_iter().filter_map(|(name, file)| Some((name.to_string(), file.clone()?))));
        on
    }

    #[cfg(not(feature = "tls"))]
    pub fn on(&self, on: Endpoint, _pages: &HttpArgs) -> Result<Endpoint> {
        Ok(on)
    }

    #[cfg(not(feature = "tls"))]
    pub fn with(&self, on: Endpoint) -> Endpoint {
        on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_first_line_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let of = |text: &str| {
            std::fs::write(&path, text).unwrap();
            KeyArgs { key: None, key_file: Some(path.clone()) }.key()
        };
        let word = Key::new("a word").unwrap();
        for text in ["a word", "a word\n", "a word\r\n", "a word\nand a remark\n"] {
            assert_eq!(of(text).unwrap(), Some(word.clone()), "{text:?}");
        }
        for bad in ["", "\n", "\nx", &"x".repeat(LONGEST + 1)] {
            assert!(of(bad).unwrap_err().to_string().contains("/key"), "it names the file");
        }
    }

    #[test]
    fn flags_do_not_show_it() {
        let args = KeyArgs { key: Some("hunter2".parse().unwrap()), key_file: None };
        assert!(!format!("{args:?}").contains("hunter2"));
    }
}
