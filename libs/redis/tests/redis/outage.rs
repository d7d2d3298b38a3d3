//! Redis is down, hangs, or broke the connection.

use std::time::{Duration, Instant};

use acme::{Nonces, Redeemed};
use futures::FutureExt as _;
use readmodel::{Admission, ReadModel, contract::order};
use redis_store::{Options, RedisStore};
use tokio::{net::TcpListener, time::sleep};

use crate::{proxy::Proxy, server::on_each};

/// The longest a request waits for a Redis that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

async fn check_unavailable(store: &RedisStore) {
    let (nonce, order) = (store.issue(&crate::profile()).await.unwrap(), order(1));
    let started = Instant::now();
    assert!(store.redeem(&crate::profile(), &nonce).await.is_err());
    assert!(started.elapsed() < PATIENCE);
    let started = Instant::now();
    assert!(store.admit((&crate::profile(), &nonce), None, Some(&order.state.id)).await.is_err());
    assert!(started.elapsed() < PATIENCE);
    let started = Instant::now();
    assert!(store.order(&order.state.id).await.is_err());
    assert!(started.elapsed() < PATIENCE);
    let started = Instant::now();
    assert!(store.put_order(&order).await.is_err());
    assert!(started.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_server_that_is_down_fails_at_once_and_is_used_again_when_it_is_back() {
    on_each(&[], async |mut server| {
        let store = server.store().await;
        let nonce = store.issue(&crate::profile()).await.unwrap();
        for _ in 0..3 {
            server.kill();
            let started = Instant::now();
            check_unavailable(&store).await;
            assert!(started.elapsed() < PATIENCE, "nobody waits for a refused connection");
            server.start_again();
            assert_eq!(
                store.redeem(&crate::profile(), &nonce).await.unwrap(),
                Redeemed::Unknown,
                "the first call"
            );
            let next = store.issue(&crate::profile()).await.unwrap();
            assert_eq!(store.redeem(&crate::profile(), &next).await.unwrap(), Redeemed::Fresh);
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_in_time_and_left_for_one_that_answers() {
    on_each(&[], async |server| {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::to(server.port()).await;
        let store = RedisStore::connect(&proxy.url(), Options::default()).await.unwrap();
        let nonce = store.issue(&crate::profile()).await.unwrap();
        // Breaks the connection; the next one is accepted by nobody.
        proxy.lead_to(silent.local_addr().unwrap().port());
        server.command::<()>(&["CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "yes"]).await;
        check_unavailable(&store).await;
        proxy.lead_to(server.port());
        // A connection attempt to the silent one may still be under way: it ends in time, too.
        let _ = store.redeem(&crate::profile(), "").await;
        assert_eq!(
            store.redeem(&crate::profile(), &nonce).await.unwrap(),
            Redeemed::Fresh,
            "nothing was lost"
        );
    })
    .await;
}

#[tokio::test]
async fn a_broken_connection_is_replaced_without_anyone_noticing() {
    on_each(&[], async |server| {
        // Whether the break shows in a command or in the check before it.
        let options = Options { check_every: Duration::ZERO, ..Options::default() };
        let checking = RedisStore::connect(&server.url(), options).await.unwrap();
        let plain = server.store().await;
        for store in [&plain, &checking].into_iter().cycle().take(40) {
            let (nonce, order) = (store.issue(&crate::profile()).await.unwrap(), order(1));
            server.command::<()>(&["CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "yes"]).await;
            assert_eq!(store.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Fresh);
            assert_eq!(store.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Replayed);
            server.command::<()>(&["CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "yes"]).await;
            store.put_order(&order).await.unwrap();
            assert_eq!(store.order(&order.state.id).await.unwrap(), Some(order));
        }
    })
    .await;
}

#[tokio::test]
async fn scripts_are_loaded_again_when_the_server_forgot_them() {
    on_each(&[], async |server| {
        let store = server.store().await;
        let nonce = store.issue(&crate::profile()).await.unwrap();
        assert_eq!(store.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Fresh);
        server.command::<()>(&["SCRIPT", "FLUSH"]).await;
        assert_eq!(store.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Replayed);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_not_there_at_start_is_unreachable() {
    on_each(&[], async |mut server| {
        server.kill();
        let started = Instant::now();
        let error = RedisStore::connect(&server.url(), Options::default()).await.unwrap_err();
        assert_eq!(error.to_string(), "redis cannot be reached");
        assert!(started.elapsed() < PATIENCE);
    })
    .await;
}

/// How long it takes at most until a process hears that its connection is gone.
const NOTICE: Duration = Duration::from_millis(100);
/// Longer than a connection may take to be made.
const LATER: Duration = Duration::from_millis(1500);

#[tokio::test]
async fn a_connection_is_made_for_the_next_though_the_first_who_wants_it_hangs_up() {
    on_each(&[], async |server| {
        let (store, view) = (server.store().await, order(1));
        store.put_order(&view).await.unwrap();
        server.command::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]).await;
        sleep(NOTICE).await;
        let first = store.order(&view.state.id);
        assert!(first.now_or_never().is_none(), "it waits for a connection");
        sleep(LATER).await;
        assert_eq!(store.order(&view.state.id).await.unwrap(), Some(view));
    })
    .await;
}

#[tokio::test]
async fn what_failed_after_who_wanted_it_hung_up_is_not_told_to_the_next() {
    on_each(&[], async |mut server| {
        let (store, id) = (server.store().await, order(1).state.id.clone());
        server.kill();
        sleep(NOTICE).await;
        assert!(store.order(&id).now_or_never().is_none(), "it waits for a connection");
        sleep(NOTICE).await;
        server.start_again();
        assert_eq!(store.order(&id).await.unwrap(), None);
    })
    .await;
}
