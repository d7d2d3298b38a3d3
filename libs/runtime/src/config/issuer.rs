//! Issuing CAs beside that of `[ca]`.

use domain::IssuerName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Ca, CaKeyType, Config, HumanDuration, KeySource, Pkcs11, Profile};

/// `[[ca.issuer]]`: one more issuing CA, in `ca/issuers/{name}` of `data_dir`. Keys that are left out have the values
/// of `[ca]`, unless their description says otherwise. If it has no files, the first start creates it below the root of
/// `[ca]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The name that profiles and `certmill ca --issuer` use for it.
    pub name: IssuerName,
    /// Where its key is kept.
    #[serde(default)]
    pub key_source: Option<KeySource>,
    /// The label of its key in the token; without it, the label in `[ca.pkcs11]` followed by the issuer's name.
    #[serde(default)]
    pub key_label: Option<String>,
    /// The kind of the key made at the first start.
    #[serde(default)]
    pub key_type: Option<CaKeyType>,
    /// The common name of the intermediate made at the first start; without it, that in `[ca]` followed by the issuer's
    /// name.
    #[serde(default)]
    pub intermediate_name: Option<String>,
    /// How long the intermediate made at the first start is valid.
    #[serde(default)]
    pub intermediate_validity: Option<HumanDuration>,
    /// Answers OCSP requests for its certificates, and names the OCSP URL in them.
    #[serde(default)]
    pub ocsp: Option<bool>,
    /// The URL of its certificate to name in certificates; without it, they name none.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub issuer_url: Option<Url>,
}

impl Ca {
    /// What `[ca]` says of an issuer: that of the name, or without one its own.
    pub fn of(&self, issuer: Option<&IssuerName>) -> Self {
        let found = self.issuer.iter().find(|other| Some(&other.name) == issuer);
        let Some(issuer) = found else { return self.clone() };
        let name = || format!("{} {}", self.intermediate_name, issuer.name);
        let label = issuer.key_label.clone();
        let label = label.unwrap_or_else(|| self.key_label_of(&issuer.name));
        Self {
            key_source: issuer.key_source.unwrap_or(self.key_source),
            pkcs11: Pkcs11 { key_label: label, ..self.pkcs11.clone() },
            key_type: issuer.key_type.unwrap_or(self.key_type),
            intermediate_name: issuer.intermediate_name.clone().unwrap_or_else(name),
            intermediate_validity: issuer
                .intermediate_validity
                .unwrap_or(self.intermediate_validity),
            ocsp: issuer.ocsp.unwrap_or(self.ocsp),
            issuer_url: issuer.issuer_url.clone(),
            ..self.clone()
        }
    }

    /// The names of the issuers beside its own.
    pub fn issuer_names(&self) -> impl Iterator<Item = &IssuerName> {
        self.issuer.iter().map(|issuer| &issuer.name)
    }
}

impl Config {
    /// What `[ca]` says of the issuer of a profile's certificates.
    pub fn ca_of(&self, profile: &Profile) -> Ca {
        self.ca.of(profile.issuer.as_ref())
    }

    /// Whether OCSP requests are answered for any issuer.
    pub fn answers_ocsp(&self) -> bool {
        self.ca.ocsp || self.ca.issuer_names().any(|issuer| self.ca.of(Some(issuer)).ocsp)
    }
}
