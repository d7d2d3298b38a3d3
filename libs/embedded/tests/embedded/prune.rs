//! Old orders go, what others need of them stays.

use std::sync::Arc;

use domain::order::Order;
use embedded::Embedded;
use eventstore::{EventFeed as _, EventStore as _, Sequence, Stream, Subject};
use readmodel::{Aggregates, Lookup, ReadModel as _};

use crate::samples::{account, at, open, order, order_failed, serial, write_log};

#[tokio::test]
async fn old_orders_go_and_the_chain_still_holds() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write_log(&store, 0..250).await;
    assert_eq!(store.prune(at(240)).await.unwrap(), 240);
    assert_eq!(store.prune(at(240)).await.unwrap(), 0);

    let (gone, kept) = (Subject::order(&order(239)), Subject::order(&order(240)));
    let copy = dir.path().join("copy");
    store.backup(&copy).unwrap();
    for (store, dir) in [(store, dir.path()), (open(&copy), copy.as_path())] {
        assert!(store.read(&gone, Sequence::NONE).await.unwrap().is_empty());
        assert_eq!(store.read(&kept, Sequence::NONE).await.unwrap().len(), 2);
        let in_shard = store.scan(Stream::Orders(0), Sequence::NONE, 1000).await.unwrap();
        assert_eq!(in_shard.len(), 2 * 3, "of orders 240, 244 and 248");
        assert_eq!(store.orders(&account(0)).await.unwrap(), [240, 243, 246, 249].map(order));
        assert!(matches!(store.certificate(&serial(3)).await.unwrap(), Lookup::Found(_)));
        let verified = Embedded::verify_directory(dir).unwrap();
        assert_eq!((verified.messages, verified.pruned), (1000, 480));
    }
}

#[tokio::test]
async fn nothing_is_appended_to_an_order_that_went() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write_log(&store, 0..1).await;
    let subject = Subject::order(&order(0));
    let last = store.read(&subject, Sequence::NONE).await.unwrap()[1].sequence;
    store.prune(at(1)).await.unwrap();
    let late = order_failed(at(1));
    let refused = store.append(&subject, eventstore::Expected::Last(last), &late).await;
    assert!(matches!(refused, Err(eventstore::AppendError::Conflict)), "{refused:?}");
}

#[tokio::test]
async fn there_are_as_many_shards_as_hold_orders_that_did_not_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(store.order_shards().await.unwrap(), 0);
    for (n, shards) in [(1, 2), (0, 2), (3, 4), (2, 4)] {
        write_log(&store, n..n + 1).await;
        assert_eq!(store.order_shards().await.unwrap(), shards);
    }
    store.prune(at(3)).await.unwrap();
    assert_eq!(store.order_shards().await.unwrap(), 4);
    store.prune(at(4)).await.unwrap();
    assert_eq!(store.order_shards().await.unwrap(), 0);
}

#[tokio::test]
async fn a_consumer_that_comes_later_skips_what_went() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write_log(&store, 0..200).await;
    store.prune(at(199)).await.unwrap();
    let streams = Stream::orders(4);
    let mut worker = store.subscribe("late", &streams).await.unwrap();
    let delivery = worker.next().await.unwrap();
    assert_eq!(delivery.message.subject, Subject::order(&order(199)));
}

#[tokio::test]
async fn the_view_of_an_order_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let log = Aggregates { store: Arc::clone(&store) as _, views: Arc::clone(&store) as _ };
    write_log(&store, 0..1).await;
    assert!(log.load::<Order>(&order(0)).await.unwrap().is_some());
    store.prune(at(1)).await.unwrap();
    assert!(log.load::<Order>(&order(0)).await.unwrap().is_none());
}
