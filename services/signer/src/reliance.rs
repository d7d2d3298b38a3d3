//! Whether what an order relies on still holds: a pre-authorization that was given up or has ended proves nothing any more.

use domain::{
    Failure, FailureKind,
    account::{Account, Status},
    order::{AuthorizationStatus, State},
    pre_authorization::PreAuthorization,
};

use crate::{
    IssuanceError,
    desk::{Desk, now},
};

/// Why an order may no longer be issued on its pre-authorizations; `None` when it may, or has none. Asked in the log: a view
/// may be behind.
pub(crate) async fn lost(desk: &Desk, order: &State) -> Result<Option<Failure>, IssuanceError> {
    if order.relied_on().next().is_none() {
        return Ok(None);
    }
    let failure = |detail: &str| Ok(Some(Failure::new(FailureKind::Unauthorized, detail)));
    let aggregates = &desk.ports.aggregates;
    let account = aggregates.fold::<Account>(&order.account).await?;
    if account.is_none_or(|account| account.state.status == Status::Deactivated) {
        return failure("the account that was authorized is deactivated");
    }
    for (_, relied_on) in order.relied_on() {
        let held = aggregates.fold::<PreAuthorization>(&relied_on.id).await?;
        if held.is_none_or(|held| held.state.status(now()) != AuthorizationStatus::Valid) {
            return failure(
                "a pre-authorization that the order relies on was deactivated or has expired",
            );
        }
    }
    Ok(None)
}
