//! All ports over one data directory.

use std::{io::ErrorKind, path::Path, sync::Arc};

use embedded::{Embedded, MemoryNonces, OpenError, Options, ReadOnly};
use eventstore::LocalCalls;
use runtime::Config;

use super::{LogAdapter, Ports};
use crate::{failure::Failure, files};

/// Opens the data directory, off the async threads: verifying the newest 10,000 messages takes a while.
pub(super) async fn open(config: &Config) -> Result<Ports, Failure> {
    let dir = config.data_dir.clone();
    let opened =
        tokio::task::spawn_blocking(move || Embedded::open(&dir, &Options::default())).await?;
    let embedded = opened.map_err(|error| {
        let advice = advice(&error);
        Failure::from(error).advise(advice)
    })?;
    let shared = Arc::new(embedded.clone());
    let nonces = super::nonce_lifetime(config)?;
    let admission = Arc::new(MemoryNonces::new(Arc::clone(&shared) as _, nonces));
    Ok(Ports {
        store: Arc::clone(&shared) as _,
        feed: Arc::clone(&shared) as _,
        tail: Arc::clone(&shared) as _,
        wakes: Arc::clone(&shared) as _,
        calls: Arc::new(LocalCalls::default()),
        views: shared,
        admission,
        log: LogAdapter::Embedded(embedded),
    })
}

/// Opens the log of a data directory for reading; makes none where there is none.
///
/// # Errors
/// When it does not open.
pub(crate) fn open_to_read(data_dir: &Path) -> Result<ReadOnly, Failure> {
    Embedded::open_read_only(data_dir).map_err(|error| not_read(data_dir, error))
}

/// Says that the log of a data directory cannot be read, and what the operator can do.
pub(crate) fn not_read(data_dir: &Path, error: OpenError) -> Failure {
    let kind = match &error {
        OpenError::Io { source, .. } => Some(source.kind()),
        _ => None,
    };
    let advice = match kind {
        Some(ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::UnexpectedEof) => format!(
            "Set data_dir to the directory of a server that was started at least once; now it is {}.",
            files::absolute(data_dir).display()
        ),
        Some(ErrorKind::PermissionDenied) => {
            "Run the command as the server's user, or as root.".to_owned()
        }
        _ => advice(&error).to_owned(),
    };
    Failure::from(error).advise(advice)
}

/// What the operator can do when a data directory does not open.
fn advice(error: &OpenError) -> &'static str {
    match error {
        OpenError::Locked { .. } => {
            "Stop that server, or give this one a directory of its own with data_dir."
        }
        OpenError::Io { .. } => {
            "Set data_dir to a directory this user can read and write, and check that its disk is not full."
        }
        OpenError::Database { .. } => {
            "Check that the disk under data_dir is mounted, writable, healthy and not full, and that its files belong to this user."
        }
        OpenError::NewerRelease { .. } => {
            "Run the release that wrote it, or a newer one, or set data_dir to another directory."
        }
        OpenError::Damaged { .. } => {
            "Nothing was changed in data_dir. Keep a copy of it, then start again from a backup."
        }
    }
}
