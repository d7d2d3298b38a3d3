//! Views in memory: how much is kept, and what is shown of those who left before they wrote theirs.

use std::sync::Arc;

use domain::{
    Aggregate as _, ChallengeType, Identifier,
    account::{Account, AccountDeactivated, Event as AccountEvent, Status},
    order::{AuthorizationPlaced, ChallengePlaced, Event, Order, OrderPlaced},
};
use embedded::{Embedded, MemoryNonces, Options};
use eventstore::{
    Envelope, MessageId, Sequence, Subject,
    contract::{context, creation},
};
use readmodel::{Admission as _, Aggregates, ReadModel as _, View};

use crate::samples::{account, append, at, open, order, order_failed, order_placed};

/// Writes views of 60 orders with so many names, and counts how many are still there.
async fn kept(names: usize) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { cached_orders: 40, ..Options::default() };
    let store = Embedded::open(dir.path(), &options).unwrap();
    for n in 0..60 {
        let identifiers: Vec<Identifier> = (0..names)
            .map(|name| Identifier::Dns(format!("n{name}.example.com").parse().unwrap()))
            .collect();
        let challenge = ChallengePlaced { kind: ChallengeType::Http01, token: "t".repeat(22) };
        let authorize = |identifier: &Identifier| AuthorizationPlaced {
            identifier: identifier.clone(),
            wildcard: false,
            challenges: vec![challenge.clone()],
            relies_on: None,
        };
        let placed = OrderPlaced {
            id: order(n),
            profile: "default".parse().unwrap(),
            account: account(1),
            authorizations: identifiers.iter().map(authorize).collect(),
            identifiers,
            not_before: None,
            not_after: None,
            at: at(0),
            expires_at: at(60),
        };
        let state = Order::fold(None, &[Event::OrderPlaced(placed)]).unwrap();
        let view = View { state: Arc::new(state), sequence: Sequence(1) };
        store.put_order(&view).await.unwrap();
    }
    let mut kept = 0;
    for n in 0..60 {
        kept += usize::from(store.order(&order(n)).await.unwrap().is_some());
    }
    kept
}

#[tokio::test]
async fn orders_with_many_names_take_the_room_of_several() {
    let few = kept(3).await;
    assert!((20..=40).contains(&few), "{few}");
    let many = kept(80).await;
    assert!((1..=4).contains(&many), "{many}");
}

/// As with a client that hangs up, or whose time is over, while its command is on the way to the disk.
#[tokio::test]
async fn what_a_writer_left_behind_is_seen_by_whoever_comes_next() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let log = Aggregates { store: Arc::clone(&store) as _, views: Arc::clone(&store) as _ };
    let (id, subject) = (account(1), Subject::account(&account(1)));
    let leave = async |event| {
        let envelope = Envelope::new(MessageId::random(), &context(), &[event]).unwrap();
        append(&store, &subject, &envelope).await.unwrap();
    };
    leave(AccountEvent::AccountCreated(creation(&id))).await;
    log.load::<Account>(&id).await.unwrap().unwrap();
    leave(AccountEvent::AccountDeactivated(AccountDeactivated {})).await;

    let nonces = MemoryNonces::new(Arc::clone(&store) as _, Default::default());
    let admitted = nonces.admit((&"default".parse().unwrap(), "n"), Some(&id), None).await.unwrap();
    assert_eq!(admitted.account, None, "what was known is not so any more");
    let shown = log.load::<Account>(&id).await.unwrap().unwrap();
    assert_eq!(shown.state.status, Status::Deactivated);
}

#[tokio::test]
async fn an_outdated_view_is_never_shown_however_long_ago_the_log_went_on() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { cached_subjects: 2, ..Options::default() };
    let store = Arc::new(Embedded::open(dir.path(), &options).unwrap());
    let log = Aggregates { store: Arc::clone(&store) as _, views: Arc::clone(&store) as _ };
    let (id, subject) = (order(1), Subject::order(&order(1)));
    append(&store, &subject, &order_placed(1, at(0))).await.unwrap();
    let outdated = log.load::<Order>(&id).await.unwrap().unwrap();
    assert!(store.order(&id).await.unwrap().is_some());
    let last = append(&store, &subject, &order_failed(at(1))).await.unwrap();
    store.put_order(&outdated).await.unwrap();
    assert!(store.order(&id).await.unwrap().is_none(), "who folded it before is late");
    for n in 2..6 {
        append(&store, &Subject::order(&order(n)), &order_placed(n, at(2))).await.unwrap();
    }
    assert!(store.order(&id).await.unwrap().is_none());
    assert_eq!(log.load::<Order>(&id).await.unwrap().unwrap().sequence, last);
}
