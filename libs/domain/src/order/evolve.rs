//! How an order's events change it.

use super::{
    Attempts, Authorization, AuthorizationIndex, Challenge, ChallengeAttemptFailed, ChallengeReady,
    ChallengeStatus, Event, Finalized, OrderPlaced, Progress, Reservation, State,
};
use crate::ChallengeType;

pub(super) fn evolve(state: Option<State>, event: &Event) -> Option<State> {
    match (state, event) {
        (None, Event::OrderPlaced(placed)) => Some(placed_order(placed)),
        (Some(order), event) => Some(evolve_order(order, event)),
        // An order whose first event is gone is gone (its stream's max_age took it), never folded.
        (None, _) => None,
    }
}

fn placed_order(placed: &OrderPlaced) -> State {
    let authorizations = placed
        .authorizations
        .iter()
        .map(|authorization| Authorization {
            identifier: authorization.identifier.clone(),
            wildcard: authorization.wildcard,
            deactivated: false,
            caa_checked_at: None,
            caa_awaited: false,
            challenges: authorization
                .challenges
                .iter()
                .map(|challenge| Challenge {
                    kind: challenge.kind,
                    token: challenge.token.clone(),
                    status: ChallengeStatus::Pending,
                })
                .collect(),
        })
        .collect();
    State {
        id: placed.id.clone(),
        profile: placed.profile.clone(),
        account: placed.account.clone(),
        identifiers: placed.identifiers.clone(),
        not_before: placed.not_before,
        not_after: placed.not_after,
        placed_at: placed.at,
        expires_at: placed.expires_at,
        authorizations,
        progress: Progress::Open,
    }
}

fn evolve_order(mut order: State, event: &Event) -> State {
    match event {
        Event::OrderPlaced(_) => {}
        Event::ChallengeReady(ready) => make_ready(&mut order, ready),
        Event::ChallengeValidated(validated) => {
            let status = ChallengeStatus::Valid { at: validated.at };
            set(&mut order, validated.authorization, validated.challenge, status);
            if validated.evidence.caa.is_some() {
                set_caa(&mut order, validated.authorization, |authorization| {
                    authorization.caa_checked_at = Some(validated.at);
                });
            }
        }
        Event::ChallengeAttemptFailed(failed) => count_failure(&mut order, failed),
        Event::ChallengeFailed(failed) => {
            let status =
                ChallengeStatus::Invalid { at: failed.at, failure: failed.failure.clone() };
            set(&mut order, failed.authorization, failed.challenge, status);
        }
        Event::AuthorizationDeactivated(deactivated) => {
            let index = usize::from(deactivated.authorization.0);
            if let Some(authorization) = order.authorizations.get_mut(index) {
                authorization.deactivated = true;
            }
        }
        Event::OrderFinalized(finalized) => {
            order.progress = Progress::Processing(Finalized {
                public_key: finalized.public_key.clone(),
                common_name: finalized.common_name.clone(),
                at: finalized.at,
                reservation: None,
            });
        }
        Event::CaaCheckNeeded(needed) => {
            set_caa(&mut order, needed.authorization, |authorization| {
                authorization.caa_awaited = true;
            });
        }
        Event::CaaChecked(checked) => {
            set_caa(&mut order, checked.authorization, |authorization| {
                authorization.caa_checked_at = Some(checked.at);
                authorization.caa_awaited = false;
            });
        }
        Event::CaaCheckFailed(failed) => {
            order.progress = Progress::Invalid { failure: failed.failure.clone() };
        }
        Event::CertificateReserved(reserved) => {
            set_reservation(
                &mut order,
                Some(Reservation {
                    issuer: reserved.issuer.clone(),
                    serial: reserved.serial.clone(),
                    ledger_sequence: reserved.ledger_sequence,
                }),
            );
        }
        Event::ReservationBurned(_) => set_reservation(&mut order, None),
        Event::CertificateIssued(issued) => {
            if let Progress::Processing(finalized) = order.progress {
                order.progress = Progress::Valid {
                    finalized,
                    issuer: issued.issuer.clone(),
                    serial: issued.serial.clone(),
                    ledger_sequence: issued.ledger_sequence,
                };
            }
        }
        Event::IssuanceFailed(failed) => {
            order.progress = Progress::Invalid { failure: failed.failure.clone() };
        }
    }
    order
}

/// The client asks again: what failed before stays on record.
fn make_ready(order: &mut State, ready: &ChallengeReady) {
    if let Some(status) = challenge(order, ready.authorization, ready.challenge) {
        let before = match status {
            ChallengeStatus::Processing(attempts) => std::mem::take(attempts),
            ChallengeStatus::Pending
            | ChallengeStatus::Valid { .. }
            | ChallengeStatus::Invalid { .. } => Attempts::default(),
        };
        let attempts = Attempts { round: ready.round, retry_at: None, ..before };
        *status = ChallengeStatus::Processing(attempts);
    }
}

fn count_failure(order: &mut State, failed: &ChallengeAttemptFailed) {
    let status = challenge(order, failed.authorization, failed.challenge);
    if let Some(ChallengeStatus::Processing(attempts)) = status {
        attempts.failed = attempts.failed.saturating_add(1);
        attempts.failure = Some(failed.failure.clone());
        attempts.retry_at = Some(failed.retry_at);
    }
}

fn set(order: &mut State, index: AuthorizationIndex, kind: ChallengeType, to: ChallengeStatus) {
    if let Some(status) = challenge(order, index, kind) {
        *status = to;
    }
}

fn challenge(
    order: &mut State,
    index: AuthorizationIndex,
    kind: ChallengeType,
) -> Option<&mut ChallengeStatus> {
    let authorization = order.authorizations.get_mut(usize::from(index.0))?;
    let challenge = authorization.challenges.iter_mut().find(|challenge| challenge.kind == kind)?;
    Some(&mut challenge.status)
}

fn set_caa(order: &mut State, index: AuthorizationIndex, change: impl FnOnce(&mut Authorization)) {
    if let Some(authorization) = order.authorizations.get_mut(usize::from(index.0)) {
        change(authorization);
    }
}

fn set_reservation(order: &mut State, reservation: Option<Reservation>) {
    if let Progress::Processing(finalized) = &mut order.progress {
        finalized.reservation = reservation;
    }
}
