//! The kinds of certificates that are issued, each under URLs of its own.

use std::collections::BTreeSet;

use domain::{ChallengeType, ProfileName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{HumanDuration, ProfileValidation};

/// `[[profile]]`: one kind of certificates; its URLs start with `/acme/{name}/`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// The name in the profile's URLs.
    pub name: ProfileName,
    /// The page about this CA that the directory names.
    #[schemars(with = "Option<String>")]
    pub website: Option<Url>,
    /// The terms of service that the directory names.
    #[schemars(with = "Option<String>")]
    pub terms_of_service: Option<Url>,
    /// Refuses accounts whose client does not say that the terms are agreed to.
    pub terms_required: bool,
    /// The page that explains a change of the terms and how to agree to it; without one, clients are sent to the terms.
    #[schemars(with = "Option<String>")]
    pub terms_change_url: Option<Url>,
    /// Refuses orders of accounts that did not agree to the terms at the URL in `terms_of_service`: a new URL is a change.
    pub terms_approval_required: bool,
    /// Lets a client agree to changed terms by an update of its account; otherwise `certmill account agree` does.
    pub terms_agreed_by_account: bool,
    /// Refuses new accounts without a key made by `certmill eab create`; needs `external_accounts.key_file`.
    pub external_account_required: bool,
    /// Allows names that start with `*.`; they can be proven by dns-01 only.
    pub wildcard_allowed: bool,
    /// The ways to prove control that are offered.
    pub challenge_types: BTreeSet<ChallengeType>,
    /// How long a client has to complete an order.
    pub order_validity: HumanDuration,
    /// How long a certificate is valid.
    pub certificate_validity: HumanDuration,
    /// How far before its issuance a certificate's validity starts, for clients whose clock is late.
    pub backdate: HumanDuration,
    /// How many identifiers one order may have.
    pub max_identifiers: u16,
    /// What this profile sets instead of `[validation]`.
    pub validation: ProfileValidation,
}

impl Profile {
    /// The most identifiers any profile may allow in an order.
    pub const MAX_IDENTIFIERS: u16 = 100;
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            name: ProfileName::default(),
            website: None,
            terms_of_service: None,
            terms_required: false,
            external_account_required: false,
            terms_change_url: None,
            terms_approval_required: false,
            terms_agreed_by_account: false,
            wildcard_allowed: true,
            challenge_types: ChallengeType::ALL.into(),
            order_validity: HumanDuration::hours(24),
            certificate_validity: HumanDuration::days(90),
            backdate: HumanDuration::hours(1),
            max_identifiers: Self::MAX_IDENTIFIERS,
            validation: ProfileValidation::default(),
        }
    }
}
