//! Answers OCSP requests (RFC 6960), for each issuer with a key that it certified for this and nothing else.

mod responder;

use std::sync::Arc;

use ca::{OcspFailure, OcspRequest, OcspStatus};
use domain::{IssuerId, Serial};
use eventstore::{CALLS_WAITING, Call, LoadError, OcspAnswer, Service};
use futures::{
    future::try_join_all,
    stream::{FuturesUnordered, StreamExt as _},
};
use readmodel::FindError;
use runtime::metrics::names;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::responder::Current;
pub(crate) use self::responder::Responder;
use crate::{
    calls,
    desk::{Desk, now},
    issuers::Issuer,
    measure,
};

/// How many requests are answered at once.
const AT_ONCE: usize = 32;

/// Serves until told to stop; does nothing where OCSP is off.
pub(crate) async fn serve(desk: Arc<Desk>, stop: CancellationToken) {
    if desk.settings.ocsp_issuers.is_empty() {
        return;
    }
    calls::serve(&desk, Service::Ocsp, |calls| answer_all(&desk, calls), stop).await;
}

/// Answers all requests, so many at once as may be: each asks the log and the read model, and nobody is to wait for all before.
async fn answer_all(desk: &Desk, mut calls: mpsc::Receiver<Call>) {
    let places = Semaphore::new(AT_ONCE);
    let mut answering = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(call) = calls.recv(), if answering.len() < CALLS_WAITING => {
                answering.push(respond(desk, &places, call));
            }
            Some(()) = answering.next() => {}
            else => return,
        }
    }
}

fn failure(failure: OcspFailure) -> OcspAnswer {
    OcspAnswer::once(failure.to_der())
}

async fn respond(desk: &Desk, places: &Semaphore, call: Call) {
    let refuse = |call: Call, why| call.answer(failure(why).to_octets());
    let Ok(request) = OcspRequest::parse(&call.question) else {
        return refuse(call, OcspFailure::MalformedRequest);
    };
    let issuer = asked(desk, &request);
    // With the issuer its certificates ended: nobody needs to know more, and nobody can be certified to say it.
    let responder =
        issuer.responder.as_ref().filter(|_| now() < issuer.authority.certificate().not_after());
    let Some(responder) = responder else { return refuse(call, OcspFailure::Unauthorized) };
    let Some(current) = responder.current(desk, issuer).await else {
        return refuse(call, OcspFailure::TryLater);
    };
    // Taken only now: a CA whose token hangs keeps nobody waiting who asks about another's certificates.
    let place = places.acquire().await;
    call.answer(answer(desk, (issuer, &current), &request).await.to_octets());
    drop(place);
    responder.renew(desk, issuer).await;
}

/// Whose certificates a request is about; where it is about none of ours, any answers that it does not know them.
fn asked<'a>(desk: &'a Desk, request: &OcspRequest) -> &'a Arc<Issuer> {
    let is_asked = |issuer: &&Arc<Issuer>| {
        request.serials(issuer.authority.certificate()).into_iter().any(|serial| serial.is_some())
    };
    let answering = || desk.issuers.all().find(|issuer| issuer.responder.is_some());
    desk.issuers.all().find(is_asked).or_else(answering).unwrap_or(desk.issuers.default())
}

async fn answer(
    desk: &Desk,
    (issuer, current): (&Issuer, &Current),
    request: &OcspRequest,
) -> OcspAnswer {
    let serials = request.serials(issuer.authority.certificate()).into_iter();
    let statuses = try_join_all(serials.map(|serial| status(desk, issuer.id(), serial))).await;
    let statuses = match statuses {
        Ok(statuses) => statuses,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            warn!(error, "the status of a certificate is not known");
            return failure(OcspFailure::TryLater);
        }
    };
    let (now, validity) = (now(), desk.settings.ocsp_validity);
    // Nobody can verify it any more when the responder's certificate has ended.
    let next_update = now.plus(validity).min(current.validity.1);
    let started = std::time::Instant::now();
    match current.key.respond(request, &statuses, (now, next_update)) {
        Ok(der) => {
            measure::signed("ocsp", started);
            metrics::counter!(names::OCSP_RESPONSES).increment(1);
            // Of what there is not anybody can ask without end: nobody is to keep that.
            let is_known = !statuses.contains(&OcspStatus::Unknown);
            let is_kept = is_known && !request.has_nonce();
            OcspAnswer { kept_until: is_kept.then_some(next_update), der }
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
