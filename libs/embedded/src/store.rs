//! The store, and the log's port.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use domain::{AccountId, OrderId};
use eventstore::{
    AppendError, Dependent, Envelope, EventStore, Expected, Message, NewMessage, Pair, Sequence,
    StoreError, Stream, Subject,
};

use crate::{
    Counters, WriteError, index,
    lock::Lock,
    prepared::Prepared,
    queries,
    request::{Change, Changed, Request},
    shared::Shared,
    writer::Writer,
};

/// A read looks through at most so many messages in memory before it asks the database.
const LOOK_BACK: usize = 256;

/// An open data directory. Clones share it; it is closed when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Embedded {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    shared: Arc<Shared>,
    // In this order: the directory is free only when the thread has closed the database.
    writer: Writer,
    _lock: Lock,
}

impl Embedded {
    pub(crate) fn new(dir: PathBuf, shared: Arc<Shared>, writer: Writer, lock: Lock) -> Self {
        Self { inner: Arc::new(Inner { dir, shared, writer, _lock: lock }) }
    }

    /// What was counted since the store was opened.
    pub fn counters(&self) -> Counters {
        self.inner.shared.counts.snapshot()
    }

    /// Writes what was requested so far and the marks of consumers, and closes the database. Later requests fail.
    pub async fn close(&self) {
        self.inner.writer.close().await;
    }

    /// The orders of an account that were not pruned, oldest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn orders(&self, account: &AccountId) -> Result<Vec<OrderId>, StoreError> {
        let account = account.clone();
        self.inner.shared.readers.query(move |c| index::orders_of(c, &account)).await
    }

    /// The number of shards over which the orders are spread, without pruned orders.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn order_shards(&self) -> Result<u8, StoreError> {
        self.inner.shared.readers.query(index::order_shards).await
    }

    /// Reads the messages of all streams after a place, in order, at most so many; empty at the end.
    ///
    /// # Errors
    /// When the database cannot answer or is damaged.
    pub async fn log(&self, after: Sequence, limit: usize) -> Result<Vec<Message>, StoreError> {
        self.inner.shared.readers.query(move |c| queries::log(c, after, limit)).await
    }

    pub(crate) fn dir(&self) -> &std::path::Path {
        &self.inner.dir
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Has the writing thread change something.
    pub(crate) async fn change(&self, change: Change) -> Result<Changed, WriteError> {
        let (request, changed) = Request::change(change);
        self.inner.writer.send(request).await?;
        changed.await.unwrap_or(Err(WriteError::WriterGone))
    }
}

#[async_trait]
impl EventStore for Embedded {
    async fn append(
        &self,
        subject: &Subject,
        expected: Expected,
        envelope: &Envelope,
    ) -> Result<Sequence, AppendError> {
        let (subject, envelope) = (subject.clone(), envelope.clone());
        let message = Prepared::new(NewMessage { subject, expected, envelope })?;
        let (request, stored) = Request::append(message);
        self.inner.writer.send(request).await?;
        stored.await.unwrap_or_else(|_| Err(WriteError::WriterGone.into()))
    }

    /// Both in one transaction.
    async fn append_pair(&self, first: NewMessage, second: Dependent) -> Result<Pair, AppendError> {
        let (request, stored) = Request::pair(Prepared::new(first)?, second);
        self.inner.writer.send(request).await?;
        stored.await.unwrap_or_else(|_| Err(WriteError::WriterGone.into()))
    }

    async fn read(&self, subject: &Subject, after: Sequence) -> Result<Vec<Message>, StoreError> {
        let shared = &self.inner.shared;
        if let Some(found) = read_memory(shared, subject, after) {
            shared.counts.memory_reads.add(1);
            return Ok(found);
        }
        shared.counts.disk_reads.add(1);
        let subject = subject.clone();
        shared.readers.query(move |c| queries::subject_after(c, &subject, after)).await
    }

    async fn are_empty(&self, subjects: &[Subject]) -> Result<bool, StoreError> {
        let shared = &self.inner.shared;
        if shared.fingerprints.are_surely_empty(subjects) {
            shared.counts.memory_reads.add(1);
            return Ok(true);
        }
        shared.fingerprints.load(&shared.readers);
        shared.counts.disk_reads.add(1);
        let subjects = subjects.to_vec();
        shared.readers.query(move |c| queries::are_empty(c, &subjects)).await
    }

    async fn message(
        &self,
        stream: Stream,
        sequence: Sequence,
    ) -> Result<Option<Message>, StoreError> {
        let shared = &self.inner.shared;
        if let Some(found) = shared.recent.get(sequence) {
            shared.counts.memory_reads.add(1);
            let is_asked_for = found.subject.stream() == stream;
            return Ok(is_asked_for.then(|| Arc::unwrap_or_clone(found)));
        }
        if sequence > shared.recent.last() {
            return Ok(None);
        }
        shared.counts.disk_reads.add(1);
        shared.readers.query(move |c| queries::at(c, stream, sequence)).await
    }

    async fn scan(
        &self,
        stream: Stream,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        self.inner.shared.counts.disk_reads.add(1);
        let query = move |c: &rusqlite::Connection| queries::stream_after(c, stream, after, limit);
        self.inner.shared.readers.query(query).await
    }

    async fn last_sequence(&self, stream: Stream) -> Result<Sequence, StoreError> {
        self.inner.shared.last_of(stream).await
    }
}

/// What memory knows of a subject after a place, if it knows all of it.
fn read_memory(shared: &Shared, subject: &Subject, after: Sequence) -> Option<Vec<Message>> {
    // The writing thread knows where a subject ends before anybody hears of an append to it.
    if shared.positions.get(subject).is_some_and(|position| position.last <= after) {
        return Some(vec![]);
    }
    let recent = shared.recent.all_after(after, LOOK_BACK)?;
    let own = recent.into_iter().filter(|message| message.subject == *subject);
    Some(own.map(Arc::unwrap_or_clone).collect())
}
