//! External account binding (RFC 8555 §7.3.4): whether a new account belongs to one of another system.

use acme::{
    Jws, PublicJwk,
    external_account::{Binding, Compatibility, RegisteredKey},
};
use domain::{
    AccountId,
    account::AccountBound,
    external_key::{Command, ExternalKey, Rejection, State, Verifier},
};
use eventstore::{Actor, Loaded, Subject, execute, load};
use serde_json::value::RawValue;
use tracing::warn;

use crate::{Api, problem::Refusal, request::AcmeRequest};

/// An account that wants to be bound.
pub(super) struct Newcomer<'a> {
    pub(super) id: &'a AccountId,
    pub(super) key: &'a PublicJwk,
    /// The request that its key signed.
    pub(super) jws: &'a Jws,
    /// The externalAccountBinding in it.
    pub(super) binding: Option<&'a RawValue>,
}

/// Checks a binding and uses its key for the account: last of all before the account is made, because a key may be good for one
/// account only. Where no binding could be verified and none is required, bindings are ignored.
pub(super) async fn bind(
    request: &AcmeRequest<'_>,
    newcomer: &Newcomer<'_>,
) -> Result<Option<AccountBound>, Refusal> {
    let AcmeRequest { api, profile, .. } = request;
    let compatibility = profile.binding_compatibility;
    let can_be_verified =
        api.settings.operator_key.is_some() || compatibility != Compatibility::None;
    let sent = match newcomer.binding.filter(|_| can_be_verified) {
        Some(sent) => sent,
        None if profile.meta.external_account_required => {
            return Err(Refusal::ExternalAccountRequired);
        }
        None => return Ok(None),
    };
    let binding = read(sent, compatibility, newcomer)?;
    let id = binding.key_id(&profile.name).ok_or(Rejection::NotFound)?;
    let (store, subject) = (api.ports.aggregates.store.as_ref(), Subject::external_key(&id));
    let known = load::<ExternalKey>(store, &subject, Loaded::default()).await?;
    let key = known.state.as_ref().filter(|key| key.profile == profile.name);
    let key = key.ok_or(Rejection::NotFound)?;
    verify(api, &binding, key, newcomer)?;
    let names = key.names.clone();
    let command = Command::Use { account: newcomer.id.clone(), now: request.now };
    let context = request.context(Actor::Account { id: newcomer.id.clone() });
    execute::<ExternalKey>(store, &subject, known, &command, &context).await?;
    Ok(Some(AccountBound { key: id, binding: binding.shown(), names, at: request.now }))
}

/// Reads a binding, and compares what it repeats of the request.
fn read(
    sent: &RawValue,
    compatibility: Compatibility,
    newcomer: &Newcomer<'_>,
) -> Result<Binding, Refusal> {
    let binding = Binding::parse(sent.get(), compatibility).map_err(Refusal::Binding)?;
    if binding.url() != newcomer.jws.url() {
        return Err(Refusal::BindingMismatch("the binding's url is not that of the request"));
    }
    let bound = binding.jwk().check().map_err(Refusal::BadPublicKey)?;
    if bound.account_key() != newcomer.key.account_key() {
        return Err(Refusal::BindingMismatch("the binding's payload is not the account's key"));
    }
    Ok(binding)
}

fn verify(
    api: &Api,
    binding: &Binding,
    key: &State,
    newcomer: &Newcomer<'_>,
) -> Result<(), Refusal> {
    let verified = match &key.verifier {
        Verifier::Mac(secret) => {
            let operator_key = api.settings.operator_key.as_ref().ok_or(Rejection::NotFound)?;
            let mac_key = operator_key.open((&key.id, &key.profile), secret).map_err(|error| {
                // It ended with the operator's key that it was kept under, unless that is missing here by mistake.
                warn!(key = %key.id, "a MAC key was sealed with an operator's key that is not configured");
                Refusal::BindingRefused(error.into())
            })?;
            binding.verify_mac(&mac_key)
        }
        Verifier::Signature { key, fingerprint } => {
            let registered = RegisteredKey::from_stored(key, fingerprint)
                .map_err(|error| Refusal::Internal(error.into()))?;
            let signer = (newcomer.key, newcomer.jws.algorithm());
            binding.verify_signatures(signer, &registered)
        }
    };
    verified.map_err(|error| Refusal::BindingRefused(error.into()))
}
