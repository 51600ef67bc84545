//! All proxies by name: the one handle through which the flags, scripts, SIGHUP, the API and the page change them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use fastrand::Rng;
use serde::Deserialize;
use serde_json::{Map, Value};
use smol::Task;

use super::proxy::{self, Protocol, Proxy, Spec};
use super::sockets;
use super::toxic::{TYPES, Toxic, Way};
use crate::fault::{self, Fault};
use crate::lock::lock;
use crate::shaper::settings::Settings;
use crate::stats::Board;

pub struct Proxies {
    all: Mutex<BTreeMap<String, Arc<Proxy>>>,
    seeds: Mutex<Rng>,
    board: Arc<Board>,
    /// The names that the configuration file gave when it was last read.
    configured: Mutex<BTreeSet<String>>,
    /// The timeline that plays, by its name.
    pub(super) script: Mutex<Option<(String, Task<()>)>>,
}

/// No, and why; `status` is what Toxiproxy answers then.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    pub status: u16,
    pub why: String,
}

pub fn refused(status: u16, why: impl Into<String>) -> Refused {
    Refused { status, why: why.into() }
}

impl Refused {
    /// As the command line says it: what a request could not ask for is a usage error.
    pub fn of_a_user(self) -> anyhow::Error {
        if self.status == 400 { Fault::usage(self.why).into() } else { self.into() }
    }
}

impl From<Refused> for anyhow::Error {
    fn from(refused: Refused) -> anyhow::Error {
        anyhow::anyhow!(refused.why)
    }
}

/// A proxy as a request or a configuration file asks for it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    pub name: String,
    pub listen: String,
    pub upstream: String,
    pub enabled: Option<bool>,
    pub protocol: Option<Protocol>,
    pub up: Option<Map<String, Value>>,
    pub down: Option<Map<String, Value>>,
    /// As in a configuration file; Toxiproxy's clients add theirs one by one.
    pub toxics: Option<Vec<Value>>,
}

/// More would be a loop in a script.
const PROXIES: usize = 1000;
const TOXICS: usize = 100;

pub fn bad_body(why: impl std::fmt::Display) -> Refused {
    refused(400, format!("bad request body: {why}"))
}

impl Proxies {
    pub fn new(seed: u64, board: Arc<Board>) -> Arc<Proxies> {
        Arc::new(Proxies {
            all: Mutex::default(),
            seeds: Mutex::new(Rng::with_seed(seed)),
            board,
            configured: Mutex::default(),
            script: Mutex::default(),
        })
    }

    pub fn all(&self) -> Vec<Arc<Proxy>> {
        lock(&self.all).values().cloned().collect()
    }

    pub fn find(&self, name: &str) -> Result<Arc<Proxy>, Refused> {
        lock(&self.all).get(name).cloned().ok_or(refused(404, "proxy not found"))
    }

    /// Starts a proxy, if it is enabled; where it listens.
    pub async fn add(&self, spec: Spec) -> Result<(Arc<Proxy>, Vec<String>), Refused> {
        let name = spec.name.clone();
        let enabled = spec.enabled;
        check(&spec).await?;
        if lock(&self.all).contains_key(&name) {
            return Err(refused(409, "proxy already exists"));
        }
        if lock(&self.all).len() >= PROXIES {
            return Err(refused(400, format!("there are {PROXIES} proxies already")));
        }
        let seed = lock(&self.seeds).u64(..);
        let proxy = Proxy::new(spec, seed, self.board.clone());
        let urls = if enabled { start(&proxy).await? } else { Vec::new() };
        lock(&self.all).insert(name, proxy.clone());
        Ok((proxy, urls))
    }

    pub async fn create(&self, asked: Asked) -> Result<Arc<Proxy>, Refused> {
        if asked.name.is_empty() {
            return Err(refused(400, "missing required field: name"));
        }
        if asked.upstream.is_empty() {
            return Err(refused(400, "missing required field: upstream"));
        }
        let mut spec = Spec {
            name: asked.name.clone(),
            listen: if asked.listen.is_empty() { "127.0.0.1:0".to_string() } else { asked.listen.clone() },
            upstream: asked.upstream.clone(),
            enabled: asked.enabled.unwrap_or(true),
            protocol: asked.protocol.unwrap_or_default(),
            up: Settings::default(),
            down: Settings::default(),
            toxics: Vec::new(),
        };
        conditions(&mut spec, &asked)?;
        Ok(self.add(spec).await?.0)
    }

    /// Changes what is asked for; another address or protocol drops the connections.
    pub async fn update(&self, name: &str, asked: Asked) -> Result<Arc<Proxy>, Refused> {
        let proxy = self.find(name)?;
        let before = proxy.spec();
        let mut wanted = before.clone();
        let take = |field: &mut String, asked: &String| {
            if !asked.is_empty() {
                *field = asked.clone();
            }
        };
        take(&mut wanted.listen, &asked.listen);
        take(&mut wanted.upstream, &asked.upstream);
        wanted.protocol = asked.protocol.unwrap_or(before.protocol);
        conditions(&mut wanted, &asked)?;
        check(&wanted).await?;
        let place = |spec: &Spec| (spec.listen.clone(), spec.upstream.clone(), spec.protocol);
        if place(&wanted) != place(&before) {
            proxy.stop().await;
        }
        let enabled = asked.enabled.unwrap_or(before.enabled);
        proxy.change(|spec| {
            *spec = Spec { enabled: spec.enabled, ..wanted };
            Ok::<_, Refused>(())
        })?;
        if !enabled {
            proxy.stop().await;
        } else if let Err(refused) = start(&proxy).await {
            // Where it cannot listen it goes on where it did.
            let enabled = before.enabled;
            proxy.change(|spec| {
                *spec = Spec { enabled: false, ..before };
                Ok::<_, Refused>(())
            })?;
            if enabled {
                start(&proxy).await?;
            }
            return Err(refused);
        }
        Ok(proxy)
    }

    pub async fn remove(&self, name: &str) -> Result<(), Refused> {
        let proxy = self.find(name)?;
        proxy.stop().await;
        lock(&self.all).remove(name);
        Ok(())
    }

    /// Makes proxies be as asked: those that are there already, at the same addresses, keep their connections.
    pub async fn populate(&self, body: &[u8]) -> (Vec<Arc<Proxy>>, Option<Refused>) {
        let mut done = Vec::new();
        let asked: Vec<Asked> = match serde_json::from_slice(body) {
            Ok(asked) => asked,
            Err(error) => return (done, Some(bad_body(error))),
        };
        for (number, asked) in asked.iter().enumerate() {
            for (field, value) in [("name", &asked.name), ("upstream", &asked.upstream)] {
                if value.is_empty() {
                    let why = format!("missing required field: {field} at proxy {}", number + 1);
                    return (done, Some(refused(400, why)));
                }
            }
        }
        for asked in asked {
            match self.ensure(asked).await {
                Ok(proxy) => done.push(proxy),
                Err(refused) => return (done, Some(refused)),
            }
        }
        (done, None)
    }

    async fn ensure(&self, asked: Asked) -> Result<Arc<Proxy>, Refused> {
        let name = asked.name.clone();
        let Ok(before) = self.find(&name).map(|proxy| proxy.spec()) else { return self.create(asked).await };
        // Port 0 is any port: the one it has is one.
        let any = asked.listen.strip_suffix(":0").is_some_and(|host| before.listen.starts_with(host));
        let listen = asked.listen.is_empty() || any || asked.listen == before.listen;
        let protocol = asked.protocol.unwrap_or(before.protocol);
        if (listen, protocol) == (true, before.protocol) && asked.upstream == before.upstream {
            return self.update(&name, Asked { listen: String::new(), ..asked }).await;
        }
        self.remove(&name).await?;
        self.create(asked).await
    }

    /// Enables every proxy and takes its toxics away; what the flags, scripts and the page set stays.
    pub async fn reset(&self) -> Result<(), Refused> {
        let all = self.all();
        for proxy in &all {
            proxy.change(|spec| {
                spec.toxics.clear();
                Ok::<_, Refused>(())
            })?;
        }
        let mut failed = Vec::new();
        for proxy in &all {
            if let Err(refused) = start(proxy).await {
                failed.push(format!("{}: {}", proxy.spec().name, refused.why));
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(refused(500, failed.join("; "))) }
    }

    /// Reads the configuration again: what it no longer names is removed.
    pub async fn configure(&self, text: &[u8]) -> Result<Vec<Arc<Proxy>>, Refused> {
        let (proxies, refused) = self.populate(text).await;
        if let Some(refused) = refused {
            return Err(refused);
        }
        let names: BTreeSet<String> = proxies.iter().map(|proxy| proxy.spec().name).collect();
        let before = std::mem::replace(&mut *lock(&self.configured), names.clone());
        for gone in before.difference(&names) {
            if self.find(gone).is_ok() {
                self.remove(gone).await?;
            }
        }
        Ok(proxies)
    }

    /// Ends everything.
    pub async fn close(&self) {
        lock(&self.script).take();
        for proxy in self.all() {
            proxy.stop().await;
        }
    }
}

async fn start(proxy: &Arc<Proxy>) -> Result<Vec<String>, Refused> {
    let urls = proxy.start().await.map_err(|error| refused(500, fault::line(&error)))?;
    urls.iter().for_each(|url| log::info!("listening on {url}"));
    Ok(urls)
}

async fn check(spec: &Spec) -> Result<(), Refused> {
    let address = |text| proxy::address(text, spec.protocol).map_err(|error| refused(400, error.to_string()));
    let (listen, upstream) = (address(&spec.listen)?, address(&spec.upstream)?);
    match sockets::meet(&listen, &upstream).await {
        true => Err(refused(400, format!("{} and {} are one address: a proxy to itself", spec.listen, spec.upstream))),
        false => Ok(()),
    }
}

/// The settings and toxics that are asked for.
fn conditions(spec: &mut Spec, asked: &Asked) -> Result<(), Refused> {
    for (settings, fields) in [(&mut spec.up, &asked.up), (&mut spec.down, &asked.down)] {
        if let Some(fields) = fields {
            settings.merge(fields).map_err(bad_body)?;
        }
    }
    if let Some(toxics) = &asked.toxics {
        spec.toxics.clear();
        for json in toxics {
            add_toxic(spec, json)?;
        }
    }
    Ok(())
}

/// Adds a toxic as JSON describes it: downstream, always and named after its type where it does not say.
pub fn add_toxic(spec: &mut Spec, json: &Value) -> Result<Toxic, Refused> {
    let Value::Object(given) = json else { return Err(bad_body("a toxic is an object")) };
    let mut fields = given.clone();
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default().to_string();
    let stream = match fields.get("stream").map(Value::as_str) {
        None => "downstream",
        Some(Some("upstream")) => "upstream",
        Some(Some("downstream")) => "downstream",
        Some(_) => return Err(refused(400, "stream was invalid, can be either upstream or downstream")),
    };
    if !TYPES.contains(&kind.as_str()) {
        return Err(refused(400, "invalid toxic type"));
    }
    let name = fields.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = name.map_or_else(|| format!("{kind}_{stream}"), str::to_string);
    fields.insert("name".into(), name.clone().into());
    fields.insert("stream".into(), stream.into());
    fields.entry("toxicity").or_insert(1.0.into());
    fields.entry("attributes").or_insert(Value::Object(Map::new()));
    if spec.toxics.iter().any(|toxic| toxic.name == name) {
        return Err(refused(409, "toxic already exists"));
    }
    if spec.toxics.len() >= TOXICS {
        return Err(refused(400, format!("there are {TOXICS} toxics already")));
    }
    let toxic: Toxic = serde_json::from_value(Value::Object(fields)).map_err(bad_body)?;
    toxic.check().map_err(bad_body)?;
    // Toxiproxy answers with the upstream ones first.
    let at = spec.toxics.partition_point(|t| t.stream == Way::Up || toxic.stream == Way::Down);
    spec.toxics.insert(at, toxic.clone());
    Ok(toxic)
}

/// Changes a toxic's toxicity and those of its attributes that are given.
pub fn update_toxic(spec: &mut Spec, name: &str, json: &Value) -> Result<Toxic, Refused> {
    let Some(toxic) = spec.toxics.iter_mut().find(|toxic| toxic.name == name) else {
        return Err(refused(404, "toxic not found"));
    };
    let mut fields = serde_json::to_value(&*toxic).map_err(bad_body)?;
    if let Some(toxicity) = json.get("toxicity") {
        fields["toxicity"] = toxicity.clone();
    }
    match (json.get("attributes"), &mut fields["attributes"]) {
        (None | Some(Value::Null), _) if json.is_object() => {}
        (Some(Value::Object(given)), Value::Object(attributes)) => {
            attributes.extend(given.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        _ => return Err(bad_body("attributes are an object")),
    }
    let changed: Toxic = serde_json::from_value(fields).map_err(bad_body)?;
    changed.check().map_err(bad_body)?;
    *toxic = changed;
    Ok(toxic.clone())
}

pub fn remove_toxic(spec: &mut Spec, name: &str) -> Result<(), Refused> {
    let before = spec.toxics.len();
    spec.toxics.retain(|toxic| toxic.name != name);
    if spec.toxics.len() == before { Err(refused(404, "toxic not found")) } else { Ok(()) }
}
