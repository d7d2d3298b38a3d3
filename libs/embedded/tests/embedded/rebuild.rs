//! Indexes are made anew while they are used.

use embedded::Embedded;
use eventstore::{EventStore as _, Sequence, Stream, Subject};
use readmodel::{Lookup, ReadModel as _};

use crate::samples::{account, append, certificate_signed, issuer, open, order, serial, write_log};

#[tokio::test]
async fn a_rebuild_finds_everything_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write_log(&store, 0..100).await;
    let before = Embedded::verify_directory(dir.path()).unwrap();
    assert_eq!(before.indexed, 200);
    store.rebuild().await.unwrap();
    assert_eq!(Embedded::verify_directory(dir.path()).unwrap(), before);
    assert!(store.complete_to(Stream::Ledger).await.unwrap() >= Sequence(399));
    assert_eq!(store.orders(&account(2)).await.unwrap().len(), 33);
}

#[tokio::test]
async fn a_cleared_index_is_incomplete_until_a_projector_filled_it_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write_log(&store, 0..10).await;
    let entries: Vec<_> = {
        let mut entries = vec![];
        for n in 0..10 {
            let Lookup::Found(entry) = store.certificate(&serial(n)).await.unwrap() else {
                panic!("certificate {n} is indexed")
            };
            entries.push(entry);
        }
        entries
    };
    store.clear().await.unwrap();
    assert_eq!(store.certificate(&serial(3)).await.unwrap(), Lookup::Missing);
    assert_eq!(store.complete_to(Stream::Ledger).await.unwrap(), Sequence::NONE);
    let ledger = Subject::ledger(&issuer(), &serial(10));
    let new = append(&store, &ledger, &certificate_signed(10)).await.unwrap();
    assert!(matches!(store.certificate(&serial(10)).await.unwrap(), Lookup::Found(_)));
    for entry in &entries[..5] {
        store.put_certificate(entry).await.unwrap();
    }
    let half = Sequence(entries[4].ledger_sequence);
    let gap = Sequence(entries[5].ledger_sequence);
    store.mark_complete(Stream::Ledger, gap).await.expect_err("the sixth is not there");
    store.mark_complete(Stream::Ledger, half).await.unwrap();
    drop(store);

    let store = open(dir.path());
    assert_eq!(store.complete_to(Stream::Ledger).await.unwrap(), half);
    Embedded::verify_directory(dir.path()).unwrap();
    for entry in &entries[5..] {
        store.put_certificate(entry).await.unwrap();
    }
    let last = Sequence(entries[9].ledger_sequence);
    store.mark_complete(Stream::Ledger, last).await.unwrap();
    assert_eq!(store.complete_to(Stream::Ledger).await.unwrap(), new, "appends fill it again");
    assert_eq!(Embedded::verify_directory(dir.path()).unwrap().indexed, 21);
    let subject = Subject::order(&order(3));
    assert_eq!(store.read(&subject, Sequence::NONE).await.unwrap().len(), 2);
}
