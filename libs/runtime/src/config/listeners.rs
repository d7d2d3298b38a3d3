//! Where the process listens: the ACME API and the operations endpoint.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BaseUrl, HumanDuration};

/// The port of the ACME API where none is configured.
const API_PORT: u16 = 14000;
/// The port of the operations listener where none is configured.
const OPS_PORT: u16 = 14001;

/// `[api]`: the ACME server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// The address and port of the HTTPS listener.
    #[serde(deserialize_with = "super::form::one")]
    pub listen: SocketAddr,
    /// The https URL under which clients reach the server, without a path.
    pub base_url: BaseUrl,
    /// A PEM file with the server's own certificate and its chain. Without it, the server issues a certificate to
    /// itself.
    pub tls_certificate: Option<PathBuf>,
    /// A PEM file with the private key of `tls_certificate`.
    pub tls_key: Option<PathBuf>,
    /// How long a reply may be held until work in progress has finished, from 0 to 25s; `"0"` answers at once.
    pub hold: HumanDuration,
    /// How many replies may be held at the same time; any more are answered at once.
    pub max_held: u32,
    /// The time in Retry-After after which clients may ask again: whole seconds, from 1s to 10m.
    pub retry_after: HumanDuration,
    /// How long a nonce is valid: whole minutes, from 1m to 1h.
    pub nonce_validity: HumanDuration,
    /// How many connections may be open at the same time, at least 1; any more wait to be accepted.
    pub max_connections: u32,
    /// How long a request may take to arrive and to be answered, including the time that its reply is held: from 1s to
    /// 10m, and longer than `hold`.
    pub request_timeout: HumanDuration,
    /// The longest request body, in bytes, from 8192 to 1048576.
    pub max_body_bytes: u32,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::UNSPECIFIED, API_PORT).into(),
            base_url: BaseUrl::default(),
            tls_certificate: None,
            tls_key: None,
            hold: HumanDuration::seconds(2),
            max_held: 10_000,
            retry_after: HumanDuration::seconds(3),
            nonce_validity: HumanDuration::minutes(10),
            max_connections: 10_000,
            request_timeout: HumanDuration::seconds(30),
            max_body_bytes: 64 * 1024,
        }
    }
}

/// `[ops]`: health and metrics over plain HTTP; do not expose it to clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ops {
    /// The address and port of the listener.
    #[serde(deserialize_with = "super::form::one")]
    pub listen: SocketAddr,
}

impl Default for Ops {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, OPS_PORT).into() }
    }
}
