//! All ports over one data directory.

use std::sync::Arc;

use embedded::{Embedded, MemoryNonces, OpenError, Options};
use eventstore::LocalCalls;
use runtime::Config;

use super::{Log, Ports};
use crate::failure::Failure;

/// Opens the data directory; reading it takes as long as the newest 10,000 messages need, off the async threads.
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
        log: Log::Embedded(embedded),
    })
}

/// What the operator can do when a data directory does not open.
pub(crate) fn advice(error: &OpenError) -> &'static str {
    match error {
        OpenError::Locked { .. } => {
            "Stop that server, or give this one a directory of its own with data_dir."
        }
        OpenError::Io { .. } => {
            "Set data_dir to a directory this user can read and write, and see that its disk is not full."
        }
        OpenError::Database { .. } => {
            "See that the disk under data_dir is mounted, healthy and not full, and that its files belong to this user."
        }
        OpenError::NewerRelease { .. } => {
            "Run the release that wrote it, or a newer one, or set data_dir to another directory."
        }
        OpenError::Damaged { .. } => {
            "Nothing was changed in data_dir. Start again from a backup there once you have kept a copy."
        }
    }
}
