//! Indexes, their markers, and forgetting them.

use std::{slice::from_ref, time::Duration};

use domain::{AccountId, CrlName, OrderId, Serial, Timestamp};
use eventstore::{Sequence, Stream};

use super::samples::{NOW, account, account_id, certificate, issuer, order, order_id};
use crate::{Crl, Lookup, OrderEntry, OrdersPage, OrdersPart, OrdersQuery, ReadModel};

/// More entries than an adapter writes in one go.
const MANY: usize = 250;

/// A certificate is found under its serial, and nowhere else; adding it twice changes nothing.
pub async fn a_certificate_is_found_by_its_serial(views: &dyn ReadModel) {
    let entry = certificate();
    let found = views.certificate(&entry.serial).await.expect("it answers");
    assert!(matches!(found, Lookup::Missing { .. }));
    for _ in 0..2 {
        views.put_certificates(from_ref(&entry)).await.expect("it is written");
        let found = views.certificate(&entry.serial).await.expect("it answers");
        assert_eq!(found, Lookup::Found(entry.clone()));
    }
    let serial = Serial::from_random(&[0xee; 16]);
    let other = views.certificate(&serial).await.expect("it answers");
    assert!(matches!(other, Lookup::Missing { .. }));

    let mut own = certificate();
    (own.order, own.account, own.profile) = (None, None, None);
    views.put_certificates(from_ref(&own)).await.expect("it is written");
    let found = views.certificate(&own.serial).await.expect("it answers");
    assert_eq!(found, Lookup::Found(own), "the CA's own certificate belongs to no account");
}

/// However many certificates and orders are added at once, and whatever of them is there already, all are found.
pub async fn many_entries_are_added_at_once(views: &dyn ReadModel) {
    views.put_certificates(&[]).await.expect("nothing is written");
    views.put_order_entries(&[]).await.expect("nothing is written");

    let certificates: Vec<_> = (0..MANY).map(|_| certificate()).collect();
    views.put_certificates(&certificates[..MANY / 2]).await.expect("they are written");
    views.put_certificates(&certificates).await.expect("they are written");
    for entry in certificates {
        let found = views.certificate(&entry.serial).await.expect("it answers");
        assert_eq!(found, Lookup::Found(entry));
    }

    let owners = [account_id(), account_id()];
    let placed = (0..MANY).zip(owners.iter().cycle()).map(|(i, owner)| OrderEntry {
        order: order_id(),
        account: owner.clone(),
        placed_at: Timestamp::from_unix_seconds(NOW).plus(Duration::from_millis(i as u64)),
        sequence: Sequence((1 << 41) + i as u64),
    });
    let placed: Vec<_> = placed.collect();
    views.put_order_entries(&placed).await.expect("they are written");
    for owner in &owners {
        let query =
            OrdersQuery { account: owner, part: OrdersPart::First, limit: MANY, order_shards: 2 };
        let listed = views.orders_page(&query).await.expect("it answers").orders;
        let own = placed.iter().filter(|entry| entry.account == *owner);
        assert_eq!(listed, own.map(|entry| entry.order.clone()).collect::<Vec<_>>());
    }
}

/// A stream's marker goes up and never down, and says nothing about other streams.
pub async fn a_marker_never_moves_back(views: &dyn ReadModel) {
    // Shards that no log has, so that nobody else's marks meet these.
    let (stream, other) = (Stream::Orders(97), Stream::Orders(98));
    let before = views.complete_to(stream).await.expect("it answers");
    let untouched = views.complete_to(other).await.expect("it answers");
    let next = Sequence(before.0 + 100);
    for (mark, expected) in
        [(next, next), (Sequence(next.0 - 1), next), (Sequence(9), next), (next, next)]
    {
        views.mark_complete(stream, mark).await.expect("it is marked");
        assert_eq!(views.complete_to(stream).await.expect("it answers"), expected);
    }
    assert_eq!(views.complete_to(other).await.expect("it answers"), untouched);
}

/// An account's orders are listed oldest first, each once however often it was added, in pages that follow each other, and the
/// newest first where these are wanted, but never those of another account. The page tells how far the index is complete.
pub async fn orders_are_listed_by_account_in_pages(views: &dyn ReadModel) {
    let (account, other) = (account_id(), account_id());
    // Far behind what any log holds, so that nobody else's entries meet these.
    let mut sequence = 1 << 40;
    let mut placed = Vec::new();
    for seconds in 0..5 {
        for owner in [&account, &other] {
            sequence += 1;
            let entry = OrderEntry {
                order: order_id(),
                account: owner.clone(),
                placed_at: Timestamp::from_unix_seconds(NOW + seconds),
                sequence: Sequence(sequence),
            };
            for _ in 0..2 {
                views.put_order_entries(from_ref(&entry)).await.expect("it is written");
            }
            placed.push(entry);
        }
    }
    let of = |owner: &AccountId| -> Vec<OrderId> {
        let own = placed.iter().filter(|entry| entry.account == *owner);
        own.map(|entry| entry.order.clone()).collect()
    };
    for owner in [&account, &other] {
        let mut listed = Vec::new();
        let mut page = orders_after(views, owner, None).await;
        loop {
            assert!(page.orders.len() <= 2, "{page:?}");
            listed.extend(page.orders.clone());
            let Some(next) = page.next.clone() else { break };
            page = orders_after(views, owner, Some(&next)).await;
        }
        assert_eq!(listed, of(owner));
        let part = OrdersPart::Newest;
        let newest = OrdersQuery { account: owner, part, limit: 3, order_shards: 2 };
        let page = views.orders_page(&newest).await.expect("it answers");
        let expected: Vec<OrderId> = of(owner).into_iter().rev().take(3).collect();
        assert_eq!((page.orders, page.next), (expected, None));
    }
    let nobody = orders_after(views, &account_id(), None).await;
    assert_eq!((nobody.orders, nobody.next), (vec![], None));

    let stream = Stream::Orders(1);
    let mark = views.complete_to(stream).await.expect("it answers");
    let next = Sequence(mark.0 + 1);
    views.mark_complete(stream, next).await.expect("it is marked");
    let complete_to = orders_after(views, &account, None).await.complete_to;
    assert_eq!(complete_to.len(), 2, "one for each stream");
    assert!(complete_to[1] >= next, "{complete_to:?}");
}

async fn orders_after(
    views: &dyn ReadModel,
    account: &AccountId,
    after: Option<&crate::OrderCursor>,
) -> OrdersPage {
    let part = after.map_or(OrdersPart::First, OrdersPart::After);
    let query = OrdersQuery { account, part, limit: 2, order_shards: 2 };
    views.orders_page(&query).await.expect("it answers")
}

/// `clear` forgets views, indexes and markers, and what is written afterwards is there; CRLs stay.
pub async fn clear_forgets_all_but_crls(views: &dyn ReadModel) {
    let (account, order, entry) = (account(5), order(5), certificate());
    let name = CrlName::whole(issuer());
    let stream = Stream::Orders(99);
    let crl = Crl { der: vec![1, 2, 3], number: 1, next_update: entry.not_after };
    views.put_account(&account).await.expect("it is written");
    views.put_order(&order).await.expect("it is written");
    views.put_certificates(from_ref(&entry)).await.expect("it is written");
    views.mark_complete(stream, Sequence(5)).await.expect("it is marked");
    views.put_crl(&name, &crl).await.expect("it is published");

    views.clear().await.expect("it is cleared");
    assert_eq!(views.account(&account.state.id).await.expect("it answers"), None);
    assert_eq!(views.order(&order.state.id).await.expect("it answers"), None);
    let found = views.certificate(&entry.serial).await.expect("it answers");
    assert_eq!(found, Lookup::Missing { complete_to: Sequence::NONE });
    assert_eq!(views.complete_to(stream).await.expect("it answers"), Sequence::NONE);
    let kept = views.crl(&name).await.expect("it answers").expect("the CRL stays");
    assert_eq!(*kept, crl);

    let mut older = order.clone();
    older.sequence = Sequence(4);
    views.put_order(&older).await.expect("it is written");
    let read = views.order(&older.state.id).await.expect("it answers");
    assert_eq!(read, Some(older), "the guard is forgotten with the view");
    views.put_certificates(from_ref(&entry)).await.expect("it is written");
    let found = views.certificate(&entry.serial).await.expect("it answers");
    assert_eq!(found, Lookup::Found(entry));
    if views.mark_complete(stream, Sequence(3)).await.is_err() {
        // Whoever was indexing meanwhile is told once to start over from the marker.
        assert_eq!(views.complete_to(stream).await.expect("it answers"), Sequence::NONE);
        views.mark_complete(stream, Sequence(3)).await.expect("it is marked");
    }
    assert_eq!(views.complete_to(stream).await.expect("it answers"), Sequence(3));
}
