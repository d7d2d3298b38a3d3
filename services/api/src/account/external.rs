//! External account binding (RFC 8555 §7.3.4): whether a new account belongs to one of another system.

use acme::{
    PublicJwk,
    external_account::{Binding, OperatorKey},
};
use domain::{
    AccountId, ExternalKeyId,
    account::AccountBound,
    external_key::{Command, ExternalKey, Rejection, State},
};
use eventstore::{Actor, Loaded, Subject, execute, load};
use serde_json::value::RawValue;

use crate::{Api, problem::Refusal, request::Request, settings::Profile};

/// An account that wants to be bound.
pub(super) struct Newcomer<'a> {
    pub(super) id: &'a AccountId,
    pub(super) key: &'a PublicJwk,
    /// The URL that the request was signed for.
    pub(super) url: &'a str,
}

/// Checks a binding and takes its key; the last thing before the account is made, because a key may be good for one
/// account only. Where no key can have been made and none is required, bindings are ignored.
pub(super) async fn bind(
    api: &Api,
    profile: &Profile,
    (newcomer, sent): (&Newcomer<'_>, Option<&RawValue>),
    request: &Request,
) -> Result<Option<AccountBound>, Refusal> {
    let (operator_key, sent) = match (&api.settings.operator_key, sent) {
        (Some(operator_key), Some(sent)) => (operator_key, sent),
        (_, None) | (None, _) if profile.meta.external_account_required => {
            return Err(Refusal::ExternalAccountRequired);
        }
        (_, None) | (None, _) => return Ok(None),
    };
    let binding = Binding::parse(sent.get()).map_err(Refusal::Binding)?;
    if binding.url() != newcomer.url {
        return Err(Refusal::BindingMismatch("the binding's url is not that of the request"));
    }
    let bound = binding.jwk().check().map_err(Refusal::BadPublicKey)?;
    if bound.account_key() != newcomer.key.account_key() {
        return Err(Refusal::BindingMismatch("the binding's payload is not the account's key"));
    }
    let id: ExternalKeyId =
        binding.key_id().parse().map_err(|_| Refusal::from(Rejection::NotFound))?;
    let (store, subject) = (api.ports.aggregates.store.as_ref(), Subject::external_key(&id));
    let known = load::<ExternalKey>(store, &subject, Loaded::default()).await?;
    let key = known.state.as_ref().filter(|key| key.profile == profile.name);
    let key = verified(operator_key, key, &binding)?;
    let names = key.names.clone();
    let command = Command::Use { account: newcomer.id.clone(), now: request.now };
    let context = request.context(Actor::Account { id: newcomer.id.clone() });
    execute::<ExternalKey>(store, &subject, known, &command, &context).await?;
    Ok(Some(AccountBound { key: id, binding: binding.shown(), names, at: request.now }))
}

fn verified<'a>(
    operator_key: &OperatorKey,
    key: Option<&'a State>,
    binding: &Binding,
) -> Result<&'a State, Refusal> {
    let key = key.ok_or(Rejection::NotFound)?;
    let mac_key = operator_key.open((&key.id, &key.profile), &key.secret);
    let mac_key = mac_key.map_err(|error| Refusal::Internal(error.into()))?;
    binding.verify(&mac_key).map_err(|error| Refusal::BindingRefused(error.into()))?;
    Ok(key)
}
