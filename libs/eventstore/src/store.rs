//! The port to the log itself.

use async_trait::async_trait;
use futures::future::try_join_all;

use crate::{AppendError, Envelope, Message, Sequence, StoreError, Stream, Subject};

/// What an append expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The last message of the subject has this sequence; [`Sequence::NONE`]: the subject is empty.
    Last(Sequence),
    /// Anything: the message is a record, not a decision.
    Anything,
}

/// A message to store.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// Where it belongs.
    pub subject: Subject,
    /// What the subject must hold.
    pub expected: Expected,
    /// What it says.
    pub envelope: Envelope,
}

/// Makes a message from the sequence that another one was given.
pub type Dependent = Box<dyn FnOnce(Sequence) -> Result<NewMessage, AppendError> + Send>;

/// What became of two messages of which the second depends on the first.
#[derive(Debug)]
pub struct Pair {
    /// The first one's sequence.
    pub first: Sequence,
    /// The second one's, unless it was not stored.
    pub second: Result<Sequence, AppendError>,
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

    /// Stores a message and then, once its sequence is known, a second one that may name it.
    ///
    /// As two calls of [`append`](Self::append), and the first stays stored whatever becomes of the second; an adapter
    /// whose streams share a disk may write both at once.
    ///
    /// # Errors
    /// What became of the first one, and then the second one was not made.
    async fn append_pair(&self, first: NewMessage, second: Dependent) -> Result<Pair, AppendError> {
        let first = self.append(&first.subject, first.expected, &first.envelope).await?;
        let second = match second(first) {
            Ok(second) => self.append(&second.subject, second.expected, &second.envelope).await,
            Err(error) => Err(error),
        };
        Ok(Pair { first, second })
    }

    /// Reads the messages of one subject after a sequence, oldest first, from the leader.
    ///
    /// # Errors
    /// When the log is out of reach or damaged.
    async fn read(&self, subject: &Subject, after: Sequence) -> Result<Vec<Message>, StoreError>;

    /// Whether nothing stands on any of these subjects.
    ///
    /// As a [`read`](Self::read) of each at once; an adapter may have a cheaper answer.
    ///
    /// # Errors
    /// When the log is out of reach or damaged.
    async fn are_empty(&self, subjects: &[Subject]) -> Result<bool, StoreError> {
        let reads = subjects.iter().map(|subject| self.read(subject, Sequence::NONE));
        Ok(try_join_all(reads).await?.iter().all(Vec::is_empty))
    }

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
