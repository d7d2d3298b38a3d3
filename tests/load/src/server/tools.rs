//! Finding the programs.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::options::Options;

/// A program that is not there, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Missing(String);

/// The tool's path, from the directories of the command line and then the PATH.
pub(super) fn find(name: &str, options: &Options) -> Result<PathBuf, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path);
    options
        .tools
        .iter()
        .cloned()
        .chain(on_path)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .map(absolute)
        .ok_or_else(|| Missing(format!("{name} is not installed; scripts/test-tools installs it")))
}

/// A program at a given path.
pub(super) fn program(path: &Path) -> Result<PathBuf, Missing> {
    if path.is_file() {
        return Ok(absolute(path.to_owned()));
    }
    Err(Missing(format!("{} is not there; cargo build --release makes it", path.display())))
}

/// The program's name, with its version if it has one.
pub(super) async fn version(program: &Path) -> String {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let argument = match name.as_str() {
        "caddy" => "version",
        "pebble" => "-version",
        _ => "--version",
    };
    let output = Command::new(program).arg(argument).output().await;
    let output = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    match text.split_ascii_whitespace().find_map(version_number) {
        Some(number) => format!("{name} {number}"),
        // Debian's Pebble calls itself "dev".
        None => name,
    }
}

fn version_number(word: &str) -> Option<&str> {
    let number = word.trim_start_matches("v=").trim_start_matches('v');
    let starts_well = number.starts_with(|first: char| first.is_ascii_digit());
    (starts_well && number.contains('.')).then_some(number)
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_numbers_are_found_in_what_programs_print() {
        for (printed, expected) in [
            ("Redis server v=7.0.15 sha=00000000:0", Some("7.0.15")),
            ("nats-server: v2.15.1", Some("2.15.1")),
            ("2.11.4", Some("2.11.4")),
            ("Pebble version: dev", None),
        ] {
            let found = printed.split_ascii_whitespace().find_map(version_number);
            assert_eq!(found, expected, "{printed}");
        }
    }
}
