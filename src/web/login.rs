//! Where there is a key, who asks has it: in `Authorization: Bearer`, or in a cookie that the login page sets.

use std::time::Duration;

use async_io::Timer;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_SECURITY_POLICY, COOKIE, HeaderMap, HeaderValue, LOCATION, SET_COOKIE,
    WWW_AUTHENTICATE,
};
use hyper::{Method, StatusCode};

use super::{Encrypted, Request, Response, assets, reply};
use crate::key::{Key, LENGTH, same};

pub struct Login {
    key: Key,
    /// What the cookie holds: from the key, so that it outlives a restart and ends with the key.
    token: [u8; LENGTH],
    cookie: String,
}

/// A wrong key is answered no sooner, so that guessing by many connections stays slow.
const WRONG: Duration = Duration::from_millis(500);
const PURPOSE: &str = "login";
/// Before the name of a cookie that was given by https: browsers never send it by http (RFC 6265bis), where the same port
/// has one of its own.
const ENCRYPTED: &str = "__Host-";
const PAGE: &str = include_str!("../../web/login.html");
/// As for the other pages (`assets.rs`), but its form goes here.
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// What another vstream with the same key says instead of the word, which it has no longer.
pub fn bearer(key: &Key) -> String {
    format!("Bearer {}", hex(&key.derived(PURPOSE)))
}

impl Login {
    /// `port` tells the cookies of several vstreams on one machine apart: browsers do not.
    pub fn new(key: Key, port: u16) -> Login {
        Login { token: key.derived(PURPOSE), key, cookie: format!("vstream-{port}") }
    }

    /// The answer to a request without the key; none where it has it.
    pub async fn answer(&self, request: &Request) -> Option<Response> {
        if let Some(asset) = assets::find(&[&assets::STYLE, &assets::ICON], request) {
            return Some(asset);
        }
        if request.uri().path() == "/login" && request.method() == Method::POST {
            return Some(self.login(request).await);
        }
        let bearer = request.headers().get(AUTHORIZATION).map(|value| self.bears(value));
        if bearer.unwrap_or_else(|| self.cookie(request.headers())) {
            return None;
        }
        if bearer.is_some() {
            Timer::after(WRONG).await;
        }
        let wants = request.headers().get(ACCEPT).and_then(|v| v.to_str().ok());
        let page = request.method() == Method::GET && wants.is_some_and(|wants| wants.contains("text/html"));
        let why = "a key is needed: Authorization: Bearer KEY";
        let refused = if page { form("") } else { reply::refusal(StatusCode::UNAUTHORIZED, why) };
        Some(reply::with(refused, WWW_AUTHENTICATE, "Bearer"))
    }

    fn bears(&self, value: &HeaderValue) -> bool {
        let word = std::str::from_utf8(value.as_bytes()).ok().and_then(|value| value.split_once(' '));
        let known = |word: &str| self.key.is(word) || self.holds(word);
        word.is_some_and(|(scheme, word)| scheme.eq_ignore_ascii_case("bearer") && known(word.trim()))
    }

    fn cookie(&self, headers: &HeaderMap) -> bool {
        let all = headers.get_all(COOKIE).into_iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
        let mut ours = all
            .filter_map(|c| c.trim().split_once('='))
            .filter(|(name, _)| name.strip_prefix(ENCRYPTED).unwrap_or(name) == self.cookie);
        ours.any(|(_, value)| self.holds(value))
    }

    fn holds(&self, token: &str) -> bool {
        unhex(token).is_some_and(|token| same(&token, &self.token))
    }

    async fn login(&self, request: &Request) -> Response {
        let mut fields = form_urlencoded::parse(request.body());
        if !fields.any(|(name, word)| name == "key" && self.key.is(&word)) {
            Timer::after(WRONG).await;
            return form("<p class=\"notice\" role=\"alert\">That is not the key.</p>");
        }
        let encrypted = request.extensions().get::<Encrypted>().is_some();
        let (before, after) = if encrypted { (ENCRYPTED, "; Secure") } else { ("", "") };
        let token = hex(&self.token);
        let cookie = format!("{before}{}={token}; Path=/; HttpOnly; SameSite=Strict{after}", self.cookie);
        let mut entered = reply::with(reply::fresh(reply::empty(StatusCode::SEE_OTHER)), LOCATION, "/");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            entered.headers_mut().insert(SET_COOKIE, cookie);
        }
        entered
    }
}

fn form(notice: &str) -> Response {
    let page = reply::whole(StatusCode::UNAUTHORIZED, assets::HTML, PAGE.replace("<!-- notice -->", notice));
    reply::with(page, CONTENT_SECURITY_POLICY, POLICY)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    if text.len() != 2 * LENGTH || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn asked(request: hyper::http::request::Builder, body: &'static str) -> Option<Response> {
        let login = Login::new(Key::new("open sesame").unwrap(), 8080);
        smol::block_on(login.answer(&request.body(Bytes::from_static(body.as_bytes())).unwrap()))
    }

    fn status(answer: Option<Response>) -> u16 {
        answer.map_or(200, |answer| answer.status().as_u16())
    }

    #[test]
    fn the_word_or_its_cookie_opens() {
        let get = || hyper::Request::get("/state");
        for (name, value, wanted) in [
            ("authorization", "Bearer open sesame", 200),
            ("authorization", "bearer open sesame", 200),
            ("authorization", "Bearer open", 401),
            ("authorization", "Basic open sesame", 401),
            ("cookie", "vstream-8080=00", 401),
            ("cookie", "vstream-8080=éé", 401),
            ("accept", "text/html", 401),
        ] {
            assert_eq!(status(asked(get().header(name, value), "")), wanted, "{name}: {value}");
        }
        assert_eq!(status(asked(get(), "")), 401);
        assert_eq!(status(asked(hyper::Request::get("/style.css"), "")), 200);

        let entered = asked(hyper::Request::post("/login"), "key=open+sesame").unwrap();
        assert_eq!(entered.status(), 303);
        let cookie = entered.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_string();
        assert!(!cookie.contains("sesame"));
        assert_eq!(status(asked(get().header("cookie", format!("a=b; {cookie}")), "")), 200);
        let other = bearer(&Key::new("open sesame").unwrap());
        assert_eq!(status(asked(get().header("authorization", other), "")), 200);
        assert_eq!(status(asked(get().header("cookie", cookie.replace("8080", "8081")), "")), 401);
        let entered = asked(hyper::Request::post("/login").extension(Encrypted), "key=open+sesame").unwrap();
        let cookie = entered.headers()[SET_COOKIE].to_str().unwrap();
        assert!(cookie.starts_with("__Host-vstream-8080=") && cookie.ends_with("; Secure"), "{cookie}");
        assert_eq!(status(asked(get().header("cookie", cookie), "")), 200);
        assert_eq!(status(asked(hyper::Request::post("/login"), "key=close")), 401);
        assert_eq!(status(asked(hyper::Request::post("/login"), "")), 401);
    }
}
