//! CAA grows old: before a certificate is reserved, a look that is too long ago is taken again.

use std::time::Duration;

use super::{
    Authorization, AuthorizationIndex, CaaCheckFailed, CaaCheckNeeded, CaaChecked, Event, Progress,
    Rejection, State,
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

/// Asks for every look that is too long ago, unless it was asked for before.
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

/// Takes a look that was asked for; another one, after a redelivery, changes nothing.
pub(super) fn record(order: &State, checked: &CaaChecked) -> Decision {
    let authorization = find(order, checked.authorization, &checked.identifier)?;
    let wanted = is_open(order) && authorization.caa_awaited;
    Ok(wanted.then(|| Event::CaaChecked(checked.clone())).into_iter().collect())
}

/// Takes a refusal that was asked for: it ends the order.
pub(super) fn record_failure(order: &State, failed: &CaaCheckFailed) -> Decision {
    let authorization = find(order, failed.authorization, &failed.identifier)?;
    let wanted = is_open(order) && authorization.caa_awaited;
    Ok(wanted.then(|| Event::CaaCheckFailed(failed.clone())).into_iter().collect())
}

/// Once a serial is reserved, what it relies on was recent enough.
fn is_open(order: &State) -> bool {
    match &order.progress {
        Progress::Processing(finalized) => finalized.reservation.is_none(),
        Progress::Open | Progress::Valid { .. } | Progress::Invalid { .. } => false,
    }
}

fn find<'a>(
    order: &'a State,
    index: AuthorizationIndex,
    identifier: &Identifier,
) -> Result<&'a Authorization, Rejection> {
    let authorization = order.authorization(index).ok_or(Rejection::NoSuchChallenge)?;
    if authorization.identifier == *identifier {
        Ok(authorization)
    } else {
        Err(Rejection::WrongIdentifier)
    }
}
