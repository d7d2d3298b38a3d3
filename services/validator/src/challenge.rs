//! One look at a ready challenge: validated, its outcome appended, and perhaps another look planned.

use std::{panic::AssertUnwindSafe, time::Duration};

use domain::{
    Evidence, Failure, FailureKind, Timestamp,
    order::{
        AuthorizationStatus, ChallengeFailed, ChallengeReady, ChallengeStatus, ChallengeValidated,
        Retries,
    },
};
use eventstore::Delivery;
use futures::FutureExt as _;
use metrics::histogram;
use runtime::metrics::names;
use tokio::time::Instant;
use tracing::{error, info, warn};
use validation::{Attempt, Outcome, Rejected};

use crate::{
    applicant::Applies,
    desk::{Desk, Next, Unfinished, now},
    measure,
};

/// After this time a message may be one of many that were settled already: a consumer that was deleted, or restored from a
/// backup, delivers all that the log holds as if nobody had ever seen it.
const KNOWN_AFTER: Duration = Duration::from_mins(1);

/// What the log says about a challenge that was perhaps delivered before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// It waits for a look.
    Now,
    /// Another look is planned, after this time.
    Later(Duration),
    /// Its time is over, and nobody decided it.
    TooLate,
    /// It is decided, or the client asked again and that message takes its place.
    No,
}

/// Looks at a challenge, unless that is no longer wanted or not wanted yet.
pub(crate) async fn look<A: Applies>(
    desk: &Desk,
    delivery: &Delivery,
    id: &A::Id,
    ready: &ChallengeReady,
) -> Result<Next, Unfinished> {
    let age = delivery.message.envelope.at.until(now());
    if delivery.attempt > 1 || age > KNOWN_AFTER {
        let loaded = desk.load::<A>(id, &delivery.message).await?;
        match loaded.map_or(Wanted::No, |it| wanted::<A>(&it.state, ready, now())) {
            Wanted::Now => {}
            Wanted::Later(wait) => return Ok(Next::Again(wait)),
            Wanted::TooLate => {
                let (identifier, challenge) = (&ready.identifier, ready.challenge.as_str());
                warn!(%identifier, challenge, ?age, "challenge ended before it was decided: is the clock right?");
                return Ok(Next::Done);
            }
            Wanted::No => return Ok(Next::Done),
        }
    }
    let outcome = validate(desk, ready).await?;
    let at = now();
    let command = command::<A>(desk, ready, outcome, at);
    let recorded = desk.record::<A>(id, &command, &delivery.message).await?;
    if let Some(recorded) = &recorded {
        A::measure(&recorded.state);
    }
    let next = recorded.map_or(Wanted::No, |it| wanted::<A>(&it.state, ready, at));
    Ok(match next {
        Wanted::Now => Next::Again(Duration::ZERO),
        Wanted::Later(wait) => {
            desk.waiting.add(&ready.account, Instant::now() + wait);
            Next::Again(wait)
        }
        Wanted::TooLate | Wanted::No => Next::Done,
    })
}

fn wanted<A: Applies>(state: &A::State, ready: &ChallengeReady, now: Timestamp) -> Wanted {
    let found = A::authorization(state, ready.authorization, now);
    let Some((authorization, status)) = found else { return Wanted::No };
    let is_over = match status {
        AuthorizationStatus::Pending => false,
        AuthorizationStatus::Expired if authorization.proof().is_none() => true,
        AuthorizationStatus::Expired
        | AuthorizationStatus::Valid
        | AuthorizationStatus::Invalid
        | AuthorizationStatus::Deactivated => return Wanted::No,
    };
    match authorization.challenge(ready.challenge).map(|challenge| &challenge.status) {
        Some(ChallengeStatus::Processing(attempts)) if attempts.round > ready.round => Wanted::No,
        Some(ChallengeStatus::Processing(_)) if is_over => Wanted::TooLate,
        Some(ChallengeStatus::Processing(attempts)) => {
            attempts.wait(now).map_or(Wanted::Now, Wanted::Later)
        }
        Some(
            ChallengeStatus::Pending
            | ChallengeStatus::Valid { .. }
            | ChallengeStatus::Invalid { .. },
        )
        | None => Wanted::No,
    }
}

async fn validate(desk: &Desk, ready: &ChallengeReady) -> Result<Outcome, Unfinished> {
    let validator = desk.validator(&ready.profile)?;
    let account_url = desk.account_url(&ready.profile, &ready.account);
    let started = Instant::now();
    let running = validator.validate(Attempt {
        challenge: ready.challenge,
        identifier: &ready.identifier,
        wildcard: ready.wildcard,
        token: &ready.token,
        key_authorization: &ready.key_authorization,
        account_url: &account_url,
    });
    // A panic is a bug; delivered again and again it would take every slot.
    let outcome = AssertUnwindSafe(running).catch_unwind().await.unwrap_or_else(|_| {
        error!(identifier = %ready.identifier, challenge = %ready.challenge, "a validation panicked");
        let failure = Failure::new(FailureKind::ServerInternal, "the validation failed unexpectedly");
        Ok(Err(Box::new(Rejected { failure, evidence: Evidence::default() })))
    })?;
    let kind = ready.challenge.as_str();
    measure::look(kind, &outcome);
    histogram!(names::VALIDATION_SECONDS, "type" => kind).record(started.elapsed().as_secs_f64());
    match &outcome {
        Ok(_) => info!(identifier = %ready.identifier, challenge = kind, "challenge validated"),
        Err(rejected) => info!(
            identifier = %ready.identifier,
            challenge = kind,
            detail = rejected.failure.detail,
            "challenge failed"
        ),
    }
    Ok(outcome)
}

fn command<A: Applies>(
    desk: &Desk,
    ready: &ChallengeReady,
    outcome: Outcome,
    at: Timestamp,
) -> A::Command {
    let (authorization, challenge) = (ready.authorization, ready.challenge);
    let identifier = ready.identifier.clone();
    match outcome {
        Ok(evidence) => {
            A::proven(ChallengeValidated { authorization, challenge, identifier, at, evidence })
        }
        Err(rejected) => {
            let Rejected { failure, evidence } = *rejected;
            let retries = retries(desk, ready, failure.kind);
            let failed =
                ChallengeFailed { authorization, challenge, identifier, at, failure, evidence };
            A::failed(failed, retries)
        }
    }
}

/// Looking again helps where the applicant, the network or DNS may not be ready yet, and where not too much waits already.
fn retries(desk: &Desk, ready: &ChallengeReady, kind: FailureKind) -> Option<Retries> {
    let worthwhile = match kind {
        FailureKind::Connection
        | FailureKind::Dns
        | FailureKind::IncorrectResponse
        | FailureKind::Tls
        | FailureKind::Unauthorized => true,
        FailureKind::Caa | FailureKind::RejectedIdentifier | FailureKind::ServerInternal => false,
    };
    (worthwhile && desk.waiting.has_room(&ready.account, Instant::now())).then_some(desk.retries)
}

#[cfg(test)]
mod tests {
    use domain::{
        AccountId, Aggregate as _, ChallengeType, Identifier, OrderId,
        order::{
            AuthorizationIndex, AuthorizationPlaced, ChallengePlaced, Event, Order, OrderPlaced,
        },
    };

    use super::*;

    #[test]
    fn a_challenge_that_nobody_decided_in_time_is_told_from_one_that_is_decided() {
        let at = Timestamp::from_unix_seconds(1_800_000_000);
        let (profile, account) = ("default".parse().unwrap(), AccountId::from_hash(&[1; 32]));
        let identifier = Identifier::Dns("h.example".parse().unwrap());
        let (authorization, kind) = (AuthorizationIndex::FIRST, ChallengeType::Http01);
        let placed = OrderPlaced {
            id: OrderId::new(0, &[1; 16]),
            profile,
            account,
            identifiers: vec![identifier.clone()],
            not_before: None,
            not_after: None,
            at,
            expires_at: at.plus(Duration::from_hours(24)),
            authorizations: vec![AuthorizationPlaced {
                identifier: identifier.clone(),
                wildcard: false,
                challenges: [kind, ChallengeType::Dns01]
                    .map(|kind| ChallengePlaced { kind, token: "token".to_owned() })
                    .to_vec(),
                relies_on: None,
            }],
        };
        let ready = ChallengeReady {
            authorization,
            challenge: kind,
            identifier: identifier.clone(),
            wildcard: false,
            round: 1,
            token: "token".to_owned(),
            key_authorization: "token.thumbprint".to_owned(),
            account: placed.account.clone(),
            profile: placed.profile.clone(),
        };
        let evidence = Evidence::default();
        // By another challenge: this one is not looked at any more.
        let challenge = ChallengeType::Dns01;
        let proven = ChallengeValidated { authorization, challenge, identifier, at, evidence };
        let asked = [Event::OrderPlaced(placed), Event::ChallengeReady(ready.clone())];
        let state = Order::fold(None, &asked).unwrap();
        let day = Duration::from_hours(24);
        assert_eq!(wanted::<Order>(&state, &ready, at), Wanted::Now);
        assert_eq!(wanted::<Order>(&state, &ready, at.plus(day)), Wanted::TooLate);
        let state = Order::fold(Some(state), &[Event::ChallengeValidated(proven)]).unwrap();
        assert_eq!(wanted::<Order>(&state, &ready, at.plus(day)), Wanted::No);
    }
}
