//! A list of folders and videos to pick one from.

use std::path::{Path, PathBuf};

use super::style;
use crate::devices::window::controls::egui::{Align, Button, Layout, ScrollArea, Ui};
use crate::fault;

/// Endings of what the sources read; other files are not listed.
const VIDEOS: [&str; 9] = ["mp4", "mkv", "avi", "mov", "webm", "m4v", "mjpeg", "mjpg", "y4m"];
const HEIGHT: f32 = 190.0;

#[derive(Default)]
pub struct Files {
    /// None until it is looked at.
    folder: Option<PathBuf>,
    /// Names, and whether they are folders, which come first.
    entries: Vec<(bool, String)>,
    chosen: Option<PathBuf>,
    wrong: Option<String>,
}

impl Files {
    pub fn chosen(&self) -> Option<String> {
        Some(self.chosen.as_ref()?.to_string_lossy().into_owned())
    }

    fn open(&mut self, folder: &Path) {
        match entries(folder) {
            Ok(entries) => (self.entries, self.wrong) = (entries, None),
            Err(error) => {
                let why = fault::plain(&error.to_string());
                (self.entries, self.wrong) = (Vec::new(), Some(format!("could not list {}: {why}", folder.display())));
            }
        }
        self.folder = Some(folder.to_path_buf());
    }

    pub fn draw(&mut self, ui: &mut Ui) {
        if self.folder.is_none() {
            self.open(&std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")));
        }
        let folder = self.folder.clone().unwrap_or_default();
        let mut next = None;
        ui.horizontal(|ui| {
            if ui.add_enabled(folder.parent().is_some(), Button::new("Up")).clicked() {
                next = folder.parent().map(Path::to_path_buf);
            }
            ui.add(
                crate::devices::window::controls::egui::Label::new(style::quiet(folder.display().to_string()))
                    .truncate(),
            );
        });
        ScrollArea::vertical().max_height(HEIGHT).min_scrolled_height(HEIGHT).auto_shrink([false, true]).show(
            ui,
            |ui| {
                ui.with_layout(Layout::top_down_justified(Align::LEFT), |ui| {
                    for (is_folder, name) in &self.entries {
                        let path = folder.join(name);
                        let chosen = self.chosen.as_ref() == Some(&path);
                        let text = if *is_folder { format!("{name}/") } else { name.clone() };
                        if ui.selectable_label(chosen, text).clicked() {
                            if *is_folder { next = Some(path) } else { self.chosen = Some(path) }
                        }
                    }
                    if self.entries.is_empty() {
                        ui.label(style::quiet(self.wrong.as_deref().unwrap_or("no videos here")));
                    }
                });
            },
        );
        next.iter().for_each(|folder| self.open(folder));
    }
}

fn entries(folder: &Path) -> std::io::Result<Vec<(bool, String)>> {
    let listed = std::fs::read_dir(folder)?.flatten().filter_map(|entry| {
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        let wanted = path.is_dir() || ending.is_some_and(|ending| VIDEOS.contains(&&*ending));
        (wanted && !name.starts_with('.')).then(|| (path.is_dir(), name))
    });
    let mut listed: Vec<(bool, String)> = listed.collect();
    listed.sort_by_key(|(is_folder, name)| (!is_folder, name.to_lowercase()));
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_first_and_only_videos_after_them() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.mp4", "A.MKV", "notes.txt", ".hidden.mp4"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::create_dir(folder.path().join("zoo")).unwrap();
        let names = [(true, "zoo"), (false, "A.MKV"), (false, "b.mp4")].map(|(is, name)| (is, name.to_string()));
        assert_eq!(entries(folder.path()).unwrap(), names);
        let mut files = Files::default();
        files.open(&folder.path().join("nowhere"));
        assert!(files.wrong.is_some_and(|text| text.contains("nowhere: no such file")), "{:?}", files.entries);
    }
}
