//! `certmill eab register`: takes a public key whose owner binds accounts.

use std::path::Path;

use acme::external_account::RegisteredKey;
use domain::{
    ExternalKeyId, KeyFingerprint, ProfileName, Timestamp, external_key::ExternalKeyRegistered,
};
use runtime::{Config, config::BindingForm};
use serde::Serialize;

use super::{end, profile, uses};
use crate::{
    change::Change,
    cli::NewRegisteredKey,
    clock, control,
    failure::{Explain as _, Failure},
    files,
    output::{Format, Output},
};

/// A public key that is registered.
#[derive(Serialize)]
struct Registered<'a> {
    kid: &'a ExternalKeyId,
    fingerprint: &'a KeyFingerprint,
    profile: &'a ProfileName,
    expires_at: Option<Timestamp>,
}

/// Registers a key.
pub(super) async fn run(
    config: &Config,
    new: NewRegisteredKey,
    out: &mut Output,
) -> Result<(), Failure> {
    let profile = profile(config, &new.terms)?;
    if profile.external_account_compatibility == BindingForm::None {
        return Err(Failure::new(format!(
            "profile {} does not accept bindings by public keys",
            profile.name
        )))
        .advise("Set external_account_compatibility of the profile to \"ejbca\".");
    }
    let now = clock::now();
    let (key, certificate_ends) = read_key(&new, now)?;
    let asked = new.terms.expires.map(|expires| now.plus(expires.get()));
    let registered = ExternalKeyRegistered {
        id: key.id(&profile.name),
        profile: profile.name.clone(),
        key: key.key().subject_public_key(),
        fingerprint: key.fingerprint().clone(),
        uses: uses(&new.terms),
        expires_at: asked.into_iter().chain(certificate_ends).min(),
        names: new.terms.names,
        at: now,
    };
    control::apply(config, Change::RegisterExternalKey { key: registered.clone() }).await?;
    let made = Registered {
        kid: &registered.id,
        fingerprint: &registered.fingerprint,
        profile: &registered.profile,
        expires_at: registered.expires_at,
    };
    match out.format() {
        Format::Json => out.json(&made),
        Format::Text => {
            out.line(format_args!("kid          {}", made.kid))?;
            out.line(format_args!("fingerprint  {}", made.fingerprint))?;
            out.line(format_args!("profile      {}", made.profile))?;
            out.line(format_args!("expires      {}", end(made.expires_at)))
        }
    }
}

/// The key to register, and when its certificate ends, if it comes in one.
fn read_key(
    new: &NewRegisteredKey,
    now: Timestamp,
) -> Result<(RegisteredKey, Option<Timestamp>), Failure> {
    let read = |path: &Path| files::read_input(path);
    let cannot = |path: &Path| format!("cannot register {}", path.display());
    match (&new.public_key, &new.certificate) {
        (_, Some(path)) => RegisteredKey::from_certificate(&read(path)?, now)
            .map(|(key, ends)| (key, Some(ends)))
            .while_doing(cannot(path)),
        (Some(path), None) => RegisteredKey::from_public_key(&read(path)?)
            .map(|key| (key, None))
            .while_doing(cannot(path)),
        (None, None) => Err(Failure::new("there is no key to register")),
    }
}
