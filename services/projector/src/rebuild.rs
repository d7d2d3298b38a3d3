//! Building the read model anew from the log, while traffic goes on.

use eventstore::{Sequence, StoreError, Stream};
use readmodel::{LoadError, Unavailable};

use crate::{Ports, index, index::IndexError, views};

/// How many messages are read at once.
const PAGE: usize = 500;

/// What was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Messages of accounts and orders that were folded.
    pub messages: u64,
    /// Certificates put into the index.
    pub certificates: u64,
}

/// Why the read model was not built to its end; it may be run again.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The log is out of reach.
    #[error("the event log failed")]
    Store(#[source] StoreError),
    /// An aggregate could not be folded.
    #[error("an aggregate cannot be folded")]
    Load(#[source] LoadError),
    /// The read model is out of reach.
    #[error("the read model failed")]
    View(#[source] Unavailable),
    /// An index was not built.
    #[error("an index was not built")]
    Index(#[source] IndexError),
}

/// Forgets every view and index and builds them from the log. Requests meanwhile fold what they miss.
///
/// # Errors
/// When log or read model are out of reach; what is missing then is folded on demand, and the command may be repeated.
pub async fn rebuild(ports: &Ports, order_shards: u8) -> Result<Rebuilt, RebuildError> {
    ports.aggregates.views.clear().await.map_err(RebuildError::View)?;
    let certificates = index::catch_up(ports, Stream::Ledger).await.map_err(RebuildError::Index)?;
    for stream in Stream::orders(order_shards) {
        index::catch_up(ports, stream).await.map_err(RebuildError::Index)?;
    }
    let mut messages = 0;
    for stream in Stream::orders(order_shards).into_iter().chain([Stream::Accounts]) {
        let mut after = Sequence::NONE;
        loop {
            let page = ports.aggregates.store.scan(stream, after, PAGE).await;
            let page = page.map_err(RebuildError::Store)?;
            let Some(last) = page.last() else { break };
            after = last.sequence;
            for message in &page {
                views::refresh(ports, message).await.map_err(RebuildError::Load)?;
                messages += 1;
            }
        }
    }
    Ok(Rebuilt { messages, certificates })
}
