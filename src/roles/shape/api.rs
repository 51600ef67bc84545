//! Toxiproxy's API, version 2, as requests and answers without a server: its clients work unchanged. Ours besides:
//! `up`, `down`, `protocol` and `stats` of a proxy, the type `shape` of a toxic, `/profiles`, `/scripts` and `/script`.

use std::sync::Arc;

use async_trait::async_trait;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::proxies::{Asked, Proxies, Refused, add_toxic, bad_body, refused, remove_toxic, update_toxic};
use super::proxy::Proxy;
use super::toxic::Way;
use crate::shaper::profiles::PROFILES;
use crate::shaper::script::{BUILT_IN, Script, built_in};
use crate::web::{Request, Response, Site, reply};

/// A status and a body, where there is one.
pub type Answer = (u16, Option<Value>);

/// Answers one request.
pub async fn answer(proxies: &Arc<Proxies>, method: &str, path: &str, body: &[u8]) -> Answer {
    match respond(proxies, method, path, body).await {
        Ok(answer) => answer,
        Err(Refused { status, why }) => (status, Some(json!({"error": why, "status": status}))),
    }
}

fn parsed<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(bad_body)
}

async fn respond(proxies: &Arc<Proxies>, method: &str, path: &str, body: &[u8]) -> Result<Answer, Refused> {
    let parts: Vec<String> = path.trim_matches('/').split('/').map(decoded).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let whole = |json: Value| Ok((200, Some(json)));
    let nothing = || Ok((204, None));
    match (method, &parts[..]) {
        ("GET", ["version"]) => whole(json!({"version": env!("CARGO_PKG_VERSION")})),
        ("POST", ["reset"]) => proxies.reset().await.and_then(|()| nothing()),
        ("POST", ["populate"]) => Ok(populated(proxies, body).await),
        ("GET", ["proxies"]) => {
            let all: Map<String, Value> = proxies.all().iter().map(|p| (p.spec().name, shown(p))).collect();
            whole(all.into())
        }
        ("POST", ["proxies"]) => Ok((201, Some(shown(&proxies.create(parsed::<Asked>(body)?).await?)))),
        ("GET", ["proxies", name]) => whole(shown(&proxies.find(name)?)),
        ("POST" | "PATCH", ["proxies", name]) => {
            proxies.find(name)?;
            whole(shown(&proxies.update(name, parsed::<Asked>(body)?).await?))
        }
        ("DELETE", ["proxies", name]) => proxies.remove(name).await.and_then(|()| nothing()),
        (_, ["proxies", name, "toxics", rest @ ..]) => toxics(&proxies.find(name)?, method, rest, body),
        ("GET", ["profiles"]) => {
            let profile = |(name, about, up, down)| json!({"name": name, "about": about, "up": up, "down": down});
            whole(PROFILES.iter().map(|p| profile(*p)).collect())
        }
        ("GET", ["scripts"]) => whole(
            BUILT_IN.iter().map(|(name, about, text)| json!({"name": name, "about": about, "text": text})).collect(),
        ),
        ("GET", ["script"]) => whole(json!({"playing": proxies.playing()})),
        ("POST", ["script"]) => play(proxies, body).and_then(whole),
        ("DELETE", ["script"]) => {
            proxies.end_script();
            nothing()
        }
        (_, ["version" | "reset" | "populate" | "proxies" | "profiles" | "scripts" | "script"])
        | (_, ["proxies", _]) => Err(refused(405, "method not allowed")),
        _ => Err(refused(404, "404 page not found")),
    }
}

fn toxics(proxy: &Arc<Proxy>, method: &str, rest: &[&str], body: &[u8]) -> Result<Answer, Refused> {
    let find = |name: &str| proxy.spec().toxics.into_iter().find(|toxic| toxic.name == name);
    let toxic = match (method, rest) {
        ("GET", []) => return Ok((200, Some(json!(proxy.spec().toxics)))),
        ("POST", []) => {
            let json = parsed(body)?;
            proxy.change(|spec| add_toxic(spec, &json))?
        }
        ("GET", [name]) => find(name).ok_or(refused(404, "toxic not found"))?,
        ("POST" | "PATCH", [name]) => {
            find(name).ok_or(refused(404, "toxic not found"))?;
            let json = parsed(body)?;
            proxy.change(|spec| update_toxic(spec, name, &json))?
        }
        ("DELETE", [name]) => {
            proxy.change(|spec| remove_toxic(spec, name))?;
            return Ok((204, None));
        }
        (_, [] | [_]) => return Err(refused(405, "method not allowed")),
        _ => return Err(refused(404, "404 page not found")),
    };
    Ok((200, Some(json!(toxic))))
}

async fn populated(proxies: &Arc<Proxies>, body: &[u8]) -> Answer {
    let (done, refused) = proxies.populate(body).await;
    let done: Vec<Value> = done.iter().map(shown).collect();
    match refused {
        None => (201, Some(json!({"proxies": done}))),
        Some(Refused { status, why }) => (status, Some(json!({"error": why, "status": status, "proxies": done}))),
    }
}

/// `{"name": "rfc8867-5.1", "scale": 20}`, or `{"text": "at 10s rate 1mbit"}`.
fn play(proxies: &Arc<Proxies>, body: &[u8]) -> Result<Value, Refused> {
    let asked: Value = parsed(body)?;
    let text = |key: &str| match asked.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(bad_body(format!("{key} is a text"))),
    };
    let (name, given) = (text("name")?.unwrap_or("script"), text("text")?);
    let scale = asked.get("scale").map_or(Some(1.0), Value::as_f64).filter(|scale| (1e-3..=1e6).contains(scale));
    let scale = scale.ok_or_else(|| bad_body("a scale is a number from 0.001 to 1000000"))?;
    // Names of files are for the command line: a page must not read this machine's.
    let text = given.or(built_in(name)).ok_or_else(|| refused(404, "script not found"))?;
    let script = Script::parse(text, scale).map_err(bad_body)?;
    proxies.play(name, script);
    Ok(json!({"playing": name}))
}

/// A proxy as the API shows it.
fn shown(proxy: &Arc<Proxy>) -> Value {
    let mut json = json!(proxy.spec());
    let stats = |way| {
        let tally = proxy.tally(way);
        json!(tally.totals())
    };
    json["stats"] = json!({"up": stats(Way::Up), "down": stats(Way::Down), "connections": proxy.connections()});
    json
}

/// A part of a path, percent-decoded.
fn decoded(part: &str) -> String {
    let plus = part.replace('+', "%2B"); // a plus is itself in a path
    form_urlencoded::parse(plus.as_bytes()).next().map_or_else(String::new, |(key, _)| key.into_owned())
}

/// The API on the HTTP server.
pub struct Api {
    pub proxies: Arc<Proxies>,
}

#[async_trait]
impl Site for Api {
    async fn handle(&self, request: Request) -> Response {
        let (method, path) = (request.method().as_str(), request.uri().path());
        let (status, json) = answer(&self.proxies, method, path, request.body()).await;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match json {
            Some(json) => reply::whole(status, reply::JSON, json.to_string()),
            None => reply::empty(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Board;

    /// One request to a fresh server's API after another.
    fn say(proxies: &Arc<Proxies>, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, json) = smol::block_on(answer(proxies, method, path, body.as_bytes()));
        (status, json.unwrap_or_default())
    }

    fn server() -> Arc<Proxies> {
        Proxies::new(1, Board::new("shape"))
    }

    fn proxy(proxies: &Arc<Proxies>) -> Value {
        say(proxies, "POST", "/proxies", r#"{"name":"a b","listen":"127.0.0.1:0","upstream":"127.0.0.1:1"}"#).1
    }

    #[test]
    fn a_proxy_has_toxiproxys_shape() {
        let proxies = server();
        let made = proxy(&proxies);
        assert_eq!((&made["name"], &made["enabled"], &made["toxics"]), (&"a b".into(), &true.into(), &json!([])));
        assert_ne!(made["listen"], "127.0.0.1:0");
        assert_eq!(say(&proxies, "GET", "/proxies/a%20b", "").1["upstream"], "127.0.0.1:1");
        assert_eq!(say(&proxies, "GET", "/proxies", "").1["a b"]["listen"], made["listen"]);
        assert_eq!(say(&proxies, "POST", "/proxies/a%20b", r#"{"enabled":false}"#).1["enabled"], false);
        assert_eq!(say(&proxies, "DELETE", "/proxies/a%20b", ""), (204, Value::Null));
    }

    #[test]
    fn errors_have_toxiproxys_words() {
        let proxies = server();
        proxy(&proxies);
        for (method, path, body, status, error) in [
            ("POST", "/proxies", "{", 400, "bad request body: EOF"),
            ("POST", "/proxies", "{}", 400, "missing required field: name"),
            ("POST", "/proxies", r#"{"name":"x"}"#, 400, "missing required field: upstream"),
            ("POST", "/proxies", r#"{"name":"a b","upstream":"h:1"}"#, 409, "proxy already exists"),
            ("POST", "/proxies", r#"{"name":"x","upstream":"h:99999"}"#, 400, "h:99999: a port"),
            ("POST", "/proxies", r#"{"name":"x","upstream":1}"#, 400, "bad request body: invalid type"),
            ("POST", "/populate", r#"[{"name":"x"}]"#, 400, "missing required field: upstream at proxy 1"),
            ("POST", "/populate", "7", 400, "bad request body"),
            ("GET", "/proxies/x", "", 404, "proxy not found"),
            ("DELETE", "/proxies/x", "", 404, "proxy not found"),
            ("POST", "/proxies/x/toxics", "{}", 404, "proxy not found"),
            ("POST", "/proxies/a%20b/toxics", "{}", 400, "invalid toxic type"),
            ("POST", "/proxies/a%20b/toxics", "[]", 400, "bad request body"),
            ("POST", "/proxies/a%20b/toxics", r#"{"type":"latency","stream":"x"}"#, 400, "stream was invalid, can be"),
            ("POST", "/proxies/a%20b/toxics", r#"{"type":"latency","toxicity":"x"}"#, 400, "bad request body"),
            ("POST", "/proxies/a%20b/toxics", r#"{"type":"latency","attributes":{"latency":"x"}}"#, 400, "bad request"),
            (
                "POST",
                "/proxies/a%20b/toxics",
                r#"{"type":"shape","attributes":{"loss":"x"}}"#,
                400,
                "bad request body: loss",
            ),
            (
                "POST",
                "/proxies/a%20b/toxics",
                r#"{"type":"latency","toxicity":1.5}"#,
                400,
                "bad request body: toxicity is 1.5",
            ),
            (
                "POST",
                "/proxies/a%20b/toxics",
                r#"{"type":"latency","toxicity":-1}"#,
                400,
                "bad request body: toxicity is -1",
            ),
            (
                "POST",
                "/proxies/a%20b/toxics",
                r#"{"type":"latency","attributes":{"latency":-5}}"#,
                400,
                "bad request body: latency is -5",
            ),
            (
                "POST",
                "/proxies/a%20b/toxics",
                r#"{"type":"slow_close","attributes":{"delay":-1}}"#,
                400,
                "bad request body: delay is -1",
            ),
            (
                "POST",
                "/proxies/a%20b/toxics",
                r#"{"type":"limit_data","attributes":{"bytes":-1}}"#,
                400,
                "bad request body: bytes is -1",
            ),
            (
                "POST",
                "/proxies/a%20b/toxics",
                r#"{"type":"packet_loss","attributes":{"loss_rate":2}}"#,
                400,
                "bad request body: loss_rate is 2",
            ),
            ("PATCH", "/proxies/a%20b", r#"{"up":{"delay":true}}"#, 400, "bad request body: delay"),
            ("PATCH", "/proxies/a%20b", r#"{"up":5}"#, 400, "bad request body: invalid type"),
            ("POST", "/proxies", r#"{"name":"x","listen":"udp://:0","upstream":"h:1"}"#, 400, "udp://:0: the proxy's"),
            (
                "POST",
                "/proxies",
                r#"{"name":"x","listen":":7","upstream":"localhost:7"}"#,
                400,
                ":7 and localhost:7 are",
            ),
            ("GET", "/proxies/a%20b/toxics/x", "", 404, "toxic not found"),
            ("PATCH", "/proxies/a%20b/toxics/x", "{}", 404, "toxic not found"),
            ("PATCH", "/proxies/a%20b", r#"{"up":{"dely":"1ms"}}"#, 400, "bad request body: unknown setting `dely`"),
            ("POST", "/script", r#"{"name":"/etc/passwd"}"#, 404, "script not found"),
            ("POST", "/script", r#"{"text":5}"#, 400, "bad request body: text is a text"),
            ("POST", "/script", r#"{"text":"at 1s"}"#, 400, "bad request body: line 1"),
            ("PUT", "/proxies", "", 405, "method not allowed"),
            ("GET", "/nowhere", "", 404, "404 page not found"),
        ] {
            let (found, json) = say(&proxies, method, path, body);
            let text = json["error"].as_str().unwrap_or_default();
            assert!(found == status && text.starts_with(error), "{method} {path} {body}: {found} {json}");
            assert_eq!(json["status"], status);
        }
    }

    #[test]
    fn toxics_are_added_changed_and_reset() {
        let proxies = server();
        proxy(&proxies);
        let toxics = "/proxies/a%20b/toxics";
        let (status, made) = say(&proxies, "POST", toxics, r#"{"type":"latency","attributes":{"latency":100}}"#);
        let wanted = json!({"name": "latency_downstream", "type": "latency", "stream": "downstream", "toxicity": 1.0,
            "attributes": {"latency": 100, "jitter": 0}});
        assert_eq!((status, made), (200, wanted));
        assert_eq!(say(&proxies, "POST", toxics, r#"{"type":"latency"}"#).0, 409);
        let changed = say(
            &proxies,
            "PATCH",
            &format!("{toxics}/latency_downstream"),
            r#"{"toxicity":0.5,"attributes":{"jitter":7}}"#,
        )
        .1;
        assert_eq!(
            (&changed["toxicity"], &changed["attributes"]),
            (&0.5.into(), &json!({"latency": 100, "jitter": 7}))
        );
        say(&proxies, "POST", toxics, r#"{"type":"shape","stream":"upstream","attributes":{"loss":"2%"}}"#);
        let all = say(&proxies, "GET", toxics, "").1;
        assert_eq!((&all[0]["attributes"]["loss"], &all[1]["type"]), (&"2%".into(), &"latency".into()));
        assert_eq!(say(&proxies, "DELETE", &format!("{toxics}/shape_upstream"), "").0, 204);
        assert_eq!(say(&proxies, "POST", "/reset", "").0, 204);
        assert_eq!(say(&proxies, "GET", toxics, "").1, json!([]));
    }

    #[test]
    fn a_reset_does_what_it_can_and_says_what_it_could_not() {
        let proxies = server();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let busy = json!({"name": "a", "listen": taken.local_addr().unwrap().to_string(), "upstream": "127.0.0.1:1",
            "enabled": false, "toxics": [{"type": "latency"}]});
        let free = json!({"name": "b", "upstream": "127.0.0.1:1", "enabled": false, "toxics": [{"type": "latency"}]});
        say(&proxies, "POST", "/populate", &json!([busy, free]).to_string());
        let (status, answer) = say(&proxies, "POST", "/reset", "");
        assert!(status == 500 && answer["error"].as_str().unwrap().starts_with("a: could not listen"), "{answer}");
        let all = say(&proxies, "GET", "/proxies", "").1;
        assert_eq!((&all["a"]["toxics"], &all["b"]["toxics"]), (&json!([]), &json!([])));
        assert_eq!((&all["a"]["enabled"], &all["b"]["enabled"]), (&false.into(), &true.into()));
    }

    #[test]
    fn populating_keeps_what_is_as_asked() {
        let proxies = server();
        let body = r#"[{"name":"p","listen":"127.0.0.1:0","upstream":"127.0.0.1:1","down":{"rate":"1mbit"}}]"#;
        let (status, first) = say(&proxies, "POST", "/populate", body);
        let (_, second) = say(&proxies, "POST", "/populate", body);
        assert_eq!((status, &first["proxies"][0]["listen"]), (201, &second["proxies"][0]["listen"]));
        assert_eq!(second["proxies"][0]["down"]["rate"], "1mbit");
    }
}
