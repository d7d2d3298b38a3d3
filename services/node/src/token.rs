//! Which keys of the CA are in a token, and how to reach that.

use std::path::Path;

use ca::{CaDirectory, Passphrase, TokenAccess, TokenPlace};
use domain::IssuerName;
use runtime::{
    Config,
    config::{Ca, KeySource, Pkcs11},
};

use crate::{
    failure::{Explain as _, Failure},
    files::read_line,
};

/// What an operator looks at when a token does not do.
pub(crate) const ADVICE: &str = "[ca.pkcs11] says which module, token, PIN and key are used; `pkcs11-tool --module \
    MODULE --token-label TOKEN --login --list-objects` shows what is there.";

/// Has a token hold the keys of an issuer that the configuration says are in it.
///
/// # Errors
/// When the PIN cannot be read.
pub(crate) fn over(
    directory: CaDirectory,
    config: &Config,
    issuer: Option<&IssuerName>,
) -> Result<CaDirectory, Failure> {
    let (root, intermediate) = key_labels(config, issuer);
    let place = |label| place(&config.ca.pkcs11, label);
    let directory = match intermediate {
        Some(label) => directory.with_intermediate_in(place(label)?),
        None => directory,
    };
    match root {
        Some(label) => Ok(directory.with_root_in(place(label)?)),
        None => Ok(directory),
    }
}

/// The labels of the root's key and of the intermediate's, each where it is in the token.
pub(crate) fn key_labels(
    config: &Config,
    issuer: Option<&IssuerName>,
) -> (Option<String>, Option<String>) {
    let Ca { key_source, pkcs11, .. } = config.ca.of(issuer);
    let intermediate = match key_source {
        KeySource::File => None,
        KeySource::Pkcs11 => Some(pkcs11.key_label),
    };
    // Another issuer's root is that of `[ca]`, or its own file.
    (pkcs11.root_key_label.filter(|_| issuer.is_none()), intermediate)
}

fn place(pkcs11: &Pkcs11, key_label: String) -> Result<TokenPlace, Failure> {
    let missing = || Failure::new("[ca.pkcs11] is incomplete");
    let module = pkcs11.module.clone().ok_or_else(missing)?;
    let label = pkcs11.token.clone().ok_or_else(missing)?;
    let pin = pin(pkcs11.pin_file.as_deref().ok_or_else(missing)?)?;
    let access = TokenAccess { module, label, pin };
    Ok(TokenPlace { access, key_label })
}

fn pin(path: &Path) -> Result<Passphrase, Failure> {
    let text = read_line(path)
        .while_doing(format_args!("cannot read {}", path.display()))
        .advise("Set ca.pkcs11.pin_file to a file with the token's PIN that this user can read.")?;
    Ok(Passphrase::from(text))
}
