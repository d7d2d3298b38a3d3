//! Finding a place in a stream by time, where reading all of it would take long.

use domain::Timestamp;

use crate::{EventStore, Sequence, StoreError, Stream};

/// Finds a place in a stream before which everything is older than a time: as far in as a few reads can tell.
///
/// Messages are taken to be in the order of their times. Where a clock was wrong, the place may be earlier or later than it
/// should be.
///
/// # Errors
/// When the log cannot be read.
pub async fn last_before(
    store: &dyn EventStore,
    stream: Stream,
    time: Timestamp,
) -> Result<Sequence, StoreError> {
    let (mut older, mut newer) = (Sequence::NONE, store.last_sequence(stream).await?);
    while older < newer {
        let middle = Sequence(older.0.midpoint(newer.0));
        match store.scan(stream, middle, 1).await?.first() {
            Some(message) if message.envelope.at < time => older = message.sequence,
            Some(_) | None => newer = middle,
        }
    }
    Ok(newer)
}
