//! Indexes: what cannot be found by the subject it is stored under.

use domain::{AccountId, IssuerId, OrderId, ProfileName, Serial, Timestamp};
use serde::{Deserialize, Serialize};

/// The answer of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// It is there.
    Found(T),
    /// It is not there, as far as the index is complete.
    Missing,
}

/// A certificate in the index by serial; outlives its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateEntry {
    /// The CA key that signed.
    pub issuer: IssuerId,
    /// The serial.
    pub serial: Serial,
    /// The order it was issued for; absent for the CA's own server certificate.
    pub order: Option<OrderId>,
    /// The account that may revoke it.
    pub account: Option<AccountId>,
    /// The profile it was issued under.
    pub profile: Option<ProfileName>,
    /// Where the ledger holds it.
    pub ledger_sequence: u64,
    /// The end of its validity; the entry may go one CRL period later.
    pub not_after: Timestamp,
}
