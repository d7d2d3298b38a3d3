//! What becomes of finalized orders when nothing breaks.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ca::KeyAlgorithm;
use domain::{
    FailureKind, OrderId,
    order::{Event, Progress},
};
use eventstore::{Subject, Wakes as _};
use readmodel::Lookup;
use tokio::time::timeout;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use crate::{
    applicant::public_key,
    faults::{Fate, Faults, Port},
    workshop::{PATIENCE, Workshop, now, until},
};

#[tokio::test]
async fn a_finalized_order_becomes_valid_with_a_certificate_for_its_names_and_key() {
    for algorithm in KeyAlgorithm::ALL {
        let workshop = Workshop::new(algorithm);
        let public_key = public_key();
        let order = workshop.finalized_with(&public_key).await;
        let signer = workshop.start("signer").await;
        workshop.ended(&order).await;
        signer.stop().await;
        let (audit, outcome) = workshop.check_valid(&order, "signer").await;
        let (serial, der) = outcome.certificate.unwrap();
        let (_, parsed) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(parsed.public_key().raw, public_key);
        assert_eq!(parsed.raw_serial(), serial.octets());
        assert_eq!(audit.reserved_for(&order).len(), 1);
        assert_eq!(audit.revoked, BTreeSet::new());
    }
}

#[tokio::test]
async fn who_waits_is_woken_when_view_and_index_have_the_certificate() {
    let workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let mut wakes = workshop.log.subscribe();
    let order = workshop.finalized().await;
    let signer = workshop.start("signer").await;
    let wake = timeout(PATIENCE, wakes.recv()).await.unwrap().unwrap();
    let view = workshop.views.order(&order).await.unwrap().unwrap();
    assert_eq!((wake.subject, wake.sequence), (Subject::order(&order), view.sequence));
    let Progress::Valid { serial, ledger_sequence, .. } = &view.state.progress else {
        panic!("{:?}", view.state.progress)
    };
    match workshop.views.certificate(serial).await.unwrap() {
        Lookup::Found(entry) => assert_eq!(entry.ledger_sequence.0, *ledger_sequence),
        Lookup::Missing { .. } => panic!("the certificate can be found by its serial"),
    }
    signer.stop().await;
}

#[tokio::test]
async fn an_order_delivered_again_after_its_end_gets_no_second_certificate() {
    const LOST: u64 = 40;
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&acknowledged);
    // More than there are messages, so that each comes several times.
    let faults = Faults::new(move |port, _| match port {
        Port::Acknowledge if count.fetch_add(1, Ordering::Relaxed) < LOST => Fate::Lost,
        _ => Fate::Done,
    });
    let order = workshop.finalized().await;
    let signer = workshop.start_with("signer", &Arc::new(faults)).await;
    workshop.ended(&order).await;
    until("many deliveries", async || (acknowledged.load(Ordering::Relaxed) > LOST).then_some(()))
        .await;
    signer.stop().await;
    let (audit, _) = workshop.check_valid(&order, "signer").await;
    assert_eq!(audit.reserved_for(&order).len(), 1);
}

async fn check_issued_despite(faults: Faults, workshop: &Workshop, order: &OrderId) {
    let signer = workshop.start_with("signer", &Arc::new(faults)).await;
    workshop.ended(order).await;
    signer.stop().await;
    workshop.check_valid(order, "signer").await;
}

/// In a cluster one server delivers, and another, which is asked, may store the same message a moment later.
#[tokio::test]
async fn an_order_that_is_delivered_before_the_log_shows_it_is_not_forgotten() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let order = workshop.finalized_behind_its_view().await;
    let (id, reads) = (order.to_string(), AtomicU64::new(0));
    let faults = Faults::new(move |port, key| match port {
        Port::Read if key == id && reads.fetch_add(1, Ordering::Relaxed) == 0 => Fate::Forgotten,
        _ => Fate::Done,
    });
    check_issued_despite(faults, &workshop, &order).await;
}

/// A server that has just begun to lead may not have the order's first message yet.
#[tokio::test]
async fn an_order_that_is_delivered_before_the_log_shows_any_of_it_is_not_taken_for_gone() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let order = workshop.finalized().await;
    let (id, stream) = (order.to_string(), Subject::order(&order).stream().to_string());
    let asked = AtomicU64::new(0);
    let faults = Faults::new(move |port, key| match port {
        Port::View | Port::Read if key == id && asked.load(Ordering::Relaxed) == 0 => {
            Fate::Forgotten
        }
        Port::LastSequence if key == stream && asked.fetch_add(1, Ordering::Relaxed) == 0 => {
            Fate::Forgotten
        }
        _ => Fate::Done,
    });
    check_issued_despite(faults, &workshop, &order).await;
}

#[tokio::test]
async fn an_order_delivered_twice_at_once_is_issued_once() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let faults = Faults::new(|port, _| match port {
        Port::Next => Fate::ReplyLost,
        _ => Fate::Done,
    });
    let signer = workshop.start_with("signer", &Arc::new(faults)).await;
    for _ in 0..8 {
        let order = workshop.finalized().await;
        workshop.ended(&order).await;
        let audit = workshop.audit().await;
        assert_eq!(audit.reserved_for(&order).len(), 1);
        assert!(workshop.outcome(&audit, &order).await.certificate.is_some());
    }
    signer.stop().await;
}

#[tokio::test]
async fn many_orders_at_once_get_a_certificate_each() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let mut orders = Vec::new();
    for _ in 0..64 {
        orders.push(workshop.finalized().await);
    }
    let signer = workshop.start("signer").await;
    for order in &orders {
        workshop.ended(order).await;
    }
    signer.stop().await;
    let audit = workshop.audit().await;
    let mut serials = BTreeSet::new();
    for order in &orders {
        serials.insert(workshop.outcome(&audit, order).await.certificate.unwrap().0);
    }
    assert_eq!(serials.len(), orders.len());
    workshop.check_journal(&audit, "signer");
}

/// Names the one profile otherwise, so that those who know it by another name do not find it.
fn rename_profile(workshop: &mut Workshop, name: &str) {
    for profile in &mut workshop.config.profiles {
        profile.name = name.parse().unwrap();
    }
}

#[tokio::test]
async fn an_order_of_a_profile_that_is_gone_fails() {
    let mut workshop = Workshop::new(KeyAlgorithm::Ed25519);
    rename_profile(&mut workshop, "other");
    let order = workshop.finalized_at(now().minus(Duration::from_mins(11)), &public_key()).await;
    failed(&workshop, &order, FailureKind::ServerInternal).await;
}

#[tokio::test]
async fn an_order_of_a_profile_that_a_signer_does_not_know_yet_waits_for_one_that_does() {
    let mut workshop = Workshop::new(KeyAlgorithm::Ed25519);
    rename_profile(&mut workshop, "other");
    let order = workshop.finalized().await;
    let older = workshop.finalized_at(now().minus(Duration::from_mins(11)), &public_key()).await;
    let signer = workshop.start("signer").await;
    // By then the signer has seen both.
    workshop.ended(&older).await;
    signer.stop().await;
    rename_profile(&mut workshop, "default");
    let signer = workshop.start("signer").await;
    workshop.ended(&order).await;
    signer.stop().await;
    workshop.check_valid(&order, "signer").await;
}

#[tokio::test]
async fn an_order_of_a_profile_that_was_disabled_meanwhile_fails() {
    let mut workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let order = workshop.finalized().await;
    for profile in &mut workshop.config.profiles {
        profile.enabled = false;
    }
    failed(&workshop, &order, FailureKind::ServerInternal).await;
}

#[tokio::test]
async fn an_order_for_a_key_that_is_no_point_on_its_curve_fails() {
    let workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let mut public_key = public_key();
    *public_key.last_mut().unwrap() ^= 1;
    let order = workshop.finalized_with(&public_key).await;
    failed(&workshop, &order, FailureKind::Unauthorized).await;
}

#[tokio::test]
async fn an_order_of_an_issuer_that_has_ended_fails_and_says_so() {
    let mut workshop = Workshop::new(KeyAlgorithm::Ed25519);
    workshop.end_ca();
    let order = workshop.finalized().await;
    let detail = failed(&workshop, &order, FailureKind::ServerInternal).await;
    assert_eq!(detail, "the issuer's certificate is not valid at that time");
}

/// The signer gives the order up; what its holder is told.
async fn failed(workshop: &Workshop, order: &domain::OrderId, kind: FailureKind) -> String {
    let signer = workshop.start("signer").await;
    let Progress::Invalid { failure } = workshop.ended(order).await else {
        panic!("the order is not invalid");
    };
    assert_eq!(failure.kind, kind);
    signer.stop().await;
    let audit = workshop.audit().await;
    let outcome = workshop.outcome(&audit, order).await;
    assert!(matches!(outcome.events.last(), Some(Event::IssuanceFailed(_))));
    assert_eq!(audit.reserved_for(order).len(), 0, "nothing is reserved for what cannot be made");
    failure.detail
}
