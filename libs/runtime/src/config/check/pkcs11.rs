//! Rules about the token that holds CA keys.

use std::collections::BTreeSet;

use super::{Config, Key, Problems};
use crate::config::pkcs11::{KeySource, MAX_KEY_LABEL, MAX_TOKEN_LABEL};

const REQUIRED: &str = "required where a key of the CA is in the token";

pub(super) fn check(config: &Config, problems: &mut Problems) {
    let (ca, pkcs11) = (&config.ca, &config.ca.pkcs11);
    let used = ca.uses_token();
    problems.require(pkcs11.pin_file.is_some() || !used, "ca.pkcs11.pin_file", REQUIRED);
    problems.require(pkcs11.module.is_some() || !used, "ca.pkcs11.module", REQUIRED);
    problems.require(
        pkcs11.module.as_ref().is_none_or(|module| module.is_absolute()),
        "ca.pkcs11.module",
        "must be an absolute path: a name alone would be looked for in many places",
    );
    problems.require(pkcs11.token.is_some() || !used, "ca.pkcs11.token", REQUIRED);
    problems.require(
        pkcs11.token.as_ref().is_none_or(|label| (1..=MAX_TOKEN_LABEL).contains(&label.len())),
        "ca.pkcs11.token",
        format!("must have 1 to {MAX_TOKEN_LABEL} octets"),
    );
    let mut labels = BTreeSet::new();
    let mut label = |key: Key, label: &str| {
        let fits = (1..=MAX_KEY_LABEL).contains(&label.len());
        problems.require(fits, key.clone(), format!("must have 1 to {MAX_KEY_LABEL} octets"));
        problems.require(labels.insert(label.to_owned()), key, "is the label of another key");
    };
    label("ca.pkcs11.key_label".into(), &pkcs11.key_label);
    if let Some(root) = &pkcs11.root_key_label {
        label("ca.pkcs11.root_key_label".into(), root);
    }
    for issuer in &ca.issuer {
        let own = ca.of(Some(&issuer.name));
        match own.key_source {
            KeySource::File => {}
            KeySource::Pkcs11 => {
                label(Key::of_issuer(&issuer.name, "key_label"), &own.pkcs11.key_label);
            }
        }
    }
}
