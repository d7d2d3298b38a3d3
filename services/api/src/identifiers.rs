//! Which identifiers may be certified, by the profile and by the account; each of the others is refused with a reason.

use std::collections::BTreeSet;

use acme::{
    ErrorType,
    order::{BadIdentifier, RequestedIdentifier},
};
use domain::{Identifier, account, order};

use crate::{
    problem::{Refusal, RefusedIdentifier},
    settings::Profile,
};

/// The detail for an identifier that the profile denies or does not allow.
const NOT_PERMITTED: &str = "this profile does not issue for this identifier";
/// The detail for an identifier that no challenge of the profile can prove.
const NO_CHALLENGE: &str = "this profile has no challenge that can prove this identifier";
/// The detail for an identifier that was proven by a challenge that the profile has given up since.
const NO_LONGER_PROVEN: &str =
    "it was proven in a way that this profile no longer offers: place a new order";

/// Why an identifier is refused: the error type, and the detail for a person.
type Reason = (ErrorType, String);

/// The identifiers, unless the profile or the account's external account refuses one.
pub(crate) fn check_identifiers(
    profile: &Profile,
    account: &account::State,
    requested: &[RequestedIdentifier],
) -> Result<Vec<Identifier>, Refusal> {
    let identifiers = accepted(profile, requested)?;
    check_may_order(account, requested, &identifiers)?;
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
            Err(reason) => refused.push(refused_for(reason, requested.clone())),
        }
    }
    refuse(refused).map(|()| identifiers)
}

fn accept(
    profile: &Profile,
    requested: &RequestedIdentifier,
    seen: &mut BTreeSet<String>,
) -> Result<Identifier, Reason> {
    let identifier = requested.parse().map_err(|error| match error {
        BadIdentifier::UnsupportedType => (ErrorType::UnsupportedIdentifier, error.to_string()),
        BadIdentifier::Name(_) | BadIdentifier::Address(_) => {
            (ErrorType::Malformed, error.to_string())
        }
    })?;
    check_permitted(profile, &identifier)?;
    if profile.challenges(&identifier).is_empty() {
        return Err(rejected(NO_CHALLENGE));
    }
    if !seen.insert(identifier.canonical()) {
        return Err((ErrorType::Malformed, "the identifier stands in the order twice".to_owned()));
    }
    Ok(identifier)
}

/// Whether the profile certifies an identifier, whoever asks and however it is proven.
fn check_permitted(profile: &Profile, identifier: &Identifier) -> Result<(), Reason> {
    if !profile.identifier_types.contains(&identifier.kind()) {
        let detail =
            format!("this profile has no identifiers of type {}", identifier.kind().as_str());
        return Err((ErrorType::UnsupportedIdentifier, detail));
    }
    if identifier.is_wildcard() && !profile.wildcard_allowed {
        return Err(rejected("wildcards are not allowed by this profile"));
    }
    if !profile.identifier_policy.permits(identifier) {
        return Err(rejected(NOT_PERMITTED));
    }
    Ok(())
}

/// Refuses identifiers of an order that the profile no longer certifies, or no longer accepts as proven: its configuration may
/// have changed since the order was placed.
pub(crate) fn check_still_permitted(
    profile: &Profile,
    order: &order::State,
) -> Result<(), Refusal> {
    let pairs = order.identifiers.iter().zip(&order.authorizations);
    let refused = pairs.filter_map(|(identifier, authorization)| {
        let checked = check_permitted(profile, identifier)
            .and_then(|()| check_still_proven(profile, identifier, authorization));
        checked.err().map(|reason| refused_for(reason, identifier.into()))
    });
    refuse(refused.collect())
}

fn check_still_proven(
    profile: &Profile,
    identifier: &Identifier,
    authorization: &order::Authorization,
) -> Result<(), Reason> {
    match authorization.proof() {
        Some(proof) if profile.challenges(identifier).contains(&proof.kind) => Ok(()),
        Some(_) | None => Err(rejected(NO_LONGER_PROVEN)),
    }
}

/// Refuses identifiers that the account may not order, by what its external account allows.
fn check_may_order(
    account: &account::State,
    requested: &[RequestedIdentifier],
    identifiers: &[Identifier],
) -> Result<(), Refusal> {
    let reason = || rejected("the account may not order this identifier");
    let pairs = requested.iter().zip(identifiers);
    let refused = pairs.filter(|(_, identifier)| !account.may_order(identifier));
    refuse(refused.map(|(requested, _)| refused_for(reason(), requested.clone())).collect())
}

fn rejected(detail: &str) -> Reason {
    (ErrorType::RejectedIdentifier, detail.to_owned())
}

fn refused_for((kind, detail): Reason, requested: RequestedIdentifier) -> RefusedIdentifier {
    RefusedIdentifier { kind, detail, requested }
}

/// Refuses the request if any identifier was refused.
fn refuse(refused: Vec<RefusedIdentifier>) -> Result<(), Refusal> {
    if refused.is_empty() { Ok(()) } else { Err(Refusal::Identifiers(refused)) }
}
