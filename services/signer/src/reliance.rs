//! Whether what an order relies on still holds: a pre-authorization that was given up or has ended proves nothing any more,
//! and while the order waited for a signer its account may have been deactivated, or its key blocked.

use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use domain::{
    Failure, FailureKind, KeyHash, SubjectPublicKey,
    account::{Account, Status},
    order::{AuthorizationStatus, Progress, State},
    pre_authorization::PreAuthorization,
};
use ring::digest::{SHA256, digest};

use crate::{
    IssuanceError,
    desk::{Desk, now},
};

/// For so long after finalize, which looked at account and key, they are not looked at again: a signer that works takes an
/// order long before.
const JUST_FINALIZED: Duration = Duration::from_secs(10);

/// Why an order may no longer be issued; `None` when it may. Asked in the log: a view may be behind.
pub(crate) async fn failure(desk: &Desk, order: &State) -> Result<Option<Failure>, IssuanceError> {
    match account_or_key_failure(desk, order).await? {
        Some(failure) => Ok(Some(failure)),
        None => pre_authorization_failure(desk, order).await,
    }
}

/// What happened to account or key while the order waited. An account that is not there was lost with a log, which does not
/// mean that anybody wanted the order to stop.
async fn account_or_key_failure(
    desk: &Desk,
    order: &State,
) -> Result<Option<Failure>, IssuanceError> {
    let Progress::Processing(finalized) = &order.progress else { return Ok(None) };
    if finalized.at.until(now()) < JUST_FINALIZED {
        return Ok(None);
    }
    let failure = |detail: &str| Ok(Some(Failure::new(FailureKind::Unauthorized, detail)));
    let aggregates = &desk.ports.aggregates;
    let account = aggregates.load_newest::<Account>(&order.account).await?;
    if account.is_some_and(|account| account.state.status == Status::Deactivated) {
        return failure("the account was deactivated before the certificate was made");
    }
    match hash(&finalized.public_key) {
        Some(key) if aggregates.is_blocked(&key).await? => {
            failure("the key was reported as compromised before the certificate was made")
        }
        Some(_) | None => Ok(None),
    }
}

/// The name under which the key would be blocked; a key that cannot be read fails when the certificate is planned.
fn hash(key: &SubjectPublicKey) -> Option<KeyHash> {
    let spki = BASE64_URL_SAFE_NO_PAD.decode(&key.0).ok()?;
    let hash = digest(&SHA256, &spki);
    hash.as_ref().try_into().ok().map(KeyHash::from_hash)
}

/// What became of the pre-authorizations that the order relies on.
async fn pre_authorization_failure(
    desk: &Desk,
    order: &State,
) -> Result<Option<Failure>, IssuanceError> {
    if order.relied_on().next().is_none() {
        return Ok(None);
    }
    let failure = |detail: &str| Ok(Some(Failure::new(FailureKind::Unauthorized, detail)));
    let aggregates = &desk.ports.aggregates;
    let account = aggregates.load_newest::<Account>(&order.account).await?;
    if account.is_none_or(|account| account.state.status == Status::Deactivated) {
        return failure("the account that was authorized is deactivated");
    }
    for (_, relied_on) in order.relied_on() {
        let held = aggregates.fold::<PreAuthorization>(&relied_on.id).await?;
        if held.is_none_or(|held| held.state.status(now()) != AuthorizationStatus::Valid) {
            return failure(
                "a pre-authorization that the order relies on was deactivated or has expired",
            );
        }
    }
    Ok(None)
}
