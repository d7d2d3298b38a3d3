//! The list of an account's orders, page by page (RFC 8555 §7.1.2.1).

use acme::account::OrderList;
use domain::{
    AccountId, OrderId,
    order::{Order, Status},
};
use eventstore::{Sequence, Stream};
use futures::future::try_join_all;
use http::StatusCode;
use readmodel::{INDEX_PATIENCE, INDEX_PAUSE, OrderCursor, OrdersPage, OrdersPart, OrdersQuery};
use tokio::time::{Instant, sleep};

use crate::{Api, authenticate, problem::Refusal, reply::Reply, request::AcmeRequest};

/// How many orders one page has at most.
const ORDERS_PER_PAGE: usize = 50;
/// What precedes the cursor in the query of a page's URL.
const CURSOR: &str = "cursor=";

/// Lists orders that are not invalid, oldest first.
pub(crate) async fn list(request: &AcmeRequest<'_>, id: &AccountId) -> Result<Reply, Refusal> {
    let signed = authenticate::post_as_get(request).await?;
    if signed.id() != id {
        return Err(Refusal::OtherAccount);
    }
    let AcmeRequest { api, profile, .. } = request;
    let after = cursor(&request.http.query)?;
    let part = after.as_ref().map_or(OrdersPart::First, OrdersPart::After);
    let page = complete_page(api, id, part, ORDERS_PER_PAGE).await?;
    let shown = try_join_all(page.orders.iter().map(async |order| {
        let listed = is_listed(request, id, order).await?;
        Ok::<_, Refusal>(listed.then(|| api.settings.urls.order(&profile.name, order)))
    }));
    let orders = shown.await?.into_iter().flatten().collect();
    let reply = Reply::json(StatusCode::OK, &OrderList { orders })?;
    Ok(match page.next {
        Some(next) => {
            let url = api.settings.urls.account_orders(&profile.name, id);
            reply.with_link("next", &format!("{url}?{CURSOR}{next}"))
        }
        None => reply,
    })
}

fn cursor(query: &str) -> Result<Option<OrderCursor>, Refusal> {
    let unknown = || Refusal::Payload("the URL names no page of orders");
    match query {
        "" => Ok(None),
        query => {
            let text = query.strip_prefix(CURSOR).ok_or_else(unknown)?;
            text.parse().map(Some).map_err(|_| unknown())
        }
    }
}

/// A page of an index that knows every order the log holds now, so that none that was acknowledged is left out. Waits for an
/// index that is behind.
pub(crate) async fn complete_page(
    api: &Api,
    account: &AccountId,
    part: OrdersPart<'_>,
    limit: usize,
) -> Result<OrdersPage, Refusal> {
    let aggregates = &api.ports.aggregates;
    let order_shards = api.settings.order_shards;
    // Asked before the index is read: once the index is complete up to these places, every order up to there is on the page.
    let streams = Stream::orders(order_shards).into_iter();
    let last = try_join_all(streams.map(|stream| aggregates.store.last_sequence(stream))).await?;
    let query = OrdersQuery { account, part, limit, order_shards };
    let deadline = Instant::now() + INDEX_PATIENCE;
    loop {
        let page = aggregates.views.orders_page(&query).await?;
        if is_complete(&page, &last) {
            return Ok(page);
        }
        if Instant::now() >= deadline {
            return Err(Refusal::Unavailable("the index of orders is behind the log".into()));
        }
        sleep(INDEX_PAUSE).await;
    }
}

fn is_complete(page: &OrdersPage, last: &[Sequence]) -> bool {
    page.complete_to.len() == last.len()
        && page.complete_to.iter().zip(last).all(|(to, of)| to >= of)
}

/// Whether an order is shown: one that is gone from the log or invalid is not (RFC 8555 §7.1.2.1).
async fn is_listed(
    request: &AcmeRequest<'_>,
    account: &AccountId,
    order: &OrderId,
) -> Result<bool, Refusal> {
    let found = request.api.ports.aggregates.load::<Order>(order).await?;
    let own = found.filter(|found| {
        found.state.account == *account && found.state.profile == request.profile.name
    });
    Ok(own.is_some_and(|found| found.state.status(request.now) != Status::Invalid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(complete_to: &[u64], last: &[u64], expected: bool) {
        let sequences = |all: &[u64]| all.iter().copied().map(Sequence).collect::<Vec<_>>();
        let complete_to = sequences(complete_to);
        let page = OrdersPage { orders: vec![], next: None, complete_to };
        assert_eq!(is_complete(&page, &sequences(last)), expected);
    }

    #[test]
    fn a_page_is_complete_once_the_index_knows_every_stream_to_its_end() {
        check(&[3, 5], &[3, 5], true);
        check(&[4, 9], &[3, 5], true);
        check(&[3, 4], &[3, 5], false);
        check(&[2, 9], &[3, 5], false);
    }

    #[test]
    fn an_index_of_fewer_or_more_streams_is_not_complete() {
        check(&[3], &[3, 5], false);
        check(&[], &[3, 5], false);
        check(&[3, 5, 1], &[3, 5], false);
    }
}
