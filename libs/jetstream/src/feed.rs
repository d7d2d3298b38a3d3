//! Deliveries from durable pull consumers, one per stream and consumer name, merged into one subscription.

mod consumer;
mod pull;
mod receipt;
mod session;

use async_trait::async_trait;
use eventstore::{Delivery, StoreError, Subscription};
use futures::future::try_join_all;
use tokio::sync::mpsc;

use crate::{names::Names, read::decode};

pub(crate) use self::consumer::Consumer;
use self::{pull::Pull, receipt::Received};

/// Joins the consumers and starts to pull from them.
pub(crate) async fn open(names: Names, consumers: Vec<Consumer>) -> Result<Feed, StoreError> {
    let joined = try_join_all(consumers.iter().map(Consumer::join)).await?;
    // What waits here has left the queue that gives messages back when they grow old.
    let (sender, received) = mpsc::channel(1);
    for (consumer, joined) in consumers.into_iter().zip(joined) {
        tokio::spawn(Pull::new(consumer, joined, sender.clone()).run());
    }
    Ok(Feed { names, received })
}

/// The merged deliveries. Each stream has a task of its own that ends, and gives back what it holds, when this is
/// dropped.
pub(crate) struct Feed {
    names: Names,
    received: mpsc::Receiver<Result<Received, StoreError>>,
}

#[async_trait]
impl Subscription for Feed {
    async fn next(&mut self) -> Result<Delivery, StoreError> {
        loop {
            let received = self.received.recv().await;
            let received = received.ok_or_else(|| StoreError::unavailable("the feed has ended"))?;
            // One that waited here too long is being delivered again.
            let Some(pending) = received?.still_pending() else { continue };
            let message =
                decode(&self.names, pending.subject(), pending.sequence, pending.payload())?;
            let attempt = pending.attempt;
            return Ok(Delivery::new(message, attempt, Box::new(pending.hand_out())));
        }
    }
}
