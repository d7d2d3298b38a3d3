//! The port to the log itself.

use async_trait::async_trait;

use crate::{AppendError, Envelope, Message, Sequence, StoreError, Stream, Subject};

/// What an append expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The last message of the subject has this sequence; [`Sequence::NONE`]: the subject is empty.
    Last(Sequence),
    /// Anything: the message is a record, not a decision.
    Anything,
}

/// The event log: appends that compare and set, and reads that see every acknowledged append.
#[async_trait]
pub trait EventStore: Send + Sync {
    /// Stores a message durably if the subject is as expected, and returns its sequence.
    ///
    /// # Errors
    /// [`AppendError::Conflict`]: reload and decide again. [`AppendError::Unknown`]: re-read first.
    async fn append(
        &self,
        subject: &Subject,
        expected: Expected,
        envelope: &Envelope,
    ) -> Result<Sequence, AppendError>;

    /// Reads the messages of one subject after a sequence, oldest first, from the leader.
    ///
    /// # Errors
    /// When the log is out of reach or damaged.
    async fn read(&self, subject: &Subject, after: Sequence) -> Result<Vec<Message>, StoreError>;

    /// Reads one message of a stream; `None` when there is none at that place.
    ///
    /// # Errors
    /// When the log is out of reach or damaged.
    async fn message(
        &self,
        stream: Stream,
        sequence: Sequence,
    ) -> Result<Option<Message>, StoreError>;

    /// Reads at most `limit` messages of a stream after a sequence, oldest first; empty at its end.
    ///
    /// # Errors
    /// When the log is out of reach or damaged.
    async fn scan(
        &self,
        stream: Stream,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<Message>, StoreError>;

    /// The sequence of a stream's last message; [`Sequence::NONE`] when it never had one.
    ///
    /// # Errors
    /// When the log is out of reach or damaged.
    async fn last_sequence(&self, stream: Stream) -> Result<Sequence, StoreError>;
}
