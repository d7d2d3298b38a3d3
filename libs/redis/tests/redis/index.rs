//! Markers after a loss of memory.

use std::{slice::from_ref, time::Duration};

use domain::{AccountId, Timestamp};
use eventstore::{Sequence, Stream};
use readmodel::{
    Lookup, OrderEntry, OrdersPart, OrdersQuery, ReadModel, Unavailable,
    contract::{certificate, order},
};

use crate::server::{Server, on_each};

#[tokio::test]
async fn a_mark_after_lost_entries_is_refused_until_the_marker_is_read_again() {
    on_each(&[], async |mut server| {
        let store = server.store().await;
        let (kept, lost) = (certificate(), certificate());
        assert_eq!(store.complete_to(Stream::Ledger).await.unwrap(), Sequence::NONE);
        store.put_certificates(from_ref(&kept)).await.unwrap();
        store.mark_complete(Stream::Ledger, Sequence(1)).await.unwrap();
        server.command::<()>(&["SAVE"]).await;
        store.put_certificates(from_ref(&lost)).await.unwrap();
        store.mark_complete(Stream::Ledger, Sequence(2)).await.unwrap();
        server.kill();
        server.start_again();

        let mark = store.mark_complete(Stream::Ledger, Sequence(3)).await;
        assert!(mark.is_err(), "it would hide that entry 2 is gone");
        assert_eq!(store.complete_to(Stream::Ledger).await.unwrap(), Sequence(1));
        let missing = Lookup::Missing { complete_to: Sequence(1) };
        assert_eq!(store.certificate(&lost.serial).await.unwrap(), missing);
        let found = store.certificate(&kept.serial).await.unwrap();
        assert_eq!(found, Lookup::Found(kept), "what is there is true in every epoch");
        store.put_certificates(from_ref(&lost)).await.unwrap();
        store.mark_complete(Stream::Ledger, Sequence(2)).await.unwrap();
        assert_eq!(store.complete_to(Stream::Ledger).await.unwrap(), Sequence(2));
    })
    .await;
}

#[tokio::test]
async fn a_mark_is_refused_also_when_an_entry_was_written_since_others_were_lost() {
    on_each(&[], async |server| {
        let (indexer, operator) = (server.store().await, server.store().await);
        let (lost, written) = (certificate(), certificate());
        assert_eq!(indexer.complete_to(Stream::Ledger).await.unwrap(), Sequence::NONE);
        indexer.put_certificates(from_ref(&lost)).await.unwrap();
        operator.clear().await.unwrap();
        // By this the indexer learns of the new memory, and not that it has to begin anew.
        indexer.put_certificates(from_ref(&written)).await.unwrap();
        let mark = indexer.mark_complete(Stream::Ledger, Sequence(2)).await;
        assert!(mark.is_err(), "it would hide that entry 1 is gone");
        let missing = Lookup::Missing { complete_to: Sequence::NONE };
        assert_eq!(indexer.certificate(&lost.serial).await.unwrap(), missing);
    })
    .await;
}

#[tokio::test]
async fn a_certificate_that_was_lost_is_missing_from_an_index_that_says_so() {
    on_each(&[], async |mut server| {
        let store = server.store().await;
        let entry = certificate();
        store.put_certificates(from_ref(&entry)).await.unwrap();
        store.mark_complete(Stream::Ledger, Sequence(1)).await.unwrap();
        assert_eq!(store.complete_to(Stream::Ledger).await.unwrap(), Sequence(1));
        // Whoever goes by the marker that he read a moment ago takes it for one that never was.
        server.kill();
        server.start_again();
        let missing = Lookup::Missing { complete_to: Sequence::NONE };
        assert_eq!(store.certificate(&entry.serial).await.unwrap(), missing);
    })
    .await;
}

#[tokio::test]
async fn after_lost_entries_each_marker_has_to_be_read_again_only_once() {
    on_each(&[], async |server| {
        let (indexer, operator) = (server.store().await, server.store().await);
        let streams = [Stream::Ledger, Stream::Accounts, Stream::Orders(0)];
        for stream in streams {
            indexer.complete_to(stream).await.unwrap();
        }
        operator.clear().await.unwrap();
        assert!(indexer.mark_complete(Stream::Accounts, Sequence(1)).await.is_err());
        for stream in streams {
            indexer.complete_to(stream).await.unwrap();
        }
        for stream in streams {
            indexer.mark_complete(stream, Sequence(1)).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_rebuild_by_another_process_makes_indexers_start_over() {
    on_each(&[], async |server| {
        let (indexer, operator) = (server.store().await, server.store().await);
        let entry = certificate();
        indexer.put_certificates(from_ref(&entry)).await.unwrap();
        indexer.mark_complete(Stream::Ledger, Sequence(9)).await.unwrap();
        operator.clear().await.unwrap();
        assert!(indexer.mark_complete(Stream::Ledger, Sequence(10)).await.is_err());
        assert_eq!(indexer.complete_to(Stream::Ledger).await.unwrap(), Sequence::NONE);
        let missing = Lookup::Missing { complete_to: Sequence::NONE };
        assert_eq!(indexer.certificate(&entry.serial).await.unwrap(), missing);
    })
    .await;
}

#[tokio::test]
async fn a_rebuild_frees_what_it_forgets() {
    on_each(&[], async |server| {
        let store = server.store().await;
        for sequence in 1..3000 {
            let account = readmodel::contract::account(sequence);
            store.put_account(&account).await.unwrap();
            store.put_order_entries(&[placed(&account.state.id)]).await.unwrap();
        }
        store.clear().await.unwrap();
        let left: Vec<String> = server.command(&["KEYS", "*"]).await;
        assert_eq!(left, ["certmill:epoch"]);
    })
    .await;
}

fn placed(account: &AccountId) -> OrderEntry {
    let (order, account) = (order(1).state.id.clone(), account.clone());
    let placed_at = Timestamp::from(time::OffsetDateTime::now_utc());
    OrderEntry { order, account, placed_at, sequence: Sequence(1) }
}

#[tokio::test]
async fn an_order_is_listed_also_where_a_clock_that_is_ahead_takes_it_for_too_old() {
    on_each(&[], async |server| {
        let store = server.store().await;
        let account = readmodel::contract::account(1).state.id.clone();
        let [mut first, mut second, later] = [(); 3].map(|()| placed(&account));
        first.placed_at = later.placed_at.minus(Duration::from_hours(24 * 365));
        second.placed_at = first.placed_at.plus(Duration::from_hours(1));
        let listed = async || {
            let part = OrdersPart::First;
            let query = OrdersQuery { account: &account, part, limit: 10, order_shards: 1 };
            store.orders_page(&query).await.unwrap().orders
        };
        for entry in [&first, &second] {
            store.put_order_entries(from_ref(entry)).await.unwrap();
        }
        assert_eq!(listed().await, [first.order, second.order]);
        store.put_order_entries(from_ref(&later)).await.unwrap();
        assert_eq!(listed().await, [later.order], "the log has lost the others");
    })
    .await;
}

#[tokio::test]
async fn orders_written_after_a_rebuild_began_survive_its_sweep() {
    on_each(&[], async |server| {
        let (indexer, operator) = (server.store().await, server.store().await);
        let account = readmodel::contract::account(1).state.id.clone();
        indexer.put_order_entries(&[placed(&account)]).await.unwrap();
        let sweeps = async {
            for _ in 0..20 {
                operator.clear().await.unwrap();
            }
        };
        let writes = async {
            let mut last = None;
            for _ in 0..200 {
                // A mark that is accepted says that everything written since the marker was read is there. While one
                // rebuild follows the other, a call may meet too many of them and say so.
                if indexer.complete_to(Stream::Orders(0)).await.is_err() {
                    continue;
                }
                let entry = placed(&account);
                if indexer.put_order_entries(from_ref(&entry)).await.is_err() {
                    continue;
                }
                if indexer.mark_complete(Stream::Orders(0), Sequence(1)).await.is_ok() {
                    last = Some(entry.order);
                }
            }
            last
        };
        let ((), last) = tokio::join!(sweeps, writes);
        let part = OrdersPart::First;
        let query = OrdersQuery { account: &account, part, limit: 1000, order_shards: 1 };
        let page = indexer.orders_page(&query).await.unwrap();
        if page.complete_to == [Sequence(1)] {
            let last = last.expect("something was marked");
            assert!(page.orders.contains(&last), "{last} is gone");
        }
    })
    .await;
}

/// What a long sweep takes away.
async fn fill(server: &Server) {
    let script = "for i = 1, 10000 do redis.call('SET', KEYS[1] .. i, 'x') end";
    for part in 0..30 {
        let key = format!("certmill:order:{part}-");
        server.command::<()>(&["EVAL", script, "1", &key]).await;
    }
}

async fn epoch(server: &Server) -> Option<String> {
    server.command(&["HGET", "certmill:epoch", "epoch"]).await
}

#[tokio::test]
async fn entries_written_after_a_rebuild_was_overtaken_survive_its_sweep() {
    on_each(&[], async |server| {
        let (indexer, operator) = (server.store().await, server.store().await);
        indexer.complete_to(Stream::Ledger).await.unwrap();
        fill(&server).await;
        let before = epoch(&server).await;
        let sweep = tokio::spawn(async move { operator.clear().await });
        while [None, before.clone()].contains(&epoch(&server).await) {}
        // As the next rebuild begins, or a server that started again.
        server.command::<()>(&["UNLINK", "certmill:epoch", "certmill:complete:ledger"]).await;
        let entries: Vec<_> = (0..300).map(|_| certificate()).collect();
        assert!(indexer.mark_complete(Stream::Ledger, Sequence(1)).await.is_err());
        assert_eq!(indexer.complete_to(Stream::Ledger).await.unwrap(), Sequence::NONE);
        for entry in &entries {
            indexer.put_certificates(from_ref(entry)).await.unwrap();
        }
        indexer.mark_complete(Stream::Ledger, Sequence(1)).await.unwrap();
        let swept = sweep.await.unwrap();
        assert_eq!(indexer.complete_to(Stream::Ledger).await.unwrap(), Sequence(1));
        for entry in entries {
            let found = indexer.certificate(&entry.serial).await.unwrap();
            assert_eq!(found, Lookup::Found(entry), "the marker says that it is there");
        }
        assert!(matches!(swept, Err(Unavailable::MemoryLost)), "it may be repeated: {swept:?}");
    })
    .await;
}
