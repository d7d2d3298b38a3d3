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
    authenticate::{self, AccountView, ByKey},
    keys,
    problem::Refusal,
    reply::Reply,
    request::AcmeRequest,
    terms,
};

/// Makes an account, or finds the one of the key: then everything else in the request is ignored (RFC 8555 §7.3.1).
pub(crate) async fn new_account(request: &AcmeRequest<'_>) -> Result<Reply, Refusal> {
    let ByKey { jws, key } = authenticate::by_key(request).await?;
    let new: NewAccount = authenticate::payload(&jws)?;
    let only_existing = new.only_return_existing == Some(true);
    let abandoned = match holder::find(request, &key).await? {
        Holder::Account(existing) => return found(request, &existing),
        Holder::Former | Holder::Nobody(_) if only_existing => {
            return Err(Refusal::AccountDoesNotExist);
        }
        Holder::Former => return Err(Refusal::FormerKey),
        Holder::Claimed(_) => return Err(key_use::Rejection::Claimed.into()),
        Holder::Nobody(abandoned) => abandoned,
    };
    keys::check_account_key(request, key.public_key()).await?;
    let creation = creation(request, &key, &new)?;
    let id = &creation.account.id;
    let binding = new.external_account_binding.as_deref();
    let newcomer = Newcomer { id, key: &key, jws: &jws, binding };
    let external_account = external::bind(request, &newcomer).await?;
    match create(request, Creation { abandoned, external_account, ..creation }).await {
        Ok(account) => {
            let profile = request.profile.name.to_string();
            metrics::counter!(names::ACCOUNTS_CREATED, "profile" => profile).increment(1);
            show(request, StatusCode::CREATED, &account.state)
        }
        // Another request with this key was faster.
        Err(ExecuteError::Rejected(rejection)) => match holder::find(request, &key).await? {
            Holder::Account(existing) => found(request, &existing),
            Holder::Former | Holder::Claimed(_) | Holder::Nobody(_) => Err(rejection.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// The account that a request asks for, if the profile allows it; not bound to another yet.
fn creation(
    request: &AcmeRequest<'_>,
    key: &PublicJwk,
    new: &NewAccount,
) -> Result<Creation, Refusal> {
    let agreed = new.terms_of_service_agreed.unwrap_or(false);
    let profile = request.profile;
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
    let terms = if agreed { terms::agreement(request) } else { None };
    Ok(Creation { terms, ..account.into() })
}

async fn create(
    request: &AcmeRequest<'_>,
    creation: Creation,
) -> Result<AccountView, ExecuteError<key_use::Rejection>> {
    let (aggregates, id) = (&request.api.ports.aggregates, creation.account.id.clone());
    let (store, subject) = (aggregates.store.as_ref(), Subject::account(&id));
    let context = request.context(Actor::Account { id });
    let command = creation.into();
    let made = execute::<KeyUse>(store, &subject, Loaded::default(), &command, &context).await?;
    let lost = || ExecuteError::Store(StoreError::damaged("events make no account"));
    let state = Account::fold(None, &made.events).ok_or_else(lost)?;
    let view = AccountView { state: Arc::new(state), sequence: made.sequence };
    aggregates.put::<Account>(view).await.map_err(ExecuteError::Store)
}

fn found(request: &AcmeRequest<'_>, existing: &AccountView) -> Result<Reply, Refusal> {
    match existing.state.status {
        Status::Valid => show(request, StatusCode::OK, &existing.state),
        Status::Deactivated => Err(Refusal::AccountDeactivated),
    }
}

/// Reads, updates or deactivates an account; `{}` reads it as well.
pub(crate) async fn account(request: &AcmeRequest<'_>, id: &AccountId) -> Result<Reply, Refusal> {
    let signed = authenticate::by_account(request).await?;
    if signed.id() != id {
        return Err(Refusal::OtherAccount);
    }
    if signed.jws.is_post_as_get() {
        return show(request, StatusCode::OK, &signed.account.state);
    }
    let update: AccountUpdate = authenticate::payload(&signed.jws)?;
    let mut account = signed.account;
    for command in changes(request, &update)? {
        let context = request.context(Actor::Account { id: id.clone() });
        let aggregates = &request.api.ports.aggregates;
        account = aggregates.execute::<Account>(id, Some(account), &command, &context).await?;
    }
    show(request, StatusCode::OK, &account.state)
}

/// What an update asks for; whatever else it has is ignored (RFC 8555 §7.3.2).
fn changes(request: &AcmeRequest<'_>, update: &AccountUpdate) -> Result<Vec<Command>, Refusal> {
    if update.deactivates() {
        return Ok(vec![Command::Deactivate]);
    }
    let mut changes = Vec::new();
    if let Some(contact) = &update.contact {
        wire::check_contacts(contact).map_err(Refusal::Contact)?;
        changes.push(Command::UpdateContact(contact.clone()));
    }
    if request.profile.terms_agreed_by_account && update.terms_of_service_agreed == Some(true) {
        changes.extend(terms::agreement(request).map(Command::AgreeToTerms));
    }
    Ok(changes)
}

fn show(request: &AcmeRequest<'_>, status: StatusCode, account: &State) -> Result<Reply, Refusal> {
    let AcmeRequest { api, profile, .. } = request;
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
