//! Where the log and the read model are kept.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{HumanDuration, Secret};

/// `[event_log]`: the event log, which is the source of truth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventLog {
    /// Which log is used.
    pub kind: EventLogKind,
    /// jetstream: the servers, such as `nats://nats-0.nats:4222`.
    pub servers: Vec<Secret>,
    /// jetstream: a credentials file (user JWT and seed) to authenticate with.
    pub credentials: Option<PathBuf>,
    /// jetstream: a PEM file of CAs to trust for the servers' certificates, in addition to those of the system.
    pub root_certificates: Option<PathBuf>,
    /// jetstream: the PEM certificate chain to authenticate with; needs `client_key`.
    pub client_certificate: Option<PathBuf>,
    /// jetstream: the PEM private key of `client_certificate`.
    pub client_key: Option<PathBuf>,
    /// jetstream: the monitoring URL of every server, such as `http://nats-0.nats:8222`. They show whether the servers
    /// sync each message before they acknowledge it.
    #[schemars(with = "Vec<String>")]
    #[serde(deserialize_with = "super::form::list")]
    pub monitor_urls: Vec<Url>,
    /// jetstream: how many servers keep each message: 3 or 5, or 1 for development.
    pub replicas: u8,
    /// jetstream: allows one replica, and servers that sync after they acknowledge. Acknowledged certificates can be
    /// lost: never use it in production.
    pub allow_unsafe_dev: bool,
    /// jetstream: over how many streams new orders are spread, from 1 to 100. You can raise it at any time. The start
    /// is refused if streams beyond this number still hold orders.
    pub order_shards: u8,
    /// How long the events of an order are kept, which also say what was validated for it: embedded, counted from when
    /// the order was placed; jetstream, counted for each event from when it was written. At least the longest order
    /// validity plus 72 h, which is also the default.
    pub order_max_age: Option<HumanDuration>,
}

/// The logs there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventLogKind {
    /// One process that keeps everything in the data directory.
    Embedded,
    /// A NATS JetStream cluster, with Redis for the read model.
    Jetstream,
}

impl Default for EventLog {
    fn default() -> Self {
        Self {
            kind: EventLogKind::Embedded,
            servers: Vec::new(),
            credentials: None,
            root_certificates: None,
            client_certificate: None,
            client_key: None,
            monitor_urls: Vec::new(),
            replicas: 3,
            allow_unsafe_dev: false,
            order_shards: 4,
            order_max_age: None,
        }
    }
}

/// `[redis]`: nonces and views, used with the jetstream log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// The URL of the primary, such as `redis://redis:6379/0`, or `rediss://` for TLS. Each fleet needs a database of
    /// its own.
    pub url: Option<Secret>,
    /// A PEM file of CAs to trust for the server's certificate, instead of those of the system; only for `rediss://`.
    /// It is read for each connection.
    pub root_certificates: Option<PathBuf>,
}
