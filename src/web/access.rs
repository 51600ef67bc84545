//! Who may ask: `Host` and `Origin`, against pages of strangers that reach for a server on their visitor's machine or
//! network, by a cross-site request or under a name that they let point here (DNS rebinding).
//!
//! Programs send no `Origin`, so they are not hindered. What changes something or opens a WebSocket is checked always;
//! what only reads is checked on loopback, where nobody but this machine's user is expected. Where there is a key, `login`
//! asks for it after that.

use std::net::IpAddr;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, HOST, HeaderMap,
    HeaderName, HeaderValue, ORIGIN, UPGRADE, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, Uri};

use super::login::Login;
use super::reply::Refusal;
use super::{Request, Response};

/// Foreign pages that may read and change: values of `--allow-origin`.
#[derive(Default)]
pub struct Access {
    origins: Vec<String>,
    login: Option<Login>,
}

/// What a response tells the browser about other origins.
pub struct Allowed(Option<HeaderValue>);

impl Access {
    pub fn new(origins: Vec<String>) -> Access {
        Access { origins, login: None }
    }

    /// The same for those alone who have the key.
    pub fn with(self, login: Option<Login>) -> Access {
        Access { login, ..self }
    }

    /// The answer to whoever has not the key yet.
    pub async fn asked_for_key(&self, request: &Request) -> Option<Response> {
        self.login.as_ref()?.answer(request).await
    }

    /// Lets a request in, or says why not. `local` is the address it came to.
    pub fn check(&self, head: &Parts, local: IpAddr) -> Result<Allowed, Refusal> {
        let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&head.method);
        let guarded = !reads || head.headers.contains_key(UPGRADE);
        let forbid = |why: String| Err(Refusal(StatusCode::FORBIDDEN, why));
        let Some(host) = host(head) else {
            return Err(Refusal(StatusCode::BAD_REQUEST, "a request names its host once".to_string()));
        };
        if (guarded || local.is_loopback()) && !self.knows(&host) {
            return forbid(format!(
                "this is not known here as {host}: ask by address, or start vstream with --allow-origin http://{host}"
            ));
        }
        let Some(origin) = head.headers.get(ORIGIN) else { return Ok(Allowed(None)) };
        let named = origin.to_str().unwrap_or_default();
        let own = own_origin(named, &host);
        let granted = self.origins.iter().any(|o| o == named);
        if guarded && !own && !granted {
            return forbid(format!("pages of {named} may not change anything here without --allow-origin {named}"));
        }
        Ok(Allowed((granted && !own).then(|| origin.clone())))
    }

    /// Whether this server is meant by a `Host`: no name that a stranger could let point here.
    fn knows(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let literal = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        let own = rustix::system::uname();
        let own = own.nodename().to_string_lossy().to_ascii_lowercase();
        let allowed = |origin: &String| origin.split_once("://").is_some_and(|(_, o)| without_port(o) == name);
        literal
            || name == "localhost"
            || name.ends_with(".localhost")
            || name == own
            || name.strip_suffix(".local") == Some(&own)
            || self.origins.iter().any(allowed)
    }
}

impl Allowed {
    /// Tells the browser which foreign page may read this response, where one may.
    pub fn grant(&self, mut response: Response) -> Response {
        let Some(origin) = &self.0 else { return response };
        let mut set = |name: HeaderName, value: HeaderValue| _ = response.headers_mut().insert(name, value);
        set(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        set(VARY, HeaderValue::from_static("Origin"));
        set(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PATCH, DELETE"));
        set(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Authorization, Content-Type"));
        response
    }
}

/// Reads a value of `--allow-origin`.
pub fn origin(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/').to_ascii_lowercase();
    let uri: Option<Uri> = text.parse().ok();
    let whole =
        uri.is_some_and(|u| u.authority().is_some_and(|a| text == format!("{}://{a}", u.scheme_str().unwrap_or(""))));
    let web = text.starts_with("http://") || text.starts_with("https://");
    if whole && web { Ok(text) } else { Err("origins are written http://host:port, as browsers send them".to_string()) }
}

/// The one host that a request names: its target's, or its header's.
fn host(head: &Parts) -> Option<String> {
    if let Some(authority) = head.uri.authority() {
        return Some(authority.as_str().to_string());
    }
    let host = only(&head.headers, HOST)?.to_str().ok()?;
    host.parse::<hyper::http::uri::Authority>().ok().filter(|a| !a.as_str().contains('@')).map(|a| a.to_string())
}

fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).into_iter();
    values.next().filter(|_| values.next().is_none())
}

/// A page that came from this very server.
fn own_origin(origin: &str, host: &str) -> bool {
    let named = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    named.is_some_and(|named| named.eq_ignore_ascii_case(host))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, host: &str, origin: Option<&str>, local: &str) -> u16 {
        let access = Access::new(vec!["http://cam.example:8080".to_string()]);
        let mut request = hyper::Request::builder().method(method).uri("/control").header(HOST, host);
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        access.check(&head, local.parse().unwrap()).map_or_else(|refused| refused.0.as_u16(), |_| 200)
    }

    #[test]
    fn what_changes_something_comes_from_here() {
        for (host, origin, status) in [
            ("127.0.0.1:8080", None, 200),
            ("[::1]:8080", None, 200),
            ("localhost", Some("http://localhost"), 200),
            ("127.0.0.1:8080", Some("http://127.0.0.1:8080"), 200),
            ("127.0.0.1:8080", Some("http://127.0.0.1:9090"), 403),
            ("127.0.0.1:8080", Some("http://evil.example"), 403),
            ("127.0.0.1:8080", Some("null"), 403),
            ("evil.example:8080", Some("http://evil.example:8080"), 403),
            ("evil.example", None, 403),
            ("127.0.0.1.evil.example", None, 403),
            ("user@127.0.0.1", None, 400),
            ("", None, 400),
            ("cam.example:8080", Some("http://cam.example:8080"), 200),
            ("127.0.0.1:8080", Some("http://cam.example:8080"), 200),
        ] {
            for local in ["127.0.0.1", "192.168.1.5"] {
                assert_eq!(asked("PATCH", host, origin, local), status, "{host:?} {origin:?}");
            }
        }
    }

    #[test]
    fn what_reads_may_come_by_any_name_but_on_loopback() {
        assert_eq!(asked("GET", "cam.lan:8080", None, "192.168.1.5"), 200);
        assert_eq!(asked("GET", "cam.lan:8080", None, "127.0.0.1"), 403);
        assert_eq!(asked("GET", "127.0.0.1:8080", Some("http://evil.example"), "127.0.0.1"), 200); // unreadable to it
    }

    #[test]
    fn origins() {
        assert_eq!(origin("http://Cam.example:8080/"), Ok("http://cam.example:8080".to_string()));
        for bad in ["*", "cam.example", "ftp://x", "http://", "http://x/y", "http://x y"] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
