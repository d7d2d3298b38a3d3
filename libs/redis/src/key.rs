//! The names of everything kept in Redis, all under one prefix so that an ACL can name them.

use domain::{AccountId, CrlName, OrderId, PreAuthorizationId, Serial};
use eventstore::Stream;

use crate::epoch::EpochId;

/// The hash that holds the epoch, its sealing key, and which memory it belongs to.
pub(crate) const EPOCH: &str = "certmill:epoch";
/// Matches every key of ours.
pub(crate) const ALL: &str = "certmill:*";

const ACCOUNT: &str = "certmill:account:";
const ORDER: &str = "certmill:order:";
const PRE_AUTHORIZATION: &str = "certmill:pre-authorization:";
const ORDERS: &str = "certmill:orders:";
const CERTIFICATE: &str = "certmill:certificate:";

pub(crate) fn account(id: &AccountId) -> String {
    format!("{ACCOUNT}{id}")
}

pub(crate) fn order(id: &OrderId) -> String {
    format!("{ORDER}{id}")
}

pub(crate) fn pre_authorization(id: &PreAuthorizationId) -> String {
    format!("{PRE_AUTHORIZATION}{id}")
}

pub(crate) fn certificate(serial: &Serial) -> String {
    format!("{CERTIFICATE}{serial}")
}

/// The sorted set of an account's orders.
pub(crate) fn orders(account: &AccountId) -> String {
    format!("{ORDERS}{account}")
}

pub(crate) fn complete_to(stream: Stream) -> String {
    format!("certmill:complete:{stream}")
}

pub(crate) fn crl(name: &CrlName) -> String {
    format!("certmill:crl:{name}")
}

/// The bitmap of the nonces that one node issued in one minute and that were spent.
pub(crate) fn spent(epoch: &EpochId, node: u32, minute: u32) -> String {
    format!("certmill:spent:{epoch}:{node:08x}:{minute}")
}

/// Whether a rebuild makes it anew.
pub(crate) fn is_rebuilt(key: &str) -> bool {
    let rebuilt = [ACCOUNT, ORDER, PRE_AUTHORIZATION, ORDERS, CERTIFICATE];
    rebuilt.iter().any(|prefix| key.starts_with(prefix))
}

/// Every marker there can be.
pub(crate) fn markers() -> Vec<String> {
    Stream::all(OrderId::MAX_SHARDS).into_iter().map(complete_to).collect()
}
