//! How the sources are laid out, as far as CONTRIBUTING.md says it and a machine can see it.

use std::path::{Path, PathBuf};

use acceptance::workspace;

/// A file that is longer has more than one subject.
const MAX_LINES: usize = 400;

fn source_files() -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> =
        ["libs", "services", "tests"].iter().map(|top| workspace().join(top)).collect();
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
                files.push(entry.path());
            }
        }
    }
    assert!(files.len() > 100, "only {} source files found", files.len());
    Ok(files)
}

fn check(what: &str, holds: impl Fn(&Path, &str) -> bool) -> anyhow::Result<()> {
    let mut offenders = Vec::new();
    for file in source_files()? {
        let text = std::fs::read_to_string(&file)?;
        if !holds(&file, &text) {
            offenders.push(file.strip_prefix(workspace())?.to_owned());
        }
    }
    assert!(offenders.is_empty(), "{what}: {offenders:#?}");
    Ok(())
}

#[test]
fn no_source_file_is_too_long() -> anyhow::Result<()> {
    check("files that are too long", |_, text| text.lines().count() <= MAX_LINES)
}

#[test]
fn every_source_file_begins_with_its_purpose() -> anyhow::Result<()> {
    check("files that do not say what they are for", |_, text| text.starts_with("//! "))
}

#[test]
fn modules_are_files_of_their_own_name() -> anyhow::Result<()> {
    check("mod.rs", |file, _| !file.ends_with("mod.rs"))
}

#[test]
fn a_crate_is_seen_through_its_root_only() -> anyhow::Result<()> {
    // A module with submodules is the root of its own part.
    check("pub use outside of roots", |file, text| {
        let is_root = file.ends_with("lib.rs") || file.with_extension("").is_dir();
        is_root || !text.lines().any(|line| line.starts_with("pub use "))
    })
}
