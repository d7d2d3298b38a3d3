//! Who may use a data directory, and when.

use embedded::{Embedded, OpenError, Options};
use eventstore::{AppendError, EventFeed as _, EventStore as _, Sequence, Stream, Subject};
use readmodel::{Lookup, ReadModel as _};

use crate::samples::{account, account_update, append, open, order, serial, write_log};

#[tokio::test]
async fn a_second_server_is_refused_and_told_where() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let refused = Embedded::open(dir.path(), &Options::default()).unwrap_err();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused:?}");
    assert!(refused.to_string().contains(&dir.path().display().to_string()), "{refused}");
    drop(first);
    open(dir.path());
}

#[tokio::test]
async fn reading_commands_work_beside_a_running_server() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write_log(&store, 0..5).await;
    let reader = Embedded::open_read_only(dir.path()).unwrap();
    assert_eq!(reader.log(Sequence::NONE, 100).await.unwrap().len(), 20);
    write_log(&store, 5..6).await;
    assert_eq!(reader.log(Sequence(20), 100).await.unwrap().len(), 4, "it sees what came since");
    assert_eq!(reader.scan(Stream::Ledger, Sequence::NONE, 100).await.unwrap().len(), 6);
    assert_eq!(reader.read(&Subject::order(&order(3)), Sequence::NONE).await.unwrap().len(), 2);
    let entry = reader.certificate(&serial(5)).await.unwrap().unwrap();
    assert_eq!(reader.orders(&account(1)).await.unwrap(), [order(1), order(4)]);
    let message = reader.message(Stream::Ledger, entry.ledger_sequence).await.unwrap();
    assert!(message.is_some());
    assert_eq!(Embedded::verify_directory(dir.path()).unwrap().messages, 24);
    let subject = Subject::account(&account(0));
    let refused = reader
        .append(&subject, eventstore::Expected::Anything, &account_update("x"))
        .await
        .unwrap_err();
    assert!(matches!(refused, AppendError::Unavailable(_)));
}

#[tokio::test]
async fn reading_commands_work_after_a_server_that_left_its_write_ahead_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write_log(&store, 0..5).await;
    let left = tempfile::tempdir().unwrap();
    for file in ["events.db", "events.db-wal", "head"] {
        std::fs::copy(dir.path().join(file), left.path().join(file)).unwrap();
    }
    let reader = Embedded::open_read_only(left.path()).unwrap();
    assert_eq!(Embedded::verify_directory(left.path()).unwrap().messages, 20);
    drop(reader);
    let store = open(left.path());
    assert_eq!(store.log(Sequence::NONE, 100).await.unwrap().len(), 20);
}

#[tokio::test]
async fn a_closed_store_refuses_and_leaves_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write_log(&store, 0..1).await;
    let mut subscription = store.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    subscription.next().await.unwrap().ack().await.unwrap();
    let waiting = tokio::spawn(async move { subscription.next().await.map(|_| ()) });
    store.close().await;
    assert!(waiting.await.unwrap().is_err(), "whoever waits for deliveries is told");
    let subject = Subject::account(&account(0));
    let refused = append(&store, &subject, &account_update("late")).await.unwrap_err();
    assert!(matches!(refused, AppendError::Unavailable(_)), "{refused:?}");
    assert!(!dir.path().join("events.db-wal").exists());
    drop(store);
    open(dir.path());
}

#[tokio::test]
async fn crls_and_certificates_are_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let name = domain::CrlName::whole(crate::samples::issuer());
    let crl = readmodel::Crl { der: vec![1; 9000], number: 3, next_update: crate::samples::at(9) };
    let store = open(dir.path());
    write_log(&store, 0..2).await;
    store.put_crl(&name, &crl).await.unwrap();
    let older = readmodel::Crl { number: 2, ..crl.clone() };
    store.put_crl(&name, &older).await.unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.crl(&name).await.unwrap().as_deref(), Some(&crl));
    assert!(matches!(store.certificate(&serial(1)).await.unwrap(), Lookup::Found(_)));
    let last = store.last_sequence(Stream::Ledger).await.unwrap();
    assert_eq!((last, store.complete_to(Stream::Ledger).await.unwrap()), (Sequence(7), last));
}

/// A full disk, or a kill, may end the very first start as soon as the head file has its name.
#[tokio::test]
async fn a_first_start_that_was_cut_short_is_made_up_for_by_the_next() {
    for written in [0, 1024] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("head"), vec![0; written]).unwrap();
        let store = Embedded::open(dir.path(), &Options::default()).unwrap();
        write_log(&store, 0..1).await;
        store.close().await;
        assert_eq!(Embedded::verify_directory(dir.path()).unwrap().messages, 4);

        std::fs::write(dir.path().join("head"), vec![0; written]).unwrap();
        drop(store);
        let refused = Embedded::open(dir.path(), &Options::default()).unwrap_err();
        assert!(matches!(refused, OpenError::Damaged { .. }), "now there is a log: {refused:?}");
    }
}
