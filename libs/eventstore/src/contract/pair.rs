//! Two messages of which the second names the place of the first.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use domain::{
    account::{Account, Command, Event},
    key_use::{self, KeyUse},
};
use futures::future::join_all;

use super::{
    Ports,
    append::{append, contacts},
    context, creation, fresh_account,
    lossy::LossyStore,
    update,
};
use crate::{
    AppendError, Envelope, Expected, Loaded, MessageId, NewMessage, Sequence, Subject, execute,
    execute_after, load,
};

fn message(subject: &Subject, expected: Expected, event: Event) -> NewMessage {
    let envelope = Envelope::new(MessageId::random(), &context(), &[event]).expect("it serializes");
    NewMessage { subject: subject.clone(), expected, envelope }
}

/// Both are stored, the second after the first and knowing its place.
pub async fn the_second_of_a_pair_knows_the_first(ports: &Ports) {
    let store = ports.store.as_ref();
    let ((_, first), (_, second)) = (fresh_account(), fresh_account());
    let mut last = Sequence::NONE;
    for i in 0..20 {
        let record = message(&first, Expected::Anything, update(&i.to_string()));
        let (expected, subject) = (Expected::Last(last), second.clone());
        let dependent =
            move |place: Sequence| Ok(message(&subject, expected, update(&place.to_string())));
        let pair = store.append_pair(record, Box::new(dependent)).await.expect("it is stored");
        let place = pair.second.expect("it is stored, too");
        assert!(pair.first < place, "both are in one stream here");
        let news = store.read(&second, last).await.expect("the log answers");
        let news: Vec<Event> = news[0].envelope.decode().expect("it decodes");
        assert_eq!(format!("{news:?}"), format!("{:?}", [update(&pair.first.to_string())]));
        last = place;
    }
    assert_eq!(contacts(store, &first).await.len(), 20);
    assert_eq!(contacts(store, &second).await.len(), 20);
}

/// The first stays stored whatever becomes of the second, and there is no second without a first.
pub async fn the_first_of_a_pair_stays(ports: &Ports) {
    let store = ports.store.as_ref();
    let ((_, first), (_, second)) = (fresh_account(), fresh_account());
    append(store, &second, Expected::Anything, &[update("before")]).await.expect("it is stored");

    let stale = message(&second, Expected::Last(Sequence::NONE), update("stale"));
    let record = message(&first, Expected::Last(Sequence::NONE), update("one"));
    let pair = store.append_pair(record, Box::new(|_| Ok(stale))).await.expect("it is stored");
    assert!(matches!(pair.second, Err(AppendError::Conflict)), "{pair:?}");

    let record = message(&first, Expected::Last(pair.first), update("two"));
    let refused = Box::new(|_| Err(AppendError::unavailable("not wanted")));
    let pair = store.append_pair(record, refused).await.expect("it is stored");
    assert!(matches!(pair.second, Err(AppendError::Unavailable(_))), "{pair:?}");

    let made = Arc::new(AtomicBool::new(false));
    let (seen, never) = (Arc::clone(&made), message(&second, Expected::Anything, update("never")));
    let record = message(&first, Expected::Last(Sequence::NONE), update("three"));
    let dependent = move |_| {
        seen.store(true, Ordering::Relaxed);
        Ok(never)
    };
    let refused = store.append_pair(record, Box::new(dependent)).await;
    assert!(matches!(refused, Err(AppendError::Conflict)), "{refused:?}");
    assert!(!made.load(Ordering::Relaxed), "nothing depends on what was not stored");

    assert_eq!(contacts(store, &first).await, ["one", "two"]);
    assert_eq!(contacts(store, &second).await, ["before"]);
}

/// Commands that follow records meet at one aggregate, and acknowledgements are lost: each takes effect once at most, and
/// exactly once when that was said.
pub async fn commands_after_records_take_effect_once(ports: &Ports) {
    let (id, subject) = fresh_account();
    let (_, records) = fresh_account();
    let lossy = Arc::new(LossyStore::new(Arc::clone(&ports.store)));
    let created = key_use::Creation::from(creation(&id)).into();
    execute::<KeyUse>(ports.store.as_ref(), &subject, Loaded::default(), &created, &context())
        .await
        .expect("it is created");
    let commands = (0..16).map(|i: usize| {
        let (plain, lossy) = (Arc::clone(&ports.store), Arc::clone(&lossy));
        let (subject, records) = (subject.clone(), records.clone());
        async move {
            let store = if i.is_multiple_of(2) { plain.as_ref() } else { lossy.as_ref() };
            let record = message(&records, Expected::Anything, update("record"));
            let known =
                load::<Account>(store, &subject, Loaded::default()).await.expect("it loads");
            let command = move |_| Command::UpdateContact(vec![i.to_string()]);
            let executed =
                execute_after::<Account>(store, record, &subject, known, command, &context()).await;
            executed.is_ok_and(|(_, decided)| decided.is_ok()).then(|| i.to_string())
        }
    });
    let said: Vec<String> = join_all(commands).await.into_iter().flatten().collect();
    let mut seen = contacts(ports.store.as_ref(), &subject).await;
    assert!(said.len() >= 8, "what loses nothing succeeds: {said:?}");
    assert!(said.iter().all(|contact| seen.contains(contact)), "{said:?} of {seen:?}");
    let effects = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), effects, "nothing takes effect twice");
}
