//! Orders: placing and reading them (RFC 8555 §7.4).

use std::{collections::BTreeSet, time::Duration};

use acme::{
    ErrorType, Problem,
    order::{self as wire, BadIdentifier, NewOrder, RequestedIdentifier},
};
use domain::{
    AccountId, Identifier, OrderId, Timestamp, account,
    order::{
        AuthorizationIndex, AuthorizationPlaced, ChallengePlaced, Command, Order, OrderPlaced,
        Progress, State, Status,
    },
};
use eventstore::{Actor, Subject};
use futures::future::try_join_all;
use http::StatusCode;
use runtime::metrics::names;

use crate::{
    Api,
    authenticate::{self, ByAccount, OrderView},
    certificate::Wanted,
    hold,
    pre_authorization::held,
    problem::{Refusal, RefusedIdentifier},
    random,
    reply::Reply,
    request::Request,
    settings::Profile,
    terms,
    urls::AuthorizationPlace,
};

/// What an identifier is refused with that the profile denies or does not allow.
const NOT_PERMITTED: &str = "this profile does not issue for this identifier";

/// Places an order.
pub(crate) async fn new_order(
    api: &Api,
    profile: &Profile,
    request: &Request,
) -> Result<Reply, Refusal> {
    let signed = terms::by_agreed_account(api, profile, request).await?;
    let new: NewOrder = authenticate::payload(&signed.jws)?;
    let identifiers = check_identifiers(profile, &signed.account.state, &new.identifiers)?;
    check_validity(profile, &new, request.now)?;
    let id = request.order.clone().ok_or_else(|| Refusal::Internal("no order id".into()))?;
    let account = (profile, signed.id());
    let authorizations =
        identifiers.iter().map(|identifier| authorization(api, account, identifier, request.now));
    let authorizations = try_join_all(authorizations).await?;
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
    Ok(show(api, StatusCode::CREATED, &order.state, request.now)?
        .with_location(api.settings.urls.order(&profile.name, &id)))
}

/// The identifiers, unless the profile or the account's external account refuses one.
pub(crate) fn check_identifiers(
    profile: &Profile,
    account: &account::State,
    requested: &[RequestedIdentifier],
) -> Result<Vec<Identifier>, Refusal> {
    let identifiers = accepted(profile, requested)?;
    check_permitted(account, requested, &identifiers)?;
    Ok(identifiers)
}

/// The identifiers, unless one of them is refused; then every refused one is named (RFC 8555 §6.7.1).
fn accepted(
    profile: &Profile,
    requested: &[RequestedIdentifier],
) -> Result<Vec<Identifier>, Refusal> {
    if requested.is_empty() {
        return Err(Refusal::Payload("the order has no identifiers"));
    }
    if requested.len() > profile.max_identifiers {
        return Err(Refusal::Payload("the order has too many identifiers"));
    }
    let mut seen = BTreeSet::new();
    let (mut identifiers, mut refused) = (Vec::new(), Vec::new());
    for requested in requested {
        match accept(profile, requested, &mut seen) {
            Ok(identifier) => identifiers.push(identifier),
            Err((kind, detail)) => {
                refused.push(RefusedIdentifier { kind, detail, requested: requested.clone() });
            }
        }
    }
    if refused.is_empty() { Ok(identifiers) } else { Err(Refusal::Identifiers(refused)) }
}

fn accept(
    profile: &Profile,
    requested: &RequestedIdentifier,
    seen: &mut BTreeSet<String>,
) -> Result<Identifier, (ErrorType, String)> {
    let rejected = |detail: &str| (ErrorType::RejectedIdentifier, detail.to_owned());
    let identifier = requested.parse().map_err(|error| match error {
        BadIdentifier::UnsupportedType => (ErrorType::UnsupportedIdentifier, error.to_string()),
        BadIdentifier::Name(_) | BadIdentifier::Address(_) => {
            (ErrorType::Malformed, error.to_string())
        }
    })?;
    if !profile.identifier_types.contains(&identifier.kind()) {
        let detail =
            format!("this profile has no identifiers of type {}", identifier.kind().as_str());
        return Err((ErrorType::UnsupportedIdentifier, detail));
    }
    if identifier.is_wildcard() && !profile.wildcard_allowed {
        return Err(rejected("wildcards are not allowed by this profile"));
    }
    if !profile.identifier_policy.permits(&identifier) {
        return Err(rejected(NOT_PERMITTED));
    }
    if profile.challenges(&identifier).is_empty() {
        return Err(rejected("this profile has no challenge that can prove this identifier"));
    }
    if !seen.insert(identifier.canonical()) {
        return Err((ErrorType::Malformed, "the identifier stands in the order twice".to_owned()));
    }
    Ok(identifier)
}

/// Refuses identifiers that the profile no longer permits: its configuration may have changed since the order was placed.
pub(crate) fn check_still_permitted(
    profile: &Profile,
    identifiers: &[Identifier],
) -> Result<(), Refusal> {
    let refused: Vec<RefusedIdentifier> = identifiers
        .iter()
        .filter(|identifier| !profile.identifier_policy.permits(identifier))
        .map(|identifier| RefusedIdentifier {
            kind: ErrorType::RejectedIdentifier,
            detail: NOT_PERMITTED.to_owned(),
            requested: identifier.into(),
        })
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(Refusal::Identifiers(refused)) }
}

/// Refuses names that the account's external account does not have.
fn check_permitted(
    account: &account::State,
    requested: &[RequestedIdentifier],
    identifiers: &[Identifier],
) -> Result<(), Refusal> {
    let refused: Vec<RefusedIdentifier> = requested
        .iter()
        .zip(identifiers)
        .filter(|(_, identifier)| !account.may_order(identifier))
        .map(|(requested, _)| RefusedIdentifier {
            kind: ErrorType::RejectedIdentifier,
            detail: "the account may not order this identifier".to_owned(),
            requested: requested.clone(),
        })
        .collect();
    if refused.is_empty() { Ok(()) } else { Err(Refusal::Identifiers(refused)) }
}

/// An order ends with the first of the pre-authorizations that it relies on.
fn end(latest: Timestamp, authorizations: &[AuthorizationPlaced]) -> Timestamp {
    let relied_on = authorizations.iter().filter_map(|it| it.relies_on.as_ref());
    relied_on.map(|it| it.expires_at).fold(latest, Timestamp::min)
}

/// What is to be proven, or was before the order.
async fn authorization(
    api: &Api,
    (profile, account): (&Profile, &AccountId),
    identifier: &Identifier,
    now: Timestamp,
) -> Result<AuthorizationPlaced, Refusal> {
    if let Some(proof) = held::proof(api, (profile, account), identifier, now).await? {
        return Ok(proof);
    }
    Ok(AuthorizationPlaced {
        identifier: identifier.authorized(),
        wildcard: identifier.is_wildcard(),
        challenges: challenges(profile, identifier)?,
        relies_on: None,
    })
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

/// Refuses a requested validity that the profile does not grant, before anything is proven for nothing.
fn check_validity(profile: &Profile, new: &NewOrder, now: Timestamp) -> Result<(), Refusal> {
    let refused = |detail| Err(Refusal::Payload(detail));
    if !profile.requested_validity_allowed && (new.not_before.is_some() || new.not_after.is_some())
    {
        return refused("this profile does not let orders ask for notBefore or notAfter");
    }
    let start = new.not_before.unwrap_or(now);
    if start < now.minus(profile.backdate) {
        return refused("notBefore is too far in the past");
    }
    if start > now.plus(profile.not_before_ahead) {
        return refused("notBefore is too far in the future");
    }
    match new.not_after {
        Some(end) if end <= start.max(now) => {
            refused("notAfter is not after the start of validity")
        }
        Some(end) if end < start.plus(profile.min_requested_validity) => {
            refused("notAfter is earlier than this profile allows")
        }
        Some(end) if end.whole_seconds() > latest_end(profile, new.not_before, now) => {
            refused("notAfter is later than this profile allows")
        }
        Some(_) | None => Ok(()),
    }
}

/// The latest end that the signer grants, which chooses the start where none is asked for; both ends of a validity count.
fn latest_end(profile: &Profile, start: Option<Timestamp>, now: Timestamp) -> Timestamp {
    match start {
        Some(start) => {
            let end = start.whole_seconds().plus(profile.certificate_validity);
            end.minus(Duration::from_secs(1))
        }
        None => now.whole_seconds().plus(profile.certificate_validity),
    }
}

/// Reads an order; while it is being processed, the reply waits for the outcome.
pub(crate) async fn read(
    api: &Api,
    profile: &Profile,
    id: &OrderId,
    request: &Request,
) -> Result<Reply, Refusal> {
    let place = api.holds.take_place(Subject::order(id));
    let (signed, order): (ByAccount, OrderView) =
        authenticate::by_owner(api, profile, request, id).await?;
    authenticate::expect_post_as_get(&signed)?;
    let order = held::check(api, order, request).await?;
    let order = hold::hold::<Order>(place, api, (id, order), is_processing).await?;
    show(api, StatusCode::OK, &order.state, request.now)
}

pub(crate) fn is_processing(order: &OrderView) -> bool {
    matches!(order.state.progress, Progress::Processing(_))
}

/// Shows an order; one in processing says when to ask again.
pub(crate) fn show(
    api: &Api,
    status: StatusCode,
    order: &State,
    now: Timestamp,
) -> Result<Reply, Refusal> {
    let urls = &api.settings.urls;
    let certificate = match &order.progress {
        Progress::Valid { serial, ledger_sequence, .. } => {
            let (ledger_sequence, serial) = (*ledger_sequence, serial.clone());
            Some(urls.certificate(&order.profile, &Wanted { ledger_sequence, serial, chain: 0 }))
        }
        Progress::Open | Progress::Processing(_) | Progress::Invalid { .. } => None,
    };
    let order_status = order.status(now);
    let places = (0..=u16::MAX).map(AuthorizationIndex).zip(&order.authorizations);
    let authorizations = places
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
            reply.with_retry_after(api.settings.retry_after_seconds(Some(&order.profile)))
        }
        Status::Pending | Status::Ready | Status::Valid | Status::Invalid => reply,
    })
}

/// Why an order is invalid; without a failure of its own, time or its holder ended it.
fn failure(order: &State) -> Problem {
    match order.failure() {
        Some(failure) => failure.into(),
        None => crate::problem::ended_order(),
    }
}
