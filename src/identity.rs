//! What a listener shows of itself: a certificate with its private key, given or its own, and its fingerprint.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, ensure};
use async_native_tls::TlsAcceptor;
use native_tls::Protocol;
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509NameBuilder};
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use zeroize::Zeroizing;

use crate::endpoint::Endpoint;
use crate::fault::{self, Fault};
use crate::home;

/// The SHA-256 of a certificate, `sha256:` and 64 digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin([u8; SHA256_OUTPUT_LEN]);

pub struct Identity {
    identity: native_tls::Identity,
    pub pin: Pin,
}

/// Whoever pins it does not ask for its age; a certificate that never ends is refused by some.
const DAYS: u32 = 3650;
const FILE: &str = "tls.pem";

impl Identity {
    /// The one that an address to listen on names, or this user's own.
    pub fn find(on: &Endpoint) -> Result<Identity> {
        match (on.option("cert"), on.option("cert-key")) {
            (Some(cert), Some(key)) => Identity::given(cert, key),
            (None, None) => Identity::own(),
            _ => Err(Fault::usage("cert= and cert-key= go together").into()),
        }
    }

    /// Of PEM files as openssl writes them, the private key in any of its forms.
    fn given(cert: &str, key: &str) -> Result<Identity> {
        let bytes = |file: &str| {
            let data = fs::read(file).map(Zeroizing::new);
            data.map_err(|e| Fault::usage(format!("could not read {file}: {}", fault::plain(&e.to_string()))))
        };
        let (certificates, private) = (bytes(cert)?, bytes(key)?);
        Identity::read(&certificates, &private).map_err(|e| {
            Fault::usage(format!("could not use {cert} with {key}: {}", fault::line(&e)))
                .hint("they are PEM files as openssl writes them, the key without a passphrase")
                .into()
        })
    }

    /// This user's own, made when it is first asked for.
    fn own() -> Result<Identity> {
        let read = || -> Result<Identity> {
            let path = home::state().context("there is no home for a certificate")?.join(FILE);
            let pem = read_or_make(&path).map(Zeroizing::new);
            let pem = pem.with_context(|| format!("could not keep a certificate in {}", path.display()))?;
            Identity::read(&pem, &pem).with_context(|| format!("could not use the certificate in {}", path.display()))
        };
        read().map_err(|e| {
            Fault::new(fault::Kind::Failed, fault::line(&e))
                .hint("name one by --cert FILE --cert-key FILE, or another folder by XDG_STATE_HOME")
                .into()
        })
    }

    fn read(certificates: &[u8], private: &[u8]) -> Result<Identity> {
        let chain = X509::stack_from_pem(certificates).map_err(plain)?;
        let own = chain.first().context("there is no certificate in it")?;
        let pin = Pin::of(&own.to_der().map_err(plain)?);
        // A passphrase would be asked for on the terminal otherwise.
        let key = PKey::private_key_from_pem_callback(private, |_| Ok(0));
        let key = key.map_err(|_| anyhow!("there is no private key in it that needs no passphrase"))?;
        ensure!(own.public_key().is_ok_and(|public| public.public_eq(&key)), "the key is not the certificate's");
        let key = Zeroizing::new(key.private_key_to_pem_pkcs8().map_err(plain)?);
        Ok(Identity { identity: native_tls::Identity::from_pkcs8(certificates, &key)?, pin })
    }

    pub fn acceptor(self) -> Result<TlsAcceptor> {
        let mut builder = native_tls::TlsAcceptor::builder(self.identity);
        Ok(builder.min_protocol_version(Some(Protocol::Tlsv12)).build()?.into())
    }
}

/// The kept file. Of several processes that make it at once, all use the first one's.
fn read_or_make(path: &Path) -> Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        read => return Ok(read?),
    }
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    let draft = path.with_extension(format!("{}-{:x}", std::process::id(), fastrand::u64(..)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let pem = made().map_err(plain)?;
    let kept = file.write_all(&pem).and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&draft, path));
    let _ = fs::remove_file(&draft); // what matters is whether it has its name
    match kept {
        Ok(()) => {
            log::debug!("made a certificate for this user: {}", path.display());
            Ok(pem)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(fs::read(path)?),
        Err(error) => Err(error.into()),
    }
}

/// A new key on P-256, which everybody speaks, and its certificate, signed by itself.
fn made() -> Result<Vec<u8>, ErrorStack> {
    let key = PKey::from_ec_key(EcKey::generate(&*EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?)?)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, "vstream")?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let mut cert = X509::builder()?;
    cert.set_version(2)?;
    cert.set_serial_number(&*serial.to_asn1_integer()?)?;
    cert.set_subject_name(&name)?;
    cert.set_issuer_name(&name)?;
    cert.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    cert.set_not_after(&*Asn1Time::days_from_now(DAYS)?)?;
    cert.set_pubkey(&key)?;
    let host = rustix::system::uname();
    let mut names = SubjectAlternativeName::new();
    names.dns("localhost").ip("127.0.0.1").ip("::1");
    if let Ok(host) = host.nodename().to_str() {
        names.dns(host);
    }
    let names = names.build(&cert.x509v3_context(None, None))?;
    cert.append_extension(names)?;
    cert.sign(&key, MessageDigest::sha256())?;
    Ok([key.private_key_to_pem_pkcs8()?, cert.build().to_pem()?].concat())
}

/// OpenSSL's words without its numbers and files.
fn plain(error: ErrorStack) -> anyhow::Error {
    anyhow!("{}", error.errors().first().and_then(|e| e.reason()).unwrap_or("openssl does not say why"))
}

impl Pin {
    pub fn of(der: &[u8]) -> Pin {
        Pin(digest(&SHA256, der).as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl FromStr for Pin {
    type Err = String;

    /// `sha256:` and 64 digits, with or without colons between, as openssl prints them.
    fn from_str(text: &str) -> Result<Pin, String> {
        let digits = text.strip_prefix("sha256:").map(|rest| rest.replace(':', ""));
        let digits = digits.filter(|d| d.len() == 2 * SHA256_OUTPUT_LEN && d.bytes().all(|b| b.is_ascii_hexdigit()));
        let digits = digits.ok_or("a pin is sha256: and 64 hexadecimal digits, as the listener prints it")?;
        let mut pin = Pin([0; SHA256_OUTPUT_LEN]);
        for (byte, pair) in pin.0.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).expect("hexadecimal digits are ASCII");
            *byte = u8::from_str_radix(pair, 16).expect("they were checked");
        }
        Ok(pin)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_read_as_they_are_printed() {
        let pin = Pin::of(b"a certificate");
        let text = pin.to_string();
        assert_eq!(text.parse(), Ok(pin.clone()));
        let pairs: Vec<String> = pin.0.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(format!("sha256:{}", pairs.join(":")).parse(), Ok(pin));
        for bad in ["", "sha256:", "sha256:00", &text[7..], &text[..70], &format!("{text}0"), &text.replace('a', "é")]
        {
            assert!(bad.parse::<Pin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn one_certificate_is_made_and_kept() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/tls.pem");
        let first = read_or_make(&path).unwrap();
        assert_eq!(read_or_make(&path).unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        Identity::read(&first, &first).unwrap().acceptor().unwrap();
    }
}
