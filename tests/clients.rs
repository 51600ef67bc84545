//! Programs of others, unchanged: clients of Toxiproxy against `vstream shape`, OpenCV against a hub's `/stream`.
//! `make test-packages` installs them.

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{have, skip, vstream};

/// Where `make test-packages` puts them; none (and a line) where it has not run.
fn installed(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients").join(path);
    if !path.exists() {
        skip(&format!("no {}: run make test-packages", path.display()));
        return None;
    }
    Some(path)
}

/// A target that says back what it hears.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buffer = [0; 1000];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    let _ = stream.write_all(&buffer[..count]); // the proxy may have cut it
                }
            });
        }
    });
    address
}

fn run(program: &str, script: &str, variable: &str, path: &Path) {
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), "[]").unwrap();
    let mut shape = vstream(&["shape", "--config", config.path().to_str().unwrap(), "--http", "127.0.0.1:0"]);
    let line = shape.says("serving http://");
    let port = line.trim_end_matches('/').rsplit(':').next().unwrap().to_string();
    succeeds(program, script, &[&port, &echo()], (variable, path));
}

fn succeeds(program: &str, script: &str, arguments: &[&str], (variable, path): (&str, &Path)) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let out = Command::new(program).arg(script).args(arguments).env(variable, path).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.trim() == "ok", "{said}{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn the_python_client_works_unchanged() {
    if let (true, Some(path)) = (have("python3"), installed("python")) {
        run("python3", "python_client.py", "PYTHONPATH", &path);
    }
}

#[test]
fn the_node_client_works_unchanged() {
    if let (true, Some(path)) = (have("node"), installed("node_modules")) {
        run("node", "node_client.js", "NODE_PATH", &path);
    }
}

#[test]
fn opencv_reads_a_stream_of_a_hub_as_a_camera() {
    let (true, Some(path)) = (have("python3"), installed("opencv")) else { return };
    let mut hub = vstream(&["hub", "--listen", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let to = hub.listening();
    let at = hub.serving();
    let mut send = vstream(&["send", "--from", "test?size=640x480&fps=30", "--to", &format!("{to}/talk")]);
    send.says("connected");
    for (size, width, height) in [("source", "640", "480"), ("240p", "320", "240")] {
        let url = format!("http://{at}/stream?name=talk&size={size}");
        succeeds("python3", "opencv.py", &[&url, width, height], ("PYTHONPATH", &path));
    }
}
