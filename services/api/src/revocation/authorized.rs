//! Whether an account holds valid authorizations for every name of a certificate (RFC 8555 §7.6).

use std::collections::HashSet;

use domain::{AccountId, DnsName, Identifier, IpAddress, Timestamp, order::Order};
use futures::future::try_join_all;

use crate::{
    Api, account::orders::complete_page, pre_authorization::held, problem::Refusal,
    settings::Profile,
};

/// How many orders are listed at once.
const ORDERS_PER_PAGE: usize = 1000;
/// How many of the newest orders are looked at: whoever wants to revoke proves control shortly before.
const MAX_ORDERS: usize = 1000;
/// How many orders are read at once.
const READ_AT_ONCE: usize = 16;

pub(super) async fn holds_all(
    api: &Api,
    profile: &Profile,
    account: &AccountId,
    (names, now): (&[String], Timestamp),
) -> Result<bool, Refusal> {
    let mut missing: HashSet<&str> = names.iter().map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(false);
    }
    let proofs = names.iter().filter_map(|name| Some((name, identifier(name)?)));
    let proofs = proofs.map(async |(name, identifier)| {
        let proof = held::proof(api, (profile, account), &identifier, now).await?;
        Ok::<_, Refusal>(proof.map(|_| name.as_str()))
    });
    for name in try_join_all(proofs).await?.into_iter().flatten() {
        missing.remove(name);
    }
    if missing.is_empty() {
        return Ok(true);
    }
    let mut newest = Vec::new();
    let mut after = None;
    loop {
        let page = complete_page(api, account, after.as_ref(), ORDERS_PER_PAGE).await?;
        newest.extend(page.orders);
        newest.drain(..newest.len().saturating_sub(MAX_ORDERS));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    newest.reverse();
    for orders in newest.chunks(READ_AT_ONCE) {
        let loads = orders.iter().map(|order| api.ports.aggregates.load::<Order>(order));
        for order in try_join_all(loads).await?.into_iter().flatten() {
            if order.state.account == *account && order.state.profile == profile.name {
                for name in order.state.proven(now) {
                    missing.remove(name.as_str());
                }
            }
        }
        if missing.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn identifier(name: &str) -> Option<Identifier> {
    let address = name.parse::<IpAddress>().map(Identifier::Ip);
    address.ok().or_else(|| name.parse::<DnsName>().map(Identifier::Dns).ok())
}
