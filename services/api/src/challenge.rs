//! Challenges: reading and responding to them (RFC 8555 §7.5.1).

use acme::authorization::ChallengeResponse;
use domain::{
    ChallengeType, OrderId,
    order::{AuthorizationIndex, Command, Order, State},
};
use eventstore::Actor;
use http::StatusCode;

use crate::{
    Api, authenticate,
    authorization::{is_looked_at, retry_after, show_challenge},
    hold,
    problem::Refusal,
    reply::Reply,
    request::{self, Request},
    settings::Profile,
};

/// Reads a challenge, or takes the response to it and waits for its validation.
pub(crate) async fn challenge(
    api: &Api,
    profile: &Profile,
    (id, index, kind): (&OrderId, AuthorizationIndex, ChallengeType),
    request: &Request,
) -> Result<Reply, Refusal> {
    let place = api.holds.take_place(id);
    let (signed, mut order) = authenticate::by_owner(api, profile, request, id).await?;
    if !signed.jws.is_post_as_get() {
        let _: ChallengeResponse = authenticate::payload(&signed.jws)?;
        let command = Command::RespondToChallenge {
            authorization: index,
            challenge: kind,
            thumbprint: signed.key.thumbprint().clone(),
            now: request.now,
        };
        let context = request.context(Actor::Account { id: signed.id().clone() });
        order = api.ports.aggregates.execute::<Order>(id, Some(order), &command, &context).await?;
    }
    let order =
        hold::hold(place, &api.ports.aggregates, order, |order| is_looked_at(order, index)).await?;
    show(api, &order.state, index, kind)
}

fn show(
    api: &Api,
    order: &State,
    index: AuthorizationIndex,
    kind: ChallengeType,
) -> Result<Reply, Refusal> {
    let authorization = order.authorization(index).ok_or(Refusal::NotFound)?;
    let challenge = authorization.challenge(kind).ok_or(Refusal::NotFound)?;
    let shown = show_challenge(api, order, index, challenge);
    let reply = Reply::json(StatusCode::OK, &shown)?
        .with_link("up", &api.settings.urls.authorization(&order.profile, &order.id, index));
    Ok(match retry_after(api, order, authorization, request::now()) {
        Some(seconds) => reply.with_retry_after(seconds),
        None => reply,
    })
}
