//! Which keys are neither certified nor accepted for accounts, beyond those that the `acme` crate refuses (RFC 8555 §11.1).

use acme::{BadPublicKey, PublicKey, account_id};
use eventstore::Subject;

use crate::{Api, problem::Refusal, request::AcmeRequest};

/// Checks the key of a CSR: by the profile's rules, the operator's lists, the revocations for keyCompromise, and against
/// every key that ever was an account's, under any profile.
pub(crate) async fn check_certificate_key(
    request: &AcmeRequest<'_>,
    key: &PublicKey,
) -> Result<(), Refusal> {
    request.profile.certificate_keys.check(key).map_err(Refusal::CertificateKey)?;
    let api = request.api;
    if api.settings.blocked_keys.borrow().contains(key) {
        return Err(Refusal::CertificateKey(BadPublicKey::Compromised));
    }
    // Nearly all keys are new, so all places where one could be known are asked at once.
    let blocked = Subject::blocked_key(&key.hash());
    let mut known: Vec<_> = accounts_of(api, key).collect();
    known.push(blocked.clone());
    let store = &api.ports.aggregates.store;
    if store.are_empty(&known).await? {
        return Ok(());
    }
    if store.are_empty(&[blocked]).await? {
        Err(Refusal::AccountKeyInCsr)
    } else {
        Err(Refusal::CertificateKey(BadPublicKey::Compromised))
    }
}

/// Checks the key of a new account, or the new key of an account.
pub(crate) async fn check_account_key(
    request: &AcmeRequest<'_>,
    key: &PublicKey,
) -> Result<(), Refusal> {
    request.profile.account_keys.check(key).map_err(Refusal::BadPublicKey)?;
    let compromised = is_compromised(request.api, key).await?;
    if compromised { Err(Refusal::BadPublicKey(BadPublicKey::Compromised)) } else { Ok(()) }
}

async fn is_compromised(api: &Api, key: &PublicKey) -> Result<bool, Refusal> {
    if api.settings.blocked_keys.borrow().contains(key) {
        return Ok(true);
    }
    Ok(api.ports.aggregates.is_blocked(&key.hash()).await?)
}

/// The subjects that are not empty if an account has or had the key, one for each profile.
///
/// An account's subject is made of its profile and first key, and a key change claims the subject of the new key.
fn accounts_of(api: &Api, key: &PublicKey) -> impl Iterator<Item = Subject> {
    let thumbprint = key.thumbprint();
    let profiles = api.settings.profiles.iter();
    profiles.map(move |profile| Subject::account(&account_id(&profile.name, &thumbprint)))
}
