//! The videos of a folder: which files there are, which of them are the rungs of one video, and what each is called.
//! The files are not opened here.

use std::collections::{BTreeMap, HashSet};
use std::fs::{DirEntry, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};

use super::index::Stamp;
use crate::picture::{HEIGHT_MAX, SIDE_MIN};

/// What sources of ours open, most of it by ffmpeg.
const ENDINGS: [&str; 19] = [
    "3gp", "avi", "flv", "m2ts", "m4v", "mjpeg", "mjpg", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogv", "ts", "vob",
    "webm", "wmv", "y4m",
];
/// Folders within folders that are looked into: films by year, series by season and episode.
const DEPTH: usize = 4;
/// Files and folders that are looked at in all: a library, and not somebody's whole disk.
const MOST: usize = 20_000;
/// A stream's name is no longer.
const NAME: usize = 32;

/// A file that rungs are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub path: PathBuf,
    /// Of `NAME_480p.mp4`: the rung that it is.
    pub height: Option<u32>,
    pub stamp: Stamp,
}

/// A video as its files say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    pub title: String,
    pub sources: Vec<Source>,
}

/// All videos below a folder, in the order of their paths.
pub fn scan(dir: &Path) -> Result<Vec<Listed>> {
    let mut files = Vec::new();
    let mut left = MOST;
    walk(dir, dir, DEPTH, &mut left, &mut files).with_context(|| format!("could not read {}", dir.display()))?;
    if left == 0 {
        log::warn!("{}: only the first {MOST} files are looked at", dir.display());
    }
    Ok(named(grouped(files)))
}

fn walk(top: &Path, dir: &Path, depth: usize, left: &mut usize, files: &mut Vec<Source>) -> Result<()> {
    let mut entries: Vec<DirEntry> = std::fs::read_dir(dir)?.take(*left).filter_map(Result::ok).collect();
    *left -= entries.len();
    entries.sort_by_key(DirEntry::file_name);
    for entry in entries.iter().filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b".")) {
        let path = entry.path();
        // Of links those to files are followed, those to folders not: they may go round.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && depth > 0 {
            if let Err(error) = walk(top, &path, depth - 1, left, files) {
                log::warn!("could not read {}: {}", path.display(), crate::fault::line(&error));
            }
        } else if let Some(meta) = path.metadata().ok().filter(|meta| meta.is_file() && is_video(&path)) {
            files.push(source(top, path, &meta));
        }
    }
    Ok(())
}

fn is_video(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

fn source(top: &Path, path: PathBuf, meta: &Metadata) -> Source {
    let name = path.strip_prefix(top).unwrap_or(&path).to_string_lossy().into_owned();
    let stamp = Stamp { name, bytes: meta.len(), modified: modified(meta) };
    let height = path.file_stem().and_then(|stem| rung(&stem.to_string_lossy()).map(|(_, height)| height));
    Source { path, height, stamp }
}

/// In nanoseconds since 1970.
fn modified(meta: &Metadata) -> i64 {
    let since = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.unwrap_or_default().as_nanos() as i64
}

impl Source {
    /// Whether the file is as it was found.
    pub fn stands(&self) -> bool {
        let found = |meta: Metadata| (meta.len(), modified(&meta)) == (self.stamp.bytes, self.stamp.modified);
        self.path.metadata().is_ok_and(found)
    }
}

/// `NAME_480p` is the rung of 480 lines of `NAME`.
fn rung(stem: &str) -> Option<(String, u32)> {
    let (name, label) = stem.rsplit_once('_')?;
    let height: u32 = label.strip_suffix('p')?.parse().ok()?;
    let known = (SIDE_MIN..=HEIGHT_MAX).contains(&(height as usize)) && !name.is_empty();
    known.then(|| (name.to_string(), height))
}

/// Titles and their files: rungs of one name in one folder are together, also with one whole file of that name.
fn grouped(files: Vec<Source>) -> Vec<(String, Vec<Source>)> {
    let mut rungs: BTreeMap<PathBuf, Vec<Source>> = BTreeMap::new();
    let mut whole = Vec::new();
    for file in files {
        let stem = file.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match rung(&stem) {
            Some((title, height)) => {
                let of = rungs.entry(file.path.with_file_name(title)).or_default();
                if of.iter().all(|other| other.height != Some(height)) {
                    of.push(file);
                }
            }
            None => whole.push((file.path.with_file_name(stem), file)),
        }
    }
    let mut videos: Vec<(PathBuf, Vec<Source>)> = Vec::new();
    for (title, file) in whole {
        let mut sources = rungs.remove(&title).unwrap_or_default();
        sources.push(file);
        videos.push((title, sources));
    }
    videos.extend(rungs);
    videos.sort_by(|a, b| a.0.cmp(&b.0));
    // The lowest first: it can be played soonest.
    videos.iter_mut().for_each(|(_, sources)| sources.sort_by_key(|source| source.height.unwrap_or(u32::MAX)));
    let title = |path: PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    videos.into_iter().map(|(path, sources)| (title(path), sources)).collect()
}

/// Gives each a name of its own that a stream may have.
fn named(videos: Vec<(String, Vec<Source>)>) -> Vec<Listed> {
    let mut taken = HashSet::new();
    let mut name = |title: &str| {
        let plain = plain(title);
        let mut name = plain.clone();
        for n in 2.. {
            if taken.insert(name.to_ascii_lowercase()) {
                break;
            }
            let number = format!("-{n}");
            name = format!("{}{number}", &plain[..plain.len().min(NAME - number.len())]);
        }
        name
    };
    videos.into_iter().map(|(title, sources)| Listed { name: name(&title), title, sources }).collect()
}

/// A title in the letters of a name: `-` for what is none of them, and nothing hidden.
fn plain(title: &str) -> String {
    let fine = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let mut name: String = title.chars().map(fine).collect();
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    let edges = ['-', '.'];
    let name = name.trim_matches(edges);
    let name = name[..name.len().min(NAME)].trim_end_matches(edges);
    if name.is_empty() { "video".into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::check_name;
    use proptest::prelude::*;

    fn listed(files: &[&str]) -> Vec<(String, String, Vec<Option<u32>>)> {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let heights = |video: &Listed| video.sources.iter().map(|source| source.height).collect();
        scan(dir.path()).unwrap().iter().map(|v| (v.name.clone(), v.title.clone(), heights(v))).collect()
    }

    fn one(name: &str, title: &str, heights: &[Option<u32>]) -> (String, String, Vec<Option<u32>>) {
        (name.into(), title.into(), heights.to_vec())
    }

    #[test]
    fn rungs_are_one_video_and_what_is_no_video_is_not_there() {
        let files =
            ["a_240p.mp4", "a_480p.MP4", "a_480p.mkv", "b.mov", "b_720p.mp4", "notes.txt", ".c.mp4", "_240p.mp4"];
        let found = listed(&files);
        let whole = [None];
        assert_eq!(
            found,
            [one("_240p", "_240p", &whole), one("a", "a", &[Some(240), Some(480)]), one("b", "b", &[Some(720), None]),]
        );
    }

    #[test]
    fn folders_are_looked_into_and_names_are_unique() {
        let found =
            listed(&["x/The Film: 2.mp4", "y/The Film: 2.mp4", "y/the-film-2.avi", ".z/hidden.mp4", "映画.mkv"]);
        let names: Vec<_> = found.iter().map(|found| (found.0.as_str(), found.1.as_str())).collect();
        let film = "The Film: 2";
        assert_eq!(
            names,
            [("The-Film-2", film), ("The-Film-2-2", film), ("the-film-2-3", "the-film-2"), ("video", "映画")]
        );
    }

    #[test]
    fn links_that_go_round_end() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("again")).unwrap();
        std::fs::write(dir.path().join("a.mp4"), "x").unwrap();
        assert_eq!(scan(dir.path()).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn every_title_has_a_name_of_its_own(titles in proptest::collection::vec(".{0,40}", 1..20)) {
            let videos = named(titles.into_iter().map(|title| (title, Vec::new())).collect());
            let names: HashSet<_> = videos.iter().map(|video| video.name.clone()).collect();
            prop_assert_eq!(names.len(), videos.len());
            prop_assert!(names.iter().all(|name| check_name(name).is_ok() && !name.starts_with('.')));
        }
    }
}
