//! How the log fails, by what the caller can do about it.

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The log cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The log is out of reach or overloaded; try again later.
    #[error("the event log is unavailable")]
    Unavailable(#[source] Source),
    /// What the log holds cannot be trusted; stop and call an operator.
    #[error("the event log is damaged")]
    Damaged(#[source] Source),
}

impl StoreError {
    /// The log is out of reach.
    pub fn unavailable(source: impl Into<Source>) -> Self {
        Self::Unavailable(source.into())
    }

    /// The log is damaged.
    pub fn damaged(source: impl Into<Source>) -> Self {
        Self::Damaged(source.into())
    }
}

/// A message was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The subject holds something newer; reload and decide again.
    #[error("the subject has changed")]
    Conflict,
    /// The message may or may not be stored; re-read the subject before deciding.
    #[error("it is unknown whether the message was stored")]
    Unknown(#[source] Source),
    /// The message was not stored: the log is out of reach or full; try again later.
    #[error("the event log is unavailable")]
    Unavailable(#[source] Source),
    /// The message is larger than [`crate::Envelope::MAX_BYTES`].
    #[error("the message is too large")]
    TooLarge,
}

impl AppendError {
    /// Nothing is known about the message.
    pub fn unknown(source: impl Into<Source>) -> Self {
        Self::Unknown(source.into())
    }

    /// The message was not stored.
    pub fn unavailable(source: impl Into<Source>) -> Self {
        Self::Unavailable(source.into())
    }
}
