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
    /// Whether DNSSEC proved the answers: `secure`, `insecure`, or absent when not validated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dnssec: Option<String>,
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
