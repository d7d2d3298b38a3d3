//! The indexes, certificates by serial and orders by account: each complete up to a marker.

mod certificates;
mod orders;

use std::time::Duration;

use eventstore::{DecodeError, Message, Sequence, StoreError, Stream};
use readmodel::Unavailable;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::Ports;

/// How long an index may lag when no wake tells of something new.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many messages are read at once.
const PAGE: usize = 500;

/// An index could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The log is out of reach.
    #[error("the event log failed")]
    Store(#[source] StoreError),
    /// A message cannot be read by this release.
    #[error("a message cannot be read")]
    Decode(#[source] DecodeError),
    /// The read model is out of reach.
    #[error("the read model failed")]
    View(#[source] Unavailable),
}

/// Keeps the indexes complete. Wakes tell of certificates; orders are placed far more often than they are listed, so
/// their index follows at intervals.
pub(crate) async fn project(ports: &Ports, order_shards: u8, stop: CancellationToken) {
    tokio::join!(follow_ledger(ports, &stop), follow_orders(ports, order_shards, &stop));
}

async fn follow_ledger(ports: &Ports, stop: &CancellationToken) {
    let mut wakes = ports.wakes.subscribe();
    while !stop.is_cancelled() {
        report(Stream::Ledger, catch_up(ports, Stream::Ledger).await);
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            // Lagging is as good as a wake; a closed channel leaves the interval.
            Ok(_) = wakes.recv() => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn follow_orders(ports: &Ports, order_shards: u8, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        for stream in Stream::orders(order_shards) {
            report(stream, catch_up(ports, stream).await);
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn report(stream: Stream, outcome: Result<u64, IndexError>) {
    if let Err(error) = outcome {
        warn!(error = &error as &dyn std::error::Error, %stream, "index not updated");
    }
}

/// Reads a stream from where its index is complete, moves the marker, and tells how many entries were written. Any number
/// of projectors may do so at once.
pub(crate) async fn catch_up(ports: &Ports, stream: Stream) -> Result<u64, IndexError> {
    let mut entries = 0;
    while let Some(written) = advance(ports, stream).await? {
        entries += written;
    }
    Ok(entries)
}

/// One page; `None` at the end of the stream.
async fn advance(ports: &Ports, stream: Stream) -> Result<Option<u64>, IndexError> {
    let (store, views) = (&ports.aggregates.store, &ports.aggregates.views);
    let complete_to = views.complete_to(stream).await.map_err(IndexError::View)?;
    let page = store.scan(stream, complete_to, PAGE).await.map_err(IndexError::Store)?;
    let Some(last): Option<Sequence> = page.last().map(|message| message.sequence) else {
        return Ok(None);
    };
    let mut entries = 0;
    for message in &page {
        entries += index(ports, message).await?;
    }
    views.mark_complete(stream, last).await.map_err(IndexError::View)?;
    Ok(Some(entries))
}

/// Writes what a message adds to an index.
async fn index(ports: &Ports, message: &Message) -> Result<u64, IndexError> {
    match message.subject.stream() {
        Stream::Ledger => certificates::index(ports, message).await,
        Stream::Orders(_) => orders::index(ports, message).await,
        Stream::Accounts | Stream::Administration | Stream::Revocations => Ok(0),
    }
}
