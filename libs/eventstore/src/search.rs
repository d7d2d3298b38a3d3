//! Finding a place in a stream by time, where reading all of it would take long.

use domain::Timestamp;

use crate::{EventStore, Message, Sequence, StoreError, Stream};

/// Finds a place in a stream before which everything is older than a time, by a few reads that halve the stream.
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
    let end = store.last_sequence(stream).await?;
    place_before(time, end, |after| async move {
        Ok(store.scan(stream, after, 1).await?.into_iter().next())
    })
    .await
}

/// As [`last_before`], for messages that `first_after` reads: it finds the first one after a sequence, and `end` is that of the
/// last one.
///
/// # Errors
/// Those of the function.
pub async fn place_before<F>(
    time: Timestamp,
    end: Sequence,
    first_after: impl Fn(Sequence) -> F,
) -> Result<Sequence, StoreError>
where
    F: Future<Output = Result<Option<Message>, StoreError>>,
{
    let (mut older, mut newer) = (Sequence::NONE, end);
    while older < newer {
        let middle = Sequence(older.0.midpoint(newer.0));
        match first_after(middle).await? {
            Some(message) if message.envelope.at < time => older = message.sequence,
            Some(_) | None => newer = middle,
        }
    }
    Ok(newer)
}
