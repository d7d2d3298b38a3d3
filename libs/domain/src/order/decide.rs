//! The rules of an order: which events a command causes.

use std::collections::BTreeSet;

use super::{
    Authorization, AuthorizationDeactivated, AuthorizationIndex, Challenge, ChallengeReady,
    ChallengeStatus, Command, Event, Finalized, OrderFinalized, OrderPlaced, Progress, Rejection,
    State, Status,
};
use crate::{ChallengeType, Identifier, Serial, SubjectPublicKey, Thumbprint, Timestamp};

type Decision = Result<Vec<Event>, Rejection>;

pub(super) fn decide(state: Option<&State>, command: &Command) -> Decision {
    let order = match (state, command) {
        (None, Command::Place(placed)) => return place(placed),
        (Some(_), Command::Place(_)) => return Err(Rejection::AlreadyExists),
        (None, _) => return Err(Rejection::NotFound),
        (Some(order), _) => order,
    };
    match command {
        Command::Place(_) => Err(Rejection::AlreadyExists),
        Command::RespondToChallenge { authorization, challenge, thumbprint, now } => {
            respond(order, *authorization, *challenge, thumbprint, *now)
        }
        Command::RecordValidation(validated) => {
            let unanswered = unanswered(
                order,
                validated.authorization,
                validated.challenge,
                &validated.identifier,
            )?;
            Ok(unanswered
                .then(|| Event::ChallengeValidated(validated.clone()))
                .into_iter()
                .collect())
        }
        Command::RecordFailure(failed) => {
            let unanswered =
                unanswered(order, failed.authorization, failed.challenge, &failed.identifier)?;
            Ok(unanswered.then(|| Event::ChallengeFailed(failed.clone())).into_iter().collect())
        }
        Command::DeactivateAuthorization { authorization, now } => {
            deactivate(order, *authorization, *now)
        }
        Command::Finalize { public_key, names, common_name, now } => {
            finalize(order, public_key, (names, common_name.as_ref()), *now)
        }
        Command::Reserve(reserved) => match &processing(order)?.reservation {
            None => Ok(vec![Event::CertificateReserved(reserved.clone())]),
            Some(_) => Err(Rejection::AlreadyReserved),
        },
        Command::Burn(burned) => {
            reserved(processing(order)?, &burned.serial)?;
            Ok(vec![Event::ReservationBurned(burned.clone())])
        }
        Command::RecordCertificate(issued) => match &order.progress {
            Progress::Valid { serial, .. } if *serial == issued.serial => Ok(vec![]),
            _ => {
                reserved(processing(order)?, &issued.serial)?;
                Ok(vec![Event::CertificateIssued(issued.clone())])
            }
        },
        Command::RecordIssuanceFailure(failed) => match &processing(order)?.reservation {
            None => Ok(vec![Event::IssuanceFailed(failed.clone())]),
            Some(_) => Err(Rejection::AlreadyReserved),
        },
    }
}

/// Every identifier has an authorization of its own: a loop that checks one name N times is how 3 million certificates
/// once went unchecked (Let's Encrypt, 29 February 2020).
fn place(placed: &OrderPlaced) -> Decision {
    let covered = placed.identifiers.len() == placed.authorizations.len()
        && placed.identifiers.iter().zip(&placed.authorizations).all(
            |(identifier, authorization)| {
                authorization.identifier == identifier.authorized()
                    && authorization.wildcard == identifier.is_wildcard()
                    && !authorization.challenges.is_empty()
            },
        );
    if placed.identifiers.is_empty() || !covered {
        return Err(Rejection::Incomplete);
    }
    Ok(vec![Event::OrderPlaced(placed.clone())])
}

fn respond(
    order: &State,
    index: AuthorizationIndex,
    kind: ChallengeType,
    thumbprint: &Thumbprint,
    now: Timestamp,
) -> Decision {
    let (authorization, challenge) = find(order, index, kind)?;
    match challenge.status {
        ChallengeStatus::Pending => {}
        ChallengeStatus::Processing
        | ChallengeStatus::Valid { .. }
        | ChallengeStatus::Invalid { .. } => return Ok(vec![]),
    }
    if order.status(now) != Status::Pending || !authorization.is_undecided() {
        return Err(Rejection::AuthorizationNotPending);
    }
    Ok(vec![Event::ChallengeReady(ChallengeReady {
        authorization: index,
        challenge: kind,
        identifier: authorization.identifier.clone(),
        token: challenge.token.clone(),
        key_authorization: format!("{}.{}", challenge.token, thumbprint.as_str()),
        account: order.account.clone(),
        profile: order.profile.clone(),
    })])
}

/// Whether a validator's answer is still wanted; a second one, after a redelivery, changes nothing.
fn unanswered(
    order: &State,
    index: AuthorizationIndex,
    kind: ChallengeType,
    identifier: &Identifier,
) -> Result<bool, Rejection> {
    let (authorization, challenge) = find(order, index, kind)?;
    if authorization.identifier != *identifier {
        return Err(Rejection::WrongIdentifier);
    }
    match challenge.status {
        ChallengeStatus::Pending => Err(Rejection::AuthorizationNotPending),
        ChallengeStatus::Processing => Ok(authorization.is_undecided()),
        ChallengeStatus::Valid { .. } | ChallengeStatus::Invalid { .. } => Ok(false),
    }
}

fn deactivate(order: &State, index: AuthorizationIndex, now: Timestamp) -> Decision {
    let authorization = order.authorization(index).ok_or(Rejection::NoSuchChallenge)?;
    if authorization.deactivated {
        return Ok(vec![]);
    }
    let status = order.status(now);
    let usable = authorization.is_undecided() || authorization.is_valid();
    match (usable, status) {
        (false, _) => Err(Rejection::AuthorizationNotPending),
        (true, Status::Pending | Status::Ready | Status::Invalid) => {
            Ok(vec![Event::AuthorizationDeactivated(AuthorizationDeactivated {
                authorization: index,
            })])
        }
        // What was relied on stays on record; there is nothing left to give up.
        (true, Status::Processing | Status::Valid) => Err(Rejection::WrongStatus(status)),
    }
}

fn finalize(
    order: &State,
    key: &SubjectPublicKey,
    (names, common_name): (&[String], Option<&String>),
    now: Timestamp,
) -> Decision {
    let status = order.status(now);
    if status != Status::Ready {
        return Err(Rejection::WrongStatus(status));
    }
    let wanted: BTreeSet<String> = order.identifiers.iter().map(Identifier::canonical).collect();
    if wanted != names.iter().cloned().collect() {
        return Err(Rejection::NamesDiffer);
    }
    Ok(vec![Event::OrderFinalized(OrderFinalized {
        public_key: key.clone(),
        identifiers: order.identifiers.clone(),
        common_name: common_name.filter(|name| names.contains(name)).cloned(),
        not_before: order.not_before,
        not_after: order.not_after,
        account: order.account.clone(),
        profile: order.profile.clone(),
        at: now,
    })])
}

fn processing(order: &State) -> Result<&Finalized, Rejection> {
    match &order.progress {
        Progress::Processing(finalized) => Ok(finalized),
        Progress::Open => Err(Rejection::WrongStatus(Status::Pending)),
        Progress::Valid { .. } => Err(Rejection::WrongStatus(Status::Valid)),
        Progress::Invalid { .. } => Err(Rejection::WrongStatus(Status::Invalid)),
    }
}

fn reserved(finalized: &Finalized, serial: &Serial) -> Result<(), Rejection> {
    match &finalized.reservation {
        Some(reservation) if reservation.serial == *serial => Ok(()),
        Some(_) | None => Err(Rejection::NotReserved),
    }
}

fn find(
    order: &State,
    index: AuthorizationIndex,
    kind: ChallengeType,
) -> Result<(&Authorization, &Challenge), Rejection> {
    let authorization = order.authorization(index).ok_or(Rejection::NoSuchChallenge)?;
    let challenge = authorization.challenge(kind).ok_or(Rejection::NoSuchChallenge)?;
    Ok((authorization, challenge))
}
