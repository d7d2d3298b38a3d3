//! CAA grows old: where the last look at it is too long ago, it is looked at again before a certificate is reserved.

use std::time::Duration;

use super::{
    AuthorizationIndex, CaaCheckFailed, CaaCheckNeeded, CaaChecked, Event, Progress, Rejection,
    State,
    decide::{Decision, processing},
};
use crate::{Identifier, Timestamp};

/// How long a look at CAA may be relied on (CA/Browser Forum Baseline Requirements §3.2.2.8.1).
pub const CAA_VALID_FOR: Duration = Duration::from_hours(8);

impl State {
    /// Whether CAA of any of its names was not looked at since a time.
    pub fn is_caa_stale(&self, since: Timestamp) -> bool {
        self.authorizations.iter().any(|authorization| authorization.is_caa_stale(since))
    }
}

/// Asks for another look at CAA for each name whose last one is too long ago, unless that was asked for before.
pub(super) fn request(order: &State, since: Timestamp) -> Decision {
    if processing(order)?.reservation.is_some() {
        return Err(Rejection::AlreadyReserved);
    }
    let wanted =
        order.indexed_authorizations().filter(|(_, it)| it.is_caa_stale(since) && !it.caa_awaited);
    let events = wanted.filter_map(|(index, authorization)| {
        let proof = authorization.proof()?;
        Some(Event::CaaCheckNeeded(CaaCheckNeeded {
            authorization: index,
            challenge: proof.kind,
            identifier: authorization.identifier.clone(),
            wildcard: authorization.wildcard,
            account: order.account.clone(),
            profile: order.profile.clone(),
        }))
    });
    Ok(events.collect())
}

/// Records a look that was asked for; the same one again, after a redelivery, changes nothing.
pub(super) fn record(order: &State, checked: &CaaChecked) -> Decision {
    let awaited = is_awaited(order, checked.authorization, &checked.identifier)?;
    Ok(awaited.then(|| Event::CaaChecked(checked.clone())).into_iter().collect())
}

/// Records that a look that was asked for forbids issuance: it ends the order.
pub(super) fn record_failure(order: &State, failed: &CaaCheckFailed) -> Decision {
    let awaited = is_awaited(order, failed.authorization, &failed.identifier)?;
    Ok(awaited.then(|| Event::CaaCheckFailed(failed.clone())).into_iter().collect())
}

/// Whether the order waits for a look at CAA. Once a serial is reserved it does not: the looks it relies on were recent enough.
fn is_awaited(
    order: &State,
    index: AuthorizationIndex,
    identifier: &Identifier,
) -> Result<bool, Rejection> {
    let authorization = order.authorization(index).ok_or(Rejection::NoSuchChallenge)?;
    if authorization.identifier != *identifier {
        return Err(Rejection::WrongIdentifier);
    }
    let is_unreserved = match &order.progress {
        Progress::Processing(finalized) => finalized.reservation.is_none(),
        Progress::Open | Progress::Valid { .. } | Progress::Invalid { .. } => false,
    };
    Ok(is_unreserved && authorization.caa_awaited)
}
