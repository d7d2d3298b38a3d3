//! The port by which workers consume the log.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{Message, StoreError, Stream};

/// Delivers the log to workers, at least once.
#[async_trait]
pub trait EventFeed: Send + Sync {
    /// Joins a durable consumer: all subscriptions of one name share the messages of the streams, each message is
    /// delivered until it is acknowledged, and a restart resumes where the acknowledgements ended. A consumer that
    /// never was starts at the streams' beginning.
    ///
    /// # Errors
    /// When the log is out of reach.
    async fn subscribe(
        &self,
        consumer: &str,
        streams: &[Stream],
    ) -> Result<Box<dyn Subscription>, StoreError>;
}

/// One worker's part in a durable consumer. Dropping it gives back what was not acknowledged.
#[async_trait]
pub trait Subscription: Send {
    /// Waits for the next message. Cancel safe.
    ///
    /// # Errors
    /// When the log is out of reach; the caller may call again.
    async fn next(&mut self) -> Result<Delivery, StoreError>;
}

/// A message that waits for its acknowledgement. Dropping it unacknowledged has it delivered again.
pub struct Delivery {
    /// The message.
    pub message: Arc<Message>,
    /// How often it was delivered, 1 the first time.
    pub attempt: u64,
    acknowledge: Box<dyn Acknowledge>,
}

/// How an adapter hears what became of a delivery.
#[async_trait]
pub trait Acknowledge: Send + Sync {
    /// The message is done with.
    async fn ack(&self) -> Result<(), StoreError>;

    /// The message is to be delivered again, not before the delay has passed.
    async fn nak(&self, delay: Duration) -> Result<(), StoreError>;

    /// Work goes on: the time until redelivery starts anew.
    async fn in_progress(&self) -> Result<(), StoreError>;
}

impl Delivery {
    /// Puts a delivery together; for adapters.
    pub fn new(
        message: impl Into<Arc<Message>>,
        attempt: u64,
        acknowledge: Box<dyn Acknowledge>,
    ) -> Self {
        Self { message: message.into(), attempt, acknowledge }
    }

    /// Says that the message is done with.
    ///
    /// # Errors
    /// When the log is out of reach; the message will come again.
    pub async fn ack(self) -> Result<(), StoreError> {
        self.acknowledge.ack().await
    }

    /// Asks for the message again after a delay.
    ///
    /// # Errors
    /// When the log is out of reach; the message will come again anyway.
    pub async fn nak(self, delay: Duration) -> Result<(), StoreError> {
        self.acknowledge.nak(delay).await
    }

    /// Says that work goes on.
    ///
    /// # Errors
    /// When the log is out of reach.
    pub async fn in_progress(&self) -> Result<(), StoreError> {
        self.acknowledge.in_progress().await
    }
}
