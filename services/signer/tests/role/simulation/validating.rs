//! A validator that sees what the seed says, over ports that fail.

use std::time::Duration;

use domain::{
    Evidence, Failure, FailureKind,
    order::{ChallengeFailed, ChallengeReady, Command, Event, Order},
};
use eventstore::{Delivery, EventFeed as _, ExecuteError, Stream};

use super::{seed::Seed, world::ORDER_SHARDS};
use crate::{
    applicant::{context, validated},
    faulty::Faulty,
    workshop::now,
};

const RETRY_DELAY: Duration = Duration::from_millis(1);
/// Of so many challenges one is not fulfilled.
const FAILING: u64 = 12;

/// Validates until it is aborted.
pub(crate) async fn run(seed: Seed, ports: Faulty) {
    let streams = Stream::orders(ORDER_SHARDS);
    let mut subscription = ports.subscribe("validator", &streams).await.unwrap();
    loop {
        let delivery = subscription.next().await.unwrap();
        // Whether the acknowledgement arrives or not, the delivery is settled or comes again.
        let _ = if handle(seed, &ports, &delivery).await {
            delivery.ack().await
        } else {
            delivery.nak(RETRY_DELAY).await
        };
    }
}

async fn handle(seed: Seed, ports: &Faulty, delivery: &Delivery) -> bool {
    let Some(order) = delivery.message.subject.order_id() else { return true };
    let events: Vec<Event> = delivery.message.envelope.decode().unwrap();
    for event in events {
        let Event::ChallengeReady(ready) = event else { continue };
        let purpose = format!("proof-{order}-{}", ready.authorization.0);
        let is_fulfilled = seed.draw(&purpose, FAILING) > 0;
        let command = outcome(ready, is_fulfilled);
        let aggregates = ports.aggregates();
        let Ok(known) = aggregates.load::<Order>(&order).await else { return false };
        match aggregates.execute::<Order>(&order, known, &command, &context()).await {
            Ok(_) | Err(ExecuteError::Rejected(_)) => {}
            Err(_) => return false,
        }
    }
    true
}

fn outcome(ready: ChallengeReady, is_fulfilled: bool) -> Command {
    let ChallengeReady { authorization, challenge, identifier, .. } = ready;
    if is_fulfilled {
        return validated(authorization, identifier);
    }
    let failure = Failure::new(FailureKind::Dns, "no such record");
    let evidence = Evidence::default();
    let failed =
        ChallengeFailed { authorization, challenge, identifier, at: now(), failure, evidence };
    Command::RecordFailure { failed, retries: None }
}
