//! No certificate on a look at CAA that is too long ago: the signer asks for another one, and goes on when it is there.

use std::{sync::Arc, time::Duration};

use ca::KeyAlgorithm;
use domain::{
    Failure, FailureKind, OrderId, Timestamp,
    order::{
        CAA_VALID_FOR, CaaCheckFailed, CaaCheckNeeded, CaaChecked, Command, Event, Order, Progress,
    },
};
use eventstore::{EventStore as _, Sequence, Subject};
use readmodel::Aggregates;

use crate::{
    applicant::{NAMES, caa_evidence, context},
    workshop::{Workshop, now, until},
};

const MINUTE: Duration = Duration::from_secs(60);

/// A workshop whose profile enforces CAA.
fn workshop(algorithm: KeyAlgorithm) -> Workshop {
    let mut workshop = Workshop::new(algorithm);
    enforce_caa(&mut workshop);
    workshop
}

fn enforce_caa(workshop: &mut Workshop) {
    workshop.config.validation.caa_identities = vec!["ca.example".to_owned()];
}

fn too_long_ago() -> Timestamp {
    now().minus(CAA_VALID_FOR).minus(MINUTE)
}

async fn events(workshop: &Workshop, order: &OrderId) -> Vec<Event> {
    let messages = workshop.log.read(&Subject::order(order), Sequence::NONE).await.unwrap();
    messages.iter().flat_map(|message| message.envelope.decode::<Event>().unwrap()).collect()
}

async fn needed(workshop: &Workshop, order: &OrderId) -> Vec<CaaCheckNeeded> {
    let events = events(workshop, order).await.into_iter();
    events
        .filter_map(|event| match event {
            Event::CaaCheckNeeded(needed) => Some(needed),
            _ => None,
        })
        .collect()
}

/// Waits until the signer has asked for a look at every name.
async fn asked(workshop: &Workshop, order: &OrderId) -> Vec<CaaCheckNeeded> {
    until("looks are asked for", async || {
        Some(needed(workshop, order).await).filter(|needed| needed.len() == NAMES.len())
    })
    .await
}

async fn record(workshop: &Workshop, order: &OrderId, command: Command) {
    let (store, views) = (Arc::new(workshop.log.clone()), Arc::clone(&workshop.views));
    let aggregates = Aggregates { store, views };
    aggregates.execute::<Order>(order, None, &command, &context()).await.unwrap();
}

fn seen(needed: &CaaCheckNeeded) -> Command {
    Command::RecordCaa(CaaChecked {
        authorization: needed.authorization,
        identifier: needed.identifier.clone(),
        at: now(),
        evidence: caa_evidence(),
    })
}

#[tokio::test]
async fn a_recent_look_at_caa_is_relied_on() {
    let workshop = workshop(KeyAlgorithm::EcdsaP256);
    let looked_at = now().minus(CAA_VALID_FOR).plus(10 * MINUTE);
    let order = workshop.finalized_with_caa(looked_at).await;
    let signer = workshop.start("signer").await;
    workshop.ended(&order).await;
    signer.stop().await;
    workshop.check_valid(&order, "signer").await;
    assert_eq!(needed(&workshop, &order).await, []);
}

#[tokio::test]
async fn a_look_that_is_too_long_ago_is_taken_again_for_every_name_before_anything_is_reserved() {
    let workshop = workshop(KeyAlgorithm::EcdsaP256);
    let order = workshop.finalized_with_caa(too_long_ago()).await;
    let signer = workshop.start("signer").await;
    let needed = asked(&workshop, &order).await;
    assert!(!needed[0].wildcard && needed[1].wildcard);
    record(&workshop, &order, seen(&needed[0])).await;
    assert_eq!(workshop.audit().await.reserved_for(&order).len(), 0);
    record(&workshop, &order, seen(&needed[1])).await;
    workshop.ended(&order).await;
    signer.stop().await;
    workshop.check_valid(&order, "signer").await;
}

#[tokio::test]
async fn names_that_were_proven_without_a_look_at_caa_are_looked_at() {
    let workshop = workshop(KeyAlgorithm::EcdsaP256);
    let order = workshop.finalized().await;
    let signer = workshop.start("signer").await;
    for needed in asked(&workshop, &order).await {
        record(&workshop, &order, seen(&needed)).await;
    }
    workshop.ended(&order).await;
    signer.stop().await;
    workshop.check_valid(&order, "signer").await;
}

#[tokio::test]
async fn an_order_that_caa_forbids_meanwhile_ends_without_a_serial() {
    let workshop = workshop(KeyAlgorithm::EcdsaP256);
    let order = workshop.finalized_with_caa(too_long_ago()).await;
    let signer = workshop.start("signer").await;
    let needed = asked(&workshop, &order).await.remove(0);
    let forbidden = Command::RecordCaaFailure(CaaCheckFailed {
        authorization: needed.authorization,
        identifier: needed.identifier.clone(),
        at: now(),
        failure: Failure::new(FailureKind::Caa, "the CAA records forbid issuance"),
        evidence: caa_evidence(),
    });
    record(&workshop, &order, forbidden).await;
    match workshop.ended(&order).await {
        Progress::Invalid { failure } => assert_eq!(failure.kind, FailureKind::Caa),
        other => panic!("{other:?}"),
    }
    signer.stop().await;
    assert_eq!(workshop.audit().await.reserved_for(&order).len(), 0);
}

#[tokio::test]
async fn a_serial_whose_look_at_caa_grew_old_before_it_was_signed_is_burned() {
    let mut workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let order = workshop.finalized().await;
    workshop.kill_after_append("signer", &order).await;
    // From now on there is no look that could be relied on.
    enforce_caa(&mut workshop);
    let signer = workshop.start("signer").await;
    for needed in asked(&workshop, &order).await {
        record(&workshop, &order, seen(&needed)).await;
    }
    workshop.ended(&order).await;
    signer.stop().await;
    let (audit, outcome) = workshop.check_valid(&order, "signer").await;
    assert_eq!(audit.reserved_for(&order).len(), 2);
    assert_eq!(outcome.burned.len(), 1);
}
