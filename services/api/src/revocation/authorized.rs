//! Whether an account holds valid authorizations for every name of a certificate (RFC 8555 §7.6).

use std::collections::HashSet;

use domain::{DnsName, Identifier, IpAddress, Timestamp, order::Order};
use futures::future::try_join_all;
use readmodel::OrdersPart;

use crate::{
    Api,
    account::orders::complete_page,
    pre_authorization::held::{self, Owner},
    problem::Refusal,
};

/// How many authorizations of the newest orders are looked at: whoever wants to revoke proves control shortly before. What
/// one request costs is bounded by it, because one order is read after the other.
const MAX_AUTHORIZATIONS: usize = 250;

/// Whether the names are some, and the account proved each of them.
pub(super) async fn holds_all(
    api: &Api,
    owner: Owner<'_>,
    names: &[String],
    now: Timestamp,
) -> Result<bool, Refusal> {
    let mut missing: HashSet<&str> = names.iter().map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(false);
    }
    let proofs = names.iter().filter_map(|name| Some((name, identifier(name)?)));
    let proofs = proofs.map(async |(name, identifier)| {
        let proof = held::proof(api, owner, &identifier, now).await?;
        Ok::<_, Refusal>(proof.map(|_| name.as_str()))
    });
    for name in try_join_all(proofs).await?.into_iter().flatten() {
        missing.remove(name);
    }
    if missing.is_empty() {
        return Ok(true);
    }
    let Owner { profile, account } = owner;
    let newest = complete_page(api, account, OrdersPart::Newest, MAX_AUTHORIZATIONS).await?;
    let mut looked_at = 0;
    for id in newest.orders {
        let Some(order) = api.ports.aggregates.load::<Order>(&id).await? else { continue };
        looked_at += order.state.authorizations.len();
        if order.state.account == *account && order.state.profile == profile.name {
            for name in order.state.proven(now) {
                missing.remove(name.as_str());
            }
        }
        if missing.is_empty() || looked_at >= MAX_AUTHORIZATIONS {
            break;
        }
    }
    Ok(missing.is_empty())
}

fn identifier(name: &str) -> Option<Identifier> {
    let address = name.parse::<IpAddress>().map(Identifier::Ip);
    address.ok().or_else(|| name.parse::<DnsName>().map(Identifier::Dns).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_certificate_are_dns_names_and_addresses() {
        let dns = |name: &str| Some(Identifier::Dns(name.parse().unwrap()));
        let ip = |address: &str| Some(Identifier::Ip(address.parse().unwrap()));
        for (name, expected) in [
            ("a.example", dns("a.example")),
            ("*.a.example", dns("*.a.example")),
            ("192.0.2.1", ip("192.0.2.1")),
            ("2001:db8::1", ip("2001:db8::1")),
            ("a b", None),
            ("", None),
        ] {
            assert_eq!(identifier(name), expected, "{name}");
        }
    }
}
