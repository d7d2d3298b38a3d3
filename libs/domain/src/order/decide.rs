//! The rules of an order: which events a command causes.

use std::collections::BTreeSet;

use super::{
    AuthorizationDeactivated, AuthorizationIndex, AuthorizationPlaced, Command, Event, Finalized,
    OrderFinalized, OrderPlaced, Progress, Rejection, ReliedOn, State, Status, caa,
};
use crate::{
    Identifier, Serial, SubjectPublicKey, Timestamp,
    authorization::{self, Failed, Proving},
};

pub(super) type Decision = Result<Vec<Event>, Rejection>;

pub(super) fn decide(state: Option<&State>, command: &Command) -> Decision {
    let Some(order) = state else {
        let Command::Place(placed) = command else { return Err(Rejection::NotFound) };
        return place(placed);
    };
    match command {
        Command::Place(_) => Err(Rejection::AlreadyExists),
        Command::RespondToChallenge { authorization, challenge, thumbprint, now } => {
            // Also where the order is lost: clients respond for all names, and only then look which one failed.
            let ready = proving(order, *authorization)?.respond(*challenge, thumbprint, *now)?;
            Ok(ready.map(Event::ChallengeReady).into_iter().collect())
        }
        Command::RecordValidation(validated) => {
            let proven = proving(order, validated.authorization)?.take_proof(validated)?;
            Ok(proven.map(Event::ChallengeValidated).into_iter().collect())
        }
        Command::RecordFailure { failed, retries } => {
            let failed = proving(order, failed.authorization)?.fail(failed, *retries)?;
            Ok(failed.map(Event::from).into_iter().collect())
        }
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
    let mut pairs = placed.identifiers.iter().zip(&placed.authorizations);
    let covered = placed.identifiers.len() == placed.authorizations.len()
        && pairs.all(|(identifier, authorization)| covers(authorization, identifier));
    let in_time = |relied_on: &ReliedOn| placed.expires_at <= relied_on.expires_at;
    let mut relied_on = placed.authorizations.iter().filter_map(|it| it.relies_on.as_ref());
    if placed.identifiers.is_empty() || !covered || !relied_on.all(in_time) {
        return Err(Rejection::Incomplete);
    }
    Ok(vec![Event::OrderPlaced(placed.clone())])
}

fn covers(authorization: &AuthorizationPlaced, identifier: &Identifier) -> bool {
    authorization.identifier == identifier.authorized()
        && authorization.wildcard == identifier.is_wildcard()
        && !authorization.challenges.is_empty()
        && authorization.relies_on.as_ref().is_none_or(|it| may_rely(authorization, it))
}

/// A pre-authorization has one proof, and never proves a wildcard (RFC 8555 §7.4.1).
fn may_rely(authorization: &AuthorizationPlaced, relied_on: &ReliedOn) -> bool {
    !authorization.wildcard
        && authorization.challenges.len() == 1
        && relied_on.validated_at < relied_on.expires_at
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

fn proving(order: &State, index: AuthorizationIndex) -> Result<Proving<'_>, Rejection> {
    Ok(Proving {
        index,
        authorization: order.authorization(index).ok_or(Rejection::NoSuchChallenge)?,
        account: &order.account,
        profile: &order.profile,
        expires_at: order.expires_at,
    })
}

impl From<Failed> for Event {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::ForNow(failed) => Self::ChallengeAttemptFailed(failed),
            Failed::ForEver(failed) => Self::ChallengeFailed(failed),
        }
    }
}

impl From<authorization::Rejection> for Rejection {
    fn from(rejection: authorization::Rejection) -> Self {
        match rejection {
            authorization::Rejection::NoSuchChallenge => Self::NoSuchChallenge,
            authorization::Rejection::NotPending => Self::AuthorizationNotPending,
            authorization::Rejection::WrongIdentifier => Self::WrongIdentifier,
        }
    }
}
