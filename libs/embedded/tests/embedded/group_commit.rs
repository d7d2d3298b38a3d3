//! One fsync for many appends.

use std::time::Instant;

use embedded::Embedded;
use eventstore::{EventStore as _, Expected, Sequence, Subject};
use futures::future::join_all;

use crate::samples::{account, account_update, open};

/// Each writer appends to an aggregate of its own, one message after the other.
async fn write(store: &Embedded, writers: u8, messages: u32) {
    let write = |writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let (subject, envelope) = (Subject::account(&account(writer)), account_update("x"));
            let mut last = Sequence::NONE;
            for _ in 0..messages {
                last = store.append(&subject, Expected::Last(last), &envelope).await.unwrap();
            }
        })
    };
    for finished in join_all((0..writers).map(write)).await {
        finished.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_share_their_commits() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let before = Instant::now();
    write(&store, 16, 200).await;
    let seconds = before.elapsed().as_secs_f64();
    let counters = store.counters();
    assert_eq!(counters.appends, 3200);
    println!(
        "16 writers: {:.0} appends/s, {:.1} appends a commit",
        3200.0 / seconds,
        3200.0 / counters.commits as f64,
    );
    assert!(counters.commits <= counters.appends / 5, "{counters:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_writer_waits_for_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let before = Instant::now();
    write(&store, 1, 300).await;
    println!("1 writer: {:.0} appends/s", 300.0 / before.elapsed().as_secs_f64());
    assert_eq!(store.counters().commits, 300);
}
