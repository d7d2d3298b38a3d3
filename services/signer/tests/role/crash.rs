//! A fault or a crash at every step of an issuance, one by one.

use std::sync::{Arc, atomic::Ordering};

use ca::KeyAlgorithm;

use crate::{
    faults::{Fate, Faults},
    workshop::Workshop,
};

/// An issuance takes fewer steps than this.
const MOST_STEPS: u64 = 60;

/// Leads one order after the other to its certificate, each with a fault one step later than the one before.
async fn check(algorithm: KeyAlgorithm, fate: Fate) {
    let workshop = Workshop::new(algorithm);
    for step in 1..MOST_STEPS {
        let (faults, steps) = Faults::at(step, fate);
        let faults = Arc::new(faults);
        let order = workshop.finalized().await;
        let signer = workshop.start_with("signer", &faults).await;
        tokio::select! {
            _ = workshop.ended(&order) => {}
            () = faults.crashed() => {}
        }
        signer.stop_or_crash(&faults).await;
        let signer = workshop.start("signer").await;
        workshop.ended(&order).await;
        signer.stop().await;
        let (audit, outcome) = workshop.check_valid(&order, "signer").await;
        if algorithm.is_deterministic() {
            assert!(audit.revoked.is_empty(), "a signature that can be made again is: step {step}");
        }
        assert!(outcome.burned.len() < 2, "one fault burns one serial at most");
        if steps.load(Ordering::Relaxed) < step {
            assert!(step > 10, "the steps are counted");
            return;
        }
    }
    panic!("the steps come to an end");
}

#[tokio::test]
async fn a_step_that_fails_is_made_again() {
    check(KeyAlgorithm::EcdsaP256, Fate::Lost).await;
    check(KeyAlgorithm::Ed25519, Fate::Lost).await;
}

#[tokio::test]
async fn a_step_whose_outcome_is_lost_is_made_once() {
    check(KeyAlgorithm::EcdsaP256, Fate::ReplyLost).await;
    check(KeyAlgorithm::Ed25519, Fate::ReplyLost).await;
}

#[tokio::test]
async fn an_ecdsa_signer_that_dies_before_any_step_goes_on_after_its_restart() {
    check(KeyAlgorithm::EcdsaP256, Fate::Crash).await;
}

#[tokio::test]
async fn an_ecdsa_signer_that_dies_after_any_step_goes_on_after_its_restart() {
    check(KeyAlgorithm::EcdsaP256, Fate::CrashAfter).await;
}

#[tokio::test]
async fn an_ed25519_signer_that_dies_before_any_step_goes_on_after_its_restart() {
    check(KeyAlgorithm::Ed25519, Fate::Crash).await;
}

#[tokio::test]
async fn an_ed25519_signer_that_dies_after_any_step_goes_on_after_its_restart() {
    check(KeyAlgorithm::Ed25519, Fate::CrashAfter).await;
}

#[tokio::test]
async fn an_rsa_signer_that_dies_after_any_step_goes_on_after_its_restart() {
    check(KeyAlgorithm::Rsa, Fate::CrashAfter).await;
}
