//! A server that goes and comes back.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use domain::OrderId;
use eventstore::{
    AppendError, EventFeed as _, EventStore as _, EventTail as _, Expected, Sequence, StoreError,
    Stream, Subject, contract::fresh_account,
};
use jetstream::Options;
use tokio::time::timeout;

use super::{
    Logs, PATIENCE, append, development, eventually,
    nats::{Nats, Sync},
};

/// How long a caller may have to wait for bad news.
const BOUND: Duration = Duration::from_secs(6);

#[tokio::test]
async fn a_dead_server_is_unavailable_soon_and_is_found_again() {
    let mut server = Nats::start(Sync::Always).await;
    let log = Logs(development(vec![server.url()])).connect().await;
    let (_, subject) = fresh_account();
    let first = append(&log, &subject, Expected::Last(Sequence::NONE), "a").await.unwrap();
    let mut worker = log.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    worker.next().await.unwrap().ack().await.unwrap();

    server.kill();
    let started = Instant::now();
    let read = log.read(&subject, Sequence::NONE).await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    let appended = append(&log, &subject, Expected::Last(first), "b").await;
    assert!(matches!(appended, Err(AppendError::Unavailable(_))), "{appended:?}");
    assert!(log.last_sequence(Stream::Accounts).await.is_err());
    assert!(started.elapsed() < 3 * BOUND, "three answers took {:?}", started.elapsed());
    let news = timeout(BOUND, worker.next()).await.expect("a worker hears of it");
    assert!(matches!(news, Err(StoreError::Unavailable(_))), "a worker hears of it");
    assert!(!worker.delivers());

    server.restart().await;
    // Although nothing is there to be delivered.
    eventually("the return of the feed", async || worker.delivers().then_some(()).ok_or("away"))
        .await;
    eventually("the return of the log", async || log.read(&subject, Sequence::NONE).await).await;
    let second = append(&log, &subject, Expected::Last(first), "b").await.unwrap();
    let delivered = async {
        loop {
            match worker.next().await {
                Ok(delivery) if delivery.message.sequence == second => return delivery,
                Ok(delivery) => delivery.ack().await.unwrap_or_default(),
                Err(_) => {}
            }
        }
    };
    let delivery = timeout(PATIENCE, delivered).await.expect("the feed goes on");
    delivery.ack().await.unwrap();
}

#[tokio::test]
async fn an_order_that_newer_nodes_placed_is_not_missing_while_the_log_is_away() {
    let mut server = Nats::start(Sync::Lazy).await;
    let url = server.url();
    let shards = |order_shards| Logs(Options { order_shards, ..development(vec![url.clone()]) });
    let newer = shards(4).connect().await;
    let older = shards(2).connect().await;
    let order = Subject::order(&OrderId::new(3, &[7; 16]));
    let placed = append(&newer, &order, Expected::Anything, "a").await.unwrap();
    server.kill();
    let (read, message, end) = tokio::join!(
        older.read(&order, Sequence::NONE),
        older.message(order.stream(), placed),
        older.last_sequence(order.stream())
    );
    assert!(read.is_err() && message.is_err() && end.is_err(), "{read:?} {message:?} {end:?}");
}

#[tokio::test]
async fn what_was_sent_to_a_server_that_does_not_answer_is_not_said_to_be_lost() {
    let server = Nats::start(Sync::Always).await;
    let request_timeout = Duration::from_secs(2);
    let options = jetstream::Options { request_timeout, ..development(vec![server.url()]) };
    let log = Logs(options).connect().await;
    let (_, subject) = fresh_account();
    server.suspend();
    let appended = append(&log, &subject, Expected::Last(Sequence::NONE), "a").await;
    assert!(matches!(appended, Err(AppendError::Unknown(_))), "{appended:?}");
    server.go_on();
    let stored = async || match log.read(&subject, Sequence::NONE).await {
        Ok(messages) if messages.len() == 1 => Ok(()),
        other => Err(other),
    };
    eventually("the message", stored).await;
}

#[tokio::test]
async fn what_was_sent_over_a_connection_that_breaks_is_not_said_to_be_lost() {
    let mut server = Nats::start(Sync::Always).await;
    let log = Logs(development(vec![server.url()])).connect().await;
    let (_, subject) = fresh_account();
    server.suspend();
    let appending = append(&log, &subject, Expected::Last(Sequence::NONE), "a");
    let (appended, ()) = tokio::join!(appending, async { server.kill() });
    assert!(matches!(appended, Err(AppendError::Unknown(_))), "{appended:?}");
}

#[tokio::test]
async fn a_follower_misses_nothing_while_its_server_goes_and_comes_back() {
    const MESSAGES: usize = 600;
    let mut server = Nats::start(Sync::Always).await;
    let log = Logs(development(vec![server.url()])).connect().await;
    let (_, subject) = fresh_account();
    let mut written = Vec::new();
    for i in 0..MESSAGES {
        let text = i.to_string();
        written.push(append(&log, &subject, Expected::Anything, &text).await.unwrap());
    }
    let mut tail = log.follow(&[(Stream::Accounts, Sequence::NONE)]).await.unwrap();
    let mut seen = vec![tail.next().await.unwrap().sequence];
    // Most of the rest is under way, or held for the follower.
    server.kill();
    server.restart().await;
    eventually("the return of the log", async || log.read(&subject, Sequence::NONE).await).await;
    written.push(append(&log, &subject, Expected::Anything, "last").await.unwrap());
    let rest = async {
        while seen.len() < written.len() {
            if let Ok(message) = tail.next().await {
                seen.push(message.sequence);
            }
        }
    };
    timeout(PATIENCE, rest).await.expect("the follower goes on");
    assert_eq!(seen, written, "each once, in order");
}

#[tokio::test]
async fn what_is_given_back_while_the_server_is_away_comes_again_soon_after_its_return() {
    let mut server = Nats::start(Sync::Always).await;
    let ack_wait = Duration::from_secs(300);
    let options = jetstream::Options { ack_wait, ..development(vec![server.url()]) };
    let log = Logs(options).connect().await;
    let (_, subject) = fresh_account();
    for text in ["refused", "dropped", "done"] {
        append(&log, &subject, Expected::Anything, text).await.unwrap();
    }
    let mut worker = log.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(worker.next().await.unwrap());
    }
    let [refused, dropped, done] = held.try_into().ok().unwrap();
    // One that is killed may forget what it has delivered.
    server.stop();
    refused.nak(Duration::ZERO).await.unwrap();
    drop(dropped);
    assert!(done.ack().await.is_err(), "nobody was told");
    server.restart().await;
    let again = async {
        let mut seen = BTreeSet::new();
        while seen.len() < 3 {
            if let Ok(delivery) = worker.next().await {
                seen.insert(delivery.message.sequence);
                delivery.ack().await.unwrap();
            }
        }
    };
    timeout(PATIENCE, again).await.expect("all come again");
}
