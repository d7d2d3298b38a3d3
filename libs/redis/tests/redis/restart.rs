//! What was spent stays spent: after a flush, a restart with and without persistence, and a restart of the api.

use acme::{Nonces, Redeemed};
use readmodel::{
    ReadModel,
    contract::{account, order},
};
use redis_store::RedisStore;

use crate::server::{Server, on_each};

/// Nonces in every condition a memory loss can find them in.
pub(crate) struct Issued {
    pub(crate) spent: Vec<String>,
    pub(crate) unspent: Vec<String>,
}

/// Issues a thousand nonces and spends half of them.
pub(crate) async fn issue(store: &RedisStore) -> Issued {
    let mut issued = Issued { spent: Vec::new(), unspent: Vec::new() };
    for _ in 0..500 {
        let nonce = store.issue(&crate::profile()).await.unwrap();
        assert_eq!(store.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Fresh);
        issued.spent.push(nonce);
        issued.unspent.push(store.issue(&crate::profile()).await.unwrap());
    }
    issued
}

/// Checks that no nonce is accepted that a lost memory knew, and that the next one issued is good.
pub(crate) async fn check_all_refused(store: &RedisStore, issued: &Issued) {
    for nonce in issued.spent.iter().chain(&issued.unspent) {
        assert_eq!(store.redeem(&crate::profile(), nonce).await.unwrap(), Redeemed::Unknown);
    }
    let next = store.issue(&crate::profile()).await.unwrap();
    assert_eq!(
        store.redeem(&crate::profile(), &next).await.unwrap(),
        Redeemed::Fresh,
        "one retry is enough"
    );
}

#[tokio::test]
async fn no_nonce_is_replayed_after_a_flush() {
    on_each(&[], async |server| {
        let (store, other) = (server.store().await, server.store().await);
        let issued = issue(&store).await;
        server.command::<()>(&["FLUSHALL"]).await;
        check_all_refused(&store, &issued).await;
        check_all_refused(&other, &issued).await;
    })
    .await;
}

async fn check_restart(mut server: Server) {
    let (store, other) = (server.store().await, server.store().await);
    let (before, order) = (issue(&store).await, order(7));
    store.put_order(&order).await.unwrap();
    server.command::<()>(&["SAVE"]).await;
    let after = issue(&store).await;
    server.kill();
    server.start_again();
    check_all_refused(&store, &after).await;
    for store in [&store, &other, &server.store().await] {
        check_all_refused(store, &before).await;
        check_all_refused(store, &after).await;
        assert_eq!(store.order(&order.state.id).await.unwrap(), None, "it may have been older");
    }
}

#[tokio::test]
async fn no_nonce_is_replayed_after_a_restart_from_an_older_snapshot() {
    on_each(&[], check_restart).await;
}

#[tokio::test]
async fn no_nonce_is_replayed_after_a_restart_from_the_append_only_file() {
    on_each(&["--appendonly", "yes", "--appendfsync", "always"], check_restart).await;
}

#[tokio::test]
async fn no_nonce_is_replayed_after_a_restart_that_kept_nothing() {
    on_each(&[], async |mut server| {
        let store = server.store().await;
        let issued = issue(&store).await;
        server.kill();
        server.start_again();
        check_all_refused(&store, &issued).await;
    })
    .await;
}

#[tokio::test]
async fn no_nonce_is_replayed_after_a_restart_of_the_api() {
    on_each(&[], async |server| {
        let before = server.store().await;
        let issued = issue(&before).await;
        let account = account(3);
        before.put_account(&account).await.unwrap();
        drop(before);
        let after = server.store().await;
        for nonce in &issued.spent {
            assert_eq!(after.redeem(&crate::profile(), nonce).await.unwrap(), Redeemed::Replayed);
        }
        for expected in [Redeemed::Fresh, Redeemed::Replayed] {
            for nonce in &issued.unspent {
                assert_eq!(after.redeem(&crate::profile(), nonce).await.unwrap(), expected);
            }
        }
        assert_eq!(after.account(&account.state.id).await.unwrap(), Some(account));
    })
    .await;
}

#[tokio::test]
async fn two_nodes_redeem_each_others_nonces_once() {
    on_each(&[], async |server| {
        let (one, two) = (server.store().await, server.store().await);
        for _ in 0..100 {
            let (of_one, of_two) = (
                one.issue(&crate::profile()).await.unwrap(),
                two.issue(&crate::profile()).await.unwrap(),
            );
            assert_eq!(two.redeem(&crate::profile(), &of_one).await.unwrap(), Redeemed::Fresh);
            assert_eq!(one.redeem(&crate::profile(), &of_one).await.unwrap(), Redeemed::Replayed);
            assert_eq!(one.redeem(&crate::profile(), &of_two).await.unwrap(), Redeemed::Fresh);
            assert_eq!(two.redeem(&crate::profile(), &of_two).await.unwrap(), Redeemed::Replayed);
        }
    })
    .await;
}

#[tokio::test]
async fn a_nonce_of_an_epoch_the_node_has_not_seen_is_good() {
    on_each(&[], async |server| {
        let (one, two) = (server.store().await, server.store().await);
        issue(&two).await;
        server.command::<()>(&["FLUSHALL"]).await;
        // The first to notice makes the new epoch; the other learns of it by a nonce it cannot open.
        assert_eq!(one.redeem(&crate::profile(), "").await.unwrap(), Redeemed::Unknown);
        let nonce = one.issue(&crate::profile()).await.unwrap();
        assert_eq!(two.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Fresh);
        assert_eq!(one.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Replayed);
    })
    .await;
}
