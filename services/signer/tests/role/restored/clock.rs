//! Restores where a clock had run ahead.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use ca::KeyAlgorithm;

use super::{complete, ended, issued, mark, revocations};
use crate::{
    interrupted::{Journaled, claimed, write_journal_at},
    workshop::{Workshop, now},
};

#[tokio::test]
async fn a_certificate_issued_after_a_clock_that_ran_ahead_was_right_again_is_not_forgotten() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let ahead = now().plus(Duration::from_hours(31 * 24));
    let (_, reserved) = claimed(&workshop, "signer").await;
    write_journal_at(&workshop, "signer", (&reserved, Journaled::Issued), ahead).await;
    workshop.start("signer").await.stop().await;
    let mut copied = workshop.messages().await;
    for message in &mut copied {
        message.envelope.at = ahead;
    }

    let (_, serial) = issued(&workshop).await;
    workshop.restore_log(&copied).await;
    fs::remove_file(workshop.data_dir("signer").join("signer/log-position.json")).unwrap();
    mark(&workshop);
    let audit = complete(&workshop).await;
    assert!(audit.recorded(&serial).is_some(), "{serial} is forgotten");
}

#[tokio::test]
async fn what_the_ledger_has_from_after_a_clock_that_ran_ahead_is_not_taken_for_lost() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let (present, past) = (now(), now().minus(Duration::from_hours(10 * 24)));
    let mut times = Vec::new();
    for at in [present, past, past, past, present] {
        let (order, reserved) = claimed(&workshop, "signer").await;
        write_journal_at(&workshop, "signer", (&reserved, Journaled::Issued), at).await;
        let signer = workshop.start("signer").await;
        ended(&workshop, &order).await;
        signer.stop().await;
        times.resize(workshop.messages().await.len(), at);
    }
    let mut copied = workshop.messages().await;
    for (message, at) in copied.iter_mut().zip(times) {
        message.envelope.at = at;
    }
    workshop.replace_ca(KeyAlgorithm::EcdsaP256);
    workshop.restore_log(&copied).await;
    fs::remove_file(workshop.data_dir("signer").join("signer/log-position.json")).unwrap();
    mark(&workshop);
    let audit = complete(&workshop).await;
    assert_eq!(audit.burned, BTreeSet::new());
    assert_eq!(revocations(&workshop).await, BTreeMap::new());
}
