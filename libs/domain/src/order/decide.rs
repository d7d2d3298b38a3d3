//! The rules of an order: which events a command causes.

use std::collections::BTreeSet;

use super::{
    Attempts, Authorization, AuthorizationDeactivated, AuthorizationIndex, Challenge,
    ChallengeAttemptFailed, ChallengeFailed, ChallengeReady, ChallengeStatus, Command, Event,
    Finalized, OrderFinalized, OrderPlaced, Progress, Rejection, Retries, State, Status, caa,
};
use crate::{ChallengeType, Identifier, Serial, SubjectPublicKey, Thumbprint, Timestamp};

pub(super) type Decision = Result<Vec<Event>, Rejection>;

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
            let place = (validated.authorization, validated.challenge);
            let unanswered = unanswered(order, place, &validated.identifier)?.is_some();
            Ok(unanswered
                .then(|| Event::ChallengeValidated(validated.clone()))
                .into_iter()
                .collect())
        }
        Command::RecordFailure { failed, retries } => fail(order, failed, *retries),
        Command::DeactivateAuthorization { authorization, now } => {
            deactivate(order, *authorization, *now)
        }
        Command::Finalize { public_key, names, common_name, now } => {
            finalize(order, public_key, (names, common_name.as_ref()), *now)
        }
        Command::RequestCaaCheck { since } => caa::request(order, *since),
        Command::RecordCaa(checked) => caa::record(order, checked),
        Command::RecordCaaFailure(failed) => caa::record_failure(order, failed),
        Command::Reserve { reserved, caa_since } => match &processing(order)?.reservation {
            Some(_) => Err(Rejection::AlreadyReserved),
            None if caa_since.is_some_and(|since| order.is_caa_stale(since)) => {
                Err(Rejection::CaaStale)
            }
            None => Ok(vec![Event::CertificateReserved(reserved.clone())]),
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
    let round = match &challenge.status {
        ChallengeStatus::Pending => 1,
        // Asking again while a retry waits has it done at once (RFC 8555 §8.2). Each look counts, whoever asked for
        // it, so the client cannot have more of them than there would be anyway.
        ChallengeStatus::Processing(attempts) if attempts.wait(now).is_some() => {
            attempts.round.saturating_add(1)
        }
        ChallengeStatus::Processing(_)
        | ChallengeStatus::Valid { .. }
        | ChallengeStatus::Invalid { .. } => return Ok(vec![]),
    };
    if order.status(now) != Status::Pending || !authorization.is_undecided() {
        return Err(Rejection::AuthorizationNotPending);
    }
    Ok(vec![Event::ChallengeReady(ChallengeReady {
        authorization: index,
        challenge: kind,
        identifier: authorization.identifier.clone(),
        wildcard: authorization.wildcard,
        round,
        token: challenge.token.clone(),
        key_authorization: format!("{}.{}", challenge.token, thumbprint.as_str()),
        account: order.account.clone(),
        profile: order.profile.clone(),
    })])
}

/// The looks taken so far, when a validator's answer is still wanted; a second one, after a redelivery, changes nothing.
fn unanswered<'a>(
    order: &'a State,
    (index, kind): (AuthorizationIndex, ChallengeType),
    identifier: &Identifier,
) -> Result<Option<&'a Attempts>, Rejection> {
    let (authorization, challenge) = find(order, index, kind)?;
    if authorization.identifier != *identifier {
        return Err(Rejection::WrongIdentifier);
    }
    match &challenge.status {
        ChallengeStatus::Pending => Err(Rejection::AuthorizationNotPending),
        ChallengeStatus::Processing(attempts) => {
            Ok(Some(attempts).filter(|_| authorization.is_undecided()))
        }
        ChallengeStatus::Valid { .. } | ChallengeStatus::Invalid { .. } => Ok(None),
    }
}

/// A failure is final when nothing more is worth trying, or the order would be over before.
fn fail(order: &State, failed: &ChallengeFailed, retries: Option<Retries>) -> Decision {
    let place = (failed.authorization, failed.challenge);
    let Some(attempts) = unanswered(order, place, &failed.identifier)? else { return Ok(vec![]) };
    let retry_at = retries
        .filter(|retries| attempts.failed.saturating_add(1) < retries.max_failures)
        .map(|retries| {
            failed.at.plus(retries.first_wait.saturating_mul(1 << attempts.failed.min(16)))
        })
        .filter(|retry_at| *retry_at < order.expires_at);
    Ok(vec![match retry_at {
        None => Event::ChallengeFailed(failed.clone()),
        Some(retry_at) => Event::ChallengeAttemptFailed(ChallengeAttemptFailed {
            authorization: failed.authorization,
            challenge: failed.challenge,
            identifier: failed.identifier.clone(),
            at: failed.at,
            retry_at,
            failure: failed.failure.clone(),
            evidence: failed.evidence.clone(),
        }),
    }])
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

pub(super) fn processing(order: &State) -> Result<&Finalized, Rejection> {
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
