//! The index of orders by account: one sorted set for each account, ordered by when they were placed.
//!
//! All members have the score 0, so that Redis orders them by their text: 13 digits of milliseconds, then the order's id.
//! A member is a fact whatever was lost since, as is every index entry.

use domain::OrderId;
use eventstore::{Sequence, Stream};
use readmodel::{OrderEntry, OrdersPage, OrdersPart, OrdersQuery};
use redis::Value;

use crate::{
    RedisStore,
    exchange::{MAX_EPOCHS, milliseconds, now, octets},
    fault::Fault,
    index::ENTRIES_AT_ONCE,
    key,
};

/// The digits of the time in a member; enough until the year 2286.
const TIME_DIGITS: usize = 13;

impl RedisStore {
    pub(crate) async fn index_orders(&self, entries: &[OrderEntry]) -> Result<(), Fault> {
        for some in entries.chunks(ENTRIES_AT_ONCE) {
            self.index_some(some).await?;
        }
        Ok(())
    }

    async fn index_some(&self, entries: &[OrderEntry]) -> Result<(), Fault> {
        let (now, keep) = (now(), self.options.keep_order_entry);
        for _ in 0..MAX_EPOCHS {
            let epoch = self.epoch().await?.id;
            let mut call = self.scripts.put_orders.key(key::EPOCH);
            call.arg(epoch.to_string()).arg(milliseconds(Some(keep)));
            for entry in entries {
                // Also one that seems too old: it is in the log, and a clock that is ahead would leave it out for ever.
                let oldest = now.min(entry.placed_at).minus(keep);
                call.key(key::orders(&entry.account));
                call.arg(member(entry.placed_at.unix_millis(), entry.order.as_str()));
                call.arg(member(oldest.unix_millis(), ""));
            }
            if self.link.invoke("index", &call).await? {
                return Ok(());
            }
            self.last_seen.forget(epoch);
        }
        Err(Fault::Unsettled)
    }

    /// Lists orders; a cursor is the last member of the page before.
    pub(crate) async fn list_orders(&self, query: &OrdersQuery<'_>) -> Result<OrdersPage, Fault> {
        let mut call = self.scripts.list_orders.key(key::orders(query.account));
        for stream in Stream::orders(query.order_shards) {
            call.key(key::complete_to(stream));
        }
        // One more tells whether there is a next page.
        let one_more = query.limit.saturating_add(1);
        match query.part {
            OrdersPart::First => call.arg("-").arg(one_more),
            OrdersPart::After(cursor) => call.arg(format!("({cursor}")).arg(one_more),
            OrdersPart::Newest => call.arg("").arg(query.limit),
        };
        let mut answer = self.link.invoke::<Vec<Value>>("list", &call).await?.into_iter();
        let epoch = self.epoch().await?;
        let members = answer.next().ok_or(Fault::Answer)?;
        let mut members: Vec<String> =
            redis::from_redis_value(members).map_err(|_| Fault::Answer)?;
        let complete_to: Vec<Sequence> = answer
            .map(|value| Ok(epoch.place(octets(value)?.as_deref())))
            .collect::<Result<_, Fault>>()?;
        if complete_to.len() != usize::from(query.order_shards) {
            return Err(Fault::Answer);
        }
        let is_last = members.len() <= query.limit;
        members.truncate(query.limit);
        let next = members.last().filter(|_| !is_last).and_then(|member| member.parse().ok());
        let orders = members.iter().filter_map(|member| order(member)).collect();
        Ok(OrdersPage { orders, next, complete_to })
    }
}

fn member(placed_at_millis: i64, order: &str) -> String {
    format!("{:0TIME_DIGITS$}{order}", placed_at_millis.max(0))
}

fn order(member: &str) -> Option<OrderId> {
    member.get(TIME_DIGITS..)?.parse().ok()
}
