//! What an operator may set, and what holds when nothing is set.

use std::{fmt, net::SocketAddr, time::Duration};

use crate::{NetworkPolicy, TrustAnchorError};

/// How a validator looks names up, what it may contact and how long it tries.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The port http-01 starts at (RFC 8555 §8.3 says 80).
    pub http01_port: u16,
    /// The port of tls-alpn-01 (RFC 8737 §3 says 443).
    pub tls_alpn01_port: u16,
    /// The ports a redirect may lead to; [`Settings::http01_port`] always is one of them.
    pub redirect_ports: Vec<u16>,
    /// Who is asked for DNS records.
    pub resolver: ResolverChoice,
    /// Which addresses may be contacted.
    pub policy: NetworkPolicy,
    /// How long one DNS query may take before it is repeated or given up.
    pub dns_timeout: Duration,
    /// How often a DNS query without a usable answer is repeated.
    pub dns_retries: usize,
    /// How long a TCP and TLS handshake may take.
    pub connect_timeout: Duration,
    /// How long one HTTP request may take, from connecting to the last byte of its body.
    pub request_timeout: Duration,
    /// How long a whole validation may take.
    pub total_timeout: Duration,
    /// How many bytes of a body are read at most.
    pub max_body_bytes: usize,
    /// How many redirects are followed at most.
    pub max_redirects: usize,
    /// The name of this network vantage point in the evidence.
    pub perspective: String,
    /// Whether `*.localhost` is 127.0.0.1 for http-01 where no resolver of its own has an address; for development.
    ///
    /// The system's resolvers are never asked about `*.localhost` (RFC 6761 §6.3): without this the resolver library
    /// answers with both loopback addresses and no TXT record, as it does below a trust anchor of the root. Otherwise a
    /// resolver with an address of its own is asked about all names.
    pub localhost_to_loopback: bool,
    /// Trusted DNSKEY records in zone file syntax; when set, answers are validated and bogus ones refused.
    pub trust_anchor: Option<String>,
    /// Whether answers that DNSSEC does not prove are refused; without a trust anchor, that is all of them.
    pub dnssec_required: bool,
    /// The names that allow this CA in CAA records; without any, CAA is not checked.
    pub caa_identities: Vec<String>,
}

/// The port of http-01 (RFC 8555 §8.3).
const HTTP01_PORT: u16 = 80;
/// The port of tls-alpn-01 (RFC 8737 §3).
const TLS_ALPN01_PORT: u16 = 443;
/// The ports of http and https.
const REDIRECT_PORTS: [u16; 2] = [80, 443];
const DNS_TIMEOUT: Duration = Duration::from_secs(3);
const DNS_RETRIES: usize = 1;
/// Short enough that IPv4 is still tried when IPv6 packets vanish.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(20);
/// A key authorization has 87 bytes; the rest is for trailing whitespace.
const MAX_BODY_BYTES: usize = 1024 + 128;
const MAX_REDIRECTS: usize = 10;
const PERSPECTIVE: &str = "primary";

impl Default for Settings {
    fn default() -> Self {
        Self {
            http01_port: HTTP01_PORT,
            tls_alpn01_port: TLS_ALPN01_PORT,
            redirect_ports: REDIRECT_PORTS.to_vec(),
            resolver: ResolverChoice::System,
            policy: NetworkPolicy::default(),
            dns_timeout: DNS_TIMEOUT,
            dns_retries: DNS_RETRIES,
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            total_timeout: TOTAL_TIMEOUT,
            max_body_bytes: MAX_BODY_BYTES,
            max_redirects: MAX_REDIRECTS,
            perspective: PERSPECTIVE.to_owned(),
            localhost_to_loopback: false,
            trust_anchor: None,
            dnssec_required: false,
            caa_identities: Vec::new(),
        }
    }
}

impl Settings {
    /// Whether a redirect may lead to the port.
    pub(crate) fn permits_port(&self, port: u16) -> bool {
        port == self.http01_port || self.redirect_ports.contains(&port)
    }
}

/// Who is asked for DNS records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResolverChoice {
    /// The resolvers of the system's configuration.
    #[default]
    System,
    /// A recursive resolver of its own, over UDP and TCP.
    Address(SocketAddr),
}

impl fmt::Display for ResolverChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Why no validator can be made; the operator must change the configuration.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The system names no resolver.
    #[error("the system's resolver configuration cannot be used; set a resolver address")]
    SystemResolver(#[source] Box<hickory_resolver::net::NetError>),
    /// The resolver could not be set up.
    #[error("the resolver cannot be set up")]
    Resolver(#[source] Box<hickory_resolver::net::NetError>),
    /// The trust anchor is not a list of DNSKEY records.
    #[error("the trust anchor cannot be used")]
    TrustAnchor(#[source] TrustAnchorError),
    /// The process installed no default crypto provider, without which the HTTP client would panic.
    #[error("no default TLS crypto provider is installed")]
    NoCryptoProvider,
    /// The HTTP client could not be set up.
    #[error("the HTTP client cannot be set up")]
    HttpClient(#[source] reqwest::Error),
    /// The TLS client could not be set up.
    #[error("the TLS client cannot be set up")]
    TlsClient(#[source] rustls::Error),
}
