//! Finalizing an order (RFC 8555 §7.4): checks the CSR, and waits for the certificate.

use std::collections::BTreeSet;

use acme::{csr::CertificateRequest, order::Finalize};
use domain::{
    Identifier, OrderId, SubjectPublicKey,
    order::{self, Command, Finalized, Order, Progress, Rejection, Status},
};
use eventstore::{Actor, ExecuteError, Subject};
use http::StatusCode;

use crate::{
    authenticate::{self, ByAccount, OrderView},
    hold,
    identifiers::check_still_permitted,
    keys,
    order::{is_processing, show, validity::check_still_granted},
    pre_authorization::held,
    problem::{Refusal, some_of},
    reply::Reply,
    request::AcmeRequest,
};

/// Takes the CSR and answers with the order once it left `processing`, or after the configured moment.
pub(crate) async fn finalize(request: &AcmeRequest<'_>, id: &OrderId) -> Result<Reply, Refusal> {
    let place = request.take_place(Subject::order(id));
    let (signed, order) = authenticate::by_owner(request, id).await?;
    let csr = read_csr(request, &signed)?;
    // A repeated finalize is told what became of the first, also where order or key would be refused by now.
    if matches!(order.state.progress, Progress::Open) {
        check_still_acceptable(request, &order.state, &csr).await?;
    }
    let order = held::deactivate_given_up(request, order).await?;
    let key = csr.public_key.subject_public_key();
    let (order, refused) = match execute(request, order.clone(), &csr).await {
        Ok(order) => (order, None),
        Err(ExecuteError::Rejected(Rejection::WrongStatus(status))) => {
            let newest = request.api.ports.aggregates.load::<Order>(id).await?.unwrap_or(order);
            (newest, Some(Refusal::OrderNotReady(status)))
        }
        Err(ExecuteError::Rejected(Rejection::NamesDiffer)) => {
            return Err(Refusal::CsrNames(difference(&order.state.identifiers, &csr.identifiers)));
        }
        Err(error) => return Err(error.into()),
    };
    // A second finalize waits as well, because cert-manager takes an early refusal for the end of the order
    // (cert-manager#8960) but reads the order again after a late one.
    let order = hold::hold::<Order>(place, request.api, order, is_processing).await?;
    match refused {
        Some(refusal) if !asked_before(&order, &key) => Err(refusal),
        Some(_) | None => Ok(show(request, StatusCode::OK, &order.state)?
            .with_location(request.api.settings.urls.order(&request.profile.name, id))),
    }
}

/// The CSR, which must not have the key of the account that sends it.
fn read_csr(request: &AcmeRequest<'_>, signed: &ByAccount) -> Result<CertificateRequest, Refusal> {
    let payload: Finalize = authenticate::payload(&signed.jws)?;
    let text = match request.profile.padded_csr_allowed {
        true => payload.csr.trim_end_matches('='),
        false => &payload.csr,
    };
    let csr = CertificateRequest::from_base64url(text).map_err(Refusal::Csr)?;
    if csr.public_key == *signed.key.public_key() {
        return Err(Refusal::AccountKeyInCsr);
    }
    Ok(csr)
}

/// Refuses what the profile no longer allows of an order that is ready, and a key that is not to be certified.
async fn check_still_acceptable(
    request: &AcmeRequest<'_>,
    order: &order::State,
    csr: &CertificateRequest,
) -> Result<(), Refusal> {
    if order.status(request.now) == Status::Ready {
        check_still_permitted(request.profile, order)?;
        check_still_granted(request.profile, order, request.now).map_err(Refusal::Validity)?;
    }
    keys::check_certificate_key(request, &csr.public_key).await
}

async fn execute(
    request: &AcmeRequest<'_>,
    order: OrderView,
    csr: &CertificateRequest,
) -> Result<OrderView, ExecuteError<Rejection>> {
    let command = Command::Finalize {
        public_key: csr.public_key.subject_public_key(),
        common_name: csr.common_name.clone(),
        names: csr.identifiers.iter().map(Identifier::canonical).collect(),
        now: request.now,
    };
    let id = order.state.id.clone();
    let context = request.context(Actor::Account { id: order.state.account.clone() });
    request.api.ports.aggregates.execute::<Order>(&id, Some(order), &command, &context).await
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
