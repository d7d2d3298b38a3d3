//! Why a validation or an issuance failed, as the applicant may learn it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A failure that is part of an order's story; its kind becomes an ACME error type (RFC 8555 §6.7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// One printable sentence for the applicant, at most [`Failure::MAX_DETAIL_BYTES`], without anything a foreign
    /// server sent.
    pub detail: String,
}

/// The kinds of failure, named as in RFC 8555 §6.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FailureKind {
    /// CAA records forbid issuance.
    Caa,
    /// The applicant's server could not be reached.
    Connection,
    /// A DNS query failed.
    Dns,
    /// The response did not match the challenge.
    IncorrectResponse,
    /// The server will not issue for the identifier.
    RejectedIdentifier,
    /// The CA failed, not the applicant.
    ServerInternal,
    /// The applicant's server had a TLS fault.
    Tls,
    /// The applicant does not control the identifier.
    Unauthorized,
}

impl FailureKind {
    /// The name, without the namespace of ACME's error types.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caa => "caa",
            Self::Connection => "connection",
            Self::Dns => "dns",
            Self::IncorrectResponse => "incorrectResponse",
            Self::RejectedIdentifier => "rejectedIdentifier",
            Self::ServerInternal => "serverInternal",
            Self::Tls => "tls",
            Self::Unauthorized => "unauthorized",
        }
    }
}

impl Failure {
    /// The longest detail kept; longer ones are cut.
    pub const MAX_DETAIL_BYTES: usize = 512;

    /// Makes a failure whose detail is printable ASCII and bounded; other characters are replaced by `?`.
    pub fn new(kind: FailureKind, detail: &str) -> Self {
        let printable = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
        Self { kind, detail: detail.chars().take(Self::MAX_DETAIL_BYTES).map(printable).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_named_as_it_is_stored() {
        for name in [
            "caa",
            "connection",
            "dns",
            "incorrectResponse",
            "rejectedIdentifier",
            "serverInternal",
            "tls",
            "unauthorized",
        ] {
            let kind: FailureKind = serde_json::from_value(name.into()).unwrap();
            assert_eq!(kind.as_str(), name);
        }
    }

    #[test]
    fn a_detail_is_printable_and_bounded() {
        let failure = Failure::new(FailureKind::Dns, &"a\r\nü".repeat(1000));
        assert_eq!(failure.detail.len(), Failure::MAX_DETAIL_BYTES);
        assert!(failure.detail.starts_with("a???a???"));
    }
}
