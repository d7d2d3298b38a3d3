//! What the client reads of a server's resources (RFC 8555 §7.1).

use serde::{Deserialize, Serialize};

/// Where a server's operations are (§7.1.1).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Directory {
    pub(super) new_nonce: String,
    pub(super) new_account: String,
    pub(super) new_order: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewAccount {
    pub(super) terms_of_service_agreed: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct NewOrder<'a> {
    pub(super) identifiers: [Identifier<'a>; 1],
}

#[derive(Debug, Serialize)]
pub(super) struct Identifier<'a> {
    pub(super) r#type: &'static str,
    pub(super) value: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct Finalize<'a> {
    pub(super) csr: &'a str,
}

/// The statuses of orders, authorizations and challenges together (§7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Pending,
    Processing,
    Ready,
    Valid,
    Invalid,
    Deactivated,
    Expired,
    Revoked,
}

#[derive(Debug, Deserialize)]
pub(super) struct Order {
    pub(super) status: Status,
    pub(super) authorizations: Vec<String>,
    pub(super) finalize: String,
    pub(super) certificate: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Authorization {
    pub(super) status: Status,
    pub(super) challenges: Vec<Challenge>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Challenge {
    pub(super) r#type: String,
    pub(super) url: String,
    pub(super) token: Option<String>,
    pub(super) status: Status,
}

/// As much of a problem document as tells a bad nonce from everything else (§6.7).
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    pub(super) r#type: String,
}
