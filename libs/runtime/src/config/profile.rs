//! The kinds of certificates that are issued, each under URLs of its own.

use std::collections::BTreeSet;

use domain::{ChallengeType, IdentifierPolicy, IdentifierType, IssuerName, NameRule, ProfileName};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{HumanDuration, Keys, ProfileValidation, Validity};

/// `[[profile]]`: one kind of certificates; its URLs start with `/acme/{name}/`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// The name in the profile's URLs: 1 to 250 of A-Z a-z 0-9 - _, case-sensitive, not `directory` or `raProfile`.
    #[schemars(extend("not" = { "enum": ["directory", "raProfile"] }))]
    pub name: ProfileName,
    /// Whether the profile is in service. If not, all its URLs answer 404 and nothing is signed for it; its accounts
    /// stay in the log, and CRLs and OCSP still cover its certificates.
    pub enabled: bool,
    /// The page about this CA that the directory names.
    #[schemars(with = "Option<String>")]
    #[serde(deserialize_with = "super::form::optional")]
    pub website: Option<Url>,
    /// The terms of service that the directory names.
    #[schemars(with = "Option<String>")]
    #[serde(deserialize_with = "super::form::optional")]
    pub terms_of_service: Option<Url>,
    /// Refuses new accounts unless the client states agreement to the terms.
    pub terms_required: bool,
    /// The kinds of identifiers that certificates may name.
    pub identifier_types: BTreeSet<IdentifierType>,
    /// The page that explains a change of the terms and how to agree to it; without it, clients are referred to the
    /// terms.
    #[schemars(with = "Option<String>")]
    #[serde(deserialize_with = "super::form::optional")]
    pub terms_change_url: Option<Url>,
    /// Refuses orders of accounts that have not agreed to the terms at the current URL in `terms_of_service`: a new URL
    /// counts as a change.
    pub terms_approval_required: bool,
    /// Lets clients agree to changed terms by updating their account; otherwise only `certmill account agree` records
    /// agreement.
    pub terms_agreed_by_account: bool,
    /// Refuses new accounts that are not bound by a key from `certmill eab create`, which needs
    /// `external_accounts.key_file`, or by one registered with `certmill eab register`.
    pub external_account_required: bool,
    /// A form of bindings that is accepted in addition to that of RFC 8555.
    pub external_account_compatibility: BindingForm,
    /// The names that orders may have: `www.example.com` for that name, `.example.com` for all names below it, or a
    /// regular expression for whole names such as `/web-[0-9]+\.example\.com/`; without any, all names.
    pub allowed_names: Vec<NameRule>,
    /// The names that orders must not have, in the same form; takes precedence over `allowed_names`. A wildcard is also
    /// denied if it covers a denied name, unless that name is denied by a regular expression.
    pub denied_names: Vec<NameRule>,
    /// The networks whose addresses orders may have; without any, all addresses.
    #[schemars(with = "Vec<String>")]
    #[serde(deserialize_with = "super::form::list")]
    pub allowed_networks: Vec<IpNet>,
    /// The networks whose addresses orders must not have; takes precedence over `allowed_networks`.
    #[schemars(with = "Vec<String>")]
    #[serde(deserialize_with = "super::form::list")]
    pub denied_networks: Vec<IpNet>,
    /// Allows names that start with `*.`; unless `wildcard_http01_allowed` is set, only dns-01 can prove them.
    pub wildcard_allowed: bool,
    /// Lets http-01 prove names that start with `*.`, too, although it shows control of a single host only.
    pub wildcard_http01_allowed: bool,
    /// The ways to prove control of DNS names that are offered.
    pub challenge_types: BTreeSet<ChallengeType>,
    /// The ways to prove control of IP addresses that are offered; there is no dns-01 for them.
    pub ip_challenge_types: BTreeSet<ChallengeType>,
    /// How long a client has to complete an order, from 5m to 30d.
    pub order_validity: HumanDuration,
    /// How long a client has to prove and use the authorizations of an order, from 5m to 30d; without it,
    /// `order_validity`. The order ends with its authorizations.
    pub authorization_validity: Option<HumanDuration>,
    /// The time in Retry-After, instead of `api.retry_after`: whole seconds, from 1s to 10m.
    pub retry_after: Option<HumanDuration>,
    /// Lets clients prove control of an identifier before they order (newAuthz); never of wildcards.
    pub pre_authorization_allowed: bool,
    /// How long orders can rely on a pre-authorization, counted from its request: from 1s to 365d.
    pub pre_authorization_validity: HumanDuration,
    /// How many pre-authorizations an account may request per hour from each api node, from 1 to 1000000; any more are
    /// refused with `rateLimited`. Without it, there is no limit.
    pub pre_authorizations_per_hour: Option<u32>,
    /// How long a certificate is valid, from 5m to 3650d; never longer than its issuer.
    pub certificate_validity: Validity,
    /// How long before its issuance a certificate's validity starts, for clients whose clock is late: from 0 to 1d, and
    /// less than `certificate_validity`.
    pub backdate: HumanDuration,
    /// How many identifiers one order may have, from 1 to 100.
    pub max_identifiers: u16,
    /// The account keys that are accepted; accounts that exist keep theirs.
    pub account_keys: Keys,
    /// The keys that are certified.
    pub certificate_keys: Keys,
    /// Accepts a CSR with `=` at its end in finalize requests, for clients that pad base64url.
    pub padded_csr_allowed: bool,
    /// Lets orders ask for notBefore and notAfter.
    pub requested_validity_allowed: bool,
    /// How far in the future a requested notBefore may be; without it, `order_validity`.
    pub not_before_ahead: Option<HumanDuration>,
    /// The shortest validity that an order may ask for; not longer than `certificate_validity`.
    pub min_requested_validity: HumanDuration,
    /// The purposes of the certificates; at least one, and none twice.
    pub extended_key_usages: Vec<KeyPurpose>,
    /// The subject of the certificates.
    pub subject: Subject,
    /// Revokes the previous certificate, as superseded, when a new one is issued for the same identifiers.
    pub single_active_certificate: bool,
    /// The `[[ca.issuer]]` that signs the certificates; without it, the CA of `[ca]`.
    pub issuer: Option<IssuerName>,
    /// The common name of the root whose chain clients get first; without it, they get the default chain first.
    pub preferred_root: Option<String>,
    /// Whether the other chains are offered as alternates.
    pub alternate_chains: bool,
    /// What this profile sets instead of `[validation]`.
    pub validation: ProfileValidation,
}

/// What a certificate is for (RFC 5280 §4.2.1.12).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum KeyPurpose {
    /// TLS servers.
    ServerAuth,
    /// TLS clients.
    ClientAuth,
    /// Signed code.
    CodeSigning,
    /// Signed or encrypted mail.
    EmailProtection,
    /// IPsec peers.
    #[serde(rename = "ipsecIKE")]
    IpsecIke,
}

/// A form of external account bindings that is not RFC 8555's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BindingForm {
    /// None.
    None,
    /// EJBCA's asymmetric form: a key registered with `certmill eab register` signs the account's key.
    Ejbca,
}

/// What stands in the subject of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// Nothing.
    None,
    /// The first name as common name, unless it is longer than 64 characters.
    FirstName,
    /// The common name of the CSR, if it is one of the names.
    AsRequested,
}

impl Profile {
    /// The ways to prove control of an identifier that are offered, unless it is a wildcard.
    pub fn challenges(&self, kind: IdentifierType) -> BTreeSet<ChallengeType> {
        let offered = match kind {
            IdentifierType::Dns => &self.challenge_types,
            IdentifierType::Ip => &self.ip_challenge_types,
        };
        offered.iter().copied().filter(|challenge| challenge.proves(kind)).collect()
    }

    /// The ways to prove control of a wildcard that are offered.
    pub fn wildcard_challenges(&self) -> BTreeSet<ChallengeType> {
        let mut offered = self.challenges(IdentifierType::Dns);
        offered.retain(|challenge| match challenge {
            ChallengeType::Http01 => self.wildcard_http01_allowed,
            ChallengeType::Dns01 | ChallengeType::TlsAlpn01 => challenge.proves_wildcards(),
        });
        offered
    }

    /// Which identifiers certificates may name, beside what their types say.
    pub fn identifier_policy(&self) -> IdentifierPolicy {
        IdentifierPolicy {
            allowed_names: self.allowed_names.clone(),
            denied_names: self.denied_names.clone(),
            allowed_networks: self.allowed_networks.clone(),
            denied_networks: self.denied_networks.clone(),
        }
    }

    /// The most identifiers any profile may allow in an order.
    pub(crate) const MAX_IDENTIFIERS: u16 = 100;
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            name: ProfileName::default(),
            enabled: true,
            website: None,
            terms_of_service: None,
            terms_required: false,
            identifier_types: BTreeSet::from([IdentifierType::Dns]),
            external_account_required: false,
            external_account_compatibility: BindingForm::None,
            terms_change_url: None,
            terms_approval_required: false,
            terms_agreed_by_account: false,
            allowed_names: Vec::new(),
            denied_names: Vec::new(),
            allowed_networks: Vec::new(),
            denied_networks: Vec::new(),
            wildcard_allowed: true,
            wildcard_http01_allowed: false,
            challenge_types: ChallengeType::ALL.into(),
            ip_challenge_types: BTreeSet::from([ChallengeType::Http01, ChallengeType::TlsAlpn01]),
            order_validity: HumanDuration::hours(24),
            authorization_validity: None,
            retry_after: None,
            pre_authorization_allowed: false,
            pre_authorization_validity: HumanDuration::hours(24),
            pre_authorizations_per_hour: None,
            certificate_validity: Validity::days(90),
            backdate: HumanDuration::hours(1),
            max_identifiers: Self::MAX_IDENTIFIERS,
            account_keys: Keys::default(),
            certificate_keys: Keys::default(),
            padded_csr_allowed: false,
            requested_validity_allowed: true,
            not_before_ahead: None,
            min_requested_validity: HumanDuration::ZERO,
            extended_key_usages: vec![KeyPurpose::ServerAuth],
            subject: Subject::None,
            single_active_certificate: false,
            issuer: None,
            preferred_root: None,
            alternate_chains: true,
            validation: ProfileValidation::default(),
        }
    }
}
