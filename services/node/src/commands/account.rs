//! `certmill account`: lists, shows and deactivates accounts, and records that terms were agreed to.

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
    agreed_terms: Option<String>,
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
        AccountCommand::Agree { id } => agree(config, id, out).await,
        AccountCommand::Deactivate { id } => {
            let done = control::apply(config, Change::DeactivateAccount { account: id }).await?;
            out.either(&done, &done)
        }
    }
}

/// Records that the account's holder agreed to the terms its profile has today.
async fn agree(config: &Config, account: AccountId, out: &mut Output) -> Result<(), Failure> {
    let state = find(&Log::open(config).await?, &account).await?;
    let profile = config.profile(&state.profile);
    let terms_of_service = profile
        .and_then(|profile| profile.terms_of_service.as_ref())
        .ok_or_else(|| Failure::new(format!("profile {} has no terms", state.profile)))
        .advise("Set terms_of_service of the profile.")?;
    let terms_of_service = terms_of_service.to_string();
    let done = control::apply(config, Change::AgreeToTerms { account, terms_of_service }).await?;
    out.either(&done, &done)
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

/// An account as the log knows it.
///
/// # Errors
/// When there is none, or the log is out of reach or damaged.
pub(super) async fn find(log: &Log, id: &AccountId) -> Result<account::State, Failure> {
    let loaded =
        eventstore::load::<Account>(log.store(), &Subject::account(id), Loaded::default()).await?;
    loaded
        .state
        .ok_or_else(|| Failure::new(format!("there is no account {id}")))
        .advise("`certmill account list` lists all accounts.")
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
    let account = Listed::from(find(&Log::open(config).await?, id).await?);
    match out.format() {
        Format::Json => out.json(&account),
        Format::Text => {
            out.line(format_args!("account     {}", account.id))?;
            out.line(format_args!("profile     {}", account.profile))?;
            out.line(format_args!("status      {}", account.status))?;
            out.line(format_args!("created     {}", account.created_at))?;
            out.line(format_args!("contact     {}", account.contact.join(", ")))?;
            let agreed = if account.terms_of_service_agreed { "agreed" } else { "not agreed" };
            let terms = account.agreed_terms.as_deref().unwrap_or_default();
            out.line(format_args!("terms       {agreed} {terms}"))?;
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
            agreed_terms: state.agreed_terms,
            key_thumbprint: state.key.thumbprint.as_str().to_owned(),
            former_key_thumbprints: state.former_keys.into_iter().map(|key| key.0).collect(),
        }
    }
}
