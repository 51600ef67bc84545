//! Folders as `--save` fills them.

use std::path::Path;

use serde_json::Value;

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// The JPEGs of a folder of frames, in order.
pub fn saved(folder: &Path) -> Vec<Vec<u8>> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|name| name.extension().is_some_and(|e| e == "jpg"));
    names.sort();
    names.iter().map(|name| std::fs::read(name).unwrap()).collect()
}

/// What is told of each saved frame.
pub fn told(folder: &Path) -> Vec<Value> {
    let list = std::fs::read_to_string(folder.join("frames.jsonl")).unwrap();
    list.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
