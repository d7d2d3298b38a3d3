//! Indexes are made anew while they are used.

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use embedded::Embedded;
use eventstore::{EventStore as _, Sequence, Stream, Subject};
use readmodel::{Aggregates, FindError, Lookup, ReadModel as _};

use crate::samples::{
    account, append, at, certificate_signed, issuer, open, order, serial, write_log,
};

#[tokio::test]
async fn a_rebuild_finds_everything_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write_log(&store, 0..100).await;
    let before = Embedded::verify_directory(dir.path()).unwrap();
    assert_eq!(before.indexed, 200);
    store.rebuild().await.unwrap();
    assert_eq!(Embedded::verify_directory(dir.path()).unwrap(), before);
    assert!(store.complete_to(Stream::Ledger).await.unwrap() >= Sequence(399));
    assert_eq!(store.orders(&account(2)).await.unwrap().len(), 33);
}

/// More than the steps in which a rebuild of one page waits for something.
const MOST_STEPS: usize = 50;

/// Goes on with a rebuild until it has waited so many times; tells whether it came to its end.
async fn rebuild_for(store: &Embedded, steps: usize) -> bool {
    let mut rebuild = pin!(store.rebuild());
    let mut waited = 0;
    poll_fn(|context| match rebuild.as_mut().poll(context) {
        Poll::Ready(rebuilt) => {
            rebuilt.unwrap();
            Poll::Ready(true)
        }
        Poll::Pending if waited == steps => Poll::Ready(false),
        Poll::Pending => {
            waited += 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn a_rebuild_that_is_cut_short_loses_no_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write_log(&store, 0..100).await;
    drop(store);
    for steps in 0..MOST_STEPS {
        let store = open(dir.path());
        let came_to_its_end = rebuild_for(&store, steps).await;
        store.close().await;
        drop(store);
        let store = open(dir.path());
        assert_eq!(store.orders(&account(2)).await.unwrap().len(), 33, "after step {steps}");
        if came_to_its_end {
            assert_eq!(Embedded::verify_directory(dir.path()).unwrap().indexed, 200);
            return;
        }
    }
    panic!("no rebuild came to its end");
}

#[tokio::test]
async fn what_is_pruned_during_a_rebuild_stays_away() {
    for steps in 0..MOST_STEPS {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        write_log(&store, 0..9).await;
        let mut rebuild = pin!(store.rebuild());
        let (mut waited, mut pruned) = (0, pin!(store.prune(at(6))));
        let mut came_to_its_end = false;
        poll_fn(|context| {
            if waited < steps && !came_to_its_end {
                match rebuild.as_mut().poll(context) {
                    Poll::Ready(rebuilt) => rebuilt.map(|()| came_to_its_end = true).unwrap(),
                    Poll::Pending => {
                        waited += 1;
                        return Poll::Pending;
                    }
                }
            }
            pruned.as_mut().poll(context).map(Result::unwrap)
        })
        .await;
        if !came_to_its_end {
            rebuild.await.unwrap();
        }
        assert_eq!(store.orders(&account(0)).await.unwrap(), [order(6)], "after step {steps}");
        assert_eq!(Embedded::verify_directory(dir.path()).unwrap().pruned, 12);
        if came_to_its_end {
            return;
        }
    }
    panic!("no rebuild came to its end");
}

#[tokio::test]
async fn a_cleared_index_is_incomplete_until_a_projector_filled_it_across_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write_log(&store, 0..10).await;
    let entries: Vec<_> = {
        let mut entries = vec![];
        for n in 0..10 {
            let Lookup::Found(entry) = store.certificate(&serial(n)).await.unwrap() else {
                panic!("certificate {n} is indexed")
            };
            entries.push(entry);
        }
        entries
    };
    store.clear().await.unwrap();
    let missing = Lookup::Missing { complete_to: Sequence::NONE };
    assert_eq!(store.certificate(&serial(3)).await.unwrap(), missing);
    assert_eq!(store.complete_to(Stream::Ledger).await.unwrap(), Sequence::NONE);
    let ledger = Subject::ledger(&issuer(), &serial(10));
    let new = append(&store, &ledger, &certificate_signed(10)).await.unwrap();
    assert!(matches!(store.certificate(&serial(10)).await.unwrap(), Lookup::Found(_)));
    store.put_certificates(&entries[..5]).await.unwrap();
    let half = entries[4].ledger_sequence;
    let gap = entries[5].ledger_sequence;
    store.mark_complete(Stream::Ledger, gap).await.expect_err("the sixth is not there");
    store.mark_complete(Stream::Ledger, half).await.unwrap();
    drop(store);

    let store = open(dir.path());
    assert_eq!(store.complete_to(Stream::Ledger).await.unwrap(), half);
    Embedded::verify_directory(dir.path()).unwrap();
    store.put_certificates(&entries[5..]).await.unwrap();
    let last = entries[9].ledger_sequence;
    store.mark_complete(Stream::Ledger, last).await.unwrap();
    assert_eq!(store.complete_to(Stream::Ledger).await.unwrap(), new, "appends fill it again");
    assert_eq!(Embedded::verify_directory(dir.path()).unwrap().indexed, 21);
    let subject = Subject::order(&order(3));
    assert_eq!(store.read(&subject, Sequence::NONE).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_incomplete_index_says_of_no_certificate_that_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    write_log(&store, 0..3).await;
    let log = Aggregates { store: Arc::clone(&store) as _, views: Arc::clone(&store) as _ };
    let found = log.certificate(&serial(1)).await.unwrap().unwrap();
    assert_eq!(log.certificate(&serial(9)).await.unwrap(), None);
    let end = store.last_sequence(Stream::Ledger).await.unwrap();
    store.clear().await.unwrap();
    for missing in [1, 9] {
        let asked = log.certificate_up_to(end, &serial(missing)).await;
        assert!(matches!(asked, Err(FindError::Behind)), "{missing}");
    }
    let (unindexed, none) = (serial(1), serial(9));
    let asked = async { tokio::join!(log.certificate(&unindexed), log.certificate(&none)) };
    let ((first, second), rebuilt) = tokio::join!(asked, store.rebuild());
    rebuilt.unwrap();
    assert_eq!((first.unwrap(), second.unwrap()), (Some(found.clone()), None));
    assert_eq!(log.certificate(&serial(1)).await.unwrap(), Some(found.clone()));
    assert_eq!(log.certificate(&serial(9)).await.unwrap(), None);
    let signed = log.signed_certificate(found.ledger_sequence, &serial(1)).await.unwrap();
    assert_eq!(signed.unwrap().serial, serial(1));
    let other = log.signed_certificate(found.ledger_sequence, &serial(2)).await.unwrap();
    assert_eq!(other, None, "another one is there");
}
