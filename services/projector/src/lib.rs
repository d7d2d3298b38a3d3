//! The projector role: keeps views and indexes complete, whoever wrote the log and whatever the read model forgot.
//!
//! Whoever appends writes the view through; the projector looks whether that was done, so that a crash between the two
//! leaves nothing stale for long, and builds what no single writer can: the indexes. How far it came is kept in the read
//! model itself, so that the two are lost together.

mod batch;
mod ends;
mod follow;
mod follower;
mod index;
mod quiet;
mod rebuild;
mod unreplaced;

use std::sync::Arc;

use eventstore::{DecodeError, EventTail, LoadError, Message, Sequence, StoreError, Stream};
use readmodel::{Aggregates, Unavailable};
use runtime::Check;
use tokio_util::sync::CancellationToken;

pub use rebuild::rebuild;
pub use unreplaced::{Unreplaced, watch as watch_unreplaced};

/// What a projector works with.
#[derive(Clone)]
pub struct Ports {
    /// The event log and the views over it.
    pub aggregates: Aggregates,
    /// Shows each message as it is appended.
    pub tail: Arc<dyn EventTail>,
}

/// The read model could not be brought up to date; it may be tried again.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The log is out of reach.
    #[error("the event log failed")]
    Store(#[source] StoreError),
    /// An aggregate could not be folded.
    #[error("an aggregate cannot be folded")]
    Load(#[source] LoadError),
    /// A message that belongs into an index cannot be read by this release.
    #[error("message {sequence} of stream {stream} cannot be read")]
    Decode {
        /// The stream.
        stream: Stream,
        /// The message's place there.
        sequence: Sequence,
        /// Why.
        source: DecodeError,
    },
    /// The read model is out of reach.
    #[error("the read model failed")]
    View(#[source] Unavailable),
    /// The log lost what the read model knows.
    #[error(
        "the read model knows stream {stream} up to {marker}, and the event log ends at {last}"
    )]
    Ahead {
        /// The stream.
        stream: Stream,
        /// How far the read model came.
        marker: Sequence,
        /// Where the log ends.
        last: Sequence,
    },
}

impl ProjectError {
    /// A message that belongs into an index cannot be read.
    pub(crate) fn unreadable(message: &Message) -> impl FnOnce(DecodeError) -> Self {
        let (stream, sequence) = (message.subject.stream(), message.sequence);
        move |source| Self::Decode { stream, sequence, source }
    }
}

/// The streams that the read model is made of.
fn followed(order_shards: u8) -> Vec<Stream> {
    let mut streams = Stream::orders(order_shards);
    streams.extend([Stream::Accounts, Stream::Administration, Stream::Ledger]);
    streams
}

/// Projects until told to stop.
pub async fn run(ports: Ports, order_shards: u8, health: Check, stop: CancellationToken) {
    tokio::join!(
        follow::follow(&ports, order_shards, health, stop.clone()),
        ends::show(&ports, order_shards, stop),
    );
}
