//! `certmill eab`: makes, lists and disables the keys that bind accounts to those of another system (RFC 8555 §7.3.4).

use std::collections::BTreeMap;

use acme::external_account::MacKey;
use domain::{
    Aggregate as _, ExternalKeyId, NamePattern, ProfileName, Timestamp,
    external_key::{self, ExternalKey, ExternalKeyCreated, Uses},
};
use eventstore::Stream;
use ring::rand::{SecureRandom as _, SystemRandom};
use runtime::Config;
use serde::Serialize;

use crate::{
    change::Change,
    cli::{EabCommand, NewExternalKey},
    clock, control,
    failure::{Explain as _, Failure},
    log::Log,
    operator_key,
    output::{Format, Output},
};

/// What a client needs; shown once.
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
        EabCommand::Create(new) => create(config, new, out).await,
        EabCommand::List => list(config, out).await,
        EabCommand::Disable { id } => {
            let done = control::apply(config, Change::DisableExternalKey { key: id }).await?;
            out.either(&done, &done)
        }
    }
}

async fn create(config: &Config, new: NewExternalKey, out: &mut Output) -> Result<(), Failure> {
    let operator_key = operator_key::read(config)?
        .ok_or_else(|| Failure::new("there is no key to keep MAC keys under"))
        .advise("Set external_accounts.key_file to a file that `openssl rand -base64 32` made.")?;
    let profile = new.profile.unwrap_or_else(|| config.default_profile.clone());
    if config.profile(&profile).is_none() {
        return Err(Failure::new(format!("there is no profile {profile}")))
            .advise("See which there are with `certmill check-config`.");
    }
    if new.names.len() > external_key::MAX_NAMES {
        let most = external_key::MAX_NAMES;
        return Err(Failure::new(format!("a key has at most {most} names")));
    }
    let mut bits = [0; 16];
    let no_random = |_| Failure::new("the system gives no random numbers");
    SystemRandom::new().fill(&mut bits).map_err(no_random)?;
    let (id, key) = (ExternalKeyId::from_random(&bits), MacKey::random().map_err(no_random)?);
    let now = clock::now();
    let created = ExternalKeyCreated {
        secret: operator_key.seal((&id, &profile), &key)?,
        uses: if new.reusable { Uses::AnyNumber } else { Uses::OneAccount },
        expires_at: new.expires.map(|expires| now.plus(expires.get())),
        names: new.names,
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
            let expires = made.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
            out.line(format_args!("expires   {expires}"))?;
            out.line("The hmac key is shown this once. Hand both to the client.")
        }
    }
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
            out.table(["KID", "PROFILE", "STATUS", "CREATED", "NAMES"], &rows)
        }
    }
}

fn row(key: &Listed) -> [String; 5] {
    let names: Vec<String> = key.names.iter().map(ToString::to_string).collect();
    [
        key.kid.to_string(),
        key.profile.to_string(),
        key.status.clone(),
        key.created_at.whole_seconds().to_string(),
        if names.is_empty() { "all".to_owned() } else { names.join(", ") },
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
            profile: key.profile,
            status,
            reusable: key.uses == Uses::AnyNumber,
            created_at: key.created_at,
            expires_at: key.expires_at,
            names: key.names,
        }
    }
}
