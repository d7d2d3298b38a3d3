//! keyChange: an account replaces its key (RFC 8555 §7.3.5).

use acme::{PublicJwk, jws::InnerJws, key_change as wire};
use domain::{
    AccountId,
    account::{Account, AccountKeyClaimed, Command, KeyChange, State},
    key_use::{self, Claim, KeyUse},
};
use eventstore::{Actor, ExecuteError, Loaded, Subject, execute};
use http::StatusCode;

use super::{
    holder::{self, Holder},
    show,
};
use crate::{
    authenticate::{self, ByAccount},
    keys,
    problem::Refusal,
    reply::Reply,
    request::{self, AcmeRequest},
};

/// How often the new key is claimed while other requests claim it, or make an account with it, at the same time.
const ATTEMPTS: usize = 3;

/// Replaces the account's key: first the new key is claimed where every other who wants it would look, then the account
/// changes to it. Whatever the account has is left as it is.
pub(crate) async fn key_change(request: &AcmeRequest<'_>) -> Result<Reply, Refusal> {
    let signed = authenticate::by_account(request).await?;
    let new = new_key(request, &signed)?;
    keys::check_account_key(request, new.public_key()).await?;
    let id = signed.id().clone();
    claim(request, &signed.account.state, &new).await?;
    let command = Command::ChangeKey(KeyChange {
        from: signed.key.thumbprint().clone(),
        to: new.account_key().clone(),
        claimed_at: request.now,
        // Later than the time of the request, which is that of the claim: a claim is good for a minute only.
        now: request::now(),
    });
    let context = request.context(Actor::Account { id: id.clone() });
    let aggregates = &request.api.ports.aggregates;
    let account =
        aggregates.execute::<Account>(&id, Some(signed.account), &command, &context).await?;
    show(request, StatusCode::OK, &account.state)
}

/// The new key, when the request says in all its parts that account and new key want the change.
fn new_key(request: &AcmeRequest<'_>, signed: &ByAccount) -> Result<PublicJwk, Refusal> {
    let inner = InnerJws::parse(signed.jws.payload()).map_err(Refusal::InnerJws)?;
    let new = inner.jwk().check().map_err(Refusal::BadPublicKey)?;
    inner.verify(&new)?;
    let change = wire::KeyChange::parse(inner.payload()).map_err(Refusal::MalformedKeyChange)?;
    if inner.url() != signed.jws.url() {
        return Err(Refusal::KeyChangeMismatch("the inner and the outer url differ"));
    }
    if change.account != request.api.settings.urls.account(&request.profile.name, signed.id()) {
        return Err(Refusal::KeyChangeMismatch("account is not the account that signed"));
    }
    let old = change.old_key.check().map_err(Refusal::BadPublicKey)?;
    if old.account_key() != signed.key.account_key() {
        return Err(Refusal::KeyChangeMismatch("oldKey is not the account's key"));
    }
    Ok(new)
}

/// Claims the new key for the account, if that may change to it: nobody else can have a key that is claimed.
async fn claim(request: &AcmeRequest<'_>, account: &State, new: &PublicJwk) -> Result<(), Refusal> {
    let id = &account.id;
    let mut refused = key_use::Rejection::Claimed;
    for _ in 0..ATTEMPTS {
        let abandoned = check_claimable(request, id, new).await?;
        if !account.may_change_key() {
            return Err(Refusal::TooManyKeys);
        }
        let command = key_use::Command::Claim {
            claim: AccountKeyClaimed {
                account: id.clone(),
                key: new.thumbprint().clone(),
                at: request.now,
            },
            abandoned,
        };
        let subject = Subject::account(&acme::account_id(&request.profile.name, new.thumbprint()));
        let context = request.context(Actor::Account { id: id.clone() });
        let store = request.api.ports.aggregates.store.as_ref();
        match execute::<KeyUse>(store, &subject, Loaded::default(), &command, &context).await {
            // Another request claimed the key or made an account with it: look again.
            Err(ExecuteError::Rejected(rejection)) => refused = rejection,
            claimed => {
                claimed?;
                return Ok(());
            }
        }
    }
    Err(refused.into())
}

/// Refuses a key that the account cannot claim, and finds the abandoned claim that it takes over, if there is one.
async fn check_claimable(
    request: &AcmeRequest<'_>,
    id: &AccountId,
    new: &PublicJwk,
) -> Result<Option<Claim>, Refusal> {
    match holder::find(request, new).await? {
        Holder::Nobody(abandoned) => Ok(abandoned),
        Holder::Claimed(claim) if claim.account == *id => Ok(None),
        Holder::Claimed(_) => Err(key_use::Rejection::Claimed.into()),
        Holder::Account(other) => {
            let url = request.api.settings.urls.account(&request.profile.name, &other.state.id);
            Err(Refusal::KeyInUse(url))
        }
        Holder::Former => Err(Refusal::FormerKey),
    }
}
