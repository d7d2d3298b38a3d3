//! Answers OCSP requests (RFC 6960) with a key that the CA certified for this and nothing else.

use std::{sync::Arc, time::Duration};

use ca::{OcspFailure, OcspRequest, OcspResponder, OcspStatus};
use domain::{
    Serial, Timestamp,
    certificate::{Revocation, State as Revoked},
};
use eventstore::{Call, Loaded, Service, Stream, Subject, load};
use readmodel::Lookup;
use runtime::metrics::names;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    IssuanceError,
    desk::{Desk, now},
    issuance,
    server_certificate::issue_planned,
};

/// How long the responder's certificate is valid: short, because nobody checks it for revocation (RFC 6960 §4.2.2.2.1).
const RESPONDER_VALIDITY: Duration = Duration::from_hours(14 * 24);
/// How long before its end the responder gets a new key and certificate.
const RENEW_BEFORE: Duration = Duration::from_hours(5 * 24);
/// How long the signer waits after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// A response and until when it may be given to others: the form in which the api gets it.
const NOT_KEPT: i64 = 0;

/// Serves until told to stop; does nothing where OCSP is off.
pub(crate) async fn serve(desk: Arc<Desk>, stop: CancellationToken) {
    if desk.settings.ocsp_validity.is_none() {
        return;
    }
    while !stop.is_cancelled() {
        let served = async {
            match desk.ports.calls.serve(Service::Ocsp).await {
                Ok(calls) => answer_all(&desk, calls).await,
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "ocsp requests do not arrive");
                }
            }
        };
        tokio::select! {
            () = served => {}
            () = stop.cancelled() => return,
        }
        tokio::select! {
            () = sleep(RETRY_DELAY) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn answer_all(desk: &Desk, mut calls: mpsc::Receiver<Call>) {
    let mut responder: Option<Current> = None;
    while let Some(call) = calls.recv().await {
        if responder.as_ref().is_none_or(Current::is_due) {
            match Current::issue(desk).await {
                Ok(issued) => responder = Some(issued),
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "no ocsp responder");
                }
            }
        }
        let (kept_until, der) = match &responder {
            Some(current) => answer(desk, &current.responder, &call.question).await,
            None => (NOT_KEPT, OcspFailure::TryLater.to_der()),
        };
        call.answer([&kept_until.to_be_bytes()[..], &der].concat());
    }
}

/// The responder of the moment.
struct Current {
    responder: OcspResponder,
    not_after: Timestamp,
}

impl Current {
    /// A new key with a certificate, which goes through ledger and journal as every other does.
    async fn issue(desk: &Desk) -> Result<Self, IssuanceError> {
        let serial = issuance::random_serial()?;
        let period = (now(), RESPONDER_VALIDITY);
        let (responder, planned) = OcspResponder::plan(&desk.authority, &serial, period)
            .map_err(IssuanceError::OcspResponder)?;
        let certificate = issue_planned(desk, &planned).await?;
        info!(%serial, not_after = %planned.not_after, "ocsp responder certified");
        Ok(Self {
            responder: responder.with_certificate(certificate),
            not_after: planned.not_after,
        })
    }

    fn is_due(&self) -> bool {
        now().plus(RENEW_BEFORE) >= self.not_after
    }
}

/// The DER response, and until which second it may be given to others who ask the same.
async fn answer(desk: &Desk, responder: &OcspResponder, question: &[u8]) -> (i64, Vec<u8>) {
    let Ok(request) = OcspRequest::parse(question) else {
        return (NOT_KEPT, OcspFailure::MalformedRequest.to_der());
    };
    let mut statuses = Vec::new();
    for serial in request.serials(desk.authority.certificate()) {
        match status(desk, serial).await {
            Some(status) => statuses.push(status),
            None => return (NOT_KEPT, OcspFailure::TryLater.to_der()),
        }
    }
    let (now, validity) = (now(), desk.settings.ocsp_validity.unwrap_or_default());
    let next_update = now.plus(validity);
    match responder.respond(&request, &statuses, (now, next_update)) {
        Ok(der) => {
            metrics::counter!(names::OCSP_RESPONSES).increment(1);
            let keeps = !request.has_nonce();
            (if keeps { next_update.unix_seconds() } else { NOT_KEPT }, der)
        }
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "ocsp response not signed");
            (NOT_KEPT, OcspFailure::TryLater.to_der())
        }
    }
}

/// What the log says of a serial of this issuer; `None` while that is not known.
async fn status(desk: &Desk, serial: Option<&Serial>) -> Option<OcspStatus> {
    let Some(serial) = serial else { return Some(OcspStatus::Unknown) };
    let (store, issuer) = (desk.ports.aggregates.store.as_ref(), desk.authority.id());
    let subject = Subject::revocation(issuer, serial);
    let revocation = load::<Revocation>(store, &subject, Loaded::default()).await.ok()?;
    if let Some(Revoked { revoked }) = revocation.state {
        return Some(OcspStatus::Revoked { at: revoked.at, reason: revoked.reason });
    }
    let views = &desk.ports.aggregates.views;
    // In this order: whatever the ledger holds up to here is in the index once it is complete up to here.
    let last = store.last_sequence(Stream::Ledger).await.ok()?;
    let complete_to = views.complete_to(Stream::Ledger).await.ok()?;
    match views.certificate(serial).await.ok()? {
        Lookup::Found(entry) if entry.issuer == *issuer => Some(OcspStatus::Good),
        Lookup::Found(_) => Some(OcspStatus::Unknown),
        Lookup::Missing => (complete_to >= last).then_some(OcspStatus::Unknown),
    }
}
