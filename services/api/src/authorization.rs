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
    authenticate::{self, OrderView},
    hold,
    problem::Refusal,
    reply::Reply,
    request::{self, AcmeRequest},
};

/// Reads an authorization, or deactivates it; while a challenge is being validated, the reply waits for the outcome.
pub(crate) async fn authorization(
    request: &AcmeRequest<'_>,
    id: &OrderId,
    index: AuthorizationIndex,
) -> Result<Reply, Refusal> {
    let place = request.take_place(Subject::order(id));
    let (signed, order) = authenticate::by_owner(request, id).await?;
    let order = if signed.jws.is_post_as_get() {
        let is_due = |order: &OrderView| is_validation_due(order, index);
        hold::hold::<Order>(place, request.api, order, is_due).await?
    } else {
        let update: AuthorizationUpdate = authenticate::payload(&signed.jws)?;
        expect_deactivation(&update)?;
        Shown::in_order(&order.state, index, request.now)?;
        deactivate(request, order, index).await?
    };
    Shown::in_order(&order.state, index, request.now)?.reply(request.api, StatusCode::OK)
}

/// Refuses every other update.
pub(crate) fn expect_deactivation(update: &AuthorizationUpdate) -> Result<(), Refusal> {
    if update.deactivates() {
        return Ok(());
    }
    Err(Refusal::Payload("an authorization can only be deactivated"))
}

async fn deactivate(
    request: &AcmeRequest<'_>,
    order: OrderView,
    index: AuthorizationIndex,
) -> Result<OrderView, Refusal> {
    let command = Command::DeactivateAuthorization { authorization: index, now: request.now };
    let id = order.state.id.clone();
    let context = request.context(Actor::Account { id: order.state.account.clone() });
    let aggregates = &request.api.ports.aggregates;
    let executed = aggregates.execute::<Order>(&id, Some(order), &command, &context).await;
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
