//! Finalizing an order (RFC 8555 §7.4): checks the CSR, and waits for the certificate.

use std::collections::BTreeSet;

use acme::{csr::CertificateRequest, order::Finalize};
use domain::{
    Identifier, OrderId, SubjectPublicKey,
    order::{Command, Finalized, Order, Progress, Rejection, Status},
};
use eventstore::{Actor, ExecuteError, Subject};
use http::StatusCode;

use crate::{
    Api,
    authenticate::{self, OrderView},
    hold,
    identifiers::check_still_permitted,
    keys,
    order::{is_processing, show, validity::check_still_granted},
    pre_authorization::held,
    problem::{Refusal, some_of},
    reply::Reply,
    request::Request,
    settings::Profile,
};

/// Takes the CSR and answers with the order once it left `processing`, or after the configured moment.
pub(crate) async fn finalize(
    api: &Api,
    profile: &Profile,
    id: &OrderId,
    request: &Request,
) -> Result<Reply, Refusal> {
    let place = api.holds.take_place(Subject::order(id), request.deadline);
    let (signed, order) = authenticate::by_owner(api, profile, request, id).await?;
    let payload: Finalize = authenticate::payload(&signed.jws)?;
    let csr = match profile.padded_csr_allowed {
        true => payload.csr.trim_end_matches('='),
        false => &payload.csr,
    };
    let csr = CertificateRequest::from_base64url(csr).map_err(Refusal::Csr)?;
    if csr.public_key == *signed.key.public_key() {
        return Err(Refusal::CsrKey);
    }
    if order.state.status(request.now) == Status::Ready {
        check_still_permitted(profile, &order.state)?;
        check_still_granted(profile, &order.state, request.now).map_err(Refusal::Validity)?;
    }
    // Whoever repeats a finalize is told what became of it, also where its key would be refused by now.
    if matches!(order.state.progress, Progress::Open) {
        keys::check_certified(api, profile, &csr.public_key).await?;
    }
    let key = csr.public_key.subject_public_key();
    let order = held::deactivate_given_up(api, order, request).await?;
    let command = Command::Finalize {
        public_key: key.clone(),
        common_name: csr.common_name,
        names: csr.identifiers.iter().map(Identifier::canonical).collect(),
        now: request.now,
    };
    let context = request.context(Actor::Account { id: signed.id().clone() });
    let finalized =
        api.ports.aggregates.execute::<Order>(id, Some(order.clone()), &command, &context).await;
    let (order, refused) = match finalized {
        Ok(order) => (order, None),
        Err(ExecuteError::Rejected(Rejection::WrongStatus(status))) => {
            let newest = api.ports.aggregates.load::<Order>(id).await?.unwrap_or(order);
            (newest, Some(Refusal::OrderNotReady(status)))
        }
        Err(ExecuteError::Rejected(Rejection::NamesDiffer)) => {
            return Err(Refusal::CsrNames(difference(&order.state.identifiers, &csr.identifiers)));
        }
        Err(error) => return Err(error.into()),
    };
    // A second finalize waits as well, because cert-manager takes an early refusal for the end of the order
    // (cert-manager#8960) but reads the order again after a late one.
    let order = hold::hold::<Order>(place, api, order, is_processing).await?;
    match refused {
        Some(refusal) if !asked_before(&order, &key) => Err(refusal),
        Some(_) | None => Ok(show(api, StatusCode::OK, &order.state, request.now)?
            .with_location(api.settings.urls.order(&profile.name, id))),
    }
}

/// In what the names of a CSR differ from the order's.
fn difference(ordered: &[Identifier], requested: &[Identifier]) -> String {
    let canonical = |all: &[Identifier]| all.iter().map(Identifier::canonical).collect();
    let (ordered, requested): (BTreeSet<String>, BTreeSet<String>) =
        (canonical(ordered), canonical(requested));
    let missing: Vec<String> = ordered.difference(&requested).cloned().collect();
    let more: Vec<String> = requested.difference(&ordered).cloned().collect();
    match (missing.is_empty(), more.is_empty()) {
        (false, true) => format!("lacks {}", some_of(&missing)),
        (true, _) => format!("asks for {} as well", some_of(&more)),
        (false, false) => format!("lacks {} and asks for {}", some_of(&missing), some_of(&more)),
    }
}

/// Whether the order was finalized with the same key: the client repeats a request whose answer it lost.
fn asked_before(order: &OrderView, key: &SubjectPublicKey) -> bool {
    match &order.state.progress {
        Progress::Processing(Finalized { public_key, .. })
        | Progress::Valid { finalized: Finalized { public_key, .. }, .. } => public_key == key,
        Progress::Open | Progress::Invalid { .. } => false,
    }
}
