//! Asking whether a key is known: of nearly all it is known in memory that nobody has them.

use std::time::Duration;

use embedded::Embedded;
use eventstore::{EventStore as _, Expected, Subject};
use tokio::time::timeout;

use crate::samples::{account, account_update, open};

/// The subjects were read long before.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until the answer comes from memory.
async fn learn(store: &Embedded) {
    let nobody = [Subject::account(&account(99))];
    let learned = timeout(PATIENCE, async {
        let before = store.counters().memory_reads;
        while store.counters().memory_reads == before {
            assert!(store.are_empty(&nobody).await.unwrap());
        }
    });
    learned.await.expect("the subjects are read");
}

#[tokio::test]
async fn a_key_that_nobody_knows_needs_no_query() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second, third, nobody] = [1, 2, 3, 4].map(|n| [Subject::account(&account(n))]);
    let append = async |store: &Embedded, [subject]: &[Subject; 1]| {
        store.append(subject, Expected::Anything, &account_update("a")).await.unwrap();
    };
    let store = open(dir.path());
    append(&store, &first).await;
    store.close().await;
    drop(store);

    let store = open(dir.path());
    append(&store, &second).await;
    learn(&store).await;
    append(&store, &third).await;

    for known in [&first, &second, &third] {
        assert!(!store.are_empty(known).await.unwrap());
    }
    let queries = store.counters().disk_reads;
    assert!(store.are_empty(&nobody).await.unwrap());
    assert_eq!(store.counters().disk_reads, queries);
}
