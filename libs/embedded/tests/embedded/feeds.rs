//! Feeds at their edges: far behind, cancelled, closed.

use std::{pin::pin, time::Duration};

use embedded::{Embedded, Options};
use eventstore::{
    EventFeed as _, EventStore as _, Expected, NewMessage, Sequence, Stream, Subject, Subscription,
};
use futures::{FutureExt as _, future::join_all, poll};
use readmodel::{Crl, ReadModel as _};
use tokio::time::timeout;

use crate::samples::{account, account_update, append, at, issuer, open};

/// What is due comes in less time.
const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(waiting: impl Future<Output = T>) -> T {
    timeout(PATIENCE, waiting).await.expect("whoever waits is woken")
}

async fn append_many(store: &Embedded, count: u64) {
    let (subject, envelope) = (Subject::account(&account(0)), account_update("x"));
    let appends = (0..count).map(|_| append(store, &subject, &envelope));
    for stored in join_all(appends).await {
        stored.unwrap();
    }
}

async fn take(worker: &mut dyn Subscription) -> u64 {
    let delivery = worker.next().await.unwrap();
    let sequence = delivery.message.sequence.0;
    delivery.ack().await.unwrap();
    sequence
}

#[tokio::test]
async fn a_consumer_far_behind_is_fed_from_the_disk_and_catches_up() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { recent_messages: 8, ..Options::default() };
    let store = Embedded::open(dir.path(), &options).unwrap();
    append_many(&store, 1000).await;
    let mut worker = store.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    for expected in 1..=1000 {
        assert_eq!(take(worker.as_mut()).await, expected);
    }
    assert!(worker.next().now_or_never().is_none());
    append_many(&store, 1).await;
    assert_eq!(take(worker.as_mut()).await, 1001);
}

#[tokio::test]
async fn more_unacknowledged_messages_than_a_consumer_holds_wait_their_turn() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { recent_messages: 20_000, ..Options::default() };
    let store = Embedded::open(dir.path(), &options).unwrap();
    append_many(&store, 17_000).await;
    let mut worker = store.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    let mut held = vec![];
    while let Some(delivery) = worker.next().now_or_never() {
        held.push(delivery.unwrap());
    }
    assert!((16_384..16_500).contains(&held.len()), "{}", held.len());
    let next = held.len() as u64 + 1;
    let mut waiting = pin!(take(worker.as_mut()));
    assert!(poll!(&mut waiting).is_pending());
    held.remove(0).ack().await.unwrap();
    assert_eq!(soon(waiting).await, next, "there is room again");
}

#[tokio::test]
async fn a_cancelled_wait_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { recent_messages: 4, ..Options::default() };
    let store = Embedded::open(dir.path(), &options).unwrap();
    let mut worker = store.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    append_many(&store, 100).await;
    let mut seen = 0;
    while seen < 100 {
        // Polled once and dropped, in whatever it was doing.
        assert!(worker.next().now_or_never().is_none_or(|delivery| delivery.is_ok()));
        let delivery = worker.next().await.unwrap();
        seen = seen.max(delivery.message.sequence.0);
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn a_closed_store_resumes_at_the_first_unacknowledged_message() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    append_many(&store, 10).await;
    let mut worker = store.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    for _ in 0..4 {
        take(worker.as_mut()).await;
    }
    let held = worker.next().await.unwrap();
    assert_eq!(take(worker.as_mut()).await, 6);
    drop((held, worker));
    store.close().await;
    drop(store);
    let store = open(dir.path());
    let mut worker = store.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    assert_eq!(take(worker.as_mut()).await, 5);
    let mut other = store.subscribe("other", &[Stream::Accounts]).await.unwrap();
    assert_eq!(take(other.as_mut()).await, 1, "each consumer has a place of its own");
}

#[tokio::test]
async fn a_held_message_is_given_to_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    append_many(&store, 2).await;
    let mut one = store.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    let mut two = store.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    let held = one.next().await.unwrap();
    assert_eq!(held.message.sequence, Sequence(1));
    drop(one);
    assert_eq!(take(two.as_mut()).await, 2);
    let mut waiting = two.next();
    assert!(poll!(&mut waiting).is_pending());
    held.nak(Duration::ZERO).await.unwrap();
    let again = soon(waiting).await.unwrap();
    assert_eq!((again.message.sequence, again.attempt), (Sequence(1), 2));
}

#[tokio::test]
async fn what_is_stored_at_once_is_worked_on_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut workers = vec![];
    for _ in 0..2 {
        workers.push(store.subscribe("worker", &[Stream::Accounts]).await.unwrap());
    }
    let mut taken: Vec<_> = workers.iter_mut().map(|worker| worker.next()).collect();
    for waiting in &mut taken {
        assert!(poll!(waiting).is_pending());
    }
    let [first, second] = [1, 2].map(|n| NewMessage {
        subject: Subject::account(&account(n)),
        expected: Expected::Anything,
        envelope: account_update("x"),
    });
    store.append_pair(first, Box::new(|_| Ok(second))).await.unwrap();
    // Neither is done with before the other is begun.
    let held = soon(join_all(taken)).await;
    let mut held: Vec<_> = held.into_iter().map(|it| it.unwrap().message.sequence.0).collect();
    held.sort_unstable();
    assert_eq!(held, [1, 2]);
}

#[tokio::test]
async fn a_worker_that_leaves_while_it_reads_from_the_disk_leaves_that_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { recent_messages: 4, ..Options::default() };
    let store = Embedded::open(dir.path(), &options).unwrap();
    append_many(&store, 100).await;
    drop(store);
    // Behind a restart, everything is on the disk.
    let store = Embedded::open(dir.path(), &options).unwrap();
    let mut one = store.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    let mut two = store.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    let mut reading = one.next();
    assert!(poll!(&mut reading).is_pending());
    let mut waiting = two.next();
    assert!(poll!(&mut waiting).is_pending());
    drop(reading);
    assert_eq!(soon(waiting).await.unwrap().message.sequence, Sequence(1));
}

#[tokio::test]
async fn a_killed_server_resumes_close_to_where_its_workers_were() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    append_many(&store, 10).await;
    let mut worker = store.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    for _ in 0..9 {
        take(worker.as_mut()).await;
    }
    let crl = Crl { der: vec![5], number: 1, next_update: at(1) };
    store.put_crl(&domain::CrlName::whole(issuer()), &crl).await.unwrap();
    let left = tempfile::tempdir().unwrap();
    for file in ["events.db", "events.db-wal", "head"] {
        std::fs::copy(dir.path().join(file), left.path().join(file)).unwrap();
    }
    let store = open(left.path());
    let mut worker = store.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    assert_eq!(take(worker.as_mut()).await, 10, "each write takes along how far they came");
}
