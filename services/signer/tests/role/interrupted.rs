//! What a restart makes of an issuance that was cut off between its steps in the journal, which no port shows.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ca::{
    KeyAlgorithm,
    journal::{Burning, Entry, Issuance, Journal, Reservation, Synced},
};
use domain::{
    OrderId, Serial, Timestamp,
    certificate::{
        CertRevoked, LedgerEvent, Revocation, RevocationReason, SerialBurned, SerialReserved,
    },
    order::{Command, Order, Progress, ReservationBurned},
};
use eventstore::{Envelope, EventStore as _, Expected, Loaded, MessageId, Subject, execute, load};
use readmodel::View;

use crate::{
    applicant::{context, new_order_id},
    faults::{Fate, Faults, Port},
    workshop::{Running, Workshop, now, until},
};

/// What the journal still learned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Journaled {
    Nothing,
    Reserved,
    Issued,
}

/// What the restarted signer does with the serial.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resumed {
    /// The order gets the certificate with it.
    Kept,
    /// It is burned, and the order gets another.
    Burned,
}

/// An order whose serial is claimed by a signer that died at once; its reservation.
pub(crate) async fn claimed(workshop: &Workshop, signer: &str) -> (OrderId, SerialReserved) {
    let order = workshop.finalized().await;
    workshop.kill_after_append(signer, &order).await;
    let reserved = workshop.audit().await.reserved_for(&order)[0].clone();
    (order, reserved)
}

/// Opens the journal of a signer that does not run.
pub(crate) async fn journal(workshop: &Workshop, signer: &str) -> Journal {
    let dir = workshop.data_dir(signer).join("signer").join("journal");
    crate::workshop::until("the journal is free", async || Journal::open(&dir).ok()).await
}

fn reservation(reserved: &SerialReserved, at: Timestamp) -> Reservation {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
    Reservation {
        serial: reserved.serial.clone(),
        order: reserved.order.clone(),
        issuer: reserved.issuer.clone(),
        tbs: BASE64_URL_SAFE_NO_PAD.decode(&reserved.tbs).unwrap(),
        at,
    }
}

pub(crate) async fn write_journal(
    workshop: &Workshop,
    signer: &str,
    reserved: &SerialReserved,
    journaled: Journaled,
) {
    write_journal_at(workshop, signer, (reserved, journaled), now()).await;
}

/// Writes a journal as a signer does whose clock says so.
pub(crate) async fn write_journal_at(
    workshop: &Workshop,
    signer: &str,
    (reserved, journaled): (&SerialReserved, Journaled),
    at: Timestamp,
) {
    let journal = journal(workshop, signer).await;
    let reservation = reservation(reserved, at);
    let der = workshop.authority().issue(&reservation.tbs).unwrap();
    let issuance = Issuance { serial: reserved.serial.clone(), der, at };
    let entries = match journaled {
        Journaled::Nothing => vec![],
        Journaled::Reserved => vec![Entry::Reserved(reservation)],
        Journaled::Issued => vec![Entry::Reserved(reservation), Entry::Issued(issuance)],
    };
    entries.into_iter().for_each(|entry| append(&journal, entry));
}

fn append(journal: &Journal, entry: Entry) {
    let (answer, answered) = std::sync::mpsc::channel();
    journal.append(entry, Synced::Now, move |result| drop(answer.send(result)));
    answered.recv().unwrap().unwrap();
}

async fn check(algorithm: KeyAlgorithm, journaled: Journaled, expected: Resumed) {
    let workshop = Workshop::new(algorithm);
    let (order, reserved) = claimed(&workshop, "signer").await;
    write_journal(&workshop, "signer", &reserved, journaled).await;
    let signer = workshop.start("signer").await;
    workshop.ended(&order).await;
    signer.stop().await;
    let (audit, outcome) = workshop.check_valid(&order, "signer").await;
    let (serial, _) = outcome.certificate.unwrap();
    let burned = match expected {
        Resumed::Kept => BTreeSet::new(),
        Resumed::Burned => BTreeSet::from([reserved.serial.clone()]),
    };
    assert_eq!(serial == reserved.serial, expected == Resumed::Kept, "{algorithm} {journaled:?}");
    assert_eq!(audit.burned, burned);
    assert_eq!(audit.revoked, burned);
}

#[tokio::test]
async fn a_reservation_is_signed_after_a_restart_by_a_key_that_signs_alike_each_time() {
    for algorithm in [KeyAlgorithm::Ed25519, KeyAlgorithm::Rsa] {
        check(algorithm, Journaled::Nothing, Resumed::Kept).await;
        check(algorithm, Journaled::Reserved, Resumed::Kept).await;
    }
}

#[tokio::test]
async fn a_serial_that_may_have_been_signed_by_an_ecdsa_key_is_burned_and_revoked() {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384] {
        check(algorithm, Journaled::Nothing, Resumed::Burned).await;
        check(algorithm, Journaled::Reserved, Resumed::Burned).await;
    }
}

#[tokio::test]
async fn a_certificate_that_is_in_the_journal_is_handed_over_after_a_restart() {
    check(KeyAlgorithm::EcdsaP256, Journaled::Issued, Resumed::Kept).await;
    check(KeyAlgorithm::Ed25519, Journaled::Issued, Resumed::Kept).await;
}

#[tokio::test]
async fn a_pending_serial_whose_order_is_gone_is_burned_and_revoked() {
    let workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let (order, mut reserved) = claimed(&workshop, "signer").await;
    let gone = Serial::from_random(&[9; 16]);
    (reserved.serial, reserved.order) = (gone.clone(), Some(new_order_id()));
    let pending = Entry::Reserved(reservation(&reserved, now()));
    append(&journal(&workshop, "signer").await, pending);
    let signer = workshop.start("signer").await;
    workshop.ended(&order).await;
    signer.stop().await;
    let revocation = Subject::revocation(workshop.authority().id(), &gone);
    let revoked = load::<Revocation>(&workshop.log, &revocation, Loaded::default()).await;
    assert!(revoked.unwrap().state.is_some());
    assert_eq!(journal(&workshop, "signer").await.pending(), []);
}

#[tokio::test]
async fn a_serial_of_a_replaced_ca_key_is_revoked_in_that_cas_name() {
    let mut workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let (order, reserved) = claimed(&workshop, "signer").await;
    workshop.replace_ca(KeyAlgorithm::Ed25519);
    let signer = workshop.start("signer").await;
    workshop.ended(&order).await;
    signer.stop().await;
    let revocation = Subject::revocation(&reserved.issuer, &reserved.serial);
    let revoked = load::<Revocation>(&workshop.log, &revocation, Loaded::default()).await;
    assert!(revoked.unwrap().state.is_some());
    match workshop.order(&order).await.progress {
        Progress::Valid { issuer, .. } => assert_eq!(issuer, *workshop.authority().id()),
        other => panic!("{other:?}"),
    }
}

/// A signer dies with a serial in its journal, another leads the order to its end, and the first one comes back.
async fn check_taken_over(algorithm: KeyAlgorithm, expected: Resumed) {
    let workshop = Workshop::new(algorithm);
    let (order, reserved) = claimed(&workshop, "first").await;
    write_journal(&workshop, "first", &reserved, Journaled::Reserved).await;
    let second = workshop.start("second").await;
    workshop.ended(&order).await;
    second.stop().await;
    let first = workshop.start("first").await;
    first.stop().await;
    let (audit, outcome) = workshop.check_valid(&order, "first").await;
    let is_kept = outcome.certificate.unwrap().0 == reserved.serial;
    assert_eq!(is_kept, expected == Resumed::Kept);
    let revoked = if is_kept { BTreeSet::new() } else { BTreeSet::from([reserved.serial]) };
    assert_eq!(audit.revoked, revoked);
    workshop.check_journal(&audit, "second");
}

#[tokio::test]
async fn a_serial_that_another_signer_used_for_the_order_is_not_revoked() {
    check_taken_over(KeyAlgorithm::Ed25519, Resumed::Kept).await;
}

#[tokio::test]
async fn a_serial_that_another_signer_burned_stays_burned_and_the_new_one_stays_good() {
    check_taken_over(KeyAlgorithm::EcdsaP256, Resumed::Burned).await;
}

#[tokio::test]
async fn a_serial_that_another_signer_claimed_is_left_to_it() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let (order, reserved) = claimed(&workshop, "first").await;
    write_journal(&workshop, "first", &reserved, Journaled::Reserved).await;
    workshop.refresh(&order).await;
    // The second signer burns that serial, claims another, and pauses.
    let (id, appends) = (order.to_string(), AtomicU64::new(0));
    let faults = Arc::new(Faults::new(move |port, key| match port {
        Port::Append if key == id && appends.fetch_add(1, Ordering::Relaxed) == 1 => {
            Fate::CrashAfter
        }
        _ => Fate::Done,
    }));
    let running = workshop.start_with("second", &faults).await;
    faults.crashed().await;
    let claimed = workshop.order(&order).await;
    let ports = workshop.ports(&Arc::new(Faults::none()));
    drop(workshop.open("first", &ports).await.unwrap());
    assert_eq!(workshop.order(&order).await, claimed);
    match claimed.progress {
        Progress::Processing(finalized) => {
            assert_ne!(finalized.reservation.unwrap().serial, reserved.serial);
        }
        other => panic!("{other:?}"),
    }
    running.kill().await;
}

#[tokio::test]
async fn an_order_that_lost_its_serial_while_it_was_signed_gets_another() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let (order, reserved) = claimed(&workshop, "signer").await;
    write_journal(&workshop, "signer", &reserved, Journaled::Issued).await;
    // The view still shows the serial that another signer burned before it died.
    workshop.refresh(&order).await;
    burn(&workshop, &order, &reserved).await;
    let signer = workshop.start("signer").await;
    workshop.ended(&order).await;
    signer.stop().await;
    let (audit, outcome) = workshop.check_valid(&order, "signer").await;
    assert_ne!(outcome.certificate.unwrap().0, reserved.serial);
    assert_eq!(audit.revoked, BTreeSet::from([reserved.serial]));
}

/// Does in the log what a signer does that gives a serial up.
pub(crate) async fn burn(workshop: &Workshop, order: &OrderId, reserved: &SerialReserved) {
    let SerialReserved { issuer, serial, not_after, .. } = reserved.clone();
    let command =
        Command::Burn(ReservationBurned { issuer: issuer.clone(), serial: serial.clone() });
    let (log, none) = (&workshop.log, Loaded::default());
    execute::<Order>(log, &Subject::order(order), none, &command, &context()).await.unwrap();
    let subject = Subject::ledger(&issuer, &serial);
    let burned = SerialBurned { issuer: issuer.clone(), serial: serial.clone(), not_after };
    let burned = [LedgerEvent::SerialBurned(burned)];
    let envelope = Envelope::new(MessageId::random(), &context(), &burned).unwrap();
    log.append(&subject, Expected::Anything, &envelope).await.unwrap();
    let (subject, reason) = (Subject::revocation(&issuer, &serial), RevocationReason::Superseded);
    let revoked = CertRevoked { issuer, serial, reason, at: now(), not_after };
    let none = Loaded::default();
    execute::<Revocation>(log, &subject, none, &revoked, &context()).await.unwrap();
}

#[tokio::test]
async fn a_burn_that_was_cut_off_after_the_order_was_freed_is_completed() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let (order, reserved) = claimed(&workshop, "signer").await;
    // The next one knows of the claim, frees the order and dies.
    workshop.refresh(&order).await;
    workshop.kill_after_append("signer", &order).await;
    let state = load::<Order>(&workshop.log, &Subject::order(&order), Loaded::default()).await;
    match state.unwrap().state.unwrap().progress {
        Progress::Processing(finalized) => assert_eq!(finalized.reservation, None),
        other => panic!("{other:?}"),
    }
    let signer = workshop.start("signer").await;
    workshop.ended(&order).await;
    signer.stop().await;
    let (audit, _) = workshop.check_valid(&order, "signer").await;
    assert_eq!(audit.revoked, BTreeSet::from([reserved.serial.clone()]));
    let known = journal(&workshop, "signer")
        .await
        .find(&audit.revoked, Timestamp::from_unix_seconds(0))
        .unwrap();
    assert!(matches!(known[&reserved.serial], Entry::Burned(Burning { .. })));
}

/// Another role of the process may know how it ended, but others cannot read it.
#[tokio::test]
async fn the_view_of_an_order_that_ended_is_written_when_its_message_comes_again() {
    let mut workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let order = workshop.finalized().await;
    let signer = workshop.start("signer").await;
    workshop.ended(&order).await;
    signer.stop().await;
    workshop.views = workshop.empty_views("without");

    let mut faults = Faults::none();
    faults.consumer_suffix = "-again";
    let ports = workshop.ports(&Arc::new(faults));
    let sequence = workshop.log.last_sequence(Subject::order(&order).stream()).await.unwrap();
    let known = View { state: Arc::new(workshop.order(&order).await), sequence };
    ports.recent.lock().unwrap().insert(order.clone(), known);
    let signer = Running::start(workshop.open("signer", &ports).await.unwrap());
    until("the view", async || workshop.views.order(&order).await.unwrap()).await;
    signer.stop().await;
}
