//! `certmill account`: lists, shows and deactivates accounts.

use std::collections::HashMap;

use domain::{
    AccountId, Aggregate as _, ProfileName, Timestamp,
    account::{self, Account},
};
use eventstore::{Loaded, Stream, Subject};
use runtime::Config;
use serde::Serialize;

use crate::{
    change::Change,
    cli::AccountCommand,
    control,
    failure::{Explain as _, Failure},
    log::Log,
    output::{Format, Output},
};

/// An account as operators see it.
#[derive(Serialize)]
struct Listed {
    id: AccountId,
    profile: ProfileName,
    status: &'static str,
    created_at: Timestamp,
    contact: Vec<String>,
    terms_of_service_agreed: bool,
    key_thumbprint: String,
    former_key_thumbprints: Vec<String>,
}

/// Runs what is asked of accounts.
pub(crate) async fn run(
    config: &Config,
    command: AccountCommand,
    out: &mut Output,
) -> Result<(), Failure> {
    match command {
        AccountCommand::List => list(config, out).await,
        AccountCommand::Show { id } => show(config, &id, out).await,
        AccountCommand::Deactivate { id } => {
            let done = control::apply(config, Change::DeactivateAccount { account: id }).await?;
            out.either(&done, &done)
        }
    }
}

async fn list(config: &Config, out: &mut Output) -> Result<(), Failure> {
    let log = Log::open(config).await?;
    let mut accounts: Vec<Option<account::State>> = Vec::new();
    let mut places: HashMap<Subject, usize> = HashMap::new();
    log.each(Stream::Accounts, |message| {
        let events: Vec<account::Event> = message.envelope.decode()?;
        let place = *places.entry(message.subject).or_insert_with(|| {
            accounts.push(None);
            accounts.len() - 1
        });
        accounts[place] = Account::fold(accounts[place].take(), &events);
        Ok(())
    })
    .await?;
    let accounts = accounts.into_iter().flatten().map(Listed::from);
    match out.format() {
        Format::Json => accounts.into_iter().try_for_each(|account| out.json(&account)),
        Format::Text => {
            let rows: Vec<_> = accounts.map(|account| row(&account)).collect();
            out.table(["ACCOUNT", "PROFILE", "STATUS", "CREATED", "CONTACT"], &rows)
        }
    }
}

fn row(account: &Listed) -> [String; 5] {
    [
        account.id.to_string(),
        account.profile.to_string(),
        account.status.to_owned(),
        account.created_at.whole_seconds().to_string(),
        account.contact.join(", "),
    ]
}

async fn show(config: &Config, id: &AccountId, out: &mut Output) -> Result<(), Failure> {
    let log = Log::open(config).await?;
    let loaded =
        eventstore::load::<Account>(log.store(), &Subject::account(id), Loaded::default()).await?;
    let account = loaded
        .state
        .map(Listed::from)
        .ok_or_else(|| Failure::new(format!("there is no account {id}")))
        .advise("See which there are with `certmill account list`.")?;
    match out.format() {
        Format::Json => out.json(&account),
        Format::Text => {
            out.line(format_args!("account     {}", account.id))?;
            out.line(format_args!("profile     {}", account.profile))?;
            out.line(format_args!("status      {}", account.status))?;
            out.line(format_args!("created     {}", account.created_at))?;
            out.line(format_args!("contact     {}", account.contact.join(", ")))?;
            let agreed = if account.terms_of_service_agreed { "agreed" } else { "not agreed" };
            out.line(format_args!("terms       {agreed}"))?;
            out.line(format_args!("thumbprint  {}", account.key_thumbprint))?;
            let mut former = account.former_key_thumbprints.iter();
            former.try_for_each(|key| out.line(format_args!("former key  {key}")))
        }
    }
}

impl From<account::State> for Listed {
    fn from(state: account::State) -> Self {
        Self {
            id: state.id,
            profile: state.profile,
            status: match state.status {
                account::Status::Valid => "valid",
                account::Status::Deactivated => "deactivated",
            },
            created_at: state.created_at,
            contact: state.contact,
            terms_of_service_agreed: state.terms_of_service_agreed,
            key_thumbprint: state.key.thumbprint.as_str().to_owned(),
            former_key_thumbprints: state.former_keys.into_iter().map(|key| key.0).collect(),
        }
    }
}
