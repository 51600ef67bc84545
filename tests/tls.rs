//! TLS between real processes: certificates of its own and of openssl's making, whom callers believe, and strangers.
#![cfg(feature = "tls")]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Ended, Vstream, output, vstream};
use tempfile::TempDir;

fn receiver(args: &[&str]) -> (Vstream, String) {
    let mut recv = vstream(&[&["recv", "--listen", "tls://127.0.0.1:0", "--stats", "json"], args].concat());
    let url = recv.listening();
    (recv, url)
}

fn send(url: &str) -> Ended {
    vstream(&["send", "--from", "test?size=64x64&fps=60", "--frames", "5", "--timeout", "15s", "--to", url]).end()
}

fn address(url: &str) -> &str {
    url.trim_start_matches("tls://").split('?').next().unwrap()
}

/// After whatever was said before, the receiver still takes a real sender.
fn still_works(recv: Vstream, url: &str) {
    send(url).ended_with(0);
    recv.end().ended_with(0);
}

#[test]
fn the_printed_address_can_be_dialled() {
    let (recv, url) = receiver(&[]);
    assert!(url.contains("?pin=sha256:"), "{url}");
    send(&url).ended_with(0);
    let totals = recv.end().ended_with(0).totals();
    assert!(totals["frames"].as_u64() > Some(0), "{totals}");
    // The certificate is kept: the next start has the same.
    let (_recv, again) = receiver(&[]);
    assert_eq!(again.split_once('?').unwrap().1, url.split_once('?').unwrap().1);
}

#[test]
fn who_is_not_believed_is_refused_with_the_reason() {
    let (recv, url) = receiver(&[]);
    let bare = url.split('?').next().unwrap();
    let wrong = format!("{bare}?pin=sha256:{}", "00".repeat(32));
    send(&wrong).ended_with(4).saying("its certificate is sha256:").saying("hint: ");
    send(bare).ended_with(4).saying("nobody that is believed here vouches").saying("hint: ");
    send(&format!("{bare}?pin=sha256:12")).ended_with(2).saying("64 hexadecimal digits");
    send(&format!("{url}&insecure")).ended_with(2).saying("insecure believes anybody");
    send(&format!("{bare}?ca=/nowhere.pem")).ended_with(2).saying("/nowhere.pem");
    send(&format!("{bare}?insecure=false")).ended_with(2).saying("insecure takes no value");
    send(&format!("{url}&cert=x.pem")).ended_with(2).saying("cert= is for an address for listening");
    vstream(&["recv", "--listen", &url]).end().ended_with(2).saying("pin= is for an address for calling");
    send(&format!("{bare}?insecure")).ended_with(0).saying("insecure: whoever answers is believed");
    recv.end().ended_with(0);
}

/// An authority, and what it signs.
struct Authority(TempDir);

impl Authority {
    fn new() -> Authority {
        let me = Authority(TempDir::new().unwrap());
        me.openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
        me
    }

    fn openssl(&self, words: &str) {
        let mut command = Command::new("openssl");
        let done = command.args(words.split_whitespace()).current_dir(self.0.path()).output().unwrap();
        assert!(done.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_string()
    }

    /// A certificate for these names, and its key in `name.key`.
    fn sign(&self, name: &str, names: &str, days: &str) {
        self.openssl(&format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        std::fs::write(self.path("names"), format!("subjectAltName={names}")).unwrap();
        let by = "-CA ca.pem -CAkey ca.key -CAcreateserial -extfile names";
        self.openssl(&format!("x509 -req -in {name}.csr -out {name}.pem {by} {days}"));
    }

    fn receiver(&self, cert: &str, key: &str) -> (Vstream, String) {
        let (recv, url) = receiver(&["--cert", &self.path(cert), "--cert-key", &self.path(key)]);
        let bare = url.split('?').next().unwrap();
        (recv, format!("{bare}?ca={}", self.path("ca.pem")))
    }
}

#[test]
fn certificates_of_an_authority_are_believed_by_it() {
    if !common::have("openssl") {
        return;
    }
    let authority = Authority::new();
    authority.sign("here", "IP:127.0.0.1,DNS:localhost", "-days 2");
    authority.openssl("rsa -in here.key -traditional -out here.rsa");
    for key in ["here.key", "here.rsa"] {
        let (recv, url) = authority.receiver("here.pem", key);
        still_works(recv, &url);
    }
    // In the address, and by name.
    let on = format!("tls://localhost:0?cert={}&cert-key={}", authority.path("here.pem"), authority.path("here.key"));
    let mut recv = vstream(&["recv", "--listen", &on]);
    let url = recv.listening();
    assert!(!url.contains("cert"), "{url}");
    still_works(recv, &format!("{}?ca={}", url.split('?').next().unwrap(), authority.path("ca.pem")));

    authority.sign("elsewhere", "DNS:elsewhere.example", "-days 2");
    let (recv, url) = authority.receiver("elsewhere.pem", "elsewhere.key");
    send(&url).ended_with(4).saying("its certificate is not one of 127.0.0.1").saying("hint: ");
    drop(recv);

    authority.sign("old", "IP:127.0.0.1", "-days -1");
    let (recv, url) = authority.receiver("old.pem", "old.key");
    send(&url).ended_with(4).saying("its certificate has expired").saying("hint: ");
    drop(recv);

    authority.openssl("req -newkey rsa:2048 -nodes -keyout young.key -out young.csr -subj /CN=young");
    std::fs::write(authority.path("db"), "").unwrap();
    let settings = "[ca]\ndefault_ca=d\n[d]\ndatabase=db\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n\
                    x509_extensions=e\n[p]\ncommonName=supplied\n[e]\nsubjectAltName=IP:127.0.0.1\n";
    std::fs::write(authority.path("settings"), settings).unwrap();
    let when = "-startdate 20400101000000Z -enddate 20410101000000Z";
    let by = "-batch -config settings -cert ca.pem -keyfile ca.key";
    authority.openssl(&format!("ca {by} -in young.csr -out young.pem {when}"));
    let (recv, url) = authority.receiver("young.pem", "young.key");
    send(&url).ended_with(4).saying("its certificate is not valid yet").saying("hint: ");
    drop(recv);
}

#[test]
fn keys_as_openssl_writes_them() {
    if !common::have("openssl") {
        return;
    }
    let made = Authority::new();
    made.openssl("ecparam -name prime256v1 -genkey -out ec.key");
    made.openssl("req -x509 -new -key ec.key -out ec.pem -days 2 -subj /CN=ec");
    let (recv, url) = receiver(&["--cert", &made.path("ec.pem"), "--cert-key", &made.path("ec.key")]);
    still_works(recv, &url);

    made.openssl("rsa -in ca.key -aes128 -passout pass:word -out locked.key");
    std::fs::write(made.path("empty"), "").unwrap();
    for (cert, key, why) in [
        ("ca.pem", "ec.key", "the key is not the certificate's"),
        ("ca.pem", "locked.key", "needs no passphrase"),
        ("ca.pem", "ca.pem", "no private key"),
        ("empty", "ca.key", "no certificate"),
        ("nowhere", "ca.key", "no such file"),
    ] {
        let args = ["recv", "--listen", "tls://:0", "--cert", &made.path(cert), "--cert-key", &made.path(key)];
        vstream(&args).end().ended_with(2).saying(why);
    }
    vstream(&["recv", "--cert", &made.path("ca.pem"), "--cert-key", &made.path("ca.key")])
        .end()
        .ended_with(2)
        .saying("--cert is for tls://");
}

#[test]
fn other_programs_shake_hands_with_it() {
    if !common::have("openssl") {
        return;
    }
    let (recv, url) = receiver(&[]);
    let mut client = Command::new("openssl");
    client.args(["s_client", "-connect", address(&url), "-tls1_2", "-quiet"]);
    let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    client.stdin.take().unwrap().write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    client.stdout.take().unwrap().read_to_end(&mut answer).unwrap();
    client.wait().unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("does not speak vstream's protocol"));
    // Its fingerprint, by another's count.
    let pem = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vstream/tls.pem");
    let args = ["x509", "-noout", "-fingerprint", "-sha256", "-in", pem.to_str().unwrap()];
    let print = String::from_utf8(output("openssl", &args)).unwrap();
    let digits = print.trim().split('=').nth(1).unwrap().replace(':', "").to_lowercase();
    assert!(url.ends_with(&digits), "{url} {print}");
    // As openssl prints it, it is a pin too.
    let pin = format!("tls://{}?pin=sha256:{}", address(&url), print.trim().split('=').nth(1).unwrap());
    still_works(recv, &pin);
}

#[test]
fn old_versions_of_tls_are_not_spoken() {
    if !common::have("openssl") {
        return;
    }
    let (_recv, url) = receiver(&[]);
    let mut client = Command::new("openssl");
    client.args(["s_client", "-connect", address(&url), "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    let done = client.stdin(Stdio::null()).output().unwrap();
    assert!(!done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

#[test]
fn garbage_and_silence_harm_nobody() {
    let (mut recv, url) = receiver(&[]);
    let silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address(&url)).unwrap()).collect();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 0xFF, 0xFF, 1], &[0x16, 3, 1, 0, 4, 1, 0, 0, 0], &[]]
    {
        let mut stream = TcpStream::connect(address(&url)).unwrap();
        stream.set_read_timeout(Some(common::LIMIT)).unwrap();
        let _ = stream.write_all(garbage); // it may have hung up in the middle
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new()); // a reset is an answer too
        recv.says("was turned away");
    }
    recv.says("no greeting within 5 s");
    drop(silent);
    still_works(recv, &url);
}

#[test]
fn another_scheme_than_the_listener_s_is_told() {
    let (mut recv, url) = receiver(&[]);
    let tcp = format!("tcp://{}", address(&url));
    let mut plain = vstream(&["recv", "--listen", "tcp://127.0.0.1:0"]);
    let to = plain.listening().replace("tcp://", "tls://");
    let args = ["send", "--from", "test", "--timeout", "1s", "--to"];
    let refused = vstream(&[&args[..], &[&format!("{to}?insecure")]].concat()).end();
    refused.ended_with(4).saying("it speaks no TLS").saying("is called by tcp://");
    plain.says("the caller begins with TLS");
    for key in [&[][..], &["--key", "a key that is long enough"]] {
        let refused = vstream(&[&args[..], &[&tcp], key].concat()).end();
        refused.ended_with(4).saying("this is a tls:// address: call it as its listener printed it");
        recv.says("the caller has not begun with TLS");
    }
    vstream(&[&args[..], &[&format!("tls://{}", address(&url))]].concat()).end().ended_with(4);
    recv.says("the caller does not believe the certificate");
    still_works(recv, &url);
}

#[test]
fn a_place_where_nothing_can_be_kept_is_told() {
    let nowhere = PathBuf::from("/dev/null/state");
    let mut command = common::command(&["recv", "--listen", "tls://127.0.0.1:0"]);
    command.env("XDG_STATE_HOME", &nowhere);
    common::start(command).end().ended_with(1).saying("could not keep a certificate in").saying("hint: ");
}
