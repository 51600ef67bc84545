//! The panel of `vstream shape`, in a browser: a slider is moved, and the charts and the stream answer.

mod browser;
mod common;

use browser::Browser;
use common::{Vstream, vstream};

/// The address that a role serves its pages on.
fn serving(role: &mut Vstream) -> String {
    let line = role.says("serving http://");
    line.split("serving ").nth(1).expect("an address follows").trim_end_matches('/').to_string()
}

/// A sender and a receiver with a bad network between them; both are monitored.
struct Scene {
    _send: Vstream,
    _recv: Vstream,
    _shape: Vstream,
    panel: String,
}

fn scene() -> Scene {
    let mut recv = vstream(&["recv", "--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let target = recv.listening();
    let received = serving(&mut recv);
    let args = ["shape", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--seed", "1", "--monitor", &received];
    // The sender's port is not known yet: it calls the proxy, which is told whom to monitor when it starts.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let target = target.trim_start_matches("tcp://").to_string();
    let mut shape = vstream(&[&args[..], &["--to", &target, "--monitor", &free]].concat());
    let way = shape.listening();
    let panel = serving(&mut shape);
    let send = vstream(&["send", "--from", "test?size=640x360", "--to", &way, "--http", &free]);
    Scene { _send: send, _recv: recv, _shape: shape, panel }
}

/// The figures that stand over a chart.
fn figures(chart: &str) -> String {
    format!("document.querySelector('{chart} .now').textContent.split('/').map(parseFloat)")
}

#[test]
fn a_slider_moves_and_the_charts_answer() {
    let scene = scene();
    let Some(mut page) = browser::open(&format!("{}/", scene.panel), 1280, 1000) else { return };
    let rate = figures("#chart-rate");
    page.until(&format!("{rate}[0] > 2"));
    page.until("document.querySelector('#monitors canvas').width === 640");
    let latency = figures("#monitors [data-chart=latency]");
    page.until(&format!("{latency}[0] < 100"));
    // Delay, by keyboard: the stream is later.
    page.eval("document.getElementById('up-delay-slider').focus()");
    (0..20).for_each(|_| page.press("PageUp"));
    page.until("document.getElementById('up-delay').value === '1s'");
    page.until(&format!("{latency}[0] > 900"));
    (0..20).for_each(|_| page.press("PageDown"));
    page.until("document.getElementById('down-delay').value === ''");
    // Rate, by its text: less passes, and no more than that.
    page.eval("document.getElementById('alike').click()");
    set(&mut page, "up-rate", "1mbit");
    page.until(&format!("{rate}[0] > 0.5 && {rate}[0] < 1.1"));
    assert_eq!(page.eval("document.getElementById('down-rate').value"), "");
    // Nonsense is refused with the reason.
    set(&mut page, "up-rate", "fast");
    page.until("document.getElementById('refused').textContent.startsWith('rate')");
    page.eval("document.getElementById('clear').click()");
    page.until("document.getElementById('up-rate').value === ''");
    page.until(&format!("{rate}[0] > 2"));
}

fn set(page: &mut Browser, field: &str, value: &str) {
    page.eval(&format!(
        "(() => {{ const field = document.getElementById('{field}'); field.value = '{value}'; \
         field.dispatchEvent(new Event('change')); }})()"
    ));
}

#[test]
fn scenes_and_the_sender_are_controlled() {
    let scene = scene();
    let Some(mut page) = browser::open(&format!("{}/", scene.panel), 1280, 1000) else { return };
    let choose = |id: &str, value: &str| {
        format!(
            "(() => {{ const s = document.getElementById('{id}'); s.value = '{value}'; \
             s.dispatchEvent(new Event('change')); }})()"
        )
    };
    page.until("document.getElementById('profile').options.length > 5");
    page.eval(&choose("profile", "cable"));
    page.until("document.getElementById('down-rate').value === '5mbit'");
    page.until("document.getElementById('up-rate').value === '1mbit'");
    page.eval(&choose("script", "rfc8867-5.1"));
    page.eval("document.getElementById('play').click()");
    page.until("document.getElementById('status').textContent === 'playing rfc8867-5.1'");
    page.until("document.getElementById('up-delay').value === '50ms'");
    page.eval("document.getElementById('play').click()");
    page.until("document.getElementById('status').textContent === 'shaping'");
    page.eval("document.getElementById('cut').click()");
    page.until("document.getElementById('status').textContent === 'cut'");
    page.eval("document.getElementById('cut').click()");
    page.until("document.getElementById('status').textContent === 'shaping'");
    let sender = "document.querySelectorAll('.monitor')[1]";
    page.until(&format!("!{sender}.querySelector('form').hidden"));
    page.eval(&format!(
        "(() => {{ const q = {sender}.querySelector('form').elements.quality; q.value = 20; \
         q.dispatchEvent(new Event('change')); }})()"
    ));
    page.until(&format!("{sender}.querySelector('.told').textContent.includes('quality 20')"));
    page.eval(&format!(
        "(() => {{ const r = {sender}.querySelector('form').elements.rate; r.value = '5mbit'; \
         r.dispatchEvent(new Event('change')); }})()"
    ));
    page.until(&format!("{sender}.querySelector('form').elements.rate.value === '5mbit'"));
}

#[test]
fn the_panel_suits_a_phone() {
    let scene = scene();
    for (name, width, height, dark) in [("shape-1280", 1280, 1000, false), ("shape-390", 390, 844, true)] {
        let Some(mut page) = browser::open(&format!("{}/", scene.panel), width, height) else { return };
        if dark {
            page.dark();
        }
        page.until(&format!("{}[0] > 2", figures("#chart-rate")));
        set(&mut page, "up-delay", "40ms");
        set(&mut page, "up-loss", "1%");
        set(&mut page, "up-rate", "4mbit");
        page.until("document.querySelectorAll('#monitors canvas')[0].width === 640");
        page.until(&format!("{}[0] > 60", figures("#monitors [data-chart=latency]")));
        let wide = page.eval("document.documentElement.scrollWidth");
        assert!(wide.as_u64() <= Some(width.into()), "{wide} pixels wide on {width}");
        page.picture(name);
        page.eval("document.getElementById('clear').click()");
        page.until("document.getElementById('up-rate').value === ''");
    }
}

#[test]
fn what_is_monitored_may_not_be_there() {
    let mut shape = vstream(&["shape", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--monitor", "127.0.0.1:1"]);
    let panel = serving(&mut shape);
    let Some(mut page) = browser::open(&format!("{panel}/"), 1280, 1000) else { return };
    page.until("document.querySelector('.told').textContent.includes('could not ask http://127.0.0.1:1/state')");
    page.until("document.getElementById('status').textContent === 'shaping'");
}

#[test]
fn the_panel_opens_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let (program, told) = (folder.path().join("xdg-open"), folder.path().join("told"));
    // Written whole under another name first, so that what is read is whole.
    let script = format!("#!/bin/sh\necho \"$1\" > {0}.part && /bin/mv {0}.part {0}\n", told.display());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = common::command(&["shape", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--open"]);
    command.env("PATH", folder.path());
    let mut shape = common::start(command);
    let panel = serving(&mut shape);
    let late = std::time::Instant::now() + common::LIMIT;
    while !told.exists() {
        assert!(std::time::Instant::now() < late, "no browser was opened");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(std::fs::read_to_string(&told).unwrap(), format!("{panel}/\n"));
}
