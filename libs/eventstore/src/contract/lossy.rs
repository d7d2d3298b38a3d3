//! A store that loses acknowledgements, to show that an unknown result is resolved.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;

use crate::{
    AppendError, Envelope, EventStore, Expected, Message, Sequence, StoreError, Stream, Subject,
};

/// Wraps a store: of every three appends, the first is stored and its acknowledgement lost, the second is lost before
/// it is stored, the third goes through.
pub(super) struct LossyStore {
    inner: Arc<dyn EventStore>,
    appends: AtomicU64,
}

impl LossyStore {
    /// Wraps a store.
    pub(super) fn new(inner: Arc<dyn EventStore>) -> Self {
        Self { inner, appends: AtomicU64::new(0) }
    }
}

#[async_trait]
impl EventStore for LossyStore {
    async fn append(
        &self,
        subject: &Subject,
        expected: Expected,
        envelope: &Envelope,
    ) -> Result<Sequence, AppendError> {
        match self.appends.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => {
                self.inner.append(subject, expected, envelope).await?;
                Err(AppendError::unknown("the acknowledgement was lost"))
            }
            1 => Err(AppendError::unknown("the message was lost")),
            _ => self.inner.append(subject, expected, envelope).await,
        }
    }

    async fn read(&self, subject: &Subject, after: Sequence) -> Result<Vec<Message>, StoreError> {
        self.inner.read(subject, after).await
    }

    async fn message(
        &self,
        stream: Stream,
        sequence: Sequence,
    ) -> Result<Option<Message>, StoreError> {
        self.inner.message(stream, sequence).await
    }

    async fn scan(
        &self,
        stream: Stream,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError> {
        self.inner.scan(stream, after, limit).await
    }

    async fn last_sequence(&self, stream: Stream) -> Result<Sequence, StoreError> {
        self.inner.last_sequence(stream).await
    }
}
