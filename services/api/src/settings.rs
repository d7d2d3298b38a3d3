//! What an api node is told by the configuration.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use acme::{
    directory::Meta,
    external_account::{Compatibility, OperatorKey},
    key::{BlockList, KeyKind, KeyRules},
};
use domain::{ChallengeType, Identifier, IdentifierPolicy, IdentifierType, ProfileName};
use runtime::config::{BindingForm, KeyType, Keys};
use tokio::sync::watch;

use crate::urls::Urls;

/// An api node's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where its resources are.
    pub(crate) urls: Urls,
    /// The profile of `/acme/directory`.
    pub(crate) default_profile: ProfileName,
    /// Every profile, also those that are disabled.
    pub(crate) profiles: Vec<Arc<Profile>>,
    /// Opens the keys for external accounts; without it there are none.
    pub(crate) operator_key: Option<Arc<OperatorKey>>,
    /// How long a reply may wait for an outcome.
    pub(crate) hold: Duration,
    /// How many replies may wait at once.
    pub(crate) max_held: usize,
    /// What a client is told to wait before it asks again, outside of profiles.
    pub(crate) retry_after: Duration,
    /// How long a request may take to arrive and to be answered.
    pub(crate) request_timeout: Duration,
    /// The longest request body.
    pub(crate) max_body_bytes: usize,
    /// How many connections may be open at once.
    pub(crate) connections: usize,
    /// Over how many streams new orders are spread.
    pub(crate) order_shards: u8,
    /// Answers OCSP requests.
    pub(crate) ocsp: bool,
    /// Keys that nobody may use, as the operator's lists are now.
    pub(crate) blocked_keys: watch::Receiver<Arc<BlockList>>,
}

/// The rules of one profile.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// Its name in URLs.
    pub(crate) name: ProfileName,
    /// Whether there is anything under those URLs.
    pub(crate) enabled: bool,
    /// What its directory says about it.
    pub(crate) meta: Meta,
    /// Which form external account bindings may have beside that of RFC 8555.
    pub(crate) binding_compatibility: Compatibility,
    /// Refuses accounts whose client does not agree to the terms.
    pub(crate) terms_required: bool,
    /// The kinds of identifiers that certificates may name.
    pub(crate) identifier_types: BTreeSet<IdentifierType>,
    /// Which identifiers are allowed and denied.
    pub(crate) identifier_policy: IdentifierPolicy,
    /// Where a change of the terms is explained.
    pub(crate) terms_change_url: Option<String>,
    /// Refuses orders of accounts that agreed to other terms than those of today.
    pub(crate) terms_approval_required: bool,
    /// Lets clients agree to changed terms by an update of their account.
    pub(crate) terms_agreed_by_account: bool,
    /// Allows names that start with `*.`.
    pub(crate) wildcard_allowed: bool,
    /// The ways to prove control that are offered for names, wildcards and addresses.
    pub(crate) challenges: Challenges,
    /// What a client is told to wait before it asks again.
    pub(crate) retry_after: Duration,
    /// How long a client has to complete an order, its authorizations included.
    pub(crate) order_validity: Duration,
    /// Lets clients prove identifiers before they order.
    pub(crate) pre_authorization_allowed: bool,
    /// How long such a proof is good.
    pub(crate) pre_authorization_validity: Duration,
    /// How many of them an account may make in an hour.
    pub(crate) pre_authorizations_per_hour: Option<u32>,
    /// How long a certificate is valid at most.
    pub(crate) certificate_validity: Duration,
    /// How far in the past a certificate's validity may start.
    pub(crate) backdate: Duration,
    /// Accepts padded CSRs.
    pub(crate) padded_csr_allowed: bool,
    /// Lets orders ask for notBefore and notAfter.
    pub(crate) requested_validity_allowed: bool,
    /// How far ahead a requested notBefore may be.
    pub(crate) not_before_ahead: Duration,
    /// The shortest validity that an order may ask for.
    pub(crate) min_requested_validity: Duration,
    /// How many identifiers an order may have.
    pub(crate) max_identifiers: usize,
    /// The keys that new accounts may have.
    pub(crate) account_keys: KeyRules,
    /// The keys that are certified.
    pub(crate) certificate_keys: KeyRules,
}

/// The ways to prove control that a profile offers.
#[derive(Clone, Debug)]
pub(crate) struct Challenges {
    names: BTreeSet<ChallengeType>,
    wildcards: BTreeSet<ChallengeType>,
    addresses: BTreeSet<ChallengeType>,
}

impl Settings {
    /// Takes what concerns an api node from the configuration; files that it names are for the caller to read.
    pub fn from_config(
        config: &runtime::Config,
        operator_key: Option<OperatorKey>,
        blocked_keys: watch::Receiver<Arc<BlockList>>,
    ) -> Self {
        let api = &config.api;
        Self {
            urls: Urls::new(&api.base_url.to_string()),
            default_profile: config.default_profile.clone(),
            profiles: config
                .profiles
                .iter()
                .map(|profile| Arc::new(Profile::from_config(config, profile)))
                .collect(),
            operator_key: operator_key.map(Arc::new),
            hold: api.hold.get(),
            max_held: api.max_held as usize,
            retry_after: api.retry_after.get(),
            request_timeout: api.request_timeout.get(),
            max_body_bytes: api.max_body_bytes as usize,
            connections: api.max_connections as usize,
            order_shards: config.event_log.order_shards,
            ocsp: config.answers_ocsp(),
            blocked_keys,
        }
    }

    /// The profile of a name; absent, misspelt and disabled are the same.
    pub(crate) fn profile(&self, name: &str) -> Option<&Arc<Profile>> {
        self.profiles.iter().find(|profile| profile.enabled && profile.name.as_str() == name)
    }

    /// The value of a Retry-After header, under a profile or outside of all: whole seconds, at least one.
    pub(crate) fn retry_after_seconds(&self, profile: Option<&ProfileName>) -> u64 {
        let of_profile =
            |name: &ProfileName| self.profiles.iter().find(|profile| profile.name == *name);
        let own = profile.and_then(of_profile).map(|profile| profile.retry_after);
        own.unwrap_or(self.retry_after).as_secs().max(1)
    }
}

impl Profile {
    fn from_config(config: &runtime::Config, profile: &runtime::config::Profile) -> Self {
        Self {
            name: profile.name.clone(),
            enabled: profile.enabled,
            meta: Meta {
                terms_of_service: profile.terms_of_service.as_ref().map(ToString::to_string),
                website: profile.website.as_ref().map(ToString::to_string),
                caa_identities: config.validation_of(profile).caa_identities,
                external_account_required: profile.external_account_required,
            },
            binding_compatibility: match profile.external_account_compatibility {
                BindingForm::None => Compatibility::None,
                BindingForm::Ejbca => Compatibility::Ejbca,
            },
            terms_required: profile.terms_required,
            identifier_types: profile.identifier_types.clone(),
            identifier_policy: profile.identifier_policy(),
            terms_change_url: profile.terms_change_url.as_ref().map(ToString::to_string),
            terms_approval_required: profile.terms_approval_required,
            terms_agreed_by_account: profile.terms_agreed_by_account,
            wildcard_allowed: profile.wildcard_allowed,
            challenges: Challenges {
                names: profile.challenges(IdentifierType::Dns),
                wildcards: profile.wildcard_challenges(),
                addresses: profile.challenges(IdentifierType::Ip),
            },
            retry_after: profile.retry_after.unwrap_or(config.api.retry_after).get(),
            // An order whose authorization expires is invalid (RFC 8555 §7.1.6), and each has its own ones.
            order_validity: profile
                .order_validity
                .min(profile.authorization_validity.unwrap_or(profile.order_validity))
                .get(),
            pre_authorization_allowed: profile.pre_authorization_allowed,
            pre_authorization_validity: profile.pre_authorization_validity.get(),
            pre_authorizations_per_hour: profile.pre_authorizations_per_hour,
            certificate_validity: profile.certificate_validity.get(),
            backdate: profile.backdate.get(),
            padded_csr_allowed: profile.padded_csr_allowed,
            requested_validity_allowed: profile.requested_validity_allowed,
            not_before_ahead: profile.not_before_ahead.unwrap_or(profile.order_validity).get(),
            min_requested_validity: profile.min_requested_validity.get(),
            max_identifiers: usize::from(profile.max_identifiers),
            account_keys: key_rules(&profile.account_keys),
            certificate_keys: key_rules(&profile.certificate_keys),
        }
    }

    /// The ways to prove control of an identifier.
    pub(crate) fn challenges(&self, identifier: &Identifier) -> &BTreeSet<ChallengeType> {
        match identifier {
            Identifier::Dns(name) if name.is_wildcard() => &self.challenges.wildcards,
            Identifier::Dns(_) => &self.challenges.names,
            Identifier::Ip(_) => &self.challenges.addresses,
        }
    }
}

fn key_rules(keys: &Keys) -> KeyRules {
    let kind = |kind: &KeyType| match kind {
        KeyType::Rsa => KeyKind::Rsa,
        KeyType::P256 => KeyKind::P256,
        KeyType::P384 => KeyKind::P384,
        KeyType::Ed25519 => KeyKind::Ed25519,
    };
    KeyRules {
        kinds: keys.types.iter().map(kind).collect(),
        min_rsa_bits: keys.min_rsa_bits.into(),
        max_rsa_bits: keys.max_rsa_bits.into(),
    }
}
