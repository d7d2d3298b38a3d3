//! Accounts and orders: each message leads to a view at least as new.

use std::time::Duration;

use domain::{account::Account, order::Order};
use eventstore::{Delivery, Message, StoreError, Stream, Subscription};
use readmodel::LoadError;
use runtime::{Check, metrics::names};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::Ports;

/// The name of the projectors' durable consumer.
const CONSUMER: &str = "projector";
/// How long the projector waits after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(1);

pub(crate) async fn project(
    ports: &Ports,
    order_shards: u8,
    health: Check,
    stop: CancellationToken,
) {
    let mut streams = Stream::orders(order_shards);
    streams.push(Stream::Accounts);
    while !stop.is_cancelled() {
        let consumed = async {
            let subscription = ports.feed.subscribe(CONSUMER, &streams).await?;
            health.ready();
            consume(ports, subscription).await
        };
        let failed = tokio::select! {
            failed = consumed => failed,
            () = stop.cancelled() => return,
        };
        if let Err(error) = failed {
            warn!(error = &error as &dyn std::error::Error, "the event log does not deliver");
            health.not_ready("the event log does not deliver");
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_DELAY) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn consume(ports: &Ports, mut subscription: Box<dyn Subscription>) -> Result<(), StoreError> {
    loop {
        let delivery: Delivery = subscription.next().await?;
        metrics::counter!(names::FEED_MESSAGES, "role" => "projector").increment(1);
        match refresh(ports, &delivery.message).await {
            Ok(()) => delivery.ack().await?,
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    subject = %delivery.message.subject, "view not refreshed"
                );
                delivery.nak(RETRY_DELAY).await?;
            }
        }
    }
}

/// Makes sure that the view of a message's aggregate is at least as new as the message.
pub(crate) async fn refresh(ports: &Ports, message: &Message) -> Result<(), LoadError> {
    let aggregates = &ports.aggregates;
    if let Some(order) = message.subject.order_id() {
        aggregates.load_at_least::<Order>(&order, message.sequence).await?;
    } else if let Some(account) = message.subject.account_id() {
        aggregates.load_at_least::<Account>(&account, message.sequence).await?;
    }
    Ok(())
}
