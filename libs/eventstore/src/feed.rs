//! The port by which workers consume the log.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::{Instant, interval_at, sleep_until};
use tracing::warn;

use crate::{Message, StoreError, Stream};

/// How often a delivery that is held is said to be in progress: well within the time after which adapters deliver it again.
pub const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Delivers the log to workers, at least once.
#[async_trait]
pub trait EventFeed: Send + Sync {
    /// Joins a durable consumer: all subscriptions of one name share the messages of the streams, each message is
    /// delivered until it is acknowledged, and a restart resumes where the acknowledgements ended. A new consumer starts at
    /// the streams' beginning.
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

    /// The same, not before a time. Cancel safe.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    async fn next_after(&mut self, time: Instant) -> Result<Delivery, StoreError> {
        sleep_until(time).await;
        self.next().await
    }

    /// Whether every stream delivers, as far as is known: once [`next`](Self::next) failed, a stream may be silent for long.
    fn delivers(&self) -> bool;
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

    /// Does the work, and says every few seconds that it goes on, so that nobody else is given the message meanwhile.
    pub async fn while_in_progress<T>(&self, work: impl Future<Output = T>) -> T {
        let mut ticks = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = ticks.tick() => {
                    if let Err(error) = self.in_progress().await {
                        let error = &error as &dyn std::error::Error;
                        warn!(error, "a running delivery may come again");
                    }
                }
            }
        }
    }

    /// Says that work goes on.
    ///
    /// # Errors
    /// When the log is out of reach.
    pub async fn in_progress(&self) -> Result<(), StoreError> {
        self.acknowledge.in_progress().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use domain::{AccountId, Timestamp};

    use super::*;
    use crate::{Actor, Envelope, MessageId, Sequence, Subject};

    struct Counted(Arc<AtomicU32>);

    #[async_trait]
    impl Acknowledge for Counted {
        async fn ack(&self) -> Result<(), StoreError> {
            Ok(())
        }

        async fn nak(&self, _: Duration) -> Result<(), StoreError> {
            Ok(())
        }

        async fn in_progress(&self) -> Result<(), StoreError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_takes_long_says_that_it_goes_on() {
        let envelope = Envelope {
            id: MessageId::random(),
            at: Timestamp::from_unix_seconds(0),
            actor: Actor::Signer,
            request_id: None,
            traceparent: None,
            events: vec![],
        };
        let subject = Subject::account(&AccountId::from_hash(&[0; 32]));
        let said = Arc::new(AtomicU32::new(0));
        let message = Message { subject, sequence: Sequence(1), envelope };
        let delivery = Delivery::new(message, 1, Box::new(Counted(Arc::clone(&said))));
        let work = tokio::time::sleep(4 * KEEP_ALIVE + KEEP_ALIVE / 2);
        delivery.while_in_progress(work).await;
        assert_eq!(said.load(Ordering::Relaxed), 4);
    }
}
