//! `certmill eab`: makes, registers, lists and disables the keys that bind accounts to those of another system
//! (RFC 8555 §7.3.4).

mod register;

use std::collections::BTreeMap;

use acme::external_account::MacKey;
use domain::{
    Aggregate as _, ExternalKeyId, KeyFingerprint, NamePattern, ProfileName, Timestamp,
    external_key::{self, ExternalKey, ExternalKeyCreated, Uses, Verifier},
};
use eventstore::Stream;
use ring::rand::{SecureRandom as _, SystemRandom};
use runtime::{Config, config::Profile};
use serde::Serialize;

use crate::{
    change::Change,
    cli::{EabCommand, KeyTerms},
    clock, control,
    failure::{Explain as _, Failure},
    log::Log,
    operator_key,
    output::{Format, Output},
};

/// What a client needs; the secret is shown this once.
#[derive(Serialize)]
struct Made<'a> {
    kid: &'a ExternalKeyId,
    hmac_key: String,
    profile: &'a ProfileName,
    expires_at: Option<Timestamp>,
}

/// A key as operators see it, without its secret.
#[derive(Serialize)]
struct Listed {
    kid: ExternalKeyId,
    /// That of a public key.
    fingerprint: Option<KeyFingerprint>,
    profile: ProfileName,
    status: String,
    reusable: bool,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    names: Vec<NamePattern>,
}

/// Runs what is asked of keys.
pub(crate) async fn run(
    config: &Config,
    command: EabCommand,
    out: &mut Output,
) -> Result<(), Failure> {
    match command {
        EabCommand::Create(terms) => create(config, terms, out).await,
        EabCommand::Register(new) => register::run(config, new, out).await,
        EabCommand::List => list(config, out).await,
        EabCommand::Disable { id } => {
            let done = control::apply(config, Change::DisableExternalKey { key: id }).await?;
            out.either(&done, &done)
        }
    }
}

async fn create(config: &Config, terms: KeyTerms, out: &mut Output) -> Result<(), Failure> {
    let operator_key = operator_key::read(config)?
        .ok_or_else(|| Failure::new("there is no key to encrypt MAC keys with"))
        .advise("Set external_accounts.key_file to a file made by `openssl rand -base64 32`.")?;
    let profile = profile(config, &terms)?.name.clone();
    let mut bits = [0; 16];
    let no_random = |_| Failure::new("the system gives no random numbers");
    SystemRandom::new().fill(&mut bits).map_err(no_random)?;
    let (id, key) = (ExternalKeyId::from_random(&bits), MacKey::random().map_err(no_random)?);
    let now = clock::now();
    let created = ExternalKeyCreated {
        secret: operator_key.seal((&id, &profile), &key)?,
        uses: uses(&terms),
        expires_at: terms.expires.map(|expires| now.plus(expires.get())),
        names: terms.names,
        at: now,
        id,
        profile,
    };
    control::apply(config, Change::CreateExternalKey { key: created.clone() }).await?;
    let made = Made {
        kid: &created.id,
        hmac_key: key.to_text(),
        profile: &created.profile,
        expires_at: created.expires_at,
    };
    match out.format() {
        Format::Json => out.json(&made),
        Format::Text => {
            out.line(format_args!("kid       {}", made.kid))?;
            out.line(format_args!("hmac key  {}", made.hmac_key))?;
            out.line(format_args!("profile   {}", made.profile))?;
            out.line(format_args!("expires   {}", end(made.expires_at)))?;
            out.line("The hmac key is shown this once. Hand both to the client.")
        }
    }
}

/// The profile a key is for, after a look at what else it is to be good for.
fn profile<'a>(config: &'a Config, terms: &KeyTerms) -> Result<&'a Profile, Failure> {
    if terms.names.len() > external_key::MAX_NAMES {
        let most = external_key::MAX_NAMES;
        return Err(Failure::new(format!("a key has at most {most} names")));
    }
    let name = terms.profile.as_ref().unwrap_or(&config.default_profile);
    let found = config.profile(name);
    found
        .ok_or_else(|| Failure::new(format!("there is no profile {name}")))
        .advise("`certmill check-config` prints all profiles.")
}

fn uses(terms: &KeyTerms) -> Uses {
    if terms.reusable { Uses::AnyNumber } else { Uses::OneAccount }
}

fn end(expires_at: Option<Timestamp>) -> String {
    expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string())
}

async fn list(config: &Config, out: &mut Output) -> Result<(), Failure> {
    let log = Log::open(config).await?;
    let mut keys: BTreeMap<ExternalKeyId, Option<external_key::State>> = BTreeMap::new();
    log.each(Stream::Administration, |message| {
        let Some(id) = message.subject.external_key_id() else { return Ok(()) };
        let events: Vec<external_key::Event> = message.envelope.decode()?;
        let key = keys.entry(id).or_default();
        *key = ExternalKey::fold(key.take(), &events);
        Ok(())
    })
    .await?;
    let now = clock::now();
    let mut keys: Vec<Listed> =
        keys.into_values().flatten().map(|key| Listed::of(key, now)).collect();
    keys.sort_by_key(|key| key.created_at);
    match out.format() {
        Format::Json => keys.iter().try_for_each(|key| out.json(key)),
        Format::Text => {
            let rows: Vec<_> = keys.iter().map(row).collect();
            out.table(["KID", "PROFILE", "STATUS", "CREATED", "NAMES", "FINGERPRINT"], &rows)
        }
    }
}

fn row(key: &Listed) -> [String; 6] {
    let names: Vec<String> = key.names.iter().map(ToString::to_string).collect();
    [
        key.kid.to_string(),
        key.profile.to_string(),
        key.status.clone(),
        key.created_at.whole_seconds().to_string(),
        if names.is_empty() { "all".to_owned() } else { names.join(", ") },
        key.fingerprint.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
    ]
}

impl Listed {
    fn of(key: external_key::State, now: Timestamp) -> Self {
        let status = match (&key.used_by, key.expires_at) {
            _ if key.disabled => "disabled".to_owned(),
            (Some(account), _) => format!("used by {account}"),
            (None, Some(end)) if now >= end => "expired".to_owned(),
            (None, Some(_) | None) => "good".to_owned(),
        };
        Self {
            kid: key.id,
            fingerprint: match key.verifier {
                Verifier::Mac(_) => None,
                Verifier::Signature { fingerprint, .. } => Some(fingerprint),
            },
            profile: key.profile,
            status,
            reusable: key.uses == Uses::AnyNumber,
            created_at: key.created_at,
            expires_at: key.expires_at,
            names: key.names,
        }
    }
}
