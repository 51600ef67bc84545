//! The page of a hub, in browsers: one watches, chats and chooses its quality; one goes live, and others see it.

mod browser;
mod common;

use browser::Browser;
use common::{Vstream, vstream};

/// A hub, where links call it, and its page.
fn hub(args: &[&str]) -> (Vstream, String, String) {
    let mut hub = vstream(&[&["hub", "--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0"], args].concat());
    let to = hub.listening();
    let line = hub.says("serving http://");
    let page = line.split("serving ").nth(1).expect("an address follows").to_string();
    (hub, to, page)
}

fn enter(page: &str, user: &str, stream: &str, width: u32) -> Option<Browser> {
    let mut browser = browser::open(page, width, 900)?;
    browser.until("document.getElementById('status').textContent === 'connected'");
    browser.eval(&format!("document.getElementById('user').value = '{user}'"));
    browser.until(&format!("document.querySelector('[data-name={stream}] button')"));
    browser.eval(&format!("document.querySelector('[data-name={stream}] button').click()"));
    browser.until("document.documentElement.dataset.frames > 3");
    Some(browser)
}

fn say(browser: &mut Browser, text: &str) {
    browser.eval(&format!(
        "document.getElementById('text').value = '{text}'; document.getElementById('say').requestSubmit()"
    ));
}

/// Chooses a quality; the picture follows.
fn choose(browser: &mut Browser, rung: &str, size: &str) {
    browser.until(&format!("[...document.getElementById('rung').options].some((option) => option.value === '{rung}')"));
    browser.eval(&format!(
        "document.getElementById('rung').value = '{rung}'; document.getElementById('rung').dispatchEvent(new Event('change'))"
    ));
    browser.until(&format!("document.documentElement.dataset.size === '{size}'"));
}

fn says(text: &str) -> String {
    format!("[...document.querySelectorAll('#lines li')].some((line) => line.textContent.includes('{text}'))")
}

#[test]
fn a_viewer_sees_chats_and_chooses() {
    let (_hub, to, page) = hub(&[]);
    let _send = vstream(&["send", "--from", "test?size=1280x720&fps=30", "--to", &format!("{to}/talk")]);
    let Some(mut anna) = enter(&page, "anna", "talk", 1280) else { return };
    anna.until("document.documentElement.dataset.user === 'anna'");
    let mut bob = enter(&page, "bob", "talk", 390).unwrap();
    anna.until(&says("bob is here"));
    // Markup in what is said is text, whatever it looks like.
    say(&mut bob, "<img src=x onerror=document.title=1>hello");
    anna.until(&says("bob <img src=x onerror=document.title=1>hello"));
    say(&mut anna, "/msg bob only you");
    bob.until(&says("anna → bob only you"));
    // To each their own.
    choose(&mut bob, "source", "1280x720");
    choose(&mut anna, "240p", "426x240");
    bob.until("document.documentElement.dataset.size === '1280x720'");
    anna.until("document.documentElement.dataset.rung === '240p'");
    anna.until("document.querySelectorAll('#rows tr').length === 3");
    anna.until("parseFloat(document.querySelector('#chart-fps .now').textContent) > 0");
    anna.picture("hub-room");
    bob.picture("hub-room-phone");
}

#[test]
fn a_page_goes_live_and_another_sees_it() {
    let (mut hub, to, page) = hub(&[]);
    // As from another machine, where browsers give a camera to pages of https alone.
    let secure = if cfg!(feature = "tls") { page.replace("http://", "https://") } else { page.clone() };
    let Some(mut streamer) = browser::open(&secure, 1280, 900) else { return };
    streamer.until("document.getElementById('status').textContent === 'connected'");
    streamer.picture("hub-hall");
    streamer
        .eval("document.getElementById('user').value = 'cleo'; document.getElementById('stream-name').value = 'desk'");
    streamer.eval("document.getElementById('golive').requestSubmit()");
    streamer.until("document.documentElement.dataset.sent > 5");
    let mut viewer = enter(&page, "dan", "desk", 1280).unwrap();
    viewer.until("document.getElementById('about').textContent.includes('by cleo')");
    streamer.until(&says("dan is here"));
    viewer.picture("hub-live");
    // Programs get it too; a second streamer does not get the place.
    let mut recv = vstream(&["recv", "--from", &format!("{to}/desk"), "--stats", "json"]);
    recv.stats(|line| line["frames"].as_u64() > Some(5));
    vstream(&["send", "--from", "test", "--to", &format!("{to}/desk")]).end().ended_with(4).saying("cleo streams desk");
    // The streamer keeps order; who was put out does not come back.
    say(&mut streamer, "/kick dan");
    viewer.until("!document.getElementById('hall').hidden");
    viewer.until("document.getElementById('refused').textContent.includes('put you out')");
    // It ends where the streamer says so.
    streamer.eval("document.getElementById('leave').click()");
    recv.says("is over");
    recv.end().ended_with(0);
    hub.says("(cleo, browser) has gone");
}

#[test]
fn a_page_that_is_live_goes_on_when_its_hub_comes_back() {
    let (hub, to, page) = hub(&[]);
    let at = page.trim_start_matches("http://").trim_end_matches('/').to_string();
    let Some(mut streamer) = browser::open(&page, 1280, 900) else { return };
    streamer.until("document.getElementById('status').textContent === 'connected'");
    streamer.eval("document.getElementById('stream-name').value = 'desk'");
    streamer.eval("document.getElementById('golive').requestSubmit()");
    streamer.until("document.documentElement.dataset.sent > 5");
    hub.signal(rustix::process::Signal::KILL);
    streamer.until("document.getElementById('notice').textContent.includes('called again')");
    let sent = streamer.eval("Number(document.documentElement.dataset.sent)").as_f64().unwrap();
    let _again = vstream(&["hub", "--listen", &to, "--http", &at]);
    streamer.until(&format!("document.documentElement.dataset.sent > {}", sent + 5.0));
    streamer.until("document.getElementById('notice').hidden");
    let mut recv = vstream(&["recv", "--from", &format!("{to}/desk"), "--stats", "json"]);
    recv.stats(|line| line["frames"].as_u64() > Some(5));
}

#[test]
fn a_hub_that_comes_back_has_its_viewers_again() {
    let (hub, to, page) = hub(&[]);
    let at = page.trim_start_matches("http://").trim_end_matches('/').to_string();
    let send = || vstream(&["send", "--from", "test?size=320x240", "--to", &to]);
    let sending = send();
    let Some(mut viewer) = enter(&page, "eve", "live", 900) else { return };
    hub.signal(rustix::process::Signal::KILL);
    drop(sending);
    viewer.until("document.getElementById('notice').textContent.includes('called again')");
    let before = viewer.eval("Number(document.documentElement.dataset.frames)").as_f64().unwrap();
    let _again = vstream(&["hub", "--listen", &to, "--http", &at]);
    viewer.until("document.getElementById('notice').textContent.includes('Waiting: there is no stream live')");
    let _sending = send();
    viewer.until(&format!("document.documentElement.dataset.frames > {}", before + 5.0));
}
