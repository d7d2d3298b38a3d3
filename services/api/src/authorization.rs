//! Authorizations of orders: reading and deactivating them (RFC 8555 §7.5).

mod shown;

use acme::authorization::AuthorizationUpdate;
use domain::{
    OrderId,
    order::{AuthorizationIndex, Command, Order, Rejection},
};
use eventstore::{Actor, ExecuteError, Subject};
use http::StatusCode;

pub(crate) use self::shown::Shown;
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
    let place = api.holds.take_place(Subject::order(id), request.deadline);
    let (signed, order) = authenticate::by_owner(api, profile, request, id).await?;
    let order = if signed.jws.is_post_as_get() {
        hold::hold::<Order>(place, api, order, |order| is_validation_due(order, index)).await?
    } else {
        let update: AuthorizationUpdate = authenticate::payload(&signed.jws)?;
        expect_deactivation(&update)?;
        Shown::in_order(&order.state, index, request.now)?;
        deactivate(api, order, index, request).await?
    };
    Shown::in_order(&order.state, index, request.now)?.reply(api, StatusCode::OK, request.now)
}

/// Refuses every other update.
pub(crate) fn expect_deactivation(update: &AuthorizationUpdate) -> Result<(), Refusal> {
    if update.deactivates() {
        return Ok(());
    }
    Err(Refusal::Payload("an authorization can only be deactivated"))
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

/// Whether a reply waits for a validator; between two looks the client is told at once when the next one is.
pub(crate) fn is_validation_due(order: &OrderView, index: AuthorizationIndex) -> bool {
    let now = request::now();
    order
        .state
        .authorization(index)
        .is_some_and(|authorization| authorization.is_validation_due(now))
}
