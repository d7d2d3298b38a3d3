//! Two signers at once on one log, as while one is taken for dead or a rollout goes on.

use std::{sync::Arc, time::Duration};

use ca::KeyAlgorithm;

use crate::{faults::Faults, workshop::Workshop};

const ORDERS: usize = 24;

/// Both are handed every order; what they give back comes again after so long.
async fn check(algorithm: KeyAlgorithm, redelivery: Duration) {
    let workshop = Workshop::new(algorithm);
    let faults = |suffix| {
        let mut faults = Faults::none();
        (faults.consumer_suffix, faults.redelivery) = (suffix, redelivery);
        Arc::new(faults)
    };
    let first = workshop.start_with("first", &faults("-1")).await;
    let second = workshop.start_with("second", &faults("-2")).await;
    let mut orders = Vec::new();
    for _ in 0..ORDERS {
        orders.push(workshop.finalized().await);
    }
    for order in &orders {
        workshop.ended(order).await;
    }
    first.stop().await;
    second.stop().await;
    // What one of them left to the other is settled when it starts again.
    for name in ["first", "second"] {
        workshop.start(name).await.stop().await;
    }
    let audit = workshop.audit().await;
    for order in &orders {
        let outcome = workshop.outcome(&audit, order).await;
        assert!(outcome.certificate.is_some(), "an order that ended has its certificate");
    }
    workshop.check_journal(&audit, "first");
    workshop.check_journal(&audit, "second");
}

#[tokio::test]
async fn two_ed25519_signers_issue_one_certificate_per_order() {
    check(KeyAlgorithm::Ed25519, Duration::from_secs(2)).await;
}

#[tokio::test]
async fn two_ecdsa_signers_issue_one_certificate_per_order() {
    check(KeyAlgorithm::EcdsaP256, Duration::from_secs(2)).await;
}

#[tokio::test]
async fn two_ed25519_signers_that_are_impatient_issue_one_certificate_per_order() {
    check(KeyAlgorithm::Ed25519, Duration::from_millis(1)).await;
}

#[tokio::test]
async fn two_ecdsa_signers_that_are_impatient_issue_one_certificate_per_order() {
    check(KeyAlgorithm::EcdsaP256, Duration::from_millis(1)).await;
}
