//! The ledger: every serial that was reserved, what was signed under it, and which were given up.
//! These types are stored: change them only by adding a version.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, DomainEvent, Identifier, IssuerId, OrderId, ProfileName, Serial, Timestamp,
};

/// An entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum LedgerEvent {
    /// A serial and the exact bytes to sign were chosen.
    SerialReserved(SerialReserved),
    /// A certificate was signed.
    CertificateSigned(CertificateSigned),
    /// A serial was given up and counts as revoked.
    SerialBurned(SerialBurned),
}

/// A serial and the exact bytes to sign were chosen, before anything was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SerialReserved {
    /// The CA key that is to sign.
    pub issuer: IssuerId,
    /// The serial, unique for ever.
    pub serial: Serial,
    /// The order it is for; absent for the CA's own server certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// The account that placed the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The profile of the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileName>,
    /// The names certified.
    pub identifiers: Vec<Identifier>,
    /// The DER TBSCertificate as unpadded base64url.
    pub tbs: String,
    /// The start of validity.
    pub not_before: Timestamp,
    /// The end of validity.
    pub not_after: Timestamp,
}

/// A certificate was signed; from now on it can be downloaded and revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateSigned {
    /// The CA key that signed.
    pub issuer: IssuerId,
    /// The certificate's serial.
    pub serial: Serial,
    /// The order it is for; absent for the CA's own server certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// The account that placed the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The profile of the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileName>,
    /// The DER certificate as unpadded base64url.
    pub certificate: String,
    /// The certificates above it, leaf's issuer first and without the root, each DER as unpadded base64url.
    pub chain: Vec<String>,
    /// Other chains from the same key to other roots, each like `chain`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternates: Vec<Vec<String>>,
    /// The end of validity.
    pub not_after: Timestamp,
}

/// A serial was given up after a crash between signing and recording: a certificate may exist that nobody holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SerialBurned {
    /// The CA key that may have signed.
    pub issuer: IssuerId,
    /// The serial, which is revoked.
    pub serial: Serial,
    /// The end of validity of what may have been signed.
    pub not_after: Timestamp,
}

impl DomainEvent for LedgerEvent {
    const TYPES: &'static [(&'static str, u16)] =
        &[("SerialReserved", 2), ("CertificateSigned", 2), ("SerialBurned", 1)];

    fn event_type(&self) -> &'static str {
        match self {
            Self::SerialReserved(_) => "SerialReserved",
            Self::CertificateSigned(_) => "CertificateSigned",
            Self::SerialBurned(_) => "SerialBurned",
        }
    }
}
