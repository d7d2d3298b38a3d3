//! A reservation that ledger and journal lost: nobody knows its bytes, and it is burned whatever fails.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ca::KeyAlgorithm;
use domain::{OrderId, Serial};
use eventstore::Stream;

use super::{ended, place_of, restore_before, revocations};
use crate::{
    faults::{Fate, Faults, Port},
    interrupted::{claimed, journal},
    workshop::Workshop,
};

/// An order whose reservation ledger and journal lost, and a signer that failed when it took that back from the order.
async fn not_taken_back(algorithm: KeyAlgorithm, fate: Fate) -> (Workshop, OrderId, Serial) {
    let mut workshop = Workshop::new(algorithm);
    let (order, reserved) = claimed(&workshop, "signer").await;
    let mut messages = workshop.messages().await;
    messages.retain(|message| message.subject.stream() != Stream::Ledger);
    workshop.restore_log(&messages).await;
    let _ = fs::remove_file(workshop.data_dir("signer").join("signer").join("log-position.json"));
    let (id, appends) = (order.to_string(), AtomicU64::new(0));
    let faults = Arc::new(Faults::new(move |port, key| match port {
        Port::Append if key == id && appends.fetch_add(1, Ordering::Relaxed) == 0 => fate,
        _ => Fate::Done,
    }));
    let signer = workshop.start_with("signer", &faults).await;
    tokio::select! {
        _ = workshop.ended(&order) => {}
        () = faults.crashed() => {}
    }
    signer.stop_or_crash(&faults).await;
    (workshop, order, reserved.serial)
}

#[tokio::test]
async fn a_reservation_of_unknown_bytes_is_burned_also_where_that_failed_before() {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Ed25519] {
        for fate in [Fate::Lost, Fate::Crash] {
            let (workshop, order, lost) = not_taken_back(algorithm, fate).await;
            let signer = workshop.start("signer").await;
            assert_ne!(ended(&workshop, &order).await, lost);
            signer.stop().await;
            assert!(revocations(&workshop).await.contains_key(&lost), "{algorithm} {fate:?}");
            assert_eq!(journal(&workshop, "signer").await.pending(), []);
        }
    }
}

#[tokio::test]
async fn a_burned_reservation_of_unknown_bytes_is_burned_again_in_a_restored_log() {
    let (mut workshop, order, lost) = not_taken_back(KeyAlgorithm::EcdsaP256, Fate::Done).await;
    let place = place_of(&workshop, Stream::Orders(order.shard()), "ReservationBurned").await;
    restore_before(&mut workshop, place).await;
    let signer = workshop.start("signer").await;
    assert_ne!(ended(&workshop, &order).await, lost);
    signer.stop().await;
    assert!(revocations(&workshop).await.contains_key(&lost));
}
