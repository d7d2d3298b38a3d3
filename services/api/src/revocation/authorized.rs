//! Whether an account holds valid authorizations for every name of a certificate (RFC 8555 §7.6).

use std::collections::HashSet;

use domain::{AccountId, DnsName, Identifier, IpAddress, order::Order};
use futures::future::try_join_all;
use readmodel::OrdersPart;

use crate::{
    account::orders::complete_page, pre_authorization::held, problem::Refusal, request::AcmeRequest,
};

/// How many authorizations of the newest orders are looked at. Whoever wants to revoke proves control shortly before, and no
/// request costs more than this.
const MAX_AUTHORIZATIONS: usize = 250;

/// Whether the account proved every one of the names, of which there must be one at least.
pub(super) async fn holds_all(
    request: &AcmeRequest<'_>,
    account: &AccountId,
    names: &[String],
) -> Result<bool, Refusal> {
    if names.is_empty() {
        return Ok(false);
    }
    let mut missing = not_pre_authorized(request, account, names).await?;
    if !missing.is_empty() {
        remove_proven_by_orders(request, account, &mut missing).await?;
    }
    Ok(missing.is_empty())
}

/// The names that no valid pre-authorization of the account proves.
async fn not_pre_authorized<'a>(
    request: &AcmeRequest<'_>,
    account: &AccountId,
    names: &'a [String],
) -> Result<HashSet<&'a str>, Refusal> {
    let unproven = names.iter().map(async |name| {
        let proof = match identifier(name) {
            Some(identifier) => held::proof(request, account, &identifier).await?,
            None => None,
        };
        Ok::<_, Refusal>(proof.is_none().then_some(name.as_str()))
    });
    Ok(try_join_all(unproven).await?.into_iter().flatten().collect())
}

/// Removes the names that the account's newest orders prove, as far as these are looked at.
async fn remove_proven_by_orders(
    request: &AcmeRequest<'_>,
    account: &AccountId,
    missing: &mut HashSet<&str>,
) -> Result<(), Refusal> {
    let AcmeRequest { api, profile, .. } = request;
    let newest = complete_page(api, account, OrdersPart::Newest, MAX_AUTHORIZATIONS).await?;
    let mut looked_at = 0;
    for id in newest.orders {
        let Some(order) = api.ports.aggregates.load::<Order>(&id).await? else { continue };
        looked_at += order.state.authorizations.len();
        if order.state.account == *account && order.state.profile == profile.name {
            for name in order.state.proven(request.now) {
                missing.remove(name.as_str());
            }
        }
        if missing.is_empty() || looked_at >= MAX_AUTHORIZATIONS {
            break;
        }
    }
    Ok(())
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
