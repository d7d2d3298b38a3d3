//! The port by which the read model follows the log.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Message, Sequence, StoreError, Stream};

/// Shows the log to whoever keeps its own place: each follower sees every message, and none is acknowledged.
#[async_trait]
pub trait EventTail: Send + Sync {
    /// Follows streams, each from behind a place on.
    ///
    /// # Errors
    /// When the log is out of reach.
    async fn follow(&self, from: &[(Stream, Sequence)]) -> Result<Box<dyn Tail>, StoreError>;
}

/// One follower's view of the log.
#[async_trait]
pub trait Tail: Send {
    /// Waits for the next message: of one stream each one once, in order; those of several streams in any order.
    /// Cancel safe.
    ///
    /// # Errors
    /// When the log is out of reach; the caller may call again.
    async fn next(&mut self) -> Result<Arc<Message>, StoreError>;
}
