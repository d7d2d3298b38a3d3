//! CA keys in a token.

use std::path::PathBuf;

use domain::IssuerName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Ca;

/// The longest label of a token (PKCS#11 gives it 32 octets).
pub(super) const MAX_TOKEN_LABEL: usize = 32;
/// Longer labels of keys are no names for people.
pub(super) const MAX_KEY_LABEL: usize = 255;

/// `[ca.pkcs11]`: the token, such as an HSM, that holds CA keys instead of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pkcs11 {
    /// The PKCS#11 module of the token's vendor, as an absolute path; the signer loads it together with the libraries
    /// that it needs.
    pub module: Option<PathBuf>,
    /// The label of the token, at most 32 octets.
    pub token: Option<String>,
    /// A file with the user's PIN; a line break at its end is ignored.
    pub pin_file: Option<PathBuf>,
    /// The label of the intermediate's key, 1 to 255 octets. If the token has no such key, the first start generates
    /// one there, of the kind `key_type`. Each `[[ca.issuer]]` has a label of its own.
    pub key_label: String,
    /// The label of the root's key, if the token holds that, too.
    pub root_key_label: Option<String>,
}

/// Where a CA key is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeySource {
    /// In a file of `data_dir`.
    File,
    /// In the token of `[ca.pkcs11]`.
    Pkcs11,
}

impl Default for Pkcs11 {
    fn default() -> Self {
        Self {
            module: None,
            token: None,
            pin_file: None,
            key_label: "certmill-intermediate".to_owned(),
            root_key_label: None,
        }
    }
}

impl Ca {
    /// Whether any key is in the token.
    pub fn uses_token(&self) -> bool {
        let in_token = |ca: &Self| ca.key_source == KeySource::Pkcs11;
        in_token(self)
            || self.pkcs11.root_key_label.is_some()
            || self.issuer_names().any(|issuer| in_token(&self.of(Some(issuer))))
    }

    /// The label in the token of an issuer's key: of the name, or without one of `[ca]` itself.
    pub(super) fn key_label_of(&self, issuer: &IssuerName) -> String {
        format!("{}-{issuer}", self.pkcs11.key_label)
    }
}
