//! Deliveries and wakes.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{Harness, Ports, context, fresh_account, update};
use crate::{
    Delivery, Envelope, EventStore, Expected, MessageId, Sequence, Stream, Subject, Subscription,
    Wake,
};

/// Longer than any adapter's time until redelivery in its tests.
const PATIENCE: Duration = Duration::from_secs(60);

async fn append(store: &dyn EventStore, subject: &Subject, count: usize) -> Vec<Sequence> {
    let mut sequences = Vec::new();
    for i in 0..count {
        let event = [update(&i.to_string())];
        let envelope =
            Envelope::new(MessageId::random(), &context(), &event).expect("it serializes");
        sequences.push(
            store.append(subject, Expected::Anything, &envelope).await.expect("it is stored"),
        );
    }
    sequences
}

/// The next delivery of this test's subject; others are acknowledged.
async fn next(subscription: &mut dyn Subscription, subject: &Subject) -> Delivery {
    let found = async {
        loop {
            let delivery = subscription.next().await.expect("the log answers");
            if delivery.message.subject == *subject {
                return delivery;
            }
            delivery.ack().await.expect("the log answers");
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("it is delivered in time")
}

fn fresh_consumer() -> String {
    format!("test-{}", MessageId::random().as_str())
}

/// A consumer goes on after its last acknowledged message when the adapter is opened anew, and misses nothing.
pub async fn feeds_resume_after_a_restart(harness: &dyn Harness) {
    let (_, subject) = fresh_account();
    let consumer = fresh_consumer();
    let ports = harness.open().await;
    let sequences = append(ports.store.as_ref(), &subject, 10).await;
    let mut subscription =
        ports.feed.subscribe(&consumer, &[Stream::Accounts]).await.expect("it subscribes");
    for sequence in &sequences[..6] {
        let delivery = next(subscription.as_mut(), &subject).await;
        assert_eq!(delivery.message.sequence, *sequence, "deliveries keep the order of the log");
        delivery.ack().await.expect("the log answers");
    }
    drop((subscription, ports));
    let ports = harness.open().await;
    let later = append(ports.store.as_ref(), &subject, 3).await;
    let mut subscription =
        ports.feed.subscribe(&consumer, &[Stream::Accounts]).await.expect("it subscribes");
    let mut missing: BTreeSet<Sequence> = sequences[6..].iter().chain(&later).copied().collect();
    while !missing.is_empty() {
        let delivery = next(subscription.as_mut(), &subject).await;
        missing.remove(&delivery.message.sequence);
        delivery.ack().await.expect("the log answers");
    }
}

/// What a worker did not acknowledge before it died is delivered to another one; a nak brings it back as well.
pub async fn unacknowledged_deliveries_come_again(ports: &Ports) {
    let (_, subject) = fresh_account();
    let consumer = fresh_consumer();
    let sequences = append(ports.store.as_ref(), &subject, 1).await;
    let mut dying =
        ports.feed.subscribe(&consumer, &[Stream::Accounts]).await.expect("it subscribes");
    let delivery = next(dying.as_mut(), &subject).await;
    assert_eq!(delivery.attempt, 1);
    drop((delivery, dying));
    let mut worker =
        ports.feed.subscribe(&consumer, &[Stream::Accounts]).await.expect("it subscribes");
    let delivery = next(worker.as_mut(), &subject).await;
    assert_eq!(delivery.message.sequence, sequences[0]);
    assert!(delivery.attempt > 1, "attempt {}", delivery.attempt);
    // However often, and never before its time.
    let (began, pause) = (Instant::now(), Duration::from_secs(1));
    delivery.nak(pause).await.expect("the log answers");
    for _ in 0..10 {
        let delivery = next(worker.as_mut(), &subject).await;
        assert_eq!(delivery.message.sequence, sequences[0]);
        assert!(began.elapsed() > pause * 9 / 10, "after {:?}", began.elapsed());
        delivery.nak(Duration::from_millis(1)).await.expect("the log answers");
    }
    let delivery = next(worker.as_mut(), &subject).await;
    delivery.ack().await.expect("the log answers");
}

/// Two workers of one consumer get each message once between them while both are alive.
pub async fn workers_share_a_consumer(ports: &Ports) {
    let (_, subject) = fresh_account();
    let consumer = fresh_consumer();
    let streams = [Stream::Accounts, Stream::Orders(0)];
    let mut one = ports.feed.subscribe(&consumer, &streams).await.expect("it subscribes");
    let mut two = ports.feed.subscribe(&consumer, &streams).await.expect("it subscribes");
    let mut missing: BTreeSet<Sequence> =
        append(ports.store.as_ref(), &subject, 40).await.into_iter().collect();
    let work = async {
        while !missing.is_empty() {
            let delivery = tokio::select! {
                delivery = next(one.as_mut(), &subject) => delivery,
                delivery = next(two.as_mut(), &subject) => delivery,
            };
            assert!(missing.remove(&delivery.message.sequence), "delivered once");
            delivery.ack().await.expect("the log answers");
        }
    };
    tokio::time::timeout(PATIENCE, work).await.expect("all are delivered in time");
}

/// A wake reaches every node that listened before it was published.
pub async fn wakes_reach_every_listener(harness: &dyn Harness, ports: &Ports) {
    let other = harness.open().await;
    let (_, subject) = fresh_account();
    let mut listeners = [ports.wakes.subscribe(), other.wakes.subscribe()];
    let wake = Wake { subject, sequence: Sequence(7) };
    ports.wakes.publish(wake.clone()).await;
    for listener in &mut listeners {
        let heard = async { while listener.recv().await.expect("wakes go on") != wake {} };
        tokio::time::timeout(PATIENCE, heard).await.expect("the wake is heard in time");
    }
}
