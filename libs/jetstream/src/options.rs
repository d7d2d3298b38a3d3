//! What an operator chooses about the connection and the streams.

use std::{path::PathBuf, time::Duration};

use reqwest::Url;

const DAY: Duration = Duration::from_hours(24);

/// How to reach the servers and what to ask of them. The names are those of the configuration's `[event_log]`.
#[derive(Clone)]
pub struct Options {
    /// The servers, such as `nats://nats-0.nats:4222`; `tls://` asks for TLS, and user and password, or a token, may stand
    /// before the host.
    pub servers: Vec<String>,
    /// A credentials file (user JWT and seed) to authenticate with.
    pub credentials: Option<PathBuf>,
    /// A PEM file of the CAs that signed the servers' certificates, beside those of the system.
    pub root_certificates: Option<PathBuf>,
    /// The certificate to authenticate with.
    pub client_certificate: Option<ClientCertificate>,
    /// The monitoring URLs of the servers, such as `http://nats-0.nats:8222`, where their sync mode can be seen.
    pub monitor_urls: Vec<Url>,
    /// On how many servers each message is kept.
    pub replicas: u8,
    /// Allows fewer than three replicas and servers that sync late: acknowledged certificates can be lost.
    pub allow_unsafe_dev: bool,
    /// Over how many streams orders are spread.
    pub order_shards: u8,
    /// How long a message of an order is kept; a longer time that a stream already has stays.
    pub order_max_age: Duration,
    /// Whether a log may be begun where there is none; otherwise only streams for more orders are made.
    pub may_begin: bool,
    /// The first token of all subjects and stream names, so that several logs can share servers: letters, digits, `-`
    /// and `_`.
    pub prefix: String,
    /// How long a delivery may stay without acknowledgement or sign of progress before another worker gets it.
    pub ack_wait: Duration,
    /// How long a server may take to accept a connection: short, because one that hangs may be tried first when another is
    /// lost.
    pub connect_timeout: Duration,
    /// How long a server may take to answer.
    pub request_timeout: Duration,
}

/// Where the certificate that authenticates to the servers is found.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The certificate chain, PEM.
    pub chain: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// What was under way to a worker while a server stopped comes again after this time, and whoever waits for it waits as
/// long. Workers say more than twice within it that they go on ([`eventstore::KEEP_ALIVE`]).
const ACK_WAIT: Duration = Duration::from_secs(12);

impl Default for Options {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            credentials: None,
            root_certificates: None,
            client_certificate: None,
            monitor_urls: Vec::new(),
            replicas: 3,
            allow_unsafe_dev: false,
            order_shards: 16,
            order_max_age: 10 * DAY,
            may_begin: true,
            prefix: "certmill".to_owned(),
            ack_wait: ACK_WAIT,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(5),
        }
    }
}
