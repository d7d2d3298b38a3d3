//! Who signed a request (RFC 8555 §6.2 to §6.5): what is cheap is checked first, the nonce is spent in any case, and the
//! signature is verified last.

use acme::{Jws, KeyReference, Nonce, PublicJwk, Redeemed};
use domain::{
    AccountId, OrderId,
    account::{self, Account, Status},
    order::{self, Order},
    pre_authorization,
};
use readmodel::View;
use serde::de::DeserializeOwned;

use crate::{problem::Refusal, request::AcmeRequest};

/// An account as a request finds it.
pub(crate) type AccountView = View<account::State>;
/// An order as a request finds it.
pub(crate) type OrderView = View<order::State>;
/// A pre-authorization as a request finds it.
pub(crate) type PreAuthorizationView = View<pre_authorization::State>;

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
pub(crate) enum Signed {
    ByAccount(ByAccount),
    ByKey(ByKey),
}

impl Signed {
    pub(crate) fn jws(&self) -> &Jws {
        match self {
            Self::ByAccount(signed) => &signed.jws,
            Self::ByKey(signed) => &signed.jws,
        }
    }

    /// The account, where one signed.
    pub(crate) fn account(&self) -> Option<&AccountId> {
        match self {
            Self::ByAccount(signed) => Some(signed.id()),
            Self::ByKey(_) => None,
        }
    }
}

impl ByAccount {
    pub(crate) fn id(&self) -> &AccountId {
        &self.account.state.id
    }
}

/// Takes a request signed by an account.
pub(crate) async fn by_account(request: &AcmeRequest<'_>) -> Result<ByAccount, Refusal> {
    let (signed, _) = Unverified::read(request).await?.by_account(None).await?;
    Ok(signed)
}

/// Takes a POST-as-GET by an account (RFC 8555 §6.3).
pub(crate) async fn post_as_get(request: &AcmeRequest<'_>) -> Result<ByAccount, Refusal> {
    let signed = by_account(request).await?;
    expect_post_as_get(&signed)?;
    Ok(signed)
}

/// Takes a request signed by the account that placed an order, and the order. Someone else's order is refused like one that
/// does not exist.
pub(crate) async fn by_owner(
    request: &AcmeRequest<'_>,
    order: &OrderId,
) -> Result<(ByAccount, OrderView), Refusal> {
    let AcmeRequest { api, profile, .. } = request;
    let unverified = Unverified::read(request).await?;
    let (signed, found) = unverified.by_account(Some(order)).await?;
    let found = match found {
        Some(view) => view,
        None => api.ports.aggregates.fold::<Order>(order).await?.ok_or(Refusal::NotFound)?,
    };
    let owned = found.state.account == *signed.id() && found.state.profile == profile.name;
    if owned { Ok((signed, found)) } else { Err(Refusal::NotFound) }
}

/// Takes a request signed by the key it brings along.
pub(crate) async fn by_key(request: &AcmeRequest<'_>) -> Result<ByKey, Refusal> {
    Unverified::read(request).await?.by_key().await
}

/// Takes a request signed by an account, or by the key that it brings along.
pub(crate) async fn by_either(request: &AcmeRequest<'_>) -> Result<Signed, Refusal> {
    let unverified = Unverified::read(request).await?;
    match unverified.jws.key_reference() {
        KeyReference::Kid(_) => {
            unverified.by_account(None).await.map(|(signed, _)| Signed::ByAccount(signed))
        }
        KeyReference::Jwk(_) => unverified.by_key().await.map(Signed::ByKey),
    }
}

/// A request whose JWS could be read, before its nonce and signature are checked.
struct Unverified<'a> {
    request: &'a AcmeRequest<'a>,
    jws: Jws,
}

impl<'a> Unverified<'a> {
    /// Reads the JWS; one that cannot be read spends its nonce all the same (RFC 8555 §6.5).
    async fn read(request: &'a AcmeRequest<'_>) -> Result<Self, Refusal> {
        match Jws::parse(&request.http.body) {
            Ok(jws) => Ok(Self { request, jws }),
            Err(error) => {
                if let Some(nonce) = &error.nonce {
                    let _: Redeemed = redeem(request, nonce).await?;
                }
                Err(Refusal::Jws(error.reason))
            }
        }
    }

    /// Redeems the nonce and fetches the account, and the order if there is one, in one round trip; then verifies.
    async fn by_account(
        self,
        order: Option<&OrderId>,
    ) -> Result<(ByAccount, Option<OrderView>), Refusal> {
        // A kid that names no account is refused below: by then the nonce is spent.
        let id = self.account_id();
        let AcmeRequest { api, profile, .. } = self.request;
        let nonce = (&profile.name, self.jws.nonce().as_str());
        let admitted = api.ports.admission.admit(nonce, id.as_ref().ok(), order).await?;
        self.check_nonce_and_url(admitted.nonce)?;
        let (account, key) = self.verified_account(&id?, admitted.account).await?;
        match account.state.status {
            Status::Valid => Ok((ByAccount { jws: self.jws, account, key }, admitted.order)),
            Status::Deactivated => Err(Refusal::AccountDeactivated),
        }
    }

    async fn by_key(self) -> Result<ByKey, Refusal> {
        self.check_nonce_and_url(redeem(self.request, self.jws.nonce()).await?)?;
        let key = match self.jws.key_reference() {
            KeyReference::Jwk(jwk) => jwk.check().map_err(Refusal::BadPublicKey)?,
            KeyReference::Kid(_) => {
                return Err(Refusal::WrongKeyReference(
                    "the protected header must have jwk, not kid",
                ));
            }
        };
        self.jws.verify(&key)?;
        Ok(ByKey { jws: self.jws, key })
    }

    /// The account that the protected header names.
    fn account_id(&self) -> Result<AccountId, Refusal> {
        match self.jws.key_reference() {
            KeyReference::Kid(kid) => {
                let AcmeRequest { api, profile, .. } = self.request;
                let account = api.settings.urls.account_of_kid(&profile.name, kid);
                account.ok_or(Refusal::AccountElsewhere)
            }
            KeyReference::Jwk(_) => Err(Refusal::WrongKeyReference(
                "the protected header must have kid, the account URL, not jwk: \
                 a key without an account has to be registered (newAccount)",
            )),
        }
    }

    /// The signed URL is compared as text: whatever a proxy rewrote is not what the client signed (RFC 8555 §6.4).
    fn check_nonce_and_url(&self, nonce: Redeemed) -> Result<(), Refusal> {
        if nonce != Redeemed::Fresh {
            return Err(Refusal::BadNonce);
        }
        let (http, base) = (self.request.http, self.request.api.settings.urls.base());
        let path = self.jws.url().strip_prefix(base);
        let signed = match http.query.as_str() {
            "" => path == Some(http.path.as_str()),
            query => path == Some(format!("{}?{query}", http.path).as_str()),
        };
        if signed { Ok(()) } else { Err(Refusal::WrongUrl(base.to_owned())) }
    }

    /// The account whose key signed the request. It is read from the log where there is no view, or the view's key did not sign.
    async fn verified_account(
        &self,
        id: &AccountId,
        view: Option<AccountView>,
    ) -> Result<(AccountView, PublicJwk), Refusal> {
        let Some(view) = view else { return self.verify(self.newest(id).await?) };
        match self.verify(self.of_profile(view)?) {
            // The view may be from before a change of keys.
            Err(Refusal::BadSignature | Refusal::WrongAlgorithm) => {
                self.verify(self.newest(id).await?)
            }
            verified => verified,
        }
    }

    /// The account as the log has it.
    async fn newest(&self, id: &AccountId) -> Result<AccountView, Refusal> {
        let account = self.request.api.ports.aggregates.load_newest::<Account>(id).await?;
        self.of_profile(account.ok_or(Refusal::AccountDoesNotExist)?)
    }

    /// Refuses an account of another profile, which its id does not tell.
    fn of_profile(&self, account: AccountView) -> Result<AccountView, Refusal> {
        let own = account.state.profile == self.request.profile.name;
        if own { Ok(account) } else { Err(Refusal::AccountDoesNotExist) }
    }

    /// Verifies that the account's key signed the request, and returns both.
    fn verify(&self, account: AccountView) -> Result<(AccountView, PublicJwk), Refusal> {
        let key = PublicJwk::from_account_key(&account.state.key)
            .map_err(|error| Refusal::Internal(error.into()))?;
        self.jws.verify(&key)?;
        Ok((account, key))
    }
}

/// Spends a nonce.
async fn redeem(request: &AcmeRequest<'_>, nonce: &Nonce) -> Result<Redeemed, Refusal> {
    Ok(request.api.ports.admission.redeem(&request.profile.name, nonce.as_str()).await?)
}

/// Refuses a request with a payload, because the resource can only be read (RFC 8555 §6.3).
pub(crate) fn expect_post_as_get(signed: &ByAccount) -> Result<(), Refusal> {
    if signed.jws.is_post_as_get() {
        return Ok(());
    }
    Err(Refusal::Payload("the payload must be empty: the resource can only be read"))
}

/// Reads the payload as the object that a resource takes.
pub(crate) fn payload<T: DeserializeOwned>(jws: &Jws) -> Result<T, Refusal> {
    jws.payload_object().map_err(Refusal::MalformedPayload)
}
