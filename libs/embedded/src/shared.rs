//! What the writing thread, the readers and the workers' subscriptions have in common.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use eventstore::{Sequence, StoreError, Stream, Subject};

use crate::{
    counters::Counts, feed::Feeds, fingerprints::Fingerprints, positions::Positions, queries,
    readers::Readers, recent::Recent, views::Views,
};

/// The parts of an open store that live in memory.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) readers: Arc<Readers>,
    pub(crate) recent: Recent,
    pub(crate) positions: Positions,
    pub(crate) fingerprints: Arc<Fingerprints>,
    pub(crate) ends: StreamEnds,
    pub(crate) feeds: Feeds,
    pub(crate) views: Views,
    pub(crate) counts: Counts,
    pub(crate) closed: AtomicBool,
}

/// The last message of each stream, as far as somebody wrote to it or asked.
#[derive(Debug, Default)]
pub(crate) struct StreamEnds(Mutex<HashMap<Stream, Sequence>>);

impl StreamEnds {
    fn get(&self, stream: Stream) -> Option<Sequence> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&stream).copied()
    }

    /// Moves the end of a stream up to a message.
    pub(crate) fn raise(&self, stream: Stream, sequence: Sequence) -> Sequence {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = ends.entry(stream).or_default();
        *end = sequence.max(*end);
        *end
    }
}

impl Shared {
    /// The last message of a stream.
    pub(crate) async fn last_of(&self, stream: Stream) -> Result<Sequence, StoreError> {
        if let Some(end) = self.ends.get(stream) {
            return Ok(end);
        }
        let found = self.readers.query(move |connection| Ok(queries::last_of(connection, stream)?));
        // What was appended while the query ran is newer than its answer.
        Ok(self.ends.raise(stream, found.await?))
    }

    /// Forgets what memory holds of subjects whose messages were dropped.
    pub(crate) fn forget(&self, subjects: &[Subject]) {
        for subject in subjects {
            self.positions.remove(subject);
            self.views.forget(subject);
        }
        if !subjects.is_empty() {
            self.recent.clear();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Notes that nothing is written any more, and wakes whoever waits for deliveries.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.feeds.wake_all();
        self.readers.close();
    }
}
