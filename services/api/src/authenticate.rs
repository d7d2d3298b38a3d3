//! Who signed a request (RFC 8555 §6.2 to §6.5): what is cheap is checked first, the nonce is burned in any case, and the
//! signature is verified last.

use std::sync::Arc;

use acme::{Jws, KeyReference, PublicJwk, Redeemed};
use domain::{
    AccountId, OrderId,
    account::{self, Account, Status},
    order::{self, Order},
    pre_authorization,
};
use readmodel::{Admitted, Versioned};
use serde::de::DeserializeOwned;

use crate::{Api, problem::Refusal, request::Request, settings::Profile};

/// An account as a request finds it.
pub(crate) type AccountView = Versioned<Arc<account::State>>;
/// An order as a request finds it.
pub(crate) type OrderView = Versioned<Arc<order::State>>;
/// A pre-authorization as a request finds it.
pub(crate) type PreAuthorizationView = Versioned<Arc<pre_authorization::State>>;

/// A request signed by an account that may sign.
pub(crate) struct ByAccount {
    pub(crate) jws: Jws,
    pub(crate) account: AccountView,
    pub(crate) key: PublicJwk,
}

/// A request signed by the key it brings along.
pub(crate) struct ByKey {
    pub(crate) jws: Jws,
    pub(crate) key: PublicJwk,
}

/// Either of the two, for revokeCert.
pub(crate) enum Signer {
    Account(ByAccount),
    Key(ByKey),
}

impl ByAccount {
    pub(crate) fn id(&self) -> &AccountId {
        &self.account.state.id
    }
}

/// Takes a request signed by an account.
pub(crate) async fn by_account(
    api: &Api,
    profile: &Profile,
    request: &Request,
) -> Result<ByAccount, Refusal> {
    let jws = parse(api, profile, request).await?;
    verify_account(api, profile, request, jws, None).await.map(|(signed, _)| signed)
}

/// Takes a request signed by the account that placed an order, with the order. Absent and someone else's are the same.
pub(crate) async fn by_owner(
    api: &Api,
    profile: &Profile,
    request: &Request,
    order: &OrderId,
) -> Result<(ByAccount, OrderView), Refusal> {
    let jws = parse(api, profile, request).await?;
    let (signed, found) = verify_account(api, profile, request, jws, Some(order)).await?;
    let found = match found {
        Some(view) => view,
        None => api.ports.aggregates.fold::<Order>(order).await?.ok_or(Refusal::NotFound)?,
    };
    let owned = found.state.account == *signed.id() && found.state.profile == profile.name;
    if owned { Ok((signed, found)) } else { Err(Refusal::NotFound) }
}

/// Takes a request signed by the key it brings along.
pub(crate) async fn by_key(
    api: &Api,
    profile: &Profile,
    request: &Request,
) -> Result<ByKey, Refusal> {
    let jws = parse(api, profile, request).await?;
    verify_key(api, profile, request, jws).await
}

/// Takes a request signed either way.
pub(crate) async fn by_either(
    api: &Api,
    profile: &Profile,
    request: &Request,
) -> Result<Signer, Refusal> {
    let jws = parse(api, profile, request).await?;
    match jws.key_reference() {
        KeyReference::Kid(_) => verify_account(api, profile, request, jws, None)
            .await
            .map(|(signed, _)| Signer::Account(signed)),
        KeyReference::Jwk(_) => verify_key(api, profile, request, jws).await.map(Signer::Key),
    }
}

/// Reads the JWS; one that cannot be read burns its nonce all the same (RFC 8555 §6.5).
async fn parse(api: &Api, profile: &Profile, request: &Request) -> Result<Jws, Refusal> {
    match Jws::parse(&request.body) {
        Ok(jws) => Ok(jws),
        Err(error) => {
            if let Some(nonce) = &error.nonce {
                let redeemed = api.ports.admission.redeem(&profile.name, nonce.as_str());
                let _: Redeemed = redeemed.await?;
            }
            Err(Refusal::Jws(error.reason))
        }
    }
}

async fn verify_account(
    api: &Api,
    profile: &Profile,
    request: &Request,
    jws: Jws,
    order: Option<&OrderId>,
) -> Result<(ByAccount, Option<OrderView>), Refusal> {
    let id = match jws.key_reference() {
        KeyReference::Kid(kid) => {
            api.settings.urls.account_of_kid(&profile.name, kid).ok_or(Refusal::AccountElsewhere)
        }
        KeyReference::Jwk(_) => Err(Refusal::WrongKeyReference(
            "the protected header must have kid, the account URL, not jwk",
        )),
    };
    let nonce = (&profile.name, jws.nonce().as_str());
    let admitted = api.ports.admission.admit(nonce, id.as_ref().ok(), order).await?;
    check_nonce_and_url(api, request, &jws, admitted.nonce)?;
    let Admitted { account: view, order, .. } = admitted;
    let id = id?;
    let (account, key) = match view {
        None => verified(&jws, newest(api, profile, &id).await?)?,
        Some(view) => match verified(&jws, of_profile(profile, view)?) {
            // The view may be from before a change of keys.
            Err(Refusal::BadSignature | Refusal::WrongAlgorithm) => {
                verified(&jws, newest(api, profile, &id).await?)?
            }
            verified => verified?,
        },
    };
    match account.state.status {
        Status::Valid => Ok((ByAccount { jws, account, key }, order)),
        Status::Deactivated => Err(Refusal::AccountDeactivated),
    }
}

/// The account as the log has it.
async fn newest(api: &Api, profile: &Profile, id: &AccountId) -> Result<AccountView, Refusal> {
    let account = api.ports.aggregates.fold::<Account>(id).await?;
    of_profile(profile, account.ok_or(Refusal::AccountDoesNotExist)?)
}

/// An id does not tell its profile, and whoever holds an account of one is nobody in another.
fn of_profile(profile: &Profile, account: AccountView) -> Result<AccountView, Refusal> {
    let own = account.state.profile == profile.name;
    if own { Ok(account) } else { Err(Refusal::AccountDoesNotExist) }
}

/// The account with its key, which signed the request.
fn verified(jws: &Jws, account: AccountView) -> Result<(AccountView, PublicJwk), Refusal> {
    let key = PublicJwk::from_account_key(&account.state.key)
        .map_err(|error| Refusal::Internal(error.into()))?;
    verify(jws, &key)?;
    Ok((account, key))
}

async fn verify_key(
    api: &Api,
    profile: &Profile,
    request: &Request,
    jws: Jws,
) -> Result<ByKey, Refusal> {
    let redeemed = api.ports.admission.redeem(&profile.name, jws.nonce().as_str()).await?;
    check_nonce_and_url(api, request, &jws, redeemed)?;
    let key = match jws.key_reference() {
        KeyReference::Jwk(jwk) => jwk.check().map_err(Refusal::BadPublicKey)?,
        KeyReference::Kid(_) => {
            return Err(Refusal::WrongKeyReference("the protected header must have jwk, not kid"));
        }
    };
    verify(&jws, &key)?;
    Ok(ByKey { jws, key })
}

/// The signed URL is compared as text: whatever a proxy rewrote is not what the client signed (RFC 8555 §6.4).
fn check_nonce_and_url(
    api: &Api,
    request: &Request,
    jws: &Jws,
    nonce: Redeemed,
) -> Result<(), Refusal> {
    if nonce != Redeemed::Fresh {
        return Err(Refusal::BadNonce);
    }
    let path = jws.url().strip_prefix(api.settings.urls.base());
    let signed = match request.query.as_str() {
        "" => path == Some(request.path.as_str()),
        query => path == Some(format!("{}?{query}", request.path).as_str()),
    };
    if signed { Ok(()) } else { Err(Refusal::WrongUrl(api.settings.urls.base().to_owned())) }
}

fn verify(jws: &Jws, key: &PublicJwk) -> Result<(), Refusal> {
    Ok(jws.verify(key)?)
}

/// Refuses a payload where a resource can only be read (RFC 8555 §6.3).
pub(crate) fn expect_post_as_get(signed: &ByAccount) -> Result<(), Refusal> {
    if signed.jws.is_post_as_get() {
        return Ok(());
    }
    Err(Refusal::Payload("the payload must be empty: the resource can only be read"))
}

/// Takes a POST-as-GET by an account (RFC 8555 §6.3).
pub(crate) async fn reader(
    api: &Api,
    profile: &Profile,
    request: &Request,
) -> Result<ByAccount, Refusal> {
    let signed = by_account(api, profile, request).await?;
    expect_post_as_get(&signed)?;
    Ok(signed)
}

/// Reads the payload that a resource takes.
pub(crate) fn payload<T: DeserializeOwned>(jws: &Jws) -> Result<T, Refusal> {
    jws.payload_object().map_err(Refusal::MalformedPayload)
}
