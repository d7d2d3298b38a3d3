//! How control of an identifier is checked.

use std::{collections::BTreeSet, io, net::SocketAddr, path::PathBuf};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HumanDuration;

/// `[validation]`: how control of an identifier is checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Validation {
    /// The port that http-01 connects to first, from 1 to 65535; redirects may always lead to it, too.
    pub http01_port: u16,
    /// The port that tls-alpn-01 connects to, from 1 to 65535.
    pub tls_alpn01_port: u16,
    /// The ports that an http-01 redirect may lead to, from 1 to 65535.
    pub redirect_ports: BTreeSet<u16>,
    /// The DNS resolver as `ip:port`; without it, that of the system.
    #[serde(deserialize_with = "super::form::optional")]
    pub dns_resolver: Option<SocketAddr>,
    /// Networks that validations may connect to although they are blocked by default (loopback, link-local, metadata
    /// services).
    #[schemars(with = "Vec<String>")]
    #[serde(deserialize_with = "super::form::list")]
    pub allow_networks: Vec<IpNet>,
    /// DNSKEY records to trust, as a file or as the records themselves. DNSSEC is checked for names in their zones, where
    /// an answer must be signed unless its zone is proven to be unsigned; not for other names, and not without this key.
    #[schemars(with = "Option<String>")]
    pub trust_anchor: Option<TrustAnchor>,
    /// Refuses all DNS answers that DNSSEC does not prove, also those of unsigned zones; needs a `trust_anchor`.
    pub dnssec_required: bool,
    /// The names by which CAA records allow this CA; the directory shows them. Without any, CAA is not checked.
    pub caa_identities: Vec<String>,
    /// Whether CAA records that do not allow one of `caa_identities` forbid issuance.
    pub caa_enforced: bool,
    /// Resolves `localhost` and every name below it to loopback if there is no `dns_resolver`, or if that has no
    /// address for the name; for development.
    pub localhost_to_loopback: bool,
    /// How long one validation may take, from 1s to 1m.
    pub timeout: HumanDuration,
    /// How often the validation of a challenge is tried before it fails for good, from 1 to 10.
    pub attempts: u16,
    /// The wait before the second try, from 1s to 10m; it doubles before each further try.
    pub retry_wait: HumanDuration,
    /// How many validations run at the same time, from 1 to 10000.
    pub concurrency: u32,
}

impl Default for Validation {
    fn default() -> Self {
        Self {
            http01_port: 80,
            tls_alpn01_port: 443,
            redirect_ports: BTreeSet::from([80, 443]),
            dns_resolver: None,
            allow_networks: Vec::new(),
            trust_anchor: None,
            dnssec_required: false,
            caa_identities: Vec::new(),
            caa_enforced: true,
            localhost_to_loopback: false,
            timeout: HumanDuration::seconds(10),
            attempts: 3,
            retry_wait: HumanDuration::seconds(2),
            concurrency: 128,
        }
    }
}

impl Validation {
    /// The ports an http-01 redirect may lead to, the one it starts at among them.
    pub fn allowed_redirect_ports(&self) -> BTreeSet<u16> {
        self.redirect_ports.iter().copied().chain([self.http01_port]).collect()
    }

    /// Whether CAA records can forbid issuance.
    pub fn checks_caa(&self) -> bool {
        self.caa_enforced && !self.caa_identities.is_empty()
    }

    /// These settings with those a profile sets instead.
    #[must_use]
    pub fn with(&self, own: &ProfileValidation) -> Self {
        let own = own.clone();
        Self {
            redirect_ports: own.redirect_ports.unwrap_or_else(|| self.redirect_ports.clone()),
            dns_resolver: own.dns_resolver.or(self.dns_resolver),
            allow_networks: own.allow_networks.unwrap_or_else(|| self.allow_networks.clone()),
            trust_anchor: own.trust_anchor.or_else(|| self.trust_anchor.clone()),
            dnssec_required: own.dnssec_required.unwrap_or(self.dnssec_required),
            caa_identities: own.caa_identities.unwrap_or_else(|| self.caa_identities.clone()),
            caa_enforced: own.caa_enforced.unwrap_or(self.caa_enforced),
            ..self.clone()
        }
    }
}

/// `[profile.validation]`: settings of the profile that replace those of `[validation]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileValidation {
    /// The ports that an http-01 redirect may lead to in this profile, from 1 to 65535.
    pub redirect_ports: Option<BTreeSet<u16>>,
    /// The profile's own DNS resolver as `ip:port`.
    #[serde(deserialize_with = "super::form::optional")]
    pub dns_resolver: Option<SocketAddr>,
    /// Networks that validations for the profile may connect to although they are blocked by default.
    #[schemars(with = "Option<Vec<String>>")]
    #[serde(deserialize_with = "super::form::optional_list")]
    pub allow_networks: Option<Vec<IpNet>>,
    /// The profile's own trust anchor, as a file or as records.
    #[schemars(with = "Option<String>")]
    pub trust_anchor: Option<TrustAnchor>,
    /// Whether the profile refuses DNS answers that DNSSEC does not prove.
    pub dnssec_required: Option<bool>,
    /// The names by which CAA records allow the profile.
    pub caa_identities: Option<Vec<String>>,
    /// Whether CAA records can forbid issuance by the profile.
    pub caa_enforced: Option<bool>,
}

/// DNSKEY records that are trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum TrustAnchor {
    /// A file that holds them.
    File(PathBuf),
    /// The records themselves, in the form of a zone file.
    Records(String),
}

impl TrustAnchor {
    /// The longest file that is read; a key record has a few hundred bytes.
    const MAX_BYTES: u64 = 64 * 1024;

    /// The records in the form of a zone file.
    ///
    /// # Errors
    /// When the file cannot be read or is too long to hold keys.
    pub fn records(&self) -> io::Result<String> {
        match self {
            Self::Records(records) => Ok(records.clone()),
            Self::File(path) if std::fs::metadata(path)?.len() > Self::MAX_BYTES => {
                Err(io::Error::new(io::ErrorKind::FileTooLarge, "too long for a trust anchor"))
            }
            Self::File(path) => std::fs::read_to_string(path),
        }
    }
}

impl From<String> for TrustAnchor {
    fn from(text: String) -> Self {
        if text.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("DNSKEY")) {
            Self::Records(text)
        } else {
            Self::File(text.into())
        }
    }
}

impl From<TrustAnchor> for String {
    fn from(anchor: TrustAnchor) -> Self {
        match anchor {
            TrustAnchor::File(path) => path.display().to_string(),
            TrustAnchor::Records(records) => records,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_http01_port_is_an_allowed_redirect_port() {
        let validation = Validation { http01_port: 5002, ..Validation::default() };
        assert_eq!(validation.allowed_redirect_ports(), BTreeSet::from([80, 443, 5002]));
    }

    #[test]
    fn a_profile_replaces_only_what_it_sets() {
        let common = Validation {
            caa_identities: vec!["ca.example.com".into()],
            dns_resolver: "192.0.2.1:53".parse().ok(),
            ..Validation::default()
        };
        let own = ProfileValidation {
            dns_resolver: "192.0.2.2:53".parse().ok(),
            redirect_ports: Some(BTreeSet::from([8080])),
            dnssec_required: Some(true),
            caa_enforced: Some(false),
            ..ProfileValidation::default()
        };
        let both = common.with(&own);
        assert_eq!(both.dns_resolver, own.dns_resolver);
        assert_eq!(both.caa_identities, common.caa_identities);
        assert_eq!(both.allowed_redirect_ports(), BTreeSet::from([80, 8080]));
        assert!(both.dnssec_required && !common.dnssec_required);
        assert!(common.checks_caa() && !both.checks_caa());
    }

    #[test]
    fn a_trust_anchor_is_a_file_or_the_records_themselves() {
        let records = ". IN DNSKEY 257 3 8 AwEAAa==";
        assert_eq!(TrustAnchor::from(records.to_owned()).records().unwrap(), records);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), records).unwrap();
        let anchor = TrustAnchor::from(file.path().display().to_string());
        assert_eq!(anchor.records().unwrap(), records);
    }
}
