//! Answers OCSP requests (RFC 6960), for each issuer with a key that it certified for this and nothing else.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ca::{OcspFailure, OcspRequest, OcspResponder, OcspStatus};
use domain::{IssuerId, Serial, Timestamp};
use eventstore::{Call, LoadError, OcspAnswer, Service};
use readmodel::FindError;
use runtime::metrics::names;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    IssuanceError,
    desk::{Desk, now},
    issuance,
    issuers::Issuer,
    measure,
    server_certificate::issue_planned,
};

/// How long the responder's certificate is valid: short, because nobody checks it for revocation (RFC 6960 §4.2.2.2.1).
const RESPONDER_VALIDITY: Duration = Duration::from_hours(14 * 24);
/// How long before its end the responder gets a new key and certificate.
const RENEW_BEFORE: Duration = Duration::from_hours(5 * 24);
/// How long the signer waits after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Serves until told to stop; does nothing where OCSP is off.
pub(crate) async fn serve(desk: Arc<Desk>, stop: CancellationToken) {
    if desk.settings.ocsp_issuers.is_empty() {
        return;
    }
    let serving = async {
        loop {
            match desk.ports.calls.serve(Service::Ocsp).await {
                Ok(calls) => answer_all(&desk, calls).await,
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "OCSP requests do not arrive");
                }
            }
            sleep(RETRY_DELAY).await;
        }
    };
    stop.run_until_cancelled(serving).await;
}

async fn answer_all(desk: &Desk, mut calls: mpsc::Receiver<Call>) {
    let mut responders = HashMap::new();
    while let Some(call) = calls.recv().await {
        let answer = match OcspRequest::parse(&call.question) {
            Ok(request) => respond(desk, &mut responders, &request).await,
            Err(_) => failure(OcspFailure::MalformedRequest),
        };
        call.answer(answer.to_octets());
    }
}

fn failure(failure: OcspFailure) -> OcspAnswer {
    OcspAnswer::once(failure.to_der())
}

/// The response of the issuer that is asked about.
async fn respond(
    desk: &Desk,
    responders: &mut HashMap<IssuerId, Current>,
    request: &OcspRequest,
) -> OcspAnswer {
    let issuer = asked(desk, request);
    let issuer_end = issuer.authority.certificate().not_after();
    // With the issuer its certificates ended: nobody needs to know more, and nobody can be certified to say it.
    if !issuer.answers_ocsp || issuer_end <= now() {
        return failure(OcspFailure::Unauthorized);
    }
    if responders.get(issuer.id()).is_none_or(|current| current.is_due(issuer_end)) {
        match Current::issue(desk, issuer).await {
            Ok(issued) => drop(responders.insert(issuer.id().clone(), issued)),
            Err(error) => warn!(error = &error as &dyn std::error::Error, "no OCSP responder"),
        }
    }
    match responders.get(issuer.id()).filter(|current| current.not_after > now()) {
        Some(current) => answer(desk, (issuer, current), request).await,
        None => failure(OcspFailure::TryLater),
    }
}

/// Whose certificates a request is about; where it is about none of ours, any answers that it does not know them.
fn asked<'a>(desk: &'a Desk, request: &OcspRequest) -> &'a Arc<Issuer> {
    let is_asked = |issuer: &&Arc<Issuer>| {
        request.serials(issuer.authority.certificate()).into_iter().any(|serial| serial.is_some())
    };
    let answering = || desk.issuers.all().find(|issuer| issuer.answers_ocsp);
    desk.issuers.all().find(is_asked).or_else(answering).unwrap_or(desk.issuers.default())
}

/// The responder of the moment.
struct Current {
    responder: OcspResponder,
    not_after: Timestamp,
}

impl Current {
    /// A new key with a certificate, which goes through ledger and journal as every other does.
    async fn issue(desk: &Desk, issuer: &Arc<Issuer>) -> Result<Self, IssuanceError> {
        let serial = issuance::random_serial()?;
        let period = (now(), RESPONDER_VALIDITY);
        let (responder, planned) = OcspResponder::plan(&issuer.authority, &serial, period)
            .map_err(IssuanceError::OcspResponder)?;
        let certificate = issue_planned(desk, issuer, &planned).await?;
        info!(%serial, not_after = %planned.not_after, "OCSP responder certified");
        Ok(Self {
            responder: responder.with_certificate(certificate),
            not_after: planned.not_after,
        })
    }

    /// What ends with its issuer is not to be had for longer: it would be made anew for each request.
    fn is_due(&self, issuer_end: Timestamp) -> bool {
        self.not_after < issuer_end && now().plus(RENEW_BEFORE) >= self.not_after
    }
}

async fn answer(
    desk: &Desk,
    (issuer, current): (&Issuer, &Current),
    request: &OcspRequest,
) -> OcspAnswer {
    let mut statuses = Vec::new();
    for serial in request.serials(issuer.authority.certificate()) {
        match status(desk, issuer.id(), serial).await {
            Ok(status) => statuses.push(status),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(error, "the status of a certificate is not known");
                return failure(OcspFailure::TryLater);
            }
        }
    }
    let (now, validity) = (now(), desk.settings.ocsp_validity);
    // Nobody can verify it any more when the responder's certificate has ended.
    let next_update = now.plus(validity).min(current.not_after);
    let started = std::time::Instant::now();
    match current.responder.respond(request, &statuses, (now, next_update)) {
        Ok(der) => {
            measure::signed("ocsp", started);
            metrics::counter!(names::OCSP_RESPONSES).increment(1);
            OcspAnswer { kept_until: (!request.has_nonce()).then_some(next_update), der }
        }
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "OCSP response not signed");
            failure(OcspFailure::TryLater)
        }
    }
}

/// Why nobody can say what became of a certificate.
#[derive(Debug, thiserror::Error)]
enum StatusError {
    #[error("nobody can say whether it was revoked")]
    Revocation(#[source] LoadError),
    #[error("nobody can say whether it was issued")]
    Certificate(#[source] FindError),
}

/// What the log says of a serial of this issuer.
async fn status(
    desk: &Desk,
    issuer: &IssuerId,
    serial: Option<&Serial>,
) -> Result<OcspStatus, StatusError> {
    let Some(serial) = serial else { return Ok(OcspStatus::Unknown) };
    let aggregates = &desk.ports.aggregates;
    let revoked = aggregates.revocation(issuer, serial).await.map_err(StatusError::Revocation)?;
    if let Some(revoked) = revoked {
        return Ok(OcspStatus::Revoked { at: revoked.at, reason: revoked.reason });
    }
    match aggregates.certificate(serial).await.map_err(StatusError::Certificate)? {
        Some(entry) if entry.issuer == *issuer => Ok(OcspStatus::Good),
        Some(_) | None => Ok(OcspStatus::Unknown),
    }
}
