//! Failover: what the promoted replica missed is refused or a miss, never replayed or stale.

use acme::{Nonces, Redeemed};
use eventstore::Sequence;
use readmodel::{ReadModel, contract::order};
use redis_store::{ConnectError, Options, RedisStore};

use crate::{
    proxy::Proxy,
    restart::{check_all_refused, issue},
    server::on_each,
};

#[tokio::test]
async fn a_promoted_replica_that_missed_writes_replays_no_nonce() {
    on_each(&[], async |mut primary| {
        let proxy = Proxy::to(primary.port()).await;
        let replica = primary.replica();
        let store = RedisStore::connect(&proxy.url(), Options::default()).await.unwrap();
        let seen_by_both = issue(&store).await;
        primary.replicates().await;
        // From here on the replica misses everything; its promotion is not yet known to anyone.
        replica.command::<()>(&["REPLICAOF", "NO", "ONE"]).await;
        let missed = issue(&store).await;
        proxy.lead_to(replica.port());
        primary.kill();
        check_all_refused(&store, &missed).await;
        check_all_refused(&store, &seen_by_both).await;
    })
    .await;
}

#[tokio::test]
async fn two_primaries_never_accept_one_nonce() {
    on_each(&[], async |primary| {
        let replica = primary.replica();
        let store = primary.store().await;
        issue(&store).await;
        primary.replicates().await;
        let nonce = store.issue(&crate::profile()).await.unwrap();
        replica.command::<()>(&["REPLICAOF", "NO", "ONE"]).await;
        let other = replica.store().await;
        assert_eq!(other.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Unknown);
        let of_other = other.issue(&crate::profile()).await.unwrap();
        assert_eq!(store.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Fresh);
        assert_eq!(store.redeem(&crate::profile(), &of_other).await.unwrap(), Redeemed::Unknown);
        assert_eq!(other.redeem(&crate::profile(), &of_other).await.unwrap(), Redeemed::Fresh);
    })
    .await;
}

/// The process is the same before and after, so its run id tells nothing.
#[tokio::test]
async fn a_primary_promoted_again_after_taking_over_older_data_replays_no_nonce() {
    on_each(&[], async |mut primary| {
        let replica = primary.replica();
        let store = primary.store().await;
        issue(&store).await;
        let order = order(5);
        store.put_order(&order).await.unwrap();
        primary.replicates().await;
        replica.command::<()>(&["REPLICAOF", "NO", "ONE"]).await;
        let missed = issue(&store).await;
        let port = replica.port().to_string();
        primary.command::<()>(&["REPLICAOF", "127.0.0.1", &port]).await;
        primary.waits_for_sync();
        primary.command::<()>(&["REPLICAOF", "NO", "ONE"]).await;
        check_all_refused(&store, &missed).await;
        assert_eq!(store.order(&order.state.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_promoted_replica_serves_no_view_that_may_be_older() {
    on_each(&[], async |mut primary| {
        let proxy = Proxy::to(primary.port()).await;
        let replica = primary.replica();
        let store = RedisStore::connect(&proxy.url(), Options::default()).await.unwrap();
        let mut order = order(5);
        store.put_order(&order).await.unwrap();
        primary.replicates().await;
        replica.command::<()>(&["REPLICAOF", "NO", "ONE"]).await;
        order.sequence = Sequence(6);
        store.put_order(&order).await.unwrap();
        proxy.lead_to(replica.port());
        primary.kill();
        assert_eq!(store.order(&order.state.id).await.unwrap(), None);
        store.put_order(&order).await.unwrap();
        assert_eq!(store.order(&order.state.id).await.unwrap(), Some(order));
    })
    .await;
}

#[tokio::test]
async fn a_demoted_primary_is_left_for_the_one_the_address_leads_to() {
    on_each(&[], async |primary| {
        let proxy = Proxy::to(primary.port()).await;
        let replica = primary.replica();
        let store = RedisStore::connect(&proxy.url(), Options::default()).await.unwrap();
        let issued = issue(&store).await;
        primary.replicates().await;
        replica.command::<()>(&["REPLICAOF", "NO", "ONE"]).await;
        proxy.lead_to(replica.port());
        let port = replica.port().to_string();
        // The connection to the demoted server still stands; reading from it would be reading the past.
        primary.command::<()>(&["REPLICAOF", "127.0.0.1", &port]).await;
        check_all_refused(&store, &issued).await;
        let error = RedisStore::connect(&primary.url(), Options::default()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Replica));
    })
    .await;
}
