//! A full disk refuses appends, loses nothing, and is got over.

use embedded::{Embedded, Options};
use eventstore::{AppendError, EventStore as _, Sequence, Stream, Subject};

use crate::samples::{account, account_update, append, at, write_log};

#[tokio::test]
async fn a_full_disk_is_unavailable_and_pruning_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { max_bytes: Some(400 << 10), ..Options::default() };
    let store = Embedded::open(dir.path(), &options).unwrap();
    write_log(&store, 0..50).await;
    let subject = Subject::account(&account(0));
    let full = loop {
        match append(&store, &subject, &account_update("fill")).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(full, AppendError::Unavailable(_)), "{full:?}");
    assert!(store.counters().failed_commits > 0);
    let stored = store.last_sequence(Stream::Accounts).await.unwrap();
    let verified = Embedded::verify_directory(dir.path()).unwrap();
    assert_eq!(verified.messages, stored.0, "what was refused is not there");

    store.prune(at(100)).await.unwrap();
    let next = append(&store, &subject, &account_update("room")).await.unwrap();
    assert_eq!(next, Sequence(stored.0 + 1));
    drop(store);
    drop(Embedded::open(dir.path(), &options).unwrap());
    assert_eq!(Embedded::verify_directory(dir.path()).unwrap().messages, next.0);
}
