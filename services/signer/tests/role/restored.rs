//! A log that was put back from a copy: what the signer's own disk still knows is in it again.

mod clock;
mod unknown;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use ca::{
    KeyAlgorithm,
    journal::{Entry, Outcome},
};
use domain::{
    OrderId, Serial,
    certificate::{
        CertRevoked, CertificateSigned, LedgerEvent, RevocationEvent, RevocationReason,
        SerialReserved,
    },
    order::{self, Progress},
};
use eventstore::{Envelope, EventStore as _, Message, MessageId, Sequence, Stream};
use readmodel::Aggregates;

use crate::{
    applicant::{context, new_order_id, public_key},
    audit::Audit,
    interrupted::{Journaled, Resumed, burn, claimed, journal, write_journal},
    workshop::{Workshop, now, until},
};

/// An order with its certificate, whose signer was stopped.
async fn issued(workshop: &Workshop) -> (OrderId, Serial) {
    let order = workshop.finalized().await;
    let signer = workshop.start("signer").await;
    let serial = ended(workshop, &order).await;
    signer.stop().await;
    (order, serial)
}

/// Waits for the certificate of an order.
async fn ended(workshop: &Workshop, order: &OrderId) -> Serial {
    match workshop.ended(order).await {
        Progress::Valid { serial, .. } => serial,
        other => panic!("{other:?}"),
    }
}

/// Where the first event of a type stands.
async fn place_of(workshop: &Workshop, stream: Stream, kind: &str) -> Sequence {
    let messages = workshop.log.scan(stream, Sequence::NONE, 1000).await.unwrap();
    let is_it = |message: &&Message| message.envelope.events.iter().any(|event| event.is(kind));
    messages.iter().find(is_it).expect("it happened").sequence
}

/// Restores what was in the log before a place, as an operator does who accepts it.
async fn restore_before(workshop: &mut Workshop, place: Sequence) {
    let dir = workshop.data_dir("signer").join("signer");
    let messages = workshop.messages().await;
    workshop.restore_log(messages.iter().filter(|message| message.sequence < place)).await;
    fs::remove_file(dir.join("log-position.json")).unwrap();
    mark(workshop);
}

/// Has the next start compare.
fn mark(workshop: &Workshop) {
    fs::write(workshop.data_dir("signer").join("signer").join("log-restored"), "").unwrap();
}

/// Starts and stops a signer on the restored log.
async fn complete(workshop: &Workshop) -> Audit {
    workshop.start("signer").await.stop().await;
    let mark = workshop.data_dir("signer").join("signer").join("log-restored");
    assert!(!mark.exists(), "the next start need not compare again");
    workshop.audit().await
}

async fn revocations(workshop: &Workshop) -> BTreeMap<Serial, RevocationReason> {
    let messages = workshop.log.scan(Stream::Revocations, Sequence::NONE, 1000).await.unwrap();
    let events = messages.iter().flat_map(|message| message.envelope.decode().unwrap());
    events
        .map(|RevocationEvent::CertRevoked(CertRevoked { serial, reason, .. })| (serial, reason))
        .collect()
}

#[tokio::test]
async fn a_certificate_that_a_restored_log_lacks_is_given_to_its_order_again() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let (order, serial) = issued(&workshop).await;
    let place = place_of(&workshop, Stream::Ledger, "SerialReserved").await;
    restore_before(&mut workshop, place).await;
    let signer = workshop.start("signer").await;
    assert_eq!(ended(&workshop, &order).await, serial);
    signer.stop().await;
    let (audit, _) = workshop.check_valid(&order, "signer").await;
    assert_eq!(audit.burned, BTreeSet::new());
}

#[tokio::test]
async fn an_order_that_was_finalized_again_gets_no_certificate_for_its_former_key() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let (order, former) = issued(&workshop).await;
    let place = place_of(&workshop, Stream::Orders(order.shard()), "OrderFinalized").await;
    restore_before(&mut workshop, place).await;
    workshop.finalize_ready(&order, &public_key()).await;
    let signer = workshop.start("signer").await;
    assert_ne!(ended(&workshop, &order).await, former);
    signer.stop().await;
    let audit = workshop.audit().await;
    let recorded: Vec<_> = audit.for_no_order().iter().map(|signed| &signed.serial).collect();
    assert_eq!(recorded, [&former]);
}

#[tokio::test]
async fn a_certificate_whose_order_was_not_restored_is_in_the_ledger_again() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let (order, serial) = issued(&workshop).await;
    let place = place_of(&workshop, Stream::Orders(order.shard()), "OrderPlaced").await;
    restore_before(&mut workshop, place).await;
    let audit = complete(&workshop).await;
    let recorded: Vec<_> = audit.for_no_order().iter().map(|signed| &signed.serial).collect();
    assert_eq!(recorded, [&serial]);
    assert_eq!(audit.revoked, BTreeSet::new());
    // Once more, as after a crash before the mark was removed.
    mark(&workshop);
    assert_eq!(complete(&workshop).await.for_no_order().len(), 1);
}

#[tokio::test]
async fn a_certificate_that_the_ledger_has_stays_valid_although_its_issuer_is_gone() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    issued(&workshop).await;
    workshop.replace_ca(KeyAlgorithm::EcdsaP256);
    mark(&workshop);
    let audit = complete(&workshop).await;
    assert_eq!(audit.burned, BTreeSet::new());
    assert_eq!(revocations(&workshop).await, BTreeMap::new());
}

#[tokio::test]
async fn a_serial_that_was_burned_after_the_copy_is_revoked_again() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let (order, reserved) = claimed(&workshop, "signer").await;
    write_journal(&workshop, "signer", &reserved, Journaled::Reserved).await;
    let signer = workshop.start("signer").await;
    let serial = ended(&workshop, &order).await;
    signer.stop().await;
    let place = place_of(&workshop, Stream::Orders(order.shard()), "ReservationBurned").await;
    restore_before(&mut workshop, place).await;
    let signer = workshop.start("signer").await;
    assert_eq!(ended(&workshop, &order).await, serial);
    signer.stop().await;
    let (audit, _) = workshop.check_valid(&order, "signer").await;
    assert_eq!(audit.revoked, BTreeSet::from([reserved.serial]));
}

#[tokio::test]
async fn a_certificate_that_the_log_gave_up_stays_given_up() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let (order, reserved) = claimed(&workshop, "signer").await;
    write_journal(&workshop, "signer", &reserved, Journaled::Issued).await;
    burn(&workshop, &order, &reserved).await;
    mark(&workshop);
    let signer = workshop.start("signer").await;
    assert_ne!(ended(&workshop, &order).await, reserved.serial);
    signer.stop().await;
    let (audit, _) = workshop.check_valid(&order, "signer").await;
    assert!(audit.recorded(&reserved.serial).is_none());
}

#[tokio::test]
async fn a_revocation_that_the_last_crl_lists_is_in_the_log_again() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let (_, serial) = issued(&workshop).await;
    let signer = workshop.start("signer").await;
    let first = workshop.crl_after(0).await;
    workshop.revoke(&serial).await;
    let listing = workshop.crl_after(first.number).await;
    signer.stop().await;
    let place = place_of(&workshop, Stream::Revocations, "CertRevoked").await;
    restore_before(&mut workshop, place).await;
    complete(&workshop).await;
    let revoked = BTreeMap::from([(serial.clone(), RevocationReason::KeyCompromise)]);
    assert_eq!(revocations(&workshop).await, revoked);
    // The read model was lost as well, and gets the CRL anew.
    let signer = workshop.start("signer").await;
    let again = workshop.crl_after(listing.number - 1).await;
    assert_eq!(workshop.listed(&again), BTreeSet::from([serial]));
    signer.stop().await;
}

#[tokio::test]
async fn the_number_of_a_crl_does_not_go_back_with_the_copy() {
    let workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let signer = workshop.start("signer").await;
    let copied = workshop.crl_after(0).await;
    signer.stop().await;
    // The copy holds this one, and clients have seen a later one since.
    until("the next second", async || {
        (now().unix_seconds() > i64::try_from(copied.number).unwrap()).then_some(())
    })
    .await;
    mark(&workshop);
    let signer = workshop.start("signer").await;
    let next = workshop.crl_after(copied.number).await;
    assert!(next.number > copied.number);
    signer.stop().await;
}

/// What a restored ledger holds where a reservation was.
#[derive(Clone, Copy, Debug)]
enum InItsPlace {
    Nothing,
    Another,
}

/// An order has a reservation that the ledger lost, as when streams were copied at different times.
async fn check_lost(algorithm: KeyAlgorithm, journaled: Journaled, expected: Resumed) {
    for in_its_place in [InItsPlace::Nothing, InItsPlace::Another] {
        check_lost_to(in_its_place, algorithm, journaled, &expected).await;
    }
}

async fn check_lost_to(
    in_its_place: InItsPlace,
    algorithm: KeyAlgorithm,
    journaled: Journaled,
    expected: &Resumed,
) {
    let mut workshop = Workshop::new(algorithm);
    let (order, reserved) = claimed(&workshop, "signer").await;
    write_journal(&workshop, "signer", &reserved, journaled).await;
    let mut messages = workshop.messages().await;
    match in_its_place {
        InItsPlace::Nothing => {
            messages.retain(|message| message.subject.stream() != Stream::Ledger);
        }
        InItsPlace::Another => replace_in_ledger(&mut messages, |event| {
            let LedgerEvent::SerialReserved(reserved) = event else { panic!("{event:?}") };
            let (serial, order) = (Serial::from_random(&[9; 16]), Some(new_order_id()));
            LedgerEvent::SerialReserved(SerialReserved { serial, order, ..reserved })
        }),
    }
    workshop.restore_log(&messages).await;
    let _ = fs::remove_file(workshop.data_dir("signer").join("signer").join("log-position.json"));
    let signer = workshop.start("signer").await;
    let serial = ended(&workshop, &order).await;
    signer.stop().await;
    let audit = workshop.audit().await;
    let burned = match expected {
        Resumed::Kept => BTreeSet::new(),
        Resumed::Burned => BTreeSet::from([reserved.serial.clone()]),
    };
    let case = format!("{algorithm} {journaled:?} {in_its_place:?}");
    assert_eq!(serial == reserved.serial, *expected == Resumed::Kept, "{case}");
    assert_eq!((&audit.burned, &audit.revoked), (&burned, &burned), "{case}");
    let journal = journal(&workshop, "signer").await;
    let pending = journal.records(|_| true).unwrap();
    assert!(pending.values().all(|record| record.outcome != Outcome::Pending), "{pending:?}");
}

/// Has the ledger say something else where it says something of one event.
fn replace_in_ledger(messages: &mut [Message], replaced: impl Fn(LedgerEvent) -> LedgerEvent) {
    let ledger = messages.iter_mut().filter(|it| it.subject.stream() == Stream::Ledger);
    for message in ledger {
        let events: Vec<LedgerEvent> = message.envelope.decode().unwrap();
        let events: Vec<LedgerEvent> = events.into_iter().map(&replaced).collect();
        message.envelope = Envelope::new(MessageId::random(), &context(), &events).unwrap();
    }
}

#[tokio::test]
async fn a_serial_whose_certificate_a_restored_ledger_lost_to_another_is_burned() {
    let mut workshop = Workshop::new(KeyAlgorithm::Ed25519);
    let (order, reserved) = claimed(&workshop, "first").await;
    write_journal(&workshop, "first", &reserved, Journaled::Reserved).await;
    let second = workshop.start("second").await;
    assert_eq!(ended(&workshop, &order).await, reserved.serial);
    second.stop().await;
    let mut messages = workshop.messages().await;
    replace_in_ledger(&mut messages, |event| match event {
        LedgerEvent::CertificateSigned(signed) => {
            let serial = Serial::from_random(&[9; 16]);
            LedgerEvent::CertificateSigned(CertificateSigned { serial, ..signed })
        }
        other => other,
    });
    workshop.restore_log(&messages).await;
    workshop.start("first").await.stop().await;
    assert!(revocations(&workshop).await.contains_key(&reserved.serial));
    let serials = BTreeSet::from([reserved.serial.clone()]);
    let known = journal(&workshop, "first").await.find(&serials, reserved.not_before).unwrap();
    assert!(matches!(known[&reserved.serial], Entry::Burned(_)));
}

#[tokio::test]
async fn a_reservation_that_the_ledger_lost_is_completed_by_what_the_journal_says() {
    check_lost(KeyAlgorithm::EcdsaP256, Journaled::Issued, Resumed::Kept).await;
    check_lost(KeyAlgorithm::Ed25519, Journaled::Reserved, Resumed::Kept).await;
    check_lost(KeyAlgorithm::EcdsaP256, Journaled::Reserved, Resumed::Burned).await;
}

#[tokio::test]
async fn a_reservation_that_nobody_knows_the_bytes_of_is_burned_and_the_order_gets_another() {
    check_lost(KeyAlgorithm::EcdsaP256, Journaled::Nothing, Resumed::Burned).await;
    check_lost(KeyAlgorithm::Ed25519, Journaled::Nothing, Resumed::Burned).await;
}

/// Copies what a signer keeps, for another one that never saw what comes after.
fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy_directory(&path, &to);
        } else {
            fs::copy(path, to).unwrap();
        }
    }
}

/// Goes on with what a log still knows of some orders, and checks it against the journal, which knows all.
async fn check_restored(workshop: &Workshop, signer: &str, orders: &[OrderId]) {
    let running = workshop.start(signer).await;
    let store = Arc::new(workshop.log.clone());
    let aggregates = Aggregates { store, views: Arc::clone(&workshop.views) };
    for order in orders {
        let found = aggregates.fold::<order::Order>(order).await.unwrap();
        match found.map(|found| found.state.progress.clone()) {
            Some(Progress::Processing(_) | Progress::Valid { .. }) => {
                drop(ended(workshop, order).await);
            }
            Some(Progress::Open | Progress::Invalid { .. }) | None => {}
        }
    }
    running.stop().await;
    let audit = workshop.audit().await;
    workshop.check_journal(&audit, signer);
    let journal = journal(workshop, signer).await;
    let mut certificates = BTreeMap::<_, BTreeSet<_>>::new();
    for (serial, record) in journal.records(|_| true).unwrap() {
        let recorded = audit.recorded(&serial);
        match record.outcome {
            Outcome::Issued(_) => assert!(recorded.is_some(), "{serial} is forgotten"),
            Outcome::Burned(_) => assert!(audit.revoked.contains(&serial), "{serial} is good"),
            Outcome::Pending => panic!("{serial} is settled"),
        }
        if let Some(order) = recorded.and_then(|signed| signed.order.clone()) {
            certificates.entry(order).or_default().insert(serial);
        }
    }
    assert!(certificates.values().all(|serials| serials.len() == 1), "{certificates:?}");
}

#[tokio::test]
async fn wherever_the_copy_of_the_log_ends_nothing_in_the_journal_is_forgotten() {
    let mut workshop = Workshop::new(KeyAlgorithm::EcdsaP256);
    let (burning, reserved) = claimed(&workshop, "signer").await;
    write_journal(&workshop, "signer", &reserved, Journaled::Reserved).await;
    let signer = workshop.start("signer").await;
    ended(&workshop, &burning).await;
    let issuing = workshop.finalized().await;
    ended(&workshop, &issuing).await;
    signer.stop().await;
    let messages = workshop.messages().await;
    assert!(messages.len() > 20, "{} messages", messages.len());
    for kept in 0..=messages.len() {
        workshop.restore_log(&messages[..kept]).await;
        let signer = format!("signer-{kept}");
        copy_directory(&workshop.data_dir("signer"), &workshop.data_dir(&signer));
        let dir = workshop.data_dir(&signer).join("signer");
        fs::remove_file(dir.join("log-position.json")).unwrap();
        fs::write(dir.join("log-restored"), "").unwrap();
        check_restored(&workshop, &signer, &[burning.clone(), issuing.clone()]).await;
    }
}
