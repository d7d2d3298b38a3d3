//! Whose a key is under a profile.

use acme::{PublicJwk, account_id};
use domain::{
    account::Account,
    key_use::{Claim, KeyUse, State},
};
use eventstore::{Loaded, Subject, load};

use crate::{authenticate::AccountView, problem::Refusal, request::AcmeRequest};

/// Whose a key is.
pub(super) enum Holder {
    /// Nobody's. The claim is an abandoned one, to be taken over: its account did not change to the key in time.
    Nobody(Option<Claim>),
    /// The present key of an account.
    Account(AccountView),
    /// One that an account had before; nobody may use it again.
    Former,
    /// An account claimed it a short while ago and has not changed to it, or not yet.
    Claimed(Claim),
}

/// Finds out whose a key is. That it has no account is believed of the log only: a view may be behind.
pub(super) async fn find(request: &AcmeRequest<'_>, key: &PublicJwk) -> Result<Holder, Refusal> {
    let aggregates = &request.api.ports.aggregates;
    let id = account_id(&request.profile.name, key.thumbprint());
    // An account that did not change its key is found by this alone.
    if let Ok(Some(account)) = aggregates.views.account(&id).await {
        return Ok(of_account(account, key));
    }
    let (store, subject) = (aggregates.store.as_ref(), Subject::account(&id));
    let place = load::<KeyUse>(store, &subject, Loaded::default()).await?;
    match place.state {
        None => Ok(Holder::Nobody(None)),
        Some(State::Account) => match aggregates.fold::<Account>(&id).await? {
            Some(account) => Ok(of_account(account, key)),
            None => Err(Refusal::Internal("an account was made and is not there".into())),
        },
        Some(State::Claimed(claim)) => {
            let account = aggregates.load_newest::<Account>(&claim.account).await?;
            let followed = account.filter(|account| {
                account.state.key == *key.account_key() || account.state.had_key(key.thumbprint())
            });
            Ok(match followed {
                Some(account) => of_account(account, key),
                None if claim.has_lapsed(request.now) => Holder::Nobody(Some(claim)),
                None => Holder::Claimed(claim),
            })
        }
    }
}

fn of_account(account: AccountView, key: &PublicJwk) -> Holder {
    if account.state.key == *key.account_key() { Holder::Account(account) } else { Holder::Former }
}
