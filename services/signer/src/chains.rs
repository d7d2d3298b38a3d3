//! Which chains go along with a certificate: that to the profile's preferred root first, the others as alternates.

use std::collections::HashMap;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ca::{Authority, Chain};
use domain::ProfileName;

/// What a profile says about chains.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChainRule {
    preferred_root: Option<String>,
    alternates: bool,
}

/// A profile prefers a root to which no chain leads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("profile {profile} prefers the root {root:?}, but the chains lead to {there}")]
pub struct NoSuchRoot {
    profile: ProfileName,
    root: String,
    there: String,
}

/// The chains of one profile's certificates as the ledger keeps them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) chain: Vec<String>,
    pub(crate) alternates: Vec<Vec<String>>,
}

/// The chains of every profile.
pub(crate) struct Chains {
    of_profiles: HashMap<ProfileName, Encoded>,
    default: Encoded,
}

impl ChainRule {
    pub(crate) fn from_config(profile: &runtime::config::Profile) -> Self {
        Self {
            preferred_root: profile.preferred_root.clone(),
            alternates: profile.alternate_chains,
        }
    }
}

impl Chains {
    pub(crate) fn new(
        authority: &Authority,
        rules: &HashMap<ProfileName, ChainRule>,
    ) -> Result<Self, NoSuchRoot> {
        let of_profiles = rules.iter().map(|(profile, rule)| {
            Ok((profile.clone(), chosen(authority.chains(), profile, rule)?))
        });
        let default = authority.chains().first().map(encode).unwrap_or_default();
        Ok(Self {
            of_profiles: of_profiles.collect::<Result<_, _>>()?,
            default: Encoded { chain: default, alternates: Vec::new() },
        })
    }

    /// The chains of a profile's certificates; without a profile, those of the server's own.
    pub(crate) fn of(&self, profile: Option<&ProfileName>) -> &Encoded {
        profile.and_then(|profile| self.of_profiles.get(profile)).unwrap_or(&self.default)
    }
}

fn chosen(
    chains: &[Chain],
    profile: &ProfileName,
    rule: &ChainRule,
) -> Result<Encoded, NoSuchRoot> {
    let names = || chains.iter().map(Chain::root_name);
    let first = match &rule.preferred_root {
        None => 0,
        Some(root) => names().position(|name| name == root).ok_or_else(|| NoSuchRoot {
            profile: profile.clone(),
            root: root.clone(),
            there: names().collect::<Vec<_>>().join(", "),
        })?,
    };
    let mut encoded: Vec<Vec<String>> = chains.iter().map(encode).collect();
    let chain = encoded.remove(first);
    Ok(Encoded { chain, alternates: if rule.alternates { encoded } else { Vec::new() } })
}

fn encode(chain: &Chain) -> Vec<String> {
    chain.certificates().map(|der| BASE64_URL_SAFE_NO_PAD.encode(der)).collect()
}
