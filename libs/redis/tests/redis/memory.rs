//! What is kept, for how long, and how much of it.

use std::{slice::from_ref, time::Duration};

use acme::{Nonces, Redeemed, nonce::SPENT_LIFETIME};
use domain::{Failure, FailureKind, Timestamp, order::Progress};
use readmodel::{
    Admission, Lookup, OrderEntry, ReadModel,
    contract::{account, certificate, order},
};
use redis_store::{Options, RedisStore};

use crate::server::{Server, on_each};

async fn used_memory(server: &Server) -> i64 {
    let info: String = server.command(&["INFO", "memory"]).await;
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn a_hundred_thousand_nonces_take_less_than_a_megabyte() {
    on_each(&[], async |server| {
        let store = server.store().await;
        let warm = store.issue(&crate::profile()).await.unwrap();
        store.redeem(&crate::profile(), &warm).await.unwrap();
        let before = used_memory(&server).await;
        let mut last = warm;
        for i in 0..100_000 {
            let nonce = store.issue(&crate::profile()).await.unwrap();
            if i % 100 == 0 {
                assert_eq!(store.redeem(&crate::profile(), &nonce).await.unwrap(), Redeemed::Fresh);
            }
            last = nonce;
        }
        assert_eq!(store.redeem(&crate::profile(), &last).await.unwrap(), Redeemed::Fresh);
        let added = used_memory(&server).await - before;
        assert!(added < 1_000_000, "100,000 nonces added {added} bytes");
    })
    .await;
}

/// The keys with a pattern and for how many milliseconds each is kept; -1 for ever.
async fn kept(server: &Server, pattern: &str) -> Vec<i64> {
    let keys: Vec<String> = server.command(&["KEYS", pattern]).await;
    let mut kept = Vec::new();
    for key in keys {
        kept.push(server.command(&["PTTL", &key]).await);
    }
    kept
}

#[track_caller]
fn check_kept(found: &[i64], expected: Duration) {
    let expected = i64::try_from(expected.as_millis()).unwrap();
    assert_eq!(found.len(), 1);
    let tolerance = 60_000;
    assert!((expected - tolerance..=expected).contains(&found[0]), "{} of {expected}", found[0]);
}

#[tokio::test]
async fn everything_but_the_epoch_and_crls_goes_in_time() {
    on_each(&[], async |server| {
        let options = Options {
            keep_account: Duration::from_secs(10_000),
            keep_order: Duration::from_secs(20_000),
            keep_order_entry: Duration::from_secs(40_000),
            keep_certificate: Duration::from_secs(30_000),
            ..Options::default()
        };
        let store = RedisStore::connect(&server.url(), options).await.unwrap();
        let now = Timestamp::from(time::OffsetDateTime::now_utc());

        let nonce = store.issue(&crate::profile()).await.unwrap();
        store.redeem(&crate::profile(), &nonce).await.unwrap();
        check_kept(&kept(&server, "certmill:spent:*").await, SPENT_LIFETIME);
        assert_eq!(kept(&server, "certmill:epoch").await, [-1]);

        let account = account(1);
        store.put_account(&account).await.unwrap();
        check_kept(&kept(&server, "certmill:account:*").await, Duration::from_secs(10_000));
        let key = format!("certmill:account:{}", account.state.id);
        server.command::<()>(&["PEXPIRE", &key, "5000"]).await;
        store.account(&account.state.id).await.unwrap().unwrap();
        assert!(kept(&server, "certmill:account:*").await[0] <= 5000, "nobody came");
        store.admit((&crate::profile(), ""), Some(&account.state.id), None).await.unwrap();
        check_kept(&kept(&server, "certmill:account:*").await, Duration::from_secs(10_000));

        let mut order = order(1);
        let state = std::sync::Arc::make_mut(&mut order.state);
        state.expires_at = now.plus(Duration::from_secs(5_000));
        store.put_order(&order).await.unwrap();
        check_kept(&kept(&server, "certmill:order:*").await, Duration::from_secs(25_000));
        let failure = Failure::new(FailureKind::Dns, "no such name");
        std::sync::Arc::make_mut(&mut order.state).progress = Progress::Invalid { failure };
        order.sequence = eventstore::Sequence(2);
        store.put_order(&order).await.unwrap();
        check_kept(&kept(&server, "certmill:order:*").await, Duration::from_secs(20_000));

        let placed = |seconds| OrderEntry {
            order: order.state.id.clone(),
            account: account.state.id.clone(),
            placed_at: now.minus(Duration::from_secs(seconds)),
            sequence: eventstore::Sequence(1),
        };
        store.put_order_entries(&[placed(30_000)]).await.unwrap();
        check_kept(&kept(&server, "certmill:orders:*").await, Duration::from_secs(40_000));

        let mut entry = certificate();
        entry.not_after = now.plus(Duration::from_secs(7_000));
        store.put_certificates(from_ref(&entry)).await.unwrap();
        check_kept(&kept(&server, "certmill:certificate:*").await, Duration::from_secs(37_000));
        let mut past = certificate();
        past.not_after = now.minus(Duration::from_secs(30_001));
        let next = certificate();
        store.put_certificates(&[past.clone(), next.clone()]).await.unwrap();
        let found = store.certificate(&past.serial).await.unwrap();
        assert!(matches!(found, Lookup::Missing { .. }));
        assert_eq!(store.certificate(&next.serial).await.unwrap(), Lookup::Found(next));
        store.put_certificates(from_ref(&past)).await.unwrap();
    })
    .await;
}
