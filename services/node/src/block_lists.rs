//! The operator's lists of keys that nobody may use.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use acme::key::BlockList;
use runtime::Stop;
use tokio::{sync::watch, task::spawn_blocking};
use tracing::info;

use crate::{
    failure::{Explain as _, Failure},
    watched_files::WatchedFiles,
};

/// The longest list: all of Debian's together fit several times.
const MAX_LIST_BYTES: u64 = 256 << 20;

/// Reads all lists, and again whenever one changes, until the stage stops.
///
/// # Errors
/// When they cannot be read now; later, what they said last stays.
pub(crate) async fn watch(
    paths: &[PathBuf],
    stop: &Stop,
) -> Result<watch::Receiver<Arc<BlockList>>, Failure> {
    let (files, paths) = (WatchedFiles::new(paths.to_vec()), paths.to_vec());
    let (first, paths) = spawn_blocking(move || (read(&paths), paths)).await?;
    let (sender, lists) = watch::channel(Arc::new(first?));
    if !paths.is_empty() {
        files.watch("key_block_lists", stop, move || {
            let list = read(&paths)?;
            info!(keys = list.len(), "key_block_lists changed");
            sender.send_replace(Arc::new(list));
            Ok(())
        });
    }
    Ok(lists)
}

/// Reads all lists into one.
///
/// # Errors
/// When one cannot be read or has a line that is no entry.
pub(crate) fn read(paths: &[PathBuf]) -> Result<BlockList, Failure> {
    let mut list = BlockList::default();
    for path in paths {
        read_one(path, &mut list)
            .while_doing(format_args!("cannot read {}, a list of key_block_lists", path.display()))
            .advise("Each line is a SHA-256 over a SubjectPublicKeyInfo in hex, or an entry of Debian's lists.")?;
    }
    Ok(list)
}

fn read_one(path: &Path, list: &mut BlockList) -> Result<(), Failure> {
    let mut text = String::new();
    File::open(path)?.take(MAX_LIST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_LIST_BYTES {
        return Err(Failure::new("the file is too long"));
    }
    Ok(list.add(&text)?)
}
