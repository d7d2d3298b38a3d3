//! Goes through the log from where the markers of the read model say it is complete, one batch of messages at a time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use domain::Timestamp;
use eventstore::{Message, Sequence, StoreError, Stream, Tail};
use runtime::metrics::names;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};

use crate::{Ports, ProjectError, batch::Batch, quiet::Quiet};

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
/// How often it is looked whether the markers still stand at the ends of the streams, also when nothing happens.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// A way through the streams that the read model is made of.
pub(crate) struct Follower {
    tail: Box<dyn Tail>,
    /// The message of each stream behind which views are looked at.
    views_after: HashMap<Stream, Sequence>,
    quiet: Quiet,
    next_look: Instant,
}

impl Follower {
    /// Begins at the markers of some streams.
    pub(crate) async fn start(ports: &Ports, streams: &[Stream]) -> Result<Self, ProjectError> {
        let (mut from, mut views_after) = (Vec::with_capacity(streams.len()), HashMap::new());
        let mut quiet = Quiet::default();
        for &stream in streams {
            let marker = ports.aggregates.views.complete_to(stream).await;
            let marker = marker.map_err(ProjectError::View)?;
            let last = ports.aggregates.store.last_sequence(stream).await;
            let last = last.map_err(ProjectError::Store)?;
            if marker > last {
                return Err(ProjectError::Ahead { stream, marker, last });
            }
            from.push((stream, marker));
            views_after.insert(stream, first_view_after(marker, last));
            quiet.begin(stream, marker, last);
        }
        let tail = ports.tail.follow(&from).await.map_err(ProjectError::Store)?;
        Ok(Self { tail, views_after, quiet, next_look: Instant::now() + LOOK_INTERVAL })
    }

    /// Looks at the newest views only, also behind a marker: nothing older is there that could be out of date.
    pub(crate) fn with_newest_views(mut self) -> Self {
        for (stream, end) in self.quiet.ends() {
            let after = self.views_after.entry(stream).or_default();
            *after = (*after).max(first_view_after(Sequence::NONE, end));
        }
        self
    }

    /// Where the streams ended when that was looked at last.
    pub(crate) fn ends(&self) -> Vec<(Stream, Sequence)> {
        self.quiet.ends()
    }

    /// Whether everything up to these places is in the read model.
    pub(crate) fn has_passed(&self, ends: &[(Stream, Sequence)]) -> bool {
        ends.iter().all(|(stream, end)| self.quiet.marked(*stream) >= *end)
    }

    /// Waits for messages and brings the read model up to them.
    ///
    /// # Errors
    /// When log or read model are out of reach, or the read model has forgotten a marker: start again.
    pub(crate) async fn step(&mut self, ports: &Ports) -> Result<(), ProjectError> {
        let mut batch = Batch::default();
        let gathered = timeout_at(self.next_look, self.gather(&mut batch)).await;
        measure(&batch);
        // Also after a failure: what was gathered before it would be gathered before the same failure again.
        self.quiet.passed(batch.apply(ports).await?);
        match gathered {
            Ok(gathered) => gathered,
            Err(_) => {
                self.quiet.look(ports).await?;
                self.next_look = Instant::now() + LOOK_INTERVAL;
                Ok(())
            }
        }
    }

    /// Adds the next message to a batch as soon as it comes, and those that follow it within a moment.
    async fn gather(&mut self, batch: &mut Batch) -> Result<(), ProjectError> {
        let mut next: Result<Arc<Message>, StoreError> = self.tail.next().await;
        let until = Instant::now() + GATHER_TIME;
        loop {
            let message = next.map_err(ProjectError::Store)?;
            let views_after = self.views_after.get(&message.subject.stream()).copied();
            batch.add(&message, views_after.unwrap_or_default())?;
            if batch.len() == MAX_BATCH {
                return Ok(());
            }
            match timeout_at(until, self.tail.next()).await {
                Ok(another) => next = another,
                Err(_) => return Ok(()),
            }
        }
    }
}

/// The message of a stream behind which views are looked at.
fn first_view_after(marker: Sequence, last: Sequence) -> Sequence {
    match marker {
        Sequence::NONE => Sequence(last.0.saturating_sub(VIEWS_WITHOUT_MARKER)),
        marker => marker,
    }
}

fn measure(batch: &Batch) {
    metrics::counter!(names::FEED_MESSAGES, "role" => ROLE).increment(batch.len() as u64);
    if let Some(oldest) = batch.oldest() {
        let lag = oldest.until(Timestamp::from(OffsetDateTime::now_utc()));
        metrics::histogram!(names::FEED_LAG_SECONDS, "role" => ROLE).record(lag.as_secs_f64());
    }
}
