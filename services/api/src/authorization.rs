//! Authorizations: reading and deactivating them (RFC 8555 §7.5).

use acme::authorization::{self as wire, AuthorizationUpdate};
use domain::{
    OrderId, Timestamp,
    order::{self, AuthorizationIndex, ChallengeStatus, Command, Order, Rejection, State},
};
use eventstore::{Actor, ExecuteError};
use http::StatusCode;

use crate::{
    Api, authenticate,
    authenticate::OrderView,
    hold,
    problem::Refusal,
    reply::Reply,
    request::{self, Request},
    settings::Profile,
};

/// Reads an authorization, or deactivates it; while a challenge is being validated, the reply waits for the outcome.
pub(crate) async fn authorization(
    api: &Api,
    profile: &Profile,
    (id, index): (&OrderId, AuthorizationIndex),
    request: &Request,
) -> Result<Reply, Refusal> {
    let place = api.holds.take_place(id);
    let (signed, order) = authenticate::by_owner(api, profile, request, id).await?;
    if !signed.jws.is_post_as_get() {
        let update: AuthorizationUpdate = authenticate::payload(&signed.jws)?;
        if !update.deactivates() {
            return Err(Refusal::Payload("an authorization can only be deactivated"));
        }
        let order = deactivate(api, order, index, request).await?;
        return show(api, &order.state, index, request.now);
    }
    let order =
        hold::hold(place, &api.ports.aggregates, order, |order| is_looked_at(order, index)).await?;
    show(api, &order.state, index, request.now)
}

async fn deactivate(
    api: &Api,
    order: OrderView,
    index: AuthorizationIndex,
    request: &Request,
) -> Result<OrderView, Refusal> {
    let command = Command::DeactivateAuthorization { authorization: index, now: request.now };
    let id = order.state.id.clone();
    let context = request.context(Actor::Account { id: order.state.account.clone() });
    let executed =
        api.ports.aggregates.execute::<Order>(&id, Some(order), &command, &context).await;
    executed.map_err(|error| match error {
        ExecuteError::Rejected(Rejection::WrongStatus(_) | Rejection::AuthorizationNotPending) => {
            Refusal::AuthorizationInUse
        }
        error => error.into(),
    })
}

/// Whether a validator's answer is near; between two looks the client is told at once when the next one is.
pub(crate) fn is_looked_at(order: &OrderView, index: AuthorizationIndex) -> bool {
    let now = request::now();
    order.state.authorization(index).is_some_and(|authorization| authorization.is_looked_at(now))
}

/// When to ask again for an authorization that a validator has to decide.
pub(crate) fn retry_after(
    api: &Api,
    order: &State,
    authorization: &order::Authorization,
    now: Timestamp,
) -> Option<u64> {
    let soon = api.settings.retry_after_seconds(Some(&order.profile));
    authorization.is_in_validation().then(|| match authorization.retry_wait(now) {
        Some(wait) => soon.max(wait.as_secs() + 1),
        None => soon,
    })
}

fn show(
    api: &Api,
    order: &State,
    index: AuthorizationIndex,
    now: Timestamp,
) -> Result<Reply, Refusal> {
    let authorization = order.authorization(index).ok_or(Refusal::NotFound)?;
    // RFC 8555 §7.1.4: once a challenge has decided, the others are no longer there to be fulfilled.
    let is_decided = authorization.challenges.iter().any(has_decided);
    let challenges = authorization
        .challenges
        .iter()
        .filter(|challenge| !is_decided || has_decided(challenge))
        .map(|challenge| show_challenge(api, order, index, challenge))
        .collect();
    let reply = Reply::json(
        StatusCode::OK,
        &wire::Authorization {
            identifier: &authorization.identifier,
            status: order.authorization_status(authorization, now),
            expires: order.expires_at,
            challenges,
            wildcard: authorization.wildcard,
        },
    )?;
    Ok(match retry_after(api, order, authorization, now) {
        Some(seconds) => reply.with_retry_after(seconds),
        None => reply,
    })
}

fn has_decided(challenge: &order::Challenge) -> bool {
    match challenge.status {
        ChallengeStatus::Valid { .. } | ChallengeStatus::Invalid { .. } => true,
        ChallengeStatus::Pending | ChallengeStatus::Processing(_) => false,
    }
}

/// Shows one challenge, which is a resource of its own as well.
pub(crate) fn show_challenge<'a>(
    api: &Api,
    order: &State,
    index: AuthorizationIndex,
    challenge: &'a order::Challenge,
) -> wire::Challenge<'a> {
    let (validated, error) = match &challenge.status {
        ChallengeStatus::Pending => (None, None),
        // RFC 8555 §8.2: while retries go on, why the last look failed.
        ChallengeStatus::Processing(attempts) => (None, attempts.failure.as_ref().map(Into::into)),
        ChallengeStatus::Valid { at } => (Some(*at), None),
        ChallengeStatus::Invalid { failure, .. } => (None, Some(failure.into())),
    };
    wire::Challenge {
        kind: challenge.kind,
        url: api.settings.urls.challenge(&order.profile, &order.id, (index, challenge.kind)),
        status: (&challenge.status).into(),
        token: &challenge.token,
        validated,
        error,
    }
}
