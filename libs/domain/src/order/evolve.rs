//! How an order's events change it.

use super::{
    Authorization, AuthorizationIndex, Event, Finalized, OrderPlaced, Progress, Reservation, State,
};

pub(super) fn evolve(state: Option<State>, event: &Event) -> Option<State> {
    match (state, event) {
        (None, Event::OrderPlaced(placed)) => Some(placed_order(placed)),
        (Some(order), event) => Some(evolve_order(order, event)),
        // An order whose first event is gone is gone (its stream's max_age took it), never folded.
        (None, _) => None,
    }
}

fn placed_order(placed: &OrderPlaced) -> State {
    let authorizations = placed.authorizations.iter().map(Authorization::placed).collect();
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
        Event::ChallengeReady(ready) => {
            change(&mut order, ready.authorization, |it| it.make_ready(ready));
        }
        Event::ChallengeValidated(validated) => {
            change(&mut order, validated.authorization, |it| it.take_proof(validated));
        }
        Event::ChallengeAttemptFailed(failed) => {
            change(&mut order, failed.authorization, |it| it.count_failure(failed));
        }
        Event::ChallengeFailed(failed) => {
            change(&mut order, failed.authorization, |it| it.fail(failed));
        }
        Event::AuthorizationDeactivated(deactivated) => {
            change(&mut order, deactivated.authorization, |it| it.deactivated = true);
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
            change(&mut order, needed.authorization, |authorization| {
                authorization.caa_awaited = true;
            });
        }
        Event::CaaChecked(checked) => {
            change(&mut order, checked.authorization, |authorization| {
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

fn change(order: &mut State, index: AuthorizationIndex, change: impl FnOnce(&mut Authorization)) {
    if let Some(authorization) = order.authorizations.get_mut(usize::from(index.0)) {
        change(authorization);
    }
}

fn set_reservation(order: &mut State, reservation: Option<Reservation>) {
    if let Progress::Processing(finalized) = &mut order.progress {
        finalized.reservation = reservation;
    }
}
