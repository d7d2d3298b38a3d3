//! A log that goes backwards stops the signer.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use ca::KeyAlgorithm;
use signer::{OpenError, PositionError, SignerError};

use crate::{
    faults::{Fate, Faults, Port},
    workshop::{Workshop, until},
};

const FILE: &str = "log-position.json";

#[tokio::test]
async fn a_log_that_ends_before_what_it_acknowledged_is_refused_with_what_to_do() {
    let workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let dir = workshop.data_dir("signer").join("signer");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(FILE), r#"{"ledger":1000000}"#).unwrap();
    let ports = workshop.ports(&Arc::new(Faults::none()));
    match workshop.open("signer", &ports).await.err() {
        Some(OpenError::Position(PositionError::WentBack(error))) => {
            assert_eq!((error.stream.as_str(), error.remembered), ("ledger", 1_000_000));
            assert!(error.to_string().contains("certmill ca accept-log --reason"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_position_is_kept_when_the_signer_stops_and_a_whole_log_is_accepted() {
    let workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let order = workshop.finalized().await;
    let signer = workshop.start("signer").await;
    workshop.ended(&order).await;
    signer.stop().await;
    let path = workshop.data_dir("signer").join("signer").join(FILE);
    assert!(fs::read_to_string(path).unwrap().contains("\"ledger\""));
    workshop.start("signer").await.stop().await;
}

#[tokio::test]
async fn a_position_that_cannot_be_written_is_written_later() {
    let workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let order = workshop.finalized().await;
    let signer = workshop.start("signer").await;
    let dir = workshop.data_dir("signer").join("signer");
    // A file that is not replaced: a directory that is not empty stands in its place.
    fs::create_dir_all(dir.join(FILE).join("in the way")).unwrap();
    workshop.ended(&order).await;
    let written = dir.join(format!(".{FILE}.new"));
    until("it was tried in vain", async || written.exists().then_some(())).await;
    let again = workshop.finalized().await;
    workshop.ended(&again).await;
    fs::remove_dir_all(dir.join(FILE)).unwrap();
    until("the position is kept", async || fs::read(dir.join(FILE)).ok()).await;
    signer.stop().await;
}

#[tokio::test]
async fn a_log_that_goes_backwards_stops_a_running_signer() {
    let workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let lost = Arc::new(AtomicBool::new(false));
    let is_lost = Arc::clone(&lost);
    let faults = Faults::new(move |port, _| match port {
        Port::LastSequence if is_lost.load(Ordering::Relaxed) => Fate::Forgotten,
        _ => Fate::Done,
    });
    let order = workshop.finalized().await;
    let signer = workshop.start_with("signer", &Arc::new(faults)).await;
    workshop.ended(&order).await;
    let path = workshop.data_dir("signer").join("signer").join(FILE);
    until("the position is kept", async || fs::read(&path).ok()).await;
    lost.store(true, Ordering::Relaxed);
    let error = signer.ended().await.unwrap_err();
    assert!(matches!(error, SignerError::Position(PositionError::WentBack(_))), "{error:?}");
}
