//! Chromium without a screen, driven over its debugging protocol: opens a page, asks it things, takes its picture.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

use crate::common::{LIMIT, have};

/// Where pictures of the pages go, for people to look at.
const PICTURES: &str = "VSTREAM_SCREENSHOTS";

pub struct Browser {
    child: Child,
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    session: Option<String>,
    asked: u64,
    _profile: tempfile::TempDir,
}

/// Opens a page in a window of this size; none where there is no Chromium.
pub fn open(url: &str, width: u32, height: u32) -> Option<Browser> {
    if !have("chromium") {
        return None;
    }
    let profile = tempfile::tempdir().unwrap();
    let mut child = Command::new("chromium")
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"])
        .args(["--hide-scrollbars", "--disable-dev-shm-usage", "--disable-background-networking"])
        .args(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]) // a camera that is none
        .arg("--ignore-certificate-errors") // pages by https show a certificate of their own
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg("about:blank")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("chromium starts");
    let mut words = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let told = words.find_map(|line| Some(line.strip_prefix("DevTools listening on ")?.to_string()));
    std::thread::spawn(move || words.for_each(drop)); // what it says later is read, so that it never waits
    let (socket, _) = tungstenite::connect(told.expect("chromium tells its address")).unwrap();
    let mut browser = Browser { child, socket, session: None, asked: 0, _profile: profile };
    let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
    let attached = browser.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
    browser.session = attached["sessionId"].as_str().map(str::to_string);
    let phone = width < 500;
    let metrics =
        json!({ "width": width, "height": height, "deviceScaleFactor": 1 + u8::from(phone), "mobile": phone });
    browser.call("Emulation.setDeviceMetricsOverride", metrics);
    browser.call("Page.enable", json!({}));
    browser.go(url);
    Some(browser)
}

impl Browser {
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let mut question = json!({ "id": self.asked, "method": method, "params": params });
        if let Some(session) = &self.session {
            question["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(question.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == self.asked {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// The value of an expression in the page; a promise is awaited.
    pub fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", params);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression in the page holds.
    #[track_caller]
    pub fn until(&mut self, expression: &str) {
        let late = Instant::now() + LIMIT;
        let holds = format!("(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()");
        while self.eval(&holds) != true {
            let text = || "document.body.innerText";
            assert!(Instant::now() < late, "{expression} never held; the page says:\n{}", self.eval(text()));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Goes to a page and waits until it is there.
    fn go(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
        let late = Instant::now() + LIMIT;
        let there = json!({ "expression": "location.href + document.readyState", "returnByValue": true });
        while self.call("Runtime.evaluate", there.clone())["result"]["value"] != format!("{url}complete") {
            assert!(Instant::now() < late, "{url} does not load");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses a key, as `Input.dispatchKeyEvent` names it.
    pub fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", json!({ "type": kind, "key": key, "code": key }));
        }
    }

    pub fn dark(&mut self) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": "dark" }] });
        self.call("Emulation.setEmulatedMedia", features);
    }

    /// A picture of the whole page, kept where the environment says.
    pub fn picture(&mut self, name: &str) {
        let Some(folder) = std::env::var_os(PICTURES) else { return };
        let params = json!({ "format": "png", "captureBeyondViewport": true });
        let answer = self.call("Page.captureScreenshot", params);
        let file = std::fs::File::create(Path::new(&folder).join(format!("{name}.png"))).unwrap();
        let mut base64 = Command::new("base64").arg("-d").stdin(Stdio::piped()).stdout(file).spawn().unwrap();
        base64.stdin.take().unwrap().write_all(answer["data"].as_str().unwrap().as_bytes()).unwrap();
        assert!(base64.wait().unwrap().success());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}
