//! What is generated is what is committed: manual pages, completions, the README's tables. `UPDATE=1 cargo test --test
//! docs` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

use clap_complete::Shell;

/// Compares a generated file with the committed one, or writes it.
fn compare(path: &str, generated: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, generated).unwrap();
        return;
    }
    let committed = fs::read(&path).unwrap_or_default();
    let same = committed == generated;
    assert!(same, "{} is out of date: run UPDATE=1 cargo test --test docs", path.display());
}

#[test]
fn manual_pages() {
    let mut command = vstream::cli::command();
    command.build();
    page(&command, "vstream");
    for role in command.get_subcommands().filter(|c| c.get_name() != "help") {
        page(role, &format!("vstream-{}", role.get_name()));
    }
}

fn page(command: &clap::Command, name: &str) {
    let mut text = Vec::new();
    let title: &'static str = Box::leak(name.to_string().into_boxed_str());
    let named = command.clone().name(title);
    clap_mangen::Man::new(named).date("").manual("vstream").render(&mut text).unwrap();
    compare(&format!("man/{name}.1"), &text);
}

#[test]
fn completions() {
    for (shell, file) in [
        (Shell::Bash, "vstream.bash"),
        (Shell::Zsh, "_vstream"),
        (Shell::Fish, "vstream.fish"),
        (Shell::Elvish, "vstream.elv"),
        (Shell::PowerShell, "_vstream.ps1"),
    ] {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut vstream::cli::command(), "vstream", &mut text);
        compare(&format!("completions/{file}"), &text);
    }
}

#[test]
fn the_readme_lists_the_transports() {
    let readme = fs::read_to_string(root("README.md")).unwrap();
    let mut table = String::from("| scheme | what it does |\n|---|---|\n");
    for t in vstream::transports::ALL {
        table += &format!("| `{}://` | {} |\n", t.scheme(), t.about());
    }
    let (begin, end) = ("<!-- transports -->\n", "<!-- /transports -->");
    let (before, rest) = readme.split_once(begin).expect("the README has a place for the transports");
    let (_, after) = rest.split_once(end).expect("that place has an end");
    compare("README.md", format!("{before}{begin}{table}{end}{after}").as_bytes());
}

#[test]
fn links_lead_somewhere() {
    for file in
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/library.md", "docs/protocol.md", "docs/security.md"]
    {
        let text = fs::read_to_string(root(file)).unwrap();
        let dir = root(file).parent().unwrap().to_path_buf();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#', ' ']).next().unwrap_or("");
            let outside = target.is_empty() || target.contains("://");
            assert!(outside || dir.join(target).exists(), "{file}: the link {target} leads nowhere");
        }
    }
}

#[test]
fn every_flag_has_a_variable_and_help() {
    for role in vstream::cli::command().get_subcommands() {
        for arg in role.get_arguments().filter(|a| !["help", "version"].contains(&a.get_id().as_str())) {
            assert!(
                arg.get_help().is_some() || arg.is_positional(),
                "{} {} has no help",
                role.get_name(),
                arg.get_id()
            );
            assert!(arg.get_long().is_none() || arg.get_env().is_some(), "{} has no variable", arg.get_id());
        }
    }
}

fn root(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}
