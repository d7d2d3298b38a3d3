//! A small file that says which record was acknowledged last, so that a journal that was cut is noticed.
//!
//! It is not fsynced: after a loss of power it may lag behind the journal, but it never runs ahead.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{
    OpenError, at,
    chain::{Chain, hex, unhex},
};
use crate::durable;

const MAX_HEAD_BYTES: u64 = 1024;

/// The open head file of a journal.
#[derive(Debug)]
pub(super) struct Head {
    file: File,
}

impl Head {
    /// Opens the file for writing.
    pub(super) fn open(dir: &Path) -> Result<Self, OpenError> {
        let path = path(dir);
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(at(&path))?;
        durable::give_to_directory_owner(&file, &path).map_err(at(&path))?;
        Ok(Self { file })
    }

    /// Says that the chain is acknowledged up to here.
    pub(super) fn write(&self, chain: &Chain) -> io::Result<()> {
        // Always the same length, so that no rest of an earlier text is left.
        let text = format!("{:020}\t{}\n", chain.number, hex(&chain.hash));
        self.file.write_all_at(text.as_bytes(), 0)
    }
}

/// Reads how far a journal was acknowledged; a missing, empty or unreadable file says nothing.
pub(super) fn read(dir: &Path) -> Result<Option<Chain>, OpenError> {
    let path = path(dir);
    let contents = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.and_then(|file| durable::read_bounded(&file, MAX_HEAD_BYTES)),
    };
    let contents = contents.map_err(at(&path))?;
    let head = parse(&contents);
    if head.is_none() && !contents.is_empty() {
        tracing::warn!(path = %path.display(), "the journal's head file is unreadable and is ignored");
    }
    Ok(head)
}

fn parse(contents: &[u8]) -> Option<Chain> {
    let text = std::str::from_utf8(contents).ok()?.strip_suffix('\n')?;
    let (number, hash) = text.split_once('\t')?;
    Some(Chain { number: number.parse().ok()?, hash: unhex(hash)? })
}

fn path(dir: &Path) -> PathBuf {
    dir.join("head")
}
