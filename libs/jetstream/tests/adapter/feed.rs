//! Deliveries beyond the contract.

use std::{
    collections::BTreeSet,
    error::Error as _,
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, header::NATS_MESSAGE_ID};
use eventstore::{
    EventFeed as _, EventStore as _, EventTail as _, Expected, Sequence, Stream, Subscription,
    contract::fresh_account,
};
use jetstream::Options;
use tokio::time::timeout;

use super::{
    Logs, append, development, eventually,
    nats::{Nats, Sync},
    stranger,
};

/// Much less than the time until redelivery.
const SOON: Duration = Duration::from_secs(10);

/// The time before what a worker dropped comes again, and a little less, since clocks differ.
const NOT_AT_ONCE: Duration = Duration::from_millis(900);

/// With this time until redelivery, only what is given back comes again in a test.
fn patient(server: &Nats) -> Logs {
    waiting(server, Duration::from_secs(300))
}

/// One whose messages come again when nothing was said of them for so long.
fn waiting(server: &Nats, ack_wait: Duration) -> Logs {
    Logs(Options { ack_wait, ..development(vec![server.url()]) })
}

#[tokio::test]
async fn a_worker_that_leaves_gives_back_at_once_what_it_held() {
    let server = Nats::start(Sync::Lazy).await;
    let log = patient(&server).connect().await;
    let (_, subject) = fresh_account();
    let mut worker = log.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    for _ in 0..40 {
        append(&log, &subject, Expected::Anything, "a").await.unwrap();
    }
    let held = worker.next().await.unwrap();
    drop((held, worker));
    let mut other = log.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    let mut seen = receive(other.as_mut(), 40).await;
    seen.sort_unstable();
    assert_eq!(seen, (1..=40).map(Sequence).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_somebody_else_published_by_mistake_is_passed_over() {
    let server = Nats::start(Sync::Lazy).await;
    let log = patient(&server).connect().await;
    let (_, subject) = fresh_account();
    let stranger = stranger(server.url()).await;
    let first = append(&log, &subject, Expected::Anything, "a").await.unwrap();
    for _ in 0..3 {
        let published = stranger.publish("certmill.account.x", "hello".into()).await.unwrap();
        published.await.unwrap();
    }
    let last = append(&log, &subject, Expected::Anything, "b").await.unwrap();

    let mut worker = log.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    assert_eq!(receive(worker.as_mut(), 2).await, [first, last]);
    eventually("nothing is left to be acknowledged", async || match delivered(&server).await {
        (_, 0) => Ok(()),
        other => Err(other),
    })
    .await;
    let mut follower = log.follow(&[(Stream::Accounts, Sequence::NONE)]).await.unwrap();
    for expected in [first, last] {
        assert_eq!(follower.next().await.unwrap().sequence, expected);
    }
    for limit in [1, 2, 10] {
        let page = log.scan(Stream::Accounts, first, limit).await.unwrap();
        assert_eq!(page.iter().map(|message| message.sequence).collect::<Vec<_>>(), [last]);
    }
    assert!(log.message(Stream::Accounts, Sequence(first.0 + 1)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_message_that_cannot_be_read_does_not_hold_up_the_others() {
    let server = Nats::start(Sync::Lazy).await;
    let log = patient(&server).connect().await;
    let (_, subject) = fresh_account();
    let stranger = stranger(server.url()).await;
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, "of another release");
    let unreadable = stranger.publish_with_headers("certmill.account.x", headers, "{}".into());
    unreadable.await.unwrap().await.unwrap();
    let mut worker = log.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    for _ in 0..20 {
        let next = append(&log, &subject, Expected::Anything, "a").await.unwrap();
        assert_eq!(receive(worker.as_mut(), 1).await, [next]);
    }
    assert_eq!(delivered(&server).await, (21, 1), "it comes again and again");
    // Whoever counts on having seen all is told.
    let mut follower = log.follow(&[(Stream::Accounts, Sequence::NONE)]).await.unwrap();
    assert!(follower.next().await.is_err());
    assert!(log.scan(Stream::Accounts, Sequence::NONE, 10).await.is_err());
}

#[tokio::test]
async fn a_dropped_delivery_comes_again() {
    let server = Nats::start(Sync::Lazy).await;
    let log = patient(&server).connect().await;
    let (_, subject) = fresh_account();
    append(&log, &subject, Expected::Anything, "a").await.unwrap();
    let mut worker = log.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    let mut dropped = None;
    for attempt in 1..=2 {
        let delivery = timeout(SOON, worker.next()).await.unwrap().unwrap();
        assert_eq!(delivery.attempt, attempt);
        let pause = dropped.replace(Instant::now()).map(|before: Instant| before.elapsed());
        assert!(pause.is_none_or(|pause| pause >= NOT_AT_ONCE), "a worker that fails would spin");
        drop(delivery);
    }
}

#[tokio::test]
async fn what_a_worker_that_hangs_does_not_speak_of_comes_again() {
    let server = Nats::start(Sync::Lazy).await;
    let ack_wait = Duration::from_secs(1);
    let log = waiting(&server, ack_wait).connect().await;
    let (_, subject) = fresh_account();
    append(&log, &subject, Expected::Anything, "a").await.unwrap();
    let mut worker = log.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    std::mem::forget(worker.next().await.unwrap());
    let again = timeout(SOON, worker.next()).await.unwrap().unwrap();
    assert_eq!(again.attempt, 2);
    again.ack().await.unwrap();
}

#[tokio::test]
async fn a_consumer_that_was_removed_is_made_anew_and_nobody_hears_of_it() {
    let server = Nats::start(Sync::Lazy).await;
    let log = patient(&server).connect().await;
    let (_, subject) = fresh_account();
    let mut worker = log.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    let stream = stranger(server.url()).await.get_stream("certmill-accounts").await.unwrap();
    let began = Instant::now();
    // Each time is forgotten when it is over, although they are more than a short outage together.
    while began.elapsed() < Duration::from_secs(3) {
        let wanted = append(&log, &subject, Expected::Anything, "a").await.unwrap();
        loop {
            let delivery = timeout(SOON, worker.next()).await.unwrap().unwrap();
            let sequence = delivery.message.sequence;
            delivery.ack().await.unwrap();
            if sequence == wanted {
                break;
            }
        }
        assert!(worker.delivers());
        stream.delete_consumer("worker").await.unwrap();
    }
}

#[tokio::test]
async fn a_removal_that_was_seen_only_after_a_silence_is_not_heard_of() {
    let server = Nats::start(Sync::Lazy).await;
    let log = patient(&server).connect().await;
    let (_, subject) = fresh_account();
    let mut worker = log.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    let stream = stranger(server.url()).await.get_stream("certmill-accounts").await.unwrap();
    append(&log, &subject, Expected::Anything, "a").await.unwrap();
    timeout(SOON, worker.next()).await.unwrap().unwrap().ack().await.unwrap();
    // So long that the request is made anew, and longer than a short outage.
    pass(Duration::from_secs(3)).await;
    for _ in 0..2 {
        log.read(&subject, Sequence::NONE).await.unwrap();
    }
    stream.delete_consumer("worker").await.unwrap();
    append(&log, &subject, Expected::Anything, "b").await.unwrap();
    // The consumer that was made anew begins with the first.
    timeout(SOON, worker.next()).await.unwrap().unwrap().ack().await.unwrap();
    assert!(worker.delivers());
}

#[tokio::test]
async fn a_consumer_that_cannot_be_made_anew_is_told_of() {
    let server = Nats::start(Sync::Lazy).await;
    let log = patient(&server).connect().await;
    let (_, subject) = fresh_account();
    let mut worker = log.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    append(&log, &subject, Expected::Anything, "a").await.unwrap();
    timeout(SOON, worker.next()).await.unwrap().unwrap().ack().await.unwrap();
    stranger(server.url()).await.delete_stream("certmill-accounts").await.unwrap();
    assert!(timeout(SOON, worker.next()).await.unwrap().is_err());
    assert!(!worker.delivers());
}

#[tokio::test]
async fn what_was_held_for_a_busy_worker_until_another_did_it_is_not_done_twice() {
    let server = Nats::start(Sync::Lazy).await;
    let ack_wait = Duration::from_secs(1);
    let log = waiting(&server, ack_wait).connect().await;
    let (_, subject) = fresh_account();
    let mut busy = log.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    for _ in 0..3 {
        append(&log, &subject, Expected::Anything, "a").await.unwrap();
    }
    let first = busy.next().await.unwrap();
    let mut other = log.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    let mut done = BTreeSet::new();
    while done.len() < 3 {
        done.extend(receive(other.as_mut(), 1).await);
    }
    drop(first);
    for worker in [&mut other, &mut busy] {
        let again = timeout(ack_wait, worker.next()).await;
        assert!(again.is_err(), "it is handed out again");
    }
}

#[tokio::test]
async fn who_works_on_several_streams_hears_that_one_does_not_deliver() {
    let server = Nats::start(Sync::Lazy).await;
    let log = patient(&server).connect().await;
    let (_, subject) = fresh_account();
    let streams = [Stream::Accounts, Stream::Orders(0)];
    let mut worker = log.subscribe("worker", &streams).await.unwrap();
    stranger(server.url()).await.delete_stream("certmill-orders-00").await.unwrap();
    assert!(timeout(SOON, worker.next()).await.unwrap().is_err());
    assert!(!worker.delivers());
    append(&log, &subject, Expected::Anything, "a").await.unwrap();
    let delivered = async { while worker.next().await.is_err() {} };
    timeout(SOON, delivered).await.expect("the others go on");
    assert!(!worker.delivers());
}

#[tokio::test]
async fn work_in_progress_is_not_delivered_to_another_worker() {
    let server = Nats::start(Sync::Lazy).await;
    let ack_wait = Duration::from_secs(1);
    let log = waiting(&server, ack_wait).connect().await;
    let (_, subject) = fresh_account();
    append(&log, &subject, Expected::Anything, "a").await.unwrap();
    let mut worker = log.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    let delivery = worker.next().await.unwrap();
    for _ in 0..10 {
        delivery.in_progress().await.unwrap();
        let early = timeout(ack_wait / 4, worker.next()).await;
        assert!(early.is_err(), "it is delivered while the work goes on");
    }
    drop(delivery);
    timeout(SOON, worker.next()).await.unwrap().unwrap().ack().await.unwrap();
}

#[tokio::test]
async fn each_streams_order_is_kept_and_every_stream_is_served() {
    let server = Nats::start(Sync::Lazy).await;
    let log = patient(&server).connect().await;
    let (_, account) = fresh_account();
    let order = eventstore::Subject::order(&domain::OrderId::new(1, &[7; 16]));
    for _ in 0..50 {
        append(&log, &account, Expected::Anything, "a").await.unwrap();
        append(&log, &order, Expected::Anything, "a").await.unwrap();
    }
    let mut worker = log.subscribe("worker", &Stream::all(2)).await.unwrap();
    let mut seen = [Vec::new(), Vec::new()];
    for _ in 0..100 {
        let delivery = timeout(SOON, worker.next()).await.unwrap().unwrap();
        let stream = usize::from(delivery.message.subject == order);
        seen[stream].push(delivery.message.sequence.0);
        delivery.ack().await.unwrap();
    }
    let expected: Vec<u64> = (1..=50).collect();
    assert_eq!(seen, [expected.clone(), expected]);
}

#[tokio::test]
async fn a_consumer_that_was_paused_is_told_of_while_other_streams_are_served() {
    let server = Nats::start(Sync::Lazy).await;
    let log = patient(&server).connect().await;
    let (_, account) = fresh_account();
    let order = eventstore::Subject::order(&domain::OrderId::new(1, &[7; 16]));
    drop(log.subscribe("worker", &Stream::all(2)).await.unwrap());
    let stranger = stranger(server.url()).await;
    let pausing = stranger.get_stream("certmill-accounts").await.unwrap();
    let until = domain::Timestamp::from_unix_seconds(4_000_000_000).to_offset_date_time();
    pausing.pause_consumer("worker", until).await.unwrap();
    append(&log, &account, Expected::Anything, "a").await.unwrap();
    append(&log, &order, Expected::Anything, "a").await.unwrap();

    let mut worker = log.subscribe("worker", &Stream::all(2)).await.unwrap();
    let mut told = String::new();
    let mut seen = Vec::new();
    while told.is_empty() || seen.is_empty() {
        match timeout(SOON, worker.next()).await.unwrap() {
            Ok(delivery) => {
                seen.push(delivery.message.subject.clone());
                delivery.ack().await.unwrap();
            }
            Err(error) => told = error.source().unwrap().to_string(),
        }
    }
    assert_eq!(seen, [order]);
    assert!(told.contains("nats consumer resume") && !worker.delivers(), "{told}");
    pausing.resume_consumer("worker").await.unwrap();
    let delivery = timeout(SOON, worker.next()).await.unwrap().unwrap();
    assert!(delivery.message.subject == account && worker.delivers());
    delivery.ack().await.unwrap();
}

/// Lets time pass for all but the server.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_consumer_that_is_paused_while_it_is_waited_for_is_told_of() {
    let server = Nats::start(Sync::Lazy).await;
    let log = patient(&server).connect().await;
    let mut worker = log.subscribe("worker", &[Stream::Accounts]).await.unwrap();
    assert!(timeout(Duration::from_secs(2), worker.next()).await.is_err(), "nothing is there");
    let stream = stranger(server.url()).await.get_stream("certmill-accounts").await.unwrap();
    let until = domain::Timestamp::from_unix_seconds(4_000_000_000).to_offset_date_time();
    stream.pause_consumer("worker", until).await.unwrap();
    pass(Duration::from_mins(3)).await;
    let told = timeout(SOON, worker.next()).await.unwrap().err().unwrap();
    assert!(told.source().unwrap().to_string().contains("nats consumer resume"), "{told:?}");
}

#[tokio::test]
async fn whoever_follows_keeps_its_consumer_where_nothing_happens_for_long() {
    let server = Nats::start(Sync::Lazy).await;
    let log = patient(&server).connect().await;
    let (_, subject) = fresh_account();
    let mut follower = log.follow(&[(Stream::Accounts, Sequence::NONE)]).await.unwrap();
    append(&log, &subject, Expected::Anything, "a").await.unwrap();
    follower.next().await.unwrap();
    let stream = stranger(server.url()).await.get_stream("certmill-accounts").await.unwrap();
    for _ in 0..2 {
        pass(Duration::from_mins(3)).await;
        assert!(timeout(Duration::from_secs(2), follower.next()).await.is_err());
    }
    assert_eq!(stream.get_info().await.unwrap().state.consumer_count, 1);
    append(&log, &subject, Expected::Anything, "b").await.unwrap();
    assert_eq!(follower.next().await.unwrap().sequence, Sequence(2));
}

/// How many deliveries the worker's consumer has made, and how many it has not acknowledged.
async fn delivered(server: &Nats) -> (u64, usize) {
    let stream = stranger(server.url()).await.get_stream("certmill-accounts").await.unwrap();
    let info = stream.consumer_info("worker").await.unwrap();
    (info.delivered.consumer_sequence, info.num_ack_pending)
}

async fn receive(subscription: &mut dyn Subscription, count: usize) -> Vec<Sequence> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let delivery = timeout(SOON, subscription.next()).await.unwrap().unwrap();
        seen.push(delivery.message.sequence);
        delivery.ack().await.unwrap();
    }
    seen
}
