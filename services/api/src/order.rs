//! Orders: placing and reading them (RFC 8555 §7.4).

pub(crate) mod validity;

use std::time::Duration;

use acme::{
    Problem,
    order::{self as wire, NewOrder},
};
use domain::{
    AccountId, Identifier, OrderId, Timestamp,
    order::{
        AuthorizationPlaced, ChallengePlaced, Command, Order, OrderPlaced, Progress, State, Status,
    },
};
use eventstore::{Actor, Sequence, Subject};
use futures::future::try_join_all;
use http::StatusCode;
use runtime::metrics::names;

use crate::{
    authenticate::{self, ByAccount, OrderView},
    hold,
    identifiers::check_identifiers,
    pre_authorization::held,
    problem::Refusal,
    random,
    reply::Reply,
    request::AcmeRequest,
    settings::Profile,
    terms,
    urls::{AuthorizationPlace, CertificatePlace},
};

/// How long a client has at least to prove what an order leaves to prove: as long as the shortest `order_validity`.
const TIME_TO_PROVE: Duration = Duration::from_mins(5);

/// Places an order.
pub(crate) async fn new_order(request: &AcmeRequest<'_>) -> Result<Reply, Refusal> {
    let AcmeRequest { api, profile, .. } = request;
    let signed = terms::by_agreed_account(request).await?;
    let new: NewOrder = authenticate::payload(&signed.jws)?;
    let identifiers = check_identifiers(profile, &signed.account.state, &new.identifiers)?;
    validity::check(profile, (new.not_before, new.not_after), request.now)
        .map_err(Refusal::Validity)?;
    let id = request.http.order.clone().ok_or_else(|| Refusal::Internal("no order id".into()))?;
    let authorizations = authorizations(request, signed.id(), &identifiers).await?;
    let command = Command::Place(OrderPlaced {
        id: id.clone(),
        profile: profile.name.clone(),
        account: signed.id().clone(),
        identifiers,
        not_before: new.not_before,
        not_after: new.not_after,
        at: request.now,
        expires_at: end(request.now.plus(profile.order_validity), &authorizations),
        authorizations,
    });
    let context = request.context(Actor::Account { id: signed.id().clone() });
    let order = api.ports.aggregates.execute::<Order>(&id, None, &command, &context).await?;
    metrics::counter!(names::ORDERS_PLACED, "profile" => profile.name.to_string()).increment(1);
    Ok(show(request, StatusCode::CREATED, &order.state)?
        .with_location(api.settings.urls.order(&profile.name, &id)))
}

/// An order ends with the first of the pre-authorizations that it relies on.
fn end(latest: Timestamp, authorizations: &[AuthorizationPlaced]) -> Timestamp {
    let relied_on = authorizations.iter().filter_map(|it| it.relies_on.as_ref());
    relied_on.map(|it| it.expires_at).fold(latest, Timestamp::min)
}

/// An authorization for each identifier: relying on what was proven before the order, or with challenges to prove it now.
async fn authorizations(
    request: &AcmeRequest<'_>,
    account: &AccountId,
    identifiers: &[Identifier],
) -> Result<Vec<AuthorizationPlaced>, Refusal> {
    let proofs = identifiers.iter().map(|it| held::proof(request, account, it));
    let proofs = try_join_all(proofs).await?;
    // The order ends with what it relies on, and whoever has something left to prove needs time for it.
    let earliest_end = match proofs.iter().all(Option::is_some) {
        true => request.now,
        false => request.now.plus(TIME_TO_PROVE),
    };
    let lasts = |proof: &AuthorizationPlaced| {
        proof.relies_on.as_ref().is_none_or(|relied_on| relied_on.expires_at >= earliest_end)
    };
    let proofs = identifiers.iter().zip(proofs);
    let placed = proofs.map(|(identifier, proof)| match proof.filter(lasts) {
        Some(proof) => Ok(proof),
        None => Ok(AuthorizationPlaced {
            identifier: identifier.authorized(),
            wildcard: identifier.is_wildcard(),
            challenges: challenges(request.profile, identifier)?,
            relies_on: None,
        }),
    });
    placed.collect()
}

/// The ways to prove an identifier, with a fresh token.
pub(crate) fn challenges(
    profile: &Profile,
    identifier: &Identifier,
) -> Result<Vec<ChallengePlaced>, Refusal> {
    // One token for all challenges of a name: they are alternatives, and clients prepare either.
    let token = random::token()?;
    let offered = profile.challenges(identifier).iter();
    Ok(offered.map(|kind| ChallengePlaced { kind: *kind, token: token.clone() }).collect())
}

/// Reads an order; while it is being processed, the reply waits for the outcome.
pub(crate) async fn read(request: &AcmeRequest<'_>, id: &OrderId) -> Result<Reply, Refusal> {
    let place = request.take_place(Subject::order(id));
    let (signed, order): (ByAccount, OrderView) = authenticate::by_owner(request, id).await?;
    authenticate::expect_post_as_get(&signed)?;
    let order = held::deactivate_given_up(request, order).await?;
    let order = hold::hold::<Order>(place, request.api, order, is_processing).await?;
    show(request, StatusCode::OK, &order.state)
}

pub(crate) fn is_processing(order: &OrderView) -> bool {
    matches!(order.state.progress, Progress::Processing(_))
}

/// Shows an order; one in processing says when to ask again.
pub(crate) fn show(
    request: &AcmeRequest<'_>,
    status: StatusCode,
    order: &State,
) -> Result<Reply, Refusal> {
    let urls = &request.api.settings.urls;
    let certificate = match &order.progress {
        Progress::Valid { serial, ledger_sequence, .. } => {
            let (ledger_sequence, serial) = (Sequence(*ledger_sequence), serial.clone());
            let place = CertificatePlace { ledger_sequence, serial, chain: 0 };
            Some(urls.certificate(&order.profile, &place))
        }
        Progress::Open | Progress::Processing(_) | Progress::Invalid { .. } => None,
    };
    let order_status = order.status(request.now);
    let authorizations = order
        .indexed_authorizations()
        .map(|(index, authorization)| match &authorization.relies_on {
            Some(relied_on) => AuthorizationPlace::PreAuthorization(relied_on.id.clone()),
            None => AuthorizationPlace::Order(order.id.clone(), index),
        })
        .map(|place| urls.authorization(&order.profile, &place))
        .collect();
    let reply = Reply::json(
        status,
        &wire::Order {
            status: order_status,
            expires: order.expires_at,
            identifiers: &order.identifiers,
            not_before: order.not_before,
            not_after: order.not_after,
            error: match order_status {
                Status::Invalid => Some(failure(order)),
                Status::Pending | Status::Ready | Status::Processing | Status::Valid => None,
            },
            authorizations,
            finalize: urls.finalize(&order.profile, &order.id),
            certificate,
        },
    )?;
    Ok(match order_status {
        Status::Processing => {
            reply.with_retry_after(request.api.settings.retry_after_seconds(Some(&order.profile)))
        }
        Status::Pending | Status::Ready | Status::Valid | Status::Invalid => reply,
    })
}

/// Why an order is invalid. One that has no failure expired, or its holder gave an authorization up.
fn failure(order: &State) -> Problem {
    match order.failure() {
        Some(failure) => failure.into(),
        None => crate::problem::ended_order(),
    }
}
