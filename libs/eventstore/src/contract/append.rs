//! Appends and reads.

use std::sync::Arc;

use domain::{
    account::{Account, Command, Event},
    key_use::{self, KeyUse},
};
use futures::future::join_all;

use super::{Harness, Ports, context, creation, fresh_account, lossy::LossyStore, update};
use crate::{
    AppendError, Envelope, EventStore, ExecuteError, Expected, Loaded, MessageId, Sequence, Stream,
    Subject, execute, load,
};

pub(super) async fn append(
    store: &dyn EventStore,
    subject: &Subject,
    expected: Expected,
    events: &[Event],
) -> Result<Sequence, AppendError> {
    let envelope = Envelope::new(MessageId::random(), &context(), events).expect("it serializes");
    store.append(subject, expected, &envelope).await
}

pub(super) async fn contacts(store: &dyn EventStore, subject: &Subject) -> Vec<String> {
    let messages = store.read(subject, Sequence::NONE).await.expect("the log answers");
    let events =
        messages.iter().flat_map(|message| message.envelope.decode::<Event>().expect("it decodes"));
    events
        .filter_map(|event| match event {
            Event::AccountUpdated(updated) => updated.contact.into_iter().next(),
            Event::AccountCreated(_)
            | Event::AccountTermsAgreed(_)
            | Event::AccountBound(_)
            | Event::AccountKeyClaimed(_)
            | Event::AccountKeyChanged(_)
            | Event::AccountDeactivated(_) => None,
        })
        .collect()
}

/// Messages come back in the order of their appends, at once, whole, and from any place.
pub async fn order_is_kept_and_read_at_once(ports: &Ports) {
    let store = ports.store.as_ref();
    let (_, subject) = fresh_account();
    let mut last = Sequence::NONE;
    for i in 0..50 {
        let events = [update(&format!("{i}a")), update(&format!("{i}b"))];
        let sequence =
            append(store, &subject, Expected::Last(last), &events).await.expect("it is stored");
        assert!(sequence > last, "sequences grow");
        let news = store.read(&subject, last).await.expect("the log answers");
        assert_eq!(news.len(), 1, "an append is read back at once");
        assert_eq!(news[0].sequence, sequence);
        assert_eq!(news[0].subject, subject);
        let same = store.message(Stream::Accounts, sequence).await.expect("the log answers");
        assert_eq!(same.expect("it is there").envelope.id, news[0].envelope.id);
        last = sequence;
    }
    let expected: Vec<String> = (0..50).flat_map(|i| [format!("{i}a"), format!("{i}b")]).collect();
    assert_eq!(contacts(store, &subject).await, expected);
    assert!(store.read(&subject, last).await.expect("the log answers").is_empty());
    assert!(store.last_sequence(Stream::Accounts).await.expect("the log answers") >= last);
    let beyond = Sequence(last.0 + 1_000_000);
    for nowhere in [Sequence::NONE, beyond] {
        let found = store.message(Stream::Accounts, nowhere).await.expect("the log answers");
        assert!(found.is_none(), "{nowhere}");
    }
}

/// Of 16 writers that append to one subject with the same expectation, exactly one wins, in each of 200 rounds.
pub async fn one_of_many_writers_wins_each_round(ports: &Ports) {
    let store = ports.store.as_ref();
    let (_, subject) = fresh_account();
    let mut last = Sequence::NONE;
    for round in 0..200 {
        let writers = (0..16).map(|writer| {
            let subject = &subject;
            async move {
                append(
                    store,
                    subject,
                    Expected::Last(last),
                    &[update(&format!("{round}-{writer}"))],
                )
                .await
            }
        });
        let results = join_all(writers).await;
        let winners: Vec<Sequence> =
            results.iter().filter_map(|r| r.as_ref().ok().copied()).collect();
        assert_eq!(winners.len(), 1, "round {round}: {results:?}");
        let losers = results.iter().filter(|r| matches!(r, Err(AppendError::Conflict))).count();
        assert_eq!(losers, 15, "round {round}: {results:?}");
        last = winners[0];
    }
    assert_eq!(contacts(store, &subject).await.len(), 200);
}

/// Two commands that meet are decided one after the other: an account is created once.
pub async fn commands_meet_at_one_append(ports: &Ports) {
    let (id, subject) = fresh_account();
    let creations = (0..16).map(|_| {
        let (store, subject, id) = (ports.store.clone(), subject.clone(), id.clone());
        async move {
            let command = key_use::Creation::from(creation(&id)).into();
            execute::<KeyUse>(store.as_ref(), &subject, Loaded::default(), &command, &context())
                .await
        }
    });
    let results = join_all(creations).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let refused = |result: &Result<_, _>| {
        matches!(result, Err(ExecuteError::Rejected(key_use::Rejection::AlreadyExists)))
    };
    assert_eq!(results.iter().filter(|result| refused(result)).count(), 15);
}

/// Lost acknowledgements are resolved by reading: every command takes effect exactly once.
pub async fn lost_acks_never_write_twice(ports: &Ports) {
    let store = LossyStore::new(Arc::clone(&ports.store));
    let (id, subject) = fresh_account();
    let created = key_use::Creation::from(creation(&id)).into();
    execute::<KeyUse>(&store, &subject, Loaded::default(), &created, &context())
        .await
        .expect("it is created");
    for i in 0..20 {
        let known = load::<Account>(&store, &subject, Loaded::default()).await.expect("it loads");
        let command = Command::UpdateContact(vec![i.to_string()]);
        let decided = execute::<Account>(&store, &subject, known, &command, &context())
            .await
            .expect("it is updated");
        assert_eq!(decided.state.contact, [i.to_string()]);
        assert_eq!(decided.events.len(), 1);
    }
    let expected: Vec<String> = (0..20).map(|i| i.to_string()).collect();
    assert_eq!(contacts(&store, &subject).await, expected);
}

/// What was acknowledged is there after the adapter was closed and opened, and conflicts are still seen.
pub async fn appends_survive_a_restart(harness: &dyn Harness) {
    let (_, subject) = fresh_account();
    let ports = harness.open().await;
    let sequence =
        append(ports.store.as_ref(), &subject, Expected::Last(Sequence::NONE), &[update("a")])
            .await
            .expect("it is stored");
    drop(ports);
    let ports = harness.open().await;
    assert_eq!(contacts(ports.store.as_ref(), &subject).await, ["a"]);
    let stale =
        append(ports.store.as_ref(), &subject, Expected::Last(Sequence::NONE), &[update("b")])
            .await;
    assert!(matches!(stale, Err(AppendError::Conflict)), "{stale:?}");
    append(ports.store.as_ref(), &subject, Expected::Last(sequence), &[update("c")])
        .await
        .expect("it is stored");
    append(ports.store.as_ref(), &subject, Expected::Anything, &[update("d")])
        .await
        .expect("it is stored");
    assert_eq!(contacts(ports.store.as_ref(), &subject).await, ["a", "c", "d"]);
}

/// Subjects are empty together until one of them is written, which shows at once.
pub async fn what_is_written_is_not_empty(ports: &Ports) {
    let store = ports.store.as_ref();
    let subjects = [fresh_account().1, fresh_account().1, fresh_account().1];
    assert!(store.are_empty(&[]).await.expect("the log answers"));
    assert!(store.are_empty(&subjects).await.expect("the log answers"));
    append(store, &subjects[1], Expected::Anything, &[update("a")]).await.expect("it is stored");
    assert!(!store.are_empty(&subjects).await.expect("the log answers"));
    assert!(store.are_empty(&[subjects[0].clone()]).await.expect("the log answers"));
}

/// A scan in pages sees every message of the stream once, in order.
pub async fn scans_see_every_message(ports: &Ports) {
    let store = ports.store.as_ref();
    let (_, subject) = fresh_account();
    for i in 0..25 {
        append(store, &subject, Expected::Anything, &[update(&i.to_string())])
            .await
            .expect("it is stored");
    }
    let (mut after, mut seen) = (Sequence::NONE, 0);
    loop {
        let page = store.scan(Stream::Accounts, after, 10).await.expect("the log answers");
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 10);
        assert!(page.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
        seen += page.iter().filter(|message| message.subject == subject).count();
        after = last.sequence;
    }
    assert_eq!(seen, 25);
}
