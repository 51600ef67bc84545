//! Who may use whom: main → cli → roles → { transports, devices, web } → codec → core; never upward, never sideways.

use std::fs;
use std::path::{Path, PathBuf};

/// The layer of a module, higher ones above.
fn layer(module: &str) -> u8 {
    match module {
        "cli" => 4,
        "roles" => 3,
        "transports" | "devices" | "web" => 2,
        "codec" => 1,
        _ => 0,
    }
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The first and second word of every `crate::a::b` in a line of code.
fn uses(line: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("crate::").map(move |(at, _)| {
        let path = code[at + 7..].split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next().unwrap_or("");
        let mut words = path.split("::").map(str::to_string);
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    })
}

#[test]
fn nothing_reaches_upward_or_sideways() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 30, "the sources were found");
    let mut offences = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&src).unwrap().with_extension("");
        let words: Vec<String> = relative.iter().map(|w| w.to_string_lossy().into_owned()).collect();
        if ["main", "lib"].contains(&words[0].as_str()) {
            continue;
        }
        let own = layer(&words[0]);
        let text = fs::read_to_string(&file).unwrap();
        let tests_from = text.find("#[cfg(test)]").map_or(usize::MAX, |at| text[..at].lines().count());
        for (number, line) in text.lines().enumerate() {
            for (module, within) in uses(line) {
                let upward = layer(&module) > own;
                let across = layer(&module) == own && own > 1 && module != words[0];
                let sibling = module == "transports"
                    && words[0] == "transports"
                    && words.get(1).is_some_and(|w| *w != within && w != "mod")
                    && within != "socket"
                    && within.chars().next().is_some_and(char::is_lowercase);
                if upward || across || sibling {
                    offences.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
                }
            }
            let clock = own == 0 && words[0] != "clock" && number < tests_from;
            for forbidden in ["Instant::now", "SystemTime", "println!(", "TcpStream::connect", "File::open(\"/dev"] {
                let prints = forbidden == "println!(" && ["log", "report"].contains(&words[0].as_str());
                if clock && !prints && line.contains(forbidden) {
                    offences.push(format!("{}:{}: the core may not: {}", file.display(), number + 1, line.trim()));
                }
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_stays_a_room() {
    let mut files = Vec::new();
    for dir in ["src", "tests", "benches", "examples"] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
        if dir.is_dir() {
            sources(&dir, &mut files);
        }
    }
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//!"), "{} does not say what it is", file.display());
        let lines = text.lines().count();
        assert!(lines <= 400, "{} has {lines} lines: probably two rooms in one", file.display());
    }
}

#[test]
fn every_transport_file_is_in_the_list() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/transports");
    for entry in fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        let listed = vstream::transports::find(&name).is_some();
        assert!(
            listed || ["mod", "socket"].contains(&name.as_str()),
            "src/transports/{name}.rs is not in the transports! list"
        );
    }
}
