//! Views in memory: how much is kept.

use std::sync::Arc;

use domain::{
    Aggregate as _, ChallengeType, Identifier,
    order::{AuthorizationPlaced, ChallengePlaced, Event, Order, OrderPlaced},
};
use embedded::{Embedded, Options};
use eventstore::Sequence;
use readmodel::{ReadModel as _, View};

use crate::samples::{account, at, order};

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
