//! Accounts: newAccount, reading, updating and deactivating (RFC 8555 §7.3).

use acme::{
    account::{self as wire, AccountUpdate, NewAccount},
    account_id,
};
use domain::{
    AccountId,
    account::{Account, AccountCreated, Command, Rejection, State, Status},
};
use eventstore::{Actor, ExecuteError};
use http::StatusCode;
use runtime::metrics::names;

use crate::{
    Api,
    authenticate::{self, AccountView, ByKey},
    keys,
    problem::Refusal,
    reply::Reply,
    request::Request,
    settings::Profile,
};

/// Makes an account, or finds the one of the key: then everything else in the request is ignored (RFC 8555 §7.3.1).
pub(crate) async fn new_account(
    api: &Api,
    profile: &Profile,
    request: &Request,
) -> Result<Reply, Refusal> {
    let ByKey { jws, key } = authenticate::by_key(api, request).await?;
    let new: NewAccount = authenticate::payload(&jws)?;
    let id = account_id(&profile.name, key.thumbprint());
    if let Some(existing) = api.ports.aggregates.load::<Account>(&id).await? {
        return found(api, profile, &existing);
    }
    if new.only_return_existing == Some(true) {
        return Err(Refusal::AccountDoesNotExist);
    }
    keys::check_account(api, profile, key.public_key()).await?;
    let agreed = new.terms_of_service_agreed.unwrap_or(false);
    if profile.terms_required && !agreed {
        return Err(Refusal::TermsNotAgreed(profile.meta.terms_of_service.clone()));
    }
    let contact = new.contact.unwrap_or_default();
    wire::check_contacts(&contact).map_err(Refusal::Contact)?;
    let command = Command::Create(AccountCreated {
        id: id.clone(),
        profile: profile.name.clone(),
        key: key.account_key().clone(),
        contact,
        terms_of_service_agreed: agreed,
        at: request.now,
    });
    let context = request.context(Actor::Account { id: id.clone() });
    let created = api.ports.aggregates.execute::<Account>(&id, None, &command, &context).await;
    match created {
        Ok(account) => {
            metrics::counter!(names::ACCOUNTS_CREATED, "profile" => profile.name.to_string())
                .increment(1);
            Ok(show(profile, StatusCode::CREATED, &account.state)?
                .with_location(api.settings.urls.account(&profile.name, &id)))
        }
        // Another request with this key was faster.
        Err(ExecuteError::Rejected(Rejection::AlreadyExists)) => {
            let existing = api.ports.aggregates.fold::<Account>(&id).await?;
            found(api, profile, &existing.ok_or(Refusal::AccountDoesNotExist)?)
        }
        Err(error) => Err(error.into()),
    }
}

fn found(api: &Api, profile: &Profile, existing: &AccountView) -> Result<Reply, Refusal> {
    match existing.state.status {
        Status::Valid => Ok(show(profile, StatusCode::OK, &existing.state)?
            .with_location(api.settings.urls.account(&profile.name, &existing.state.id))),
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
        return show(profile, StatusCode::OK, &signed.account.state);
    }
    let update: AccountUpdate = authenticate::payload(&signed.jws)?;
    let command = match &update.contact {
        _ if update.deactivates() => Command::Deactivate,
        Some(contact) => {
            wire::check_contacts(contact).map_err(Refusal::Contact)?;
            Command::UpdateContact(contact.clone())
        }
        None => return show(profile, StatusCode::OK, &signed.account.state),
    };
    let context = request.context(Actor::Account { id: id.clone() });
    let account = api
        .ports
        .aggregates
        .execute::<Account>(id, Some(signed.account), &command, &context)
        .await?;
    show(profile, StatusCode::OK, &account.state)
}

fn show(profile: &Profile, status: StatusCode, account: &State) -> Result<Reply, Refusal> {
    let terms = profile.meta.terms_of_service.is_some();
    Reply::json(
        status,
        &wire::Account {
            status: account.status,
            contact: &account.contact,
            terms_of_service_agreed: terms.then_some(account.terms_of_service_agreed),
            orders: None,
        },
    )
}
