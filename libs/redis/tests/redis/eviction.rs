//! A server that threw keys away: it was set to do so for a while, shorter than anybody looks at its settings, or its clock
//! jumped ahead.

use std::slice::from_ref;

use acme::{Nonces as _, Redeemed};
use domain::{AccountId, Timestamp};
use eventstore::{Sequence, Stream};
use readmodel::{
    Lookup, OrderEntry, OrdersPart, OrdersQuery, ReadModel as _,
    contract::{account, certificate, order},
};
use redis_store::RedisStore;

use crate::{
    profile,
    server::{Server, on_each},
};

const LEDGER: Stream = Stream::Ledger;
const ORDERS: Stream = Stream::Orders(0);
/// In seconds.
const HOUR: i64 = 60 * 60;

/// Has the server throw away every key that would end some day, which the epoch and markers do not.
async fn evict(server: &Server) {
    let keys: Vec<String> = server.command(&["KEYS", "*"]).await;
    server.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]).await;
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    // Room is made before a command is carried out, whatever it is.
    server.command::<()>(&["DBSIZE"]).await;
    server.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    server.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    let kept: Vec<String> = server.command(&["KEYS", "*"]).await;
    assert!(kept.iter().any(|key| key == "certmill:complete:ledger"), "{kept:?}");
    assert!(kept.len() < keys.len(), "{kept:?}");
}

async fn listed(store: &RedisStore, account: &AccountId) -> (usize, Vec<Sequence>) {
    let part = OrdersPart::First;
    let query = OrdersQuery { account, part, limit: 10, order_shards: 1 };
    let page = store.orders_page(&query).await.unwrap();
    (page.orders.len(), page.complete_to)
}

#[tokio::test]
async fn an_index_that_was_thrown_away_says_so_until_it_is_made_anew() {
    on_each(&[], async |server| {
        let (indexer, other) = (server.store().await, server.store().await);
        let (found, holder) = (certificate(), account(1).state.id.clone());
        let placed_at = Timestamp::from(time::OffsetDateTime::now_utc());
        let (order, account) = (order(1).state.id.clone(), holder.clone());
        let placed = OrderEntry { order, account, placed_at, sequence: Sequence(1) };
        let index = async || {
            for stream in [LEDGER, ORDERS] {
                assert_eq!(indexer.complete_to(stream).await.unwrap(), Sequence::NONE);
            }
            indexer.put_certificates(from_ref(&found)).await.unwrap();
            indexer.put_order_entries(from_ref(&placed)).await.unwrap();
            for stream in [LEDGER, ORDERS] {
                indexer.mark_complete(stream, Sequence(7)).await.unwrap();
            }
            let lookup = other.certificate(&found.serial).await.unwrap();
            assert_eq!(lookup, Lookup::Found(found.clone()));
            let stranger = other.certificate(&certificate().serial).await.unwrap();
            assert_eq!(stranger, Lookup::Missing { complete_to: Sequence(7) });
            assert_eq!(listed(&other, &holder).await, (1, vec![Sequence(7)]));
        };
        index().await;
        for round in 0..3 {
            evict(&server).await;
            if round == 2 {
                // It may be thrown away as well.
                server.command::<()>(&["UNLINK", "certmill:epoch"]).await;
            }
            let missing = Lookup::Missing { complete_to: Sequence::NONE };
            assert_eq!(other.certificate(&found.serial).await.unwrap(), missing);
            assert_eq!(listed(&other, &holder).await, (0, vec![Sequence::NONE]));
            let mark = indexer.mark_complete(LEDGER, Sequence(8)).await;
            assert!(mark.is_err(), "it would hide that entries are gone");
            index().await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_index_stays_complete_when_the_server_that_threw_it_away_starts_again() {
    on_each(&["--appendonly", "yes", "--appendfsync", "always"], async |mut server| {
        let store = server.store().await;
        let found = certificate();
        store.put_certificates(from_ref(&found)).await.unwrap();
        store.mark_complete(LEDGER, Sequence(7)).await.unwrap();
        evict(&server).await;
        assert_eq!(store.complete_to(LEDGER).await.unwrap(), Sequence::NONE);
        server.kill();
        server.start_again();
        assert_eq!(store.complete_to(LEDGER).await.unwrap(), Sequence::NONE);
        assert!(store.mark_complete(LEDGER, Sequence(8)).await.is_err());
        assert_eq!(store.complete_to(LEDGER).await.unwrap(), Sequence::NONE);
        store.put_certificates(from_ref(&found)).await.unwrap();
        store.mark_complete(LEDGER, Sequence(7)).await.unwrap();
        server.kill();
        server.start_again();
        assert_eq!(store.complete_to(LEDGER).await.unwrap(), Sequence(7));
        assert_eq!(store.certificate(&found.serial).await.unwrap(), Lookup::Found(found));
    })
    .await;
}

/// Leaves a server as one whose clock jumped since it was used, by which keys may have ended.
async fn jump(server: &Server, seconds: i64, ended: &str) {
    let ended: Vec<String> = server.command(&["KEYS", ended]).await;
    for key in ended {
        server.command::<()>(&["UNLINK", &key]).await;
    }
    let used = (time::OffsetDateTime::now_utc().unix_timestamp() - seconds).to_string();
    server.command::<()>(&["HSET", "certmill:epoch", "used", &used]).await;
}

#[tokio::test]
async fn an_index_does_not_count_after_a_clock_that_may_have_ended_its_entries() {
    on_each(&[], async |server| {
        let (indexer, other) = (server.store().await, server.store().await);
        let found = certificate();
        assert_eq!(indexer.complete_to(LEDGER).await.unwrap(), Sequence::NONE);
        indexer.put_certificates(from_ref(&found)).await.unwrap();
        indexer.mark_complete(LEDGER, Sequence(7)).await.unwrap();
        jump(&server, 12 * HOUR, "none").await;
        assert_eq!(other.complete_to(LEDGER).await.unwrap(), Sequence(7), "no entry ends so soon");
        jump(&server, 25 * HOUR, "certmill:certificate:*").await;
        let missing = Lookup::Missing { complete_to: Sequence::NONE };
        assert_eq!(other.certificate(&found.serial).await.unwrap(), missing);
        assert!(indexer.mark_complete(LEDGER, Sequence(8)).await.is_err());
        assert_eq!(indexer.complete_to(LEDGER).await.unwrap(), Sequence::NONE);
        indexer.put_certificates(from_ref(&found)).await.unwrap();
        indexer.mark_complete(LEDGER, Sequence(7)).await.unwrap();
        // As it is set right again.
        jump(&server, -25 * HOUR, "none").await;
        assert_eq!(other.certificate(&found.serial).await.unwrap(), Lookup::Found(found));
        assert_eq!(other.complete_to(LEDGER).await.unwrap(), Sequence(7));
    })
    .await;
}

#[tokio::test]
async fn a_spent_nonce_is_not_good_again_after_a_clock_jumped_ahead() {
    on_each(&[], async |server| {
        let store = server.store().await;
        let [first, second] =
            [store.issue(&profile()).await.unwrap(), store.issue(&profile()).await.unwrap()];
        assert_eq!(store.redeem(&profile(), &first).await.unwrap(), Redeemed::Fresh);
        jump(&server, 100, "none").await;
        assert_eq!(store.redeem(&profile(), &second).await.unwrap(), Redeemed::Fresh, "it runs on");
        jump(&server, HOUR, "certmill:spent:*").await;
        assert_eq!(store.redeem(&profile(), &first).await.unwrap(), Redeemed::Unknown);
        let nonce = store.issue(&profile()).await.unwrap();
        assert_eq!(store.redeem(&profile(), &nonce).await.unwrap(), Redeemed::Fresh);
    })
    .await;
}

#[tokio::test]
async fn a_spent_nonce_that_was_thrown_away_is_not_good_again() {
    on_each(&[], async |server| {
        let store = server.store().await;
        store.mark_complete(LEDGER, Sequence(1)).await.unwrap();
        let nonce = store.issue(&profile()).await.unwrap();
        assert_eq!(store.redeem(&profile(), &nonce).await.unwrap(), Redeemed::Fresh);
        evict(&server).await;
        assert_eq!(store.redeem(&profile(), &nonce).await.unwrap(), Redeemed::Unknown);
        let nonce = store.issue(&profile()).await.unwrap();
        assert_eq!(store.redeem(&profile(), &nonce).await.unwrap(), Redeemed::Fresh);
    })
    .await;
}
