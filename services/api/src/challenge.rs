//! Challenges: reading and responding to them (RFC 8555 §7.5.1).

use acme::authorization::ChallengeResponse;
use domain::{
    ChallengeType, OrderId,
    order::{AuthorizationIndex, Command, Order},
};
use eventstore::{Actor, Subject};

use crate::{
    Api, authenticate,
    authorization::{Shown, is_validation_due},
    hold,
    problem::Refusal,
    reply::Reply,
    request::Request,
    settings::Profile,
};

/// Reads a challenge, or takes the response to it and waits for its validation.
pub(crate) async fn challenge(
    api: &Api,
    profile: &Profile,
    (id, index, kind): (&OrderId, AuthorizationIndex, ChallengeType),
    request: &Request,
) -> Result<Reply, Refusal> {
    let place = api.holds.take_place(Subject::order(id), request.deadline);
    let (signed, mut order) = authenticate::by_owner(api, profile, request, id).await?;
    Shown::in_order(&order.state, index, request.now)?;
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
        hold::hold::<Order>(place, api, order, |order| is_validation_due(order, index)).await?;
    Shown::in_order(&order.state, index, request.now)?.reply_with_challenge(api, kind)
}
