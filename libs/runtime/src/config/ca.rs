//! The issuer and its certificate revocation list.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use domain::CrlShards;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{HumanDuration, Issuer, KeySource, Pkcs11, Secret};

/// `[ca]`: the issuing CA, its CRLs and OCSP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ca {
    /// The passphrase that encrypts the CA keys; set it in the environment rather than in the file.
    pub passphrase: Option<Secret>,
    /// A file with the passphrase, such as a mounted secret; a line break at its end is ignored.
    pub passphrase_file: Option<PathBuf>,
    /// Where the intermediate's key is kept.
    pub key_source: KeySource,
    /// The kind of the keys made at the first start.
    pub key_type: CaKeyType,
    /// The common name of the root made at the first start, 1 to 64 characters.
    pub root_name: String,
    /// The common name of the intermediate made at the first start, 1 to 64 characters.
    pub intermediate_name: String,
    /// How long the root made at the first start is valid, from 1d to 18250d.
    pub root_validity: HumanDuration,
    /// How long the intermediate made at the first start is valid, from 1d to 18250d and not longer than the root.
    pub intermediate_validity: HumanDuration,
    /// The URL in certificates below which CRLs are found; without it, `/crl` of this server.
    #[schemars(with = "Option<String>")]
    #[serde(deserialize_with = "super::form::optional")]
    pub crl_base_url: Option<Url>,
    /// Into how many CRLs the revocations of an issuer are divided by serial: 1, 2, 4, … 256. A certificate names the
    /// one CRL that may list it, so each CRL stays small even if much is revoked. The undivided CRL is published as
    /// well. You can change the number at any time: CRLs that earlier certificates name are published as long as the
    /// issuer is configured.
    pub crl_shards: CrlShards,
    /// Answers OCSP requests, and names the OCSP URL in certificates.
    pub ocsp: bool,
    /// The URL in certificates below which OCSP is answered; without it, `/ocsp` of this server.
    #[schemars(with = "Option<String>")]
    #[serde(deserialize_with = "super::form::optional")]
    pub ocsp_base_url: Option<Url>,
    /// How long an OCSP response is valid and may be cached, from 1m to 10d. A revocation may go unnoticed for that
    /// long.
    pub ocsp_validity: HumanDuration,
    /// The URL of the issuer's certificate to name in certificates; without it, they name none.
    #[schemars(with = "Option<String>")]
    #[serde(deserialize_with = "super::form::optional")]
    pub issuer_url: Option<Url>,
    /// How long a CRL is valid, from 10m to 365d.
    pub crl_validity: HumanDuration,
    /// How often a new CRL is made even if nothing was revoked: at least 1m, and less than `crl_validity`.
    pub crl_refresh: HumanDuration,
    /// The token that holds keys instead of files.
    pub pkcs11: Pkcs11,
    /// More issuing CAs, for the profiles that name them.
    pub issuer: Vec<Issuer>,
}

impl Ca {
    /// How long the certificate of a root or an intermediate may be valid.
    pub const VALIDITY: RangeInclusive<Duration> =
        HumanDuration::days(1).get()..=HumanDuration::days(50 * 365).get();
}

/// The kinds of CA keys that can be made; RSA keys can only be imported, or be made in a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CaKeyType {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
}

impl Default for Ca {
    fn default() -> Self {
        Self {
            passphrase: None,
            passphrase_file: None,
            key_source: KeySource::File,
            key_type: CaKeyType::P256,
            root_name: "Certmill Root".to_owned(),
            intermediate_name: "Certmill Intermediate".to_owned(),
            root_validity: HumanDuration::days(20 * 365),
            intermediate_validity: HumanDuration::days(5 * 365),
            crl_base_url: None,
            crl_shards: CrlShards::UNDIVIDED,
            ocsp: false,
            ocsp_base_url: None,
            ocsp_validity: HumanDuration::hours(1),
            issuer_url: None,
            crl_validity: HumanDuration::days(7),
            crl_refresh: HumanDuration::hours(12),
            pkcs11: Pkcs11::default(),
            issuer: Vec::new(),
        }
    }
}
