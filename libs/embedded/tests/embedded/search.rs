//! Finding a place by time, and what stands at it.

use eventstore::{EventStore as _, Sequence, Stream, Subject, last_before};

use crate::samples::{
    account, account_update, append, at, certificate_signed, issuer, open, serial,
};

#[tokio::test]
async fn what_is_after_a_place_found_by_time_is_not_older() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let times: Vec<i64> = (0..20).map(|n| n * 10).collect();
    for (n, time) in (0..).zip(&times) {
        let mut signed = certificate_signed(n);
        signed.at = at(*time);
        append(&store, &Subject::ledger(&issuer(), &serial(n)), &signed).await.unwrap();
        // Another stream lies between.
        append(&store, &Subject::account(&account(n)), &account_update("a")).await.unwrap();
    }
    for time in (-5..205).step_by(5) {
        let place = last_before(&store, Stream::Ledger, at(time)).await.unwrap();
        let newer = store.scan(Stream::Ledger, place, times.len()).await.unwrap();
        let newer: Vec<_> = newer.iter().map(|message| message.envelope.at).collect();
        let expected: Vec<_> = times.iter().filter(|it| **it >= time).map(|it| at(*it)).collect();
        assert_eq!(newer, expected, "{time}");
    }
    let nothing = last_before(&store, Stream::Revocations, at(0)).await.unwrap();
    assert_eq!(nothing, Sequence::NONE);
}

#[tokio::test]
async fn a_place_is_one_of_its_own_stream_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let place = append(&store, &Subject::account(&account(1)), &account_update("a")).await.unwrap();
    assert!(store.message(Stream::Accounts, place).await.unwrap().is_some());
    assert!(store.message(Stream::Ledger, place).await.unwrap().is_none());
    drop(store);
    let store = open(dir.path());
    assert!(store.message(Stream::Accounts, place).await.unwrap().is_some());
    assert!(store.message(Stream::Ledger, place).await.unwrap().is_none(), "nor on the disk");
}
