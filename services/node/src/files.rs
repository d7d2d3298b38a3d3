//! Files that an operator names: read within bounds, and shown so that they are found.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use crate::failure::{Explain as _, Failure};

/// The longest file of a passphrase or PIN.
const MAX_SECRET_BYTES: u64 = 4096;
/// The longest PEM text.
const MAX_INPUT_BYTES: u64 = 1024 * 1024;

/// Reads a file that holds one secret; its last line end does not count.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn read_line(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_SECRET_BYTES).read_to_string(&mut text)?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

/// Reads a PEM text an operator hands over: a file, or standard input for `-`.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn read_input(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_INPUT_BYTES).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(MAX_INPUT_BYTES).read_to_string(&mut text))
    };
    read.while_doing(format_args!("cannot read {}", path.display()))?;
    Ok(text)
}

/// The absolute form of a path that is shown to people.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_file_loses_its_last_line_end_only() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("passphrase");
        std::fs::write(&file, "pass phrase \n").unwrap();
        assert_eq!(read_line(&file).unwrap(), "pass phrase ");
    }
}
