//! Building the read model anew from the log, while traffic goes on.

use eventstore::{Sequence, Stream};

use crate::{
    Ports, ProjectError,
    batch::{Batch, Views},
};

/// How many messages are read at once.
const PAGE: usize = 500;

/// What was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Messages of accounts, orders and administration that were read.
    pub messages: u64,
    /// Certificates put into the index.
    pub certificates: u64,
}

/// Forgets every view and index and builds them from the log. Requests meanwhile fold what they miss.
///
/// # Errors
/// When log or read model are out of reach; what is missing then is folded on demand, and the command may be repeated.
pub async fn rebuild(ports: &Ports, order_shards: u8) -> Result<Rebuilt, ProjectError> {
    ports.aggregates.views.clear().await.map_err(ProjectError::View)?;
    let mut rebuilt = Rebuilt::default();
    let ledger_first = [Stream::Ledger, Stream::Accounts, Stream::Administration];
    for stream in ledger_first.into_iter().chain(Stream::orders(order_shards)) {
        build(ports, stream, &mut rebuilt).await?;
    }
    Ok(rebuilt)
}

async fn build(ports: &Ports, stream: Stream, rebuilt: &mut Rebuilt) -> Result<(), ProjectError> {
    let aggregates = &ports.aggregates;
    // Binds the markers to the read model as it is now: if that forgets again, they are refused.
    let mut after = aggregates.views.complete_to(stream).await.map_err(ProjectError::View)?;
    if stream != Stream::Ledger {
        after = Sequence::NONE;
    }
    loop {
        let page = aggregates.store.scan(stream, after, PAGE).await;
        let page = page.map_err(ProjectError::Store)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.sequence;
        let mut batch = Batch::default();
        for message in &page {
            batch.add(message, Views::Refreshed)?;
        }
        rebuilt.certificates += batch.certificates() as u64;
        if stream != Stream::Ledger {
            rebuilt.messages += batch.len() as u64;
        }
        batch.apply(ports).await?;
    }
}
