//! What a validator saw: the answer to "why was this certificate issued?".

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one validation looked at, kept in the event for ever. Every list is bounded by the validator's limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The network vantage point that looked, as configured.
    pub perspective: String,
    /// The DNS resolver asked, as `address:port`, or `system`.
    pub resolver: String,
    /// The DNS records seen, each as `name type value`, cut to a bounded length.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<String>,
    /// The HTTP requests made, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<Hop>,
    /// The TLS handshakes made, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handshakes: Vec<Handshake>,
    /// Whether DNSSEC proved the answers: `secure`, `insecure`, or absent when not validated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dnssec: Option<String>,
    /// What CAA said; absent where it was not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caa: Option<CaaEvidence>,
    /// How long the validation took, in milliseconds.
    pub duration_millis: u64,
}

/// One HTTP request of an http-01 validation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// The URL asked, cut to a bounded length.
    pub url: String,
    /// The address the request was pinned to, with port.
    pub address: String,
    /// The HTTP status answered; absent when there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// One TLS handshake of a tls-alpn-01 validation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Handshake {
    /// The name that was asked for (RFC 6066 §3).
    pub server_name: String,
    /// The address the connection was pinned to, with port.
    pub address: String,
    /// The protocol version, such as `TLSv1_3`; absent when there was no agreement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// SHA-256 over the DER certificate shown, in lower-case hex; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<String>,
}

/// What the CAA records of a name said (RFC 8659).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaaEvidence {
    /// The name whose records decided; absent when neither the name nor one above it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_at: Option<String>,
    /// Those records, each as `flags tag "value"`, cut to a bounded length and number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<String>,
    /// Whether DNSSEC proved the records: `secure`, `insecure`, or absent when there were none or it was not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dnssec: Option<String>,
}
