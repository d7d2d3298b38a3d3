//! The URLs of resources: `https://host/acme/{profile}/…`.

use std::fmt;

use domain::{
    AccountId, ChallengeType, OrderId, PreAuthorizationId, ProfileName, Serial,
    order::AuthorizationIndex,
};
use eventstore::Sequence;

/// Where an authorization is: in an order, or by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AuthorizationPlace {
    Order(OrderId, AuthorizationIndex),
    PreAuthorization(PreAuthorizationId),
}

/// Where a certificate is, with one of its chains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificatePlace {
    /// Where the ledger holds it.
    pub(crate) ledger_sequence: Sequence,
    pub(crate) serial: Serial,
    /// Which of its chains; 0 is the first.
    pub(crate) chain: usize,
}

/// Makes the URLs that the server hands out.
#[derive(Clone, Debug)]
pub(crate) struct Urls {
    base: String,
}

impl Urls {
    /// Takes the https URL under which clients reach the server.
    pub(crate) fn new(base: &str) -> Self {
        Self { base: base.trim_end_matches('/').to_owned() }
    }

    /// That URL, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The directory that needs no profile name.
    pub(crate) fn default_directory(&self) -> String {
        format!("{}/acme/directory", self.base)
    }

    pub(crate) fn of(&self, profile: &ProfileName, resource: &str) -> String {
        format!("{}/acme/{profile}/{resource}", self.base)
    }

    pub(crate) fn account(&self, profile: &ProfileName, id: &AccountId) -> String {
        self.of(profile, &format!("account/{id}"))
    }

    /// Where an account's orders are listed.
    pub(crate) fn account_orders(&self, profile: &ProfileName, id: &AccountId) -> String {
        self.of(profile, &format!("account/{id}/orders"))
    }

    /// The account that a `kid` names, if it is one of the profile's account URLs.
    pub(crate) fn account_of_kid(&self, profile: &ProfileName, kid: &str) -> Option<AccountId> {
        let path = kid.strip_prefix(&self.base)?.strip_prefix("/acme/")?;
        path.strip_prefix(profile.as_str())?.strip_prefix("/account/")?.parse().ok()
    }

    pub(crate) fn order(&self, profile: &ProfileName, id: &OrderId) -> String {
        self.of(profile, &format!("order/{id}"))
    }

    pub(crate) fn finalize(&self, profile: &ProfileName, id: &OrderId) -> String {
        self.of(profile, &format!("order/{id}/finalize"))
    }

    pub(crate) fn authorization(
        &self,
        profile: &ProfileName,
        place: &AuthorizationPlace,
    ) -> String {
        self.of(profile, &format!("authorization/{place}"))
    }

    pub(crate) fn challenge(
        &self,
        profile: &ProfileName,
        place: &AuthorizationPlace,
        kind: ChallengeType,
    ) -> String {
        self.of(profile, &format!("challenge/{place}/{kind}"))
    }

    /// A certificate's URL carries its place in the ledger: a download is one read.
    pub(crate) fn certificate(&self, profile: &ProfileName, place: &CertificatePlace) -> String {
        let CertificatePlace { ledger_sequence, serial, chain } = place;
        let first = format!("certificate/{ledger_sequence}-{serial}");
        match chain {
            0 => self.of(profile, &first),
            chain => self.of(profile, &format!("{first}/{chain}")),
        }
    }
}

impl fmt::Display for AuthorizationPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(id, index) => write!(f, "{id}/{}", index.0),
            Self::PreAuthorization(id) => id.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_url_is_the_one_that_validators_look_for_in_caa_records() {
        let base: runtime::config::BaseUrl = "https://ca.example:8443".parse().unwrap();
        let profile: ProfileName = "one".parse().unwrap();
        let id = AccountId::from_hash(&[1; 32]);
        let url = Urls::new(base.as_str()).account(&profile, &id);
        assert_eq!(base.account_url(&profile, &id), url);
    }

    #[test]
    fn a_kid_must_be_an_account_url_of_the_profile() {
        let urls = Urls::new("https://ca.example/");
        let profile: ProfileName = "one".parse().unwrap();
        let id = AccountId::from_hash(&[1; 32]);
        let kid = urls.account(&profile, &id);
        assert_eq!(urls.account_of_kid(&profile, &kid), Some(id));
        let other: ProfileName = "two".parse().unwrap();
        assert_eq!(urls.account_of_kid(&other, &kid), None);
        assert_eq!(urls.account_of_kid(&profile, &format!("{kid}/")), None);
        assert_eq!(urls.account_of_kid(&profile, &kid.replace("ca.example", "evil.example")), None);
    }
}
