//! Which identifiers are issued for: what an operator allows and what is denied.

use ipnet::IpNet;

use crate::{Identifier, NameRule};

/// What is allowed and what is denied; a denial wins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdentifierPolicy {
    /// The names that are issued for; all of them when there are none here.
    pub allowed_names: Vec<NameRule>,
    /// The names that are not, even if they are allowed.
    pub denied_names: Vec<NameRule>,
    /// The networks whose addresses are issued for; all of them when there are none here.
    pub allowed_networks: Vec<IpNet>,
    /// The networks whose addresses are not, even if they are allowed.
    pub denied_networks: Vec<IpNet>,
}

impl IdentifierPolicy {
    /// Whether the identifier is issued for. A wildcard is not if one of the names that it stands for is denied.
    pub fn permits(&self, identifier: &Identifier) -> bool {
        let (denied, allowed) = match identifier {
            Identifier::Dns(_) => (
                self.denied_names.iter().any(|rule| rule.touches(identifier)),
                self.allowed_names.is_empty()
                    || self.allowed_names.iter().any(|rule| rule.matches(identifier)),
            ),
            Identifier::Ip(address) => {
                let within = |network: &IpNet| network.contains(&address.address());
                (
                    self.denied_networks.iter().any(within),
                    self.allowed_networks.is_empty() || self.allowed_networks.iter().any(within),
                )
            }
        };
        allowed && !denied
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rules: &[&str]) -> Vec<NameRule> {
        rules.iter().map(|rule| rule.parse().unwrap()).collect()
    }

    fn networks(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn permits(policy: &IdentifierPolicy, text: &str) -> bool {
        let name = || Identifier::Dns(text.parse().unwrap());
        policy.permits(&text.parse().map_or_else(|_| name(), Identifier::Ip))
    }

    #[test]
    fn without_rules_everything_is_permitted() {
        for text in ["www.example.com", "*.example.com", "192.0.2.1", "2001:db8::1"] {
            assert!(permits(&IdentifierPolicy::default(), text), "{text}");
        }
    }

    #[test]
    fn a_denial_wins() {
        let policy = IdentifierPolicy {
            allowed_names: names(&[".example.com", r"/[a-z]+\.example\.org/"]),
            denied_names: names(&["secret.example.com", r"/x.*/"]),
            ..IdentifierPolicy::default()
        };
        for (text, permitted) in [
            ("www.example.com", true),
            ("www.example.org", true),
            ("example.com", false),
            ("secret.example.com", false),
            // It would be good for the secret name.
            ("*.example.com", false),
            ("*.www.example.com", true),
            ("xyz.example.org", false),
            // Rules about names say nothing about addresses.
            ("192.0.2.1", true),
        ] {
            assert_eq!(permits(&policy, text), permitted, "{text}");
        }
    }

    #[test]
    fn addresses_are_permitted_by_their_network() {
        let policy = IdentifierPolicy {
            allowed_networks: networks(&["10.0.0.0/8", "2001:db8::/32"]),
            denied_networks: networks(&["10.1.0.0/16"]),
            ..IdentifierPolicy::default()
        };
        for (text, permitted) in [
            ("10.2.0.1", true),
            ("10.1.0.1", false),
            ("192.0.2.1", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
            ("www.example.com", true),
        ] {
            assert_eq!(permits(&policy, text), permitted, "{text}");
        }
    }
}
