//! The projector role: keeps views and indexes complete, whoever wrote the log and whatever the read model forgot.
//!
//! Whoever appends writes the view through; the projector writes the same again, so that a crash between the two leaves
//! nothing stale for long, and builds what no single writer can: the indexes.

mod index;
mod rebuild;
mod views;

use std::sync::Arc;

use eventstore::{EventFeed, Wakes};
use readmodel::Aggregates;
use runtime::Check;
use tokio_util::sync::CancellationToken;

pub use index::IndexError;
pub use rebuild::{RebuildError, Rebuilt, rebuild};

/// What a projector works with.
#[derive(Clone)]
pub struct Ports {
    /// The event log and the views over it.
    pub aggregates: Aggregates,
    /// Delivers what happens to accounts and orders.
    pub feed: Arc<dyn EventFeed>,
    /// Tells when there is something new for the indexes.
    pub wakes: Arc<dyn Wakes>,
}

/// Projects until told to stop.
pub async fn run(ports: Ports, order_shards: u8, health: Check, stop: CancellationToken) {
    let views = views::project(&ports, order_shards, health, stop.clone());
    let index = index::project(&ports, order_shards, stop);
    tokio::join!(views, index);
}
