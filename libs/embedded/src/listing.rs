//! Lists of an account's orders, page by page.

use eventstore::{Sequence, Stream};
use readmodel::{OrderCursor, OrdersPage, OrdersPart, OrdersQuery, ReadModel as _, Unavailable};
use rusqlite::Connection;

use crate::{Embedded, error::ReadError, index, rebuilding};

/// Reads a page. A cursor is the place of the message that placed the last order of the page before.
pub(crate) async fn page(
    embedded: &Embedded,
    query: &OrdersQuery<'_>,
) -> Result<OrdersPage, Unavailable> {
    // Before the orders are read: each message is indexed in its own transaction.
    let mut complete_to = Vec::new();
    for stream in Stream::orders(query.order_shards) {
        complete_to.push(embedded.complete_to(stream).await?);
    }
    let after = match query.part {
        OrdersPart::First => Some(Sequence::NONE),
        OrdersPart::After(cursor) => Some(cursor.as_str().parse().map_or(Sequence::NONE, Sequence)),
        OrdersPart::Newest => None,
    };
    let (account, limit) = (query.account.clone(), query.limit);
    let read = embedded.shared().readers.query(move |connection| {
        snapshot(connection, |c| {
            let orders = match after {
                // One more tells whether there is a next page.
                Some(after) => index::orders_after(c, &account, after, limit.saturating_add(1))?,
                None => index::newest_orders(c, &account, limit)?,
            };
            Ok((orders, rebuilding::rebuilt_to(c)?))
        })
    });
    let (mut orders, rebuilt_to) = read.await.map_err(Unavailable::out_of_reach)?;
    let is_last = orders.len() <= query.limit;
    orders.truncate(query.limit);
    let last = orders.last().filter(|_| !is_last);
    if let Some(place) = rebuilt_to {
        complete_to.fill(place);
    }
    Ok(OrdersPage {
        next: last.and_then(|(sequence, _)| sequence.to_string().parse::<OrderCursor>().ok()),
        orders: orders.into_iter().map(|(_, order)| order).collect(),
        complete_to,
    })
}

/// Reads several things as they are at one moment.
fn snapshot<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let transaction = connection.unchecked_transaction()?;
    let found = read(&transaction)?;
    transaction.finish()?;
    Ok(found)
}
