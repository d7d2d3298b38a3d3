//! Sets the resolver library up so that it asks exactly what it is told to ask.

use std::{net::SocketAddr, str::FromStr as _, sync::Arc};

use hickory_resolver::{
    Resolver,
    config::{
        ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
        ResolverOpts,
    },
    proto::{
        dnssec::TrustAnchors,
        rr::Name,
        serialize::txt::trust_anchor::{Entry, Parser},
    },
    system_conf::read_system_conf,
};

use super::connection::{Client, Connections, Servers};
use crate::{ResolverChoice, Settings, SettingsError};

/// The largest UDP answer asked for; larger ones come over TCP (RFC 9715 §3).
const UDP_PAYLOAD_BYTES: u16 = 1232;

/// Why a trust anchor cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustAnchorError {
    /// The text is not a list of DNSKEY records.
    #[error("the text is not a list of DNSKEY records")]
    Syntax,
    /// There is no key in the text: it would trust nothing and refuse every answer.
    #[error("the text holds no DNSKEY record")]
    Empty,
}

/// The resolver clients of a validator: what lies below a trust anchor is validated, and nothing else can be.
pub(super) struct Clients {
    plain: Client,
    validating: Option<Validating>,
}

struct Validating {
    /// The zones whose keys are trusted.
    anchors: Vec<Name>,
    client: Client,
}

impl Clients {
    /// Sets the clients up once.
    pub(super) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let config = config(settings)?;
        let failed = |error| SettingsError::Resolver(Box::new(error));
        let connections = Connections::new(options(settings)).map_err(failed)?;
        let builder = || {
            Resolver::builder_with_config(config.clone(), connections.clone())
                .with_options(options(settings))
        };
        let plain = match settings.resolver {
            ResolverChoice::Address(_) => {
                Client::Servers(Servers::new(config.name_servers().to_vec(), &connections))
            }
            ResolverChoice::System => Client::Library(Box::new(builder().build().map_err(failed)?)),
        };
        let Some(text) = &settings.trust_anchor else {
            return Ok(Self { plain, validating: None });
        };
        let (anchors, trusted) = trust_anchors(text).map_err(SettingsError::TrustAnchor)?;
        let client = builder().with_trust_anchor(Arc::new(trusted)).build().map_err(failed)?;
        let client = Client::Library(Box::new(client));
        Ok(Self { plain, validating: Some(Validating { anchors, client }) })
    }

    /// The client for a name, and whether it validates. Of a name that lies below no anchor nothing can be proven, not
    /// even that it is unsigned: the validating client would take every answer for a forgery.
    pub(super) fn of(&self, name: &Name) -> (&Client, bool) {
        match &self.validating {
            Some(validating) if validating.anchors.iter().any(|anchor| anchor.zone_of(name)) => {
                (&validating.client, true)
            }
            Some(_) | None => (&self.plain, false),
        }
    }
}

fn config(settings: &Settings) -> Result<ResolverConfig, SettingsError> {
    match settings.resolver {
        ResolverChoice::Address(address) => Ok(own(address)),
        ResolverChoice::System => {
            let (system, _) = read_system_conf()
                .map_err(|error| SettingsError::SystemResolver(Box::new(error)))?;
            // Names are always complete: the system's search domains never apply.
            Ok(ResolverConfig::from_name_servers(system.name_servers))
        }
    }
}

fn own(address: SocketAddr) -> ResolverConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    let server = NameServerConfig::new(address.ip(), true, connections.to_vec());
    ResolverConfig::from_name_servers(vec![server])
}

fn options(settings: &Settings) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.ndots = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.cache_size = 0;
    options.timeout = settings.dns_timeout;
    options.attempts = settings.dns_retries;
    options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    options.case_randomization = true;
    options.preserve_intermediates = true;
    options.edns_payload_len = UDP_PAYLOAD_BYTES;
    options
}

/// Checks that a text is a trust anchor.
///
/// # Errors
/// When it is none.
pub fn check_trust_anchor(text: &str) -> Result<(), TrustAnchorError> {
    trust_anchors(text).map(drop)
}

/// The zones of the keys, and the keys.
fn trust_anchors(text: &str) -> Result<(Vec<Name>, TrustAnchors), TrustAnchorError> {
    let syntax = |_| TrustAnchorError::Syntax;
    let keys = Parser::new(text).parse().map_err(syntax)?;
    let zone = |entry: &Entry| match entry {
        Entry::DNSKEY(key) => {
            let mut zone = key.name().clone();
            zone.set_fqdn(true);
            Some(zone)
        }
        // The library may learn others.
        _ => None,
    };
    let zones: Vec<Name> = keys.iter().filter_map(zone).collect();
    if zones.is_empty() {
        return Err(TrustAnchorError::Empty);
    }
    Ok((zones, TrustAnchors::from_str(text).map_err(syntax)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANCHOR: &str =
        "example. 3600 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=";

    #[test]
    fn dnskey_lines_are_a_trust_anchor() {
        assert!(trust_anchors(ANCHOR).is_ok());
        assert!(trust_anchors(&format!("; a comment\n{ANCHOR}\n\n{ANCHOR}\n")).is_ok());
    }

    #[test]
    fn a_text_without_keys_is_refused() {
        assert!(matches!(trust_anchors(""), Err(TrustAnchorError::Empty)));
        assert!(matches!(trust_anchors("; nothing\n"), Err(TrustAnchorError::Empty)));
        assert!(matches!(trust_anchors("example. IN A 192.0.2.1"), Err(TrustAnchorError::Syntax)));
    }
}
