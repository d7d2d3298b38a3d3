//! What a validator node is told by the configuration.

use std::{io, net::SocketAddr};

use domain::{ProfileName, order::Retries};
use runtime::config::{BaseUrl, Config, Validation};
use validation::{NetworkPolicy, ResolverChoice, TrustAnchorError};

/// A validator node's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How identifiers are validated; each profile is in one group.
    pub groups: Vec<Group>,
    /// How a failed validation is repeated.
    pub retries: Retries,
    /// What the URLs of accounts start with.
    pub base_url: BaseUrl,
    /// How many validations run at a time.
    pub concurrency: usize,
    /// Over how many streams orders are spread.
    pub order_shards: u8,
}

/// Profiles whose identifiers are validated the same way, and so share a resolver.
#[derive(Clone, Debug)]
pub struct Group {
    /// Which profiles.
    pub profiles: Vec<ProfileName>,
    /// How.
    pub validation: validation::Settings,
}

/// The configuration names something that is not there.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The trust anchor cannot be used.
    #[error("the trust_anchor {anchor:?} of profile {profile} cannot be used")]
    TrustAnchor {
        /// The profile that uses it.
        profile: ProfileName,
        /// The file, or the records themselves.
        anchor: String,
        /// Why.
        #[source]
        source: TrustAnchorProblem,
    },
}

/// What is wrong with a trust anchor.
#[derive(Debug, thiserror::Error)]
pub enum TrustAnchorProblem {
    /// The file cannot be read.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// What it holds is no trust anchor.
    #[error(transparent)]
    Contents(#[from] TrustAnchorError),
}

impl Settings {
    /// Takes what concerns a validator node from the configuration.
    ///
    /// # Errors
    /// When a trust anchor that the configuration names cannot be used.
    pub fn from_config(config: &Config) -> Result<Self, ConfigError> {
        let mut alike: Vec<(Validation, Group)> = Vec::new();
        for profile in &config.profiles {
            let wanted = config.validation_of(profile);
            match alike.iter_mut().find(|(known, _)| *known == wanted) {
                Some((_, group)) => group.profiles.push(profile.name.clone()),
                None => {
                    let validation =
                        settings(&wanted).map_err(|source| ConfigError::TrustAnchor {
                            profile: profile.name.clone(),
                            anchor: wanted
                                .trust_anchor
                                .clone()
                                .map(String::from)
                                .unwrap_or_default(),
                            source,
                        })?;
                    alike
                        .push((wanted, Group { profiles: vec![profile.name.clone()], validation }));
                }
            }
        }
        Ok(Self {
            groups: alike.into_iter().map(|(_, group)| group).collect(),
            retries: Retries {
                max_failures: config.validation.attempts,
                first_wait: config.validation.retry_wait.get(),
            },
            base_url: config.api.base_url.clone(),
            concurrency: config.validation.concurrency as usize,
            order_shards: config.event_log.order_shards,
        })
    }
}

fn settings(config: &Validation) -> Result<validation::Settings, TrustAnchorProblem> {
    let trust_anchor = config.trust_anchor.as_ref().map(|anchor| anchor.records()).transpose()?;
    trust_anchor.as_deref().map(validation::check_trust_anchor).transpose()?;
    let defaults = validation::Settings::default();
    let timeout = config.timeout.get();
    let resolver = |address: SocketAddr| ResolverChoice::Address(address);
    Ok(validation::Settings {
        http01_port: config.http01_port,
        tls_alpn01_port: config.tls_alpn01_port,
        redirect_ports: config.allowed_redirect_ports().into_iter().collect(),
        resolver: config.dns_resolver.map_or(ResolverChoice::System, resolver),
        policy: NetworkPolicy::allowing(config.allow_networks.clone()),
        request_timeout: defaults.request_timeout.min(timeout),
        total_timeout: timeout,
        localhost_to_loopback: config.localhost_to_loopback,
        trust_anchor,
        dnssec_required: config.dnssec_required,
        caa_identities: if config.checks_caa() { config.caa_identities.clone() } else { vec![] },
        ..defaults
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(sets: &[&str]) -> Result<Settings, ConfigError> {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        Settings::from_config(&Config::load(None, [], &sets).unwrap())
    }

    #[test]
    fn profiles_that_validate_alike_share_a_group() {
        let profiles = r#"profile=[{name="a"},{name="b",validation={dns_resolver="127.0.0.1:53"}},{name="c"}]"#;
        let settings = from(&[profiles, r#"default_profile="a""#]).unwrap();
        let names: Vec<Vec<&str>> = settings
            .groups
            .iter()
            .map(|group| group.profiles.iter().map(ProfileName::as_str).collect())
            .collect();
        assert_eq!(names, [vec!["a", "c"], vec!["b"]]);
        assert_eq!(settings.groups[0].validation.resolver, ResolverChoice::System);
        let own = ResolverChoice::Address("127.0.0.1:53".parse().unwrap());
        assert_eq!(settings.groups[1].validation.resolver, own);
    }

    #[test]
    fn the_configured_ports_networks_and_time_are_used() {
        let settings = from(&[
            "validation.http01_port=5002",
            r#"validation.allow_networks=["127.0.0.0/8"]"#,
            r#"validation.timeout="4s""#,
        ]);
        let validation = settings.unwrap().groups.remove(0).validation;
        assert_eq!(validation.http01_port, 5002);
        assert!(validation.redirect_ports.contains(&5002));
        assert!(validation.policy.permits("127.0.0.1".parse().unwrap()));
        assert_eq!(validation.total_timeout.as_secs(), 4);
        assert_eq!(validation.request_timeout.as_secs(), 4);
    }

    #[test]
    fn what_a_profile_sets_itself_is_used_for_it() {
        let profiles = r#"profile=[{name="a"},{name="b",validation={
            redirect_ports=[8080], caa_enforced=false, dnssec_required=true,
            trust_anchor=". IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4="}}]"#;
        let caa = r#"validation.caa_identities=["ca.example"]"#;
        let settings = from(&[profiles, r#"default_profile="a""#, caa]).unwrap();
        let [common, own] = [0, 1].map(|group: usize| &settings.groups[group].validation);
        assert_eq!(common.caa_identities, ["ca.example"]);
        assert_eq!(common.redirect_ports, [80, 443]);
        assert!(!common.dnssec_required && common.trust_anchor.is_none());
        assert!(own.caa_identities.is_empty() && own.dnssec_required);
        assert_eq!(own.redirect_ports, [80, 8080]);
    }

    #[test]
    fn a_trust_anchor_that_is_not_there_or_none_is_named() {
        let error = from(&[r#"validation.trust_anchor="nowhere.key""#]).unwrap_err();
        let named = "the trust_anchor \"nowhere.key\" of profile default cannot be used";
        assert_eq!(error.to_string(), named);
        let error = from(&["validation.trust_anchor=. IN DNSKEY nonsense"]).unwrap_err();
        assert!(matches!(
            error,
            ConfigError::TrustAnchor { source: TrustAnchorProblem::Contents(_), .. }
        ));
    }
}
