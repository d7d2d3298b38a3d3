//! Deliveries from pull consumers, one per stream, merged: durable ones to workers, others to followers.

mod consumer;
mod pull;
mod receipt;
mod session;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use eventstore::{Delivery, Message, StoreError, Subscription, Tail};
use futures::future::try_join_all;
use tokio::sync::mpsc;

use crate::{names::Names, stored::decode};

pub(crate) use self::consumer::{Consumer, Kind};
use self::{pull::Pull, receipt::Received};

/// Joins the consumers and starts to pull from them.
pub(crate) async fn open(names: Names, consumers: Vec<Consumer>) -> Result<Feed, StoreError> {
    let joined = try_join_all(consumers.iter().map(Consumer::join)).await?;
    // What waits here has left the queue that gives messages back when they grow old.
    let (sender, received) = mpsc::channel(1);
    let mut interrupted = Vec::new();
    for (consumer, joined) in consumers.into_iter().zip(joined) {
        let pull = Pull::new(consumer, joined, sender.clone());
        interrupted.push(pull.interrupted());
        tokio::spawn(pull.run());
    }
    Ok(Feed { names, received, interrupted })
}

/// The merged deliveries. Each stream has a task of its own that ends, and gives back what it holds, when this is
/// dropped.
pub(crate) struct Feed {
    names: Names,
    received: mpsc::Receiver<Result<Received, StoreError>>,
    /// For each stream, whether its worker was told of an outage that still goes on.
    interrupted: Vec<Arc<AtomicBool>>,
}

impl Feed {
    async fn receive(&mut self) -> Result<(Message, Received), StoreError> {
        loop {
            let received = self.received.recv().await;
            let received = received.ok_or_else(|| StoreError::unavailable("the feed has ended"))?;
            // One that waited here too long is being delivered again.
            let Some(pending) = received?.still_pending() else { continue };
            match decode(&self.names, pending.stored()) {
                Ok(Some(message)) => return Ok((message, pending)),
                Ok(None) => pending.pass_over().await,
                // A worker goes on with the others; a follower, who counts on having seen all, cannot.
                Err(error) if pending.needs_ack() => pending.postpone(&error).await,
                Err(error) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl Subscription for Feed {
    async fn next(&mut self) -> Result<Delivery, StoreError> {
        let (message, pending) = self.receive().await?;
        let attempt = pending.attempt;
        Ok(Delivery::new(message, attempt, Box::new(pending.hand_out())))
    }

    fn delivers(&self) -> bool {
        !self.interrupted.iter().any(|stream| stream.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl Tail for Feed {
    async fn next(&mut self) -> Result<Arc<Message>, StoreError> {
        self.receive().await.map(|(message, _)| Arc::new(message))
    }
}
