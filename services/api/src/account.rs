//! Accounts: newAccount, reading, updating and deactivating (RFC 8555 §7.3).

mod external;
mod holder;
pub(crate) mod key_change;
pub(crate) mod orders;

use std::sync::Arc;

use acme::{
    PublicJwk,
    account::{self as wire, AccountUpdate, NewAccount},
    account_id,
};
use domain::{
    AccountId, Aggregate as _,
    account::{Account, AccountCreated, Command, State, Status},
    key_use::{self, Creation, KeyUse},
};
use eventstore::{Actor, ExecuteError, Loaded, StoreError, Subject, execute};
use http::StatusCode;
use runtime::metrics::names;

use self::{external::Newcomer, holder::Holder};
use crate::{
    Api,
    authenticate::{self, AccountView, ByKey},
    keys,
    problem::Refusal,
    reply::Reply,
    request::Request,
    settings::Profile,
    terms,
};

/// Makes an account, or finds the one of the key: then everything else in the request is ignored (RFC 8555 §7.3.1).
pub(crate) async fn new_account(
    api: &Api,
    profile: &Profile,
    request: &Request,
) -> Result<Reply, Refusal> {
    let ByKey { jws, key } = authenticate::by_key(api, profile, request).await?;
    let new: NewAccount = authenticate::payload(&jws)?;
    let only_existing = new.only_return_existing == Some(true);
    let abandoned = match holder::find(api, profile, &key, request.now).await? {
        Holder::Account(existing) => return found(api, profile, &existing),
        Holder::Former | Holder::Nobody(_) if only_existing => {
            return Err(Refusal::AccountDoesNotExist);
        }
        Holder::Former => return Err(Refusal::FormerKey),
        Holder::Claimed(_) => return Err(key_use::Rejection::Claimed.into()),
        Holder::Nobody(abandoned) => abandoned,
    };
    keys::check_account_key(api, profile, key.public_key()).await?;
    let creation = creation(profile, &key, &new, request)?;
    let id = &creation.account.id;
    let binding = new.external_account_binding.as_deref();
    let newcomer = Newcomer { id, key: &key, jws: &jws, binding };
    let external_account = external::bind(api, profile, &newcomer, request).await?;
    match create(api, Creation { abandoned, external_account, ..creation }, request).await {
        Ok(account) => {
            metrics::counter!(names::ACCOUNTS_CREATED, "profile" => profile.name.to_string())
                .increment(1);
            show(api, profile, StatusCode::CREATED, &account.state)
        }
        // Another request with this key was faster.
        Err(ExecuteError::Rejected(rejection)) => {
            match holder::find(api, profile, &key, request.now).await? {
                Holder::Account(existing) => found(api, profile, &existing),
                Holder::Former | Holder::Claimed(_) | Holder::Nobody(_) => Err(rejection.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// The account that a request asks for, if the profile allows it; not bound to another yet.
fn creation(
    profile: &Profile,
    key: &PublicJwk,
    new: &NewAccount,
    request: &Request,
) -> Result<Creation, Refusal> {
    let agreed = new.terms_of_service_agreed.unwrap_or(false);
    if profile.terms_required && !agreed {
        return Err(Refusal::TermsNotAgreed(profile.meta.terms_of_service.clone()));
    }
    let contact = new.contact.clone().unwrap_or_default();
    wire::check_contacts(&contact).map_err(Refusal::Contact)?;
    let account = AccountCreated {
        id: account_id(&profile.name, key.thumbprint()),
        profile: profile.name.clone(),
        key: key.account_key().clone(),
        contact,
        terms_of_service_agreed: agreed,
        at: request.now,
    };
    let terms = if agreed { terms::agreement(profile, request) } else { None };
    Ok(Creation { terms, ..account.into() })
}

async fn create(
    api: &Api,
    creation: Creation,
    request: &Request,
) -> Result<AccountView, ExecuteError<key_use::Rejection>> {
    let (aggregates, id) = (&api.ports.aggregates, creation.account.id.clone());
    let (store, subject) = (aggregates.store.as_ref(), Subject::account(&id));
    let context = request.context(Actor::Account { id });
    let command = creation.into();
    let made = execute::<KeyUse>(store, &subject, Loaded::default(), &command, &context).await?;
    let lost = || ExecuteError::Store(StoreError::damaged("events make no account"));
    let state = Account::fold(None, &made.events).ok_or_else(lost)?;
    let view = AccountView { state: Arc::new(state), sequence: made.sequence };
    aggregates.put::<Account>(view).await.map_err(ExecuteError::Store)
}

fn found(api: &Api, profile: &Profile, existing: &AccountView) -> Result<Reply, Refusal> {
    match existing.state.status {
        Status::Valid => show(api, profile, StatusCode::OK, &existing.state),
        Status::Deactivated => Err(Refusal::AccountDeactivated),
    }
}

/// Reads, updates or deactivates an account; `{}` reads it as well.
pub(crate) async fn account(
    api: &Api,
    profile: &Profile,
    id: &AccountId,
    request: &Request,
) -> Result<Reply, Refusal> {
    let signed = authenticate::by_account(api, profile, request).await?;
    if signed.id() != id {
        return Err(Refusal::OtherAccount);
    }
    if signed.jws.is_post_as_get() {
        return show(api, profile, StatusCode::OK, &signed.account.state);
    }
    let update: AccountUpdate = authenticate::payload(&signed.jws)?;
    let mut account = signed.account;
    for command in changes(profile, &update, request)? {
        let context = request.context(Actor::Account { id: id.clone() });
        let aggregates = &api.ports.aggregates;
        account = aggregates.execute::<Account>(id, Some(account), &command, &context).await?;
    }
    show(api, profile, StatusCode::OK, &account.state)
}

/// What an update asks for; whatever else it has is ignored (RFC 8555 §7.3.2).
fn changes(
    profile: &Profile,
    update: &AccountUpdate,
    request: &Request,
) -> Result<Vec<Command>, Refusal> {
    if update.deactivates() {
        return Ok(vec![Command::Deactivate]);
    }
    let mut changes = Vec::new();
    if let Some(contact) = &update.contact {
        wire::check_contacts(contact).map_err(Refusal::Contact)?;
        changes.push(Command::UpdateContact(contact.clone()));
    }
    if profile.terms_agreed_by_account && update.terms_of_service_agreed == Some(true) {
        changes.extend(terms::agreement(profile, request).map(Command::AgreeToTerms));
    }
    Ok(changes)
}

fn show(
    api: &Api,
    profile: &Profile,
    status: StatusCode,
    account: &State,
) -> Result<Reply, Refusal> {
    let has_terms = profile.meta.terms_of_service.is_some();
    let urls = &api.settings.urls;
    let reply = Reply::json(
        status,
        &wire::Account {
            status: account.status,
            contact: &account.contact,
            terms_of_service_agreed: has_terms.then(|| terms::are_agreed(profile, account)),
            external_account_binding: account.external_account.as_ref().map(|it| &it.binding),
            orders: Some(urls.account_orders(&profile.name, &account.id)),
        },
    )?;
    Ok(reply.with_location(urls.account(&profile.name, &account.id)))
}
