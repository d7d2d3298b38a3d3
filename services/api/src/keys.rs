//! Keys that are not certified or taken for accounts, beyond what the wire refuses by itself (RFC 8555 §11.1).

use acme::{BadPublicKey, PublicKey, account_id};
use eventstore::{Sequence, Subject};
use futures::future::try_join_all;

use crate::{Api, problem::Refusal, settings::Profile};

/// Checks the key of a CSR: by the profile's rules, the operator's lists, the revocations for keyCompromise, and against
/// every key that ever was an account's, under any profile.
pub(crate) async fn check_certified(
    api: &Api,
    profile: &Profile,
    key: &PublicKey,
) -> Result<(), Refusal> {
    profile.certificate_keys.check(key).map_err(Refusal::CertificateKey)?;
    if is_compromised(api, key).await? {
        return Err(Refusal::CertificateKey(BadPublicKey::Compromised));
    }
    if is_an_accounts(api, key).await? { Err(Refusal::CsrKey) } else { Ok(()) }
}

/// Checks the key of a new account, or one that is to take the place of an account's.
pub(crate) async fn check_account(
    api: &Api,
    profile: &Profile,
    key: &PublicKey,
) -> Result<(), Refusal> {
    profile.account_keys.check(key).map_err(Refusal::BadPublicKey)?;
    let compromised = is_compromised(api, key).await?;
    if compromised { Err(Refusal::BadPublicKey(BadPublicKey::Compromised)) } else { Ok(()) }
}

async fn is_compromised(api: &Api, key: &PublicKey) -> Result<bool, Refusal> {
    if api.settings.blocked_keys.contains(key) {
        return Ok(true);
    }
    Ok(api.ports.aggregates.is_blocked(&key.hash()).await?)
}

/// An account's subject is made of its profile and first key, and a key change claims the new key's: whatever stands
/// there says that the key is or was an account's.
async fn is_an_accounts(api: &Api, key: &PublicKey) -> Result<bool, Refusal> {
    let thumbprint = key.thumbprint();
    let store = &api.ports.aggregates.store;
    let histories = api.settings.profiles.iter().map(|profile| {
        let subject = Subject::account(&account_id(&profile.name, &thumbprint));
        async move { store.read(&subject, Sequence::NONE).await }
    });
    Ok(try_join_all(histories).await?.iter().any(|history| !history.is_empty()))
}
