//! Following the log from where the markers of the read model say it is complete.

use std::{collections::HashMap, sync::Arc, time::Duration};

use domain::Timestamp;
use eventstore::{LoadError, Message, Sequence, StoreError, Stream, Tail};
use runtime::{Check, metrics::names};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    Ports, ProjectError,
    batch::{Batch, Views},
    quiet::Quiet,
};

/// Whose measurements these are.
const ROLE: &str = "projector";
/// How long messages are gathered. Whoever appends also writes the view, so nobody waits for this; an order that is looked at
/// once for all its messages costs a sixth.
const GATHER_TIME: Duration = Duration::from_millis(250);
/// How many messages are gathered at most.
const MAX_BATCH: usize = 1000;
/// For how many of a stream's last messages views are looked at when the read model has no marker: what it held before is gone,
/// and a view that is missing is made by whoever asks for it. The indexes need every message.
const VIEWS_WITHOUT_MARKER: u64 = 10_000;
/// What an operator is to do where the log lost what the read model knows. It is not done by itself: a NATS server that was
/// deposed looks the same for a while, and the read model would be built from its log.
const AHEAD: &str = "the read model is newer than the event log, which was lost or restored: run `certmill rebuild`";
/// Told where waiting does not help: only a newer release can read the message, or the log is damaged there.
const UNREADABLE: &str =
    "a message of the event log cannot be read: the warnings of this process say where it is";
/// How often it is looked whether the markers still stand at the ends of the streams, also when nothing happens.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How long the projector waits after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Follows until told to stop; any number of projectors may.
pub(crate) async fn follow(
    ports: &Ports,
    order_shards: u8,
    health: Check,
    stop: CancellationToken,
) {
    let mut streams = Stream::orders(order_shards);
    streams.extend([Stream::Accounts, Stream::Administration, Stream::Ledger]);
    let following = async {
        loop {
            if let Err(error) = follow_from_markers(ports, &streams, &health).await {
                let cause = &error as &dyn std::error::Error;
                warn!(error = cause, "the read model is not kept complete");
                health.not_ready(why_not_ready(&error));
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    };
    stop.run_until_cancelled(following).await;
}

fn why_not_ready(error: &ProjectError) -> &'static str {
    match error {
        ProjectError::Ahead { .. } => AHEAD,
        ProjectError::Decode { .. }
        | ProjectError::Load(LoadError::Decode(_))
        | ProjectError::Store(StoreError::Damaged(_))
        | ProjectError::Load(LoadError::Store(StoreError::Damaged(_))) => UNREADABLE,
        ProjectError::Store(StoreError::Unavailable(_))
        | ProjectError::Load(LoadError::Store(StoreError::Unavailable(_)))
        | ProjectError::View(_) => "the event log or the read model is out of reach",
    }
}

/// Follows from where the markers stand until something fails.
async fn follow_from_markers(
    ports: &Ports,
    streams: &[Stream],
    health: &Check,
) -> Result<(), ProjectError> {
    let (mut from, mut views_after) = (Vec::with_capacity(streams.len()), HashMap::new());
    let mut quiet = Quiet::default();
    for stream in streams {
        let marker = ports.aggregates.views.complete_to(*stream).await;
        let marker = marker.map_err(ProjectError::View)?;
        let last = ports.aggregates.store.last_sequence(*stream).await;
        let last = last.map_err(ProjectError::Store)?;
        if marker > last {
            return Err(ProjectError::Ahead { stream: *stream, marker, last });
        }
        from.push((*stream, marker));
        views_after.insert(*stream, first_view_after(marker, last));
        quiet.begin(*stream, marker, last);
    }
    let mut tail = ports.tail.follow(&from).await.map_err(ProjectError::Store)?;
    health.ready();
    let mut next_look = Instant::now() + LOOK_INTERVAL;
    loop {
        let mut batch = Batch::default();
        let gathered = timeout_at(next_look, gather(tail.as_mut(), &views_after, &mut batch)).await;
        measure(&batch);
        // Also after a failure: what was gathered before it would be gathered before the same failure again.
        quiet.passed(batch.apply(ports).await?);
        match gathered {
            Ok(gathered) => gathered?,
            Err(_) => {
                quiet.look(ports).await?;
                next_look = Instant::now() + LOOK_INTERVAL;
            }
        }
    }
}

fn measure(batch: &Batch) {
    metrics::counter!(names::FEED_MESSAGES, "role" => ROLE).increment(batch.len() as u64);
    if let Some(oldest) = batch.oldest() {
        let lag = oldest.until(Timestamp::from(OffsetDateTime::now_utc()));
        metrics::histogram!(names::FEED_LAG_SECONDS, "role" => ROLE).record(lag.as_secs_f64());
    }
}

/// The message of a stream behind which views are looked at.
fn first_view_after(marker: Sequence, last: Sequence) -> Sequence {
    match marker {
        Sequence::NONE => Sequence(last.0.saturating_sub(VIEWS_WITHOUT_MARKER)),
        marker => marker,
    }
}

/// Adds the next message to a batch as soon as it comes, and those that follow it within a moment.
async fn gather(
    tail: &mut dyn Tail,
    views_after: &HashMap<Stream, Sequence>,
    batch: &mut Batch,
) -> Result<(), ProjectError> {
    let mut next: Result<Arc<Message>, StoreError> = tail.next().await;
    let until = Instant::now() + GATHER_TIME;
    loop {
        let message = next.map_err(ProjectError::Store)?;
        let after = views_after.get(&message.subject.stream());
        let is_old = after.is_some_and(|after| message.sequence <= *after);
        batch.add(&message, if is_old { Views::LeftAlone } else { Views::Refreshed })?;
        if batch.len() == MAX_BATCH {
            return Ok(());
        }
        match timeout_at(until, tail.next()).await {
            Ok(another) => next = another,
            Err(_) => return Ok(()),
        }
    }
}
