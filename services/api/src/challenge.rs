//! Challenges: reading and responding to them (RFC 8555 §7.5.1).

use acme::authorization::ChallengeResponse;
use domain::{
    ChallengeType, OrderId,
    order::{AuthorizationIndex, Command, Order},
};
use eventstore::{Actor, Subject};

use crate::{
    authenticate::{self, OrderView},
    authorization::{Shown, is_validation_due},
    hold,
    problem::Refusal,
    reply::Reply,
    request::AcmeRequest,
};

/// Reads a challenge, or takes the response to it and waits for its validation.
pub(crate) async fn challenge(
    request: &AcmeRequest<'_>,
    id: &OrderId,
    index: AuthorizationIndex,
    kind: ChallengeType,
) -> Result<Reply, Refusal> {
    let place = request.take_place(Subject::order(id));
    let (signed, mut order) = authenticate::by_owner(request, id).await?;
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
        let aggregates = &request.api.ports.aggregates;
        order = aggregates.execute::<Order>(id, Some(order), &command, &context).await?;
    }
    let is_due = |order: &OrderView| is_validation_due(order, index);
    let order = hold::hold::<Order>(place, request.api, order, is_due).await?;
    Shown::in_order(&order.state, index, request.now)?.reply_with_challenge(request.api, kind)
}
