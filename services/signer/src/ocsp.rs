//! Answers OCSP requests (RFC 6960), for each issuer with a key that it certified for this and nothing else.

mod responder;

use std::sync::Arc;

use ca::{OcspFailure, OcspRequest, OcspStatus};
use domain::{IssuerId, Serial};
use eventstore::{
    CALLS_WAITING, Call, LoadError, OcspAnswer, Sequence, Service, StoreError, Stream,
};
use futures::{
    future::try_join_all,
    stream::{FuturesUnordered, StreamExt as _},
};
use readmodel::{FindError, INDEX_PATIENCE};
use runtime::metrics::names;
use tokio::{
    sync::{Semaphore, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

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
/// How many wait at once until the index of certificates knows all that the ledger holds: anybody may ask for what there is not.
const WAITING: usize = 64;

/// Where requests take turns.
struct Places {
    answering: Semaphore,
    waiting: Semaphore,
}

/// Serves until told to stop; does nothing where OCSP is off.
pub(crate) async fn serve(desk: Arc<Desk>, stop: CancellationToken) {
    if desk.settings.ocsp_issuers.is_empty() {
        return;
    }
    calls::serve(&desk, Service::Ocsp, |calls| answer_all(&desk, calls), stop).await;
}

/// Answers all requests, so many at once as may be: each asks the log and the read model, and nobody is to wait for all before.
async fn answer_all(desk: &Desk, mut calls: mpsc::Receiver<Call>) {
    let places = Places { answering: Semaphore::new(AT_ONCE), waiting: Semaphore::new(WAITING) };
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

async fn respond(desk: &Desk, places: &Places, call: Call) {
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
    // Places are taken only now: a CA whose token hangs keeps nobody waiting who asks about another's certificates.
    let answer = match statuses(desk, issuer, &request, places).await {
        Ok(statuses) => answer(desk, &current, &request, &statuses),
        Err(error) => {
            log(&error);
            failure(OcspFailure::TryLater)
        }
    };
    call.answer(answer.to_octets());
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

fn answer(
    desk: &Desk,
    current: &Current,
    request: &OcspRequest,
    statuses: &[OcspStatus],
) -> OcspAnswer {
    let (now, validity) = (now(), desk.settings.ocsp_validity);
    // Nobody can verify it any more when the responder's certificate has ended.
    let next_update = now.plus(validity).min(current.validity.1);
    let started = std::time::Instant::now();
    match current.key.respond(request, statuses, now, next_update) {
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
    #[error("nobody can say where the ledger ends")]
    End(#[source] StoreError),
    #[error("nobody can say whether it was revoked")]
    Revocation(#[source] LoadError),
    #[error("nobody can say whether it was issued")]
    Certificate(#[source] FindError),
}

fn log(error: &StatusError) {
    let cause = error as &dyn std::error::Error;
    match error {
        // Anybody can have that said without end, and the projector says why it is behind.
        StatusError::Certificate(FindError::Behind) => {
            debug!(error = cause, "the status of a certificate is not known");
        }
        StatusError::End(_) | StatusError::Revocation(_) | StatusError::Certificate(_) => {
            warn!(error = cause, "the status of a certificate is not known");
        }
    }
}

/// What the log says of all serials of a request. An index that is behind is waited for, and nobody else for that: while
/// certificates are issued it always is.
async fn statuses(
    desk: &Desk,
    issuer: &Issuer,
    request: &OcspRequest,
    places: &Places,
) -> Result<Vec<OcspStatus>, StatusError> {
    let serials = request.serials(issuer.authority.certificate());
    let deadline = Instant::now() + INDEX_PATIENCE;
    let aggregates = &desk.ports.aggregates;
    let place = places.answering.acquire().await;
    let end = aggregates.store.last_sequence(Stream::Ledger).await.map_err(StatusError::End)?;
    let all = async || {
        let each = serials.iter().map(|serial| status(desk, issuer.id(), *serial, end));
        try_join_all(each).await
    };
    let found = all().await;
    drop(place);
    if !matches!(found, Err(StatusError::Certificate(FindError::Behind))) {
        return found;
    }
    let Ok(_waiting) = places.waiting.try_acquire() else { return found };
    // Only the index is asked again and again.
    for serial in serials.iter().flatten() {
        let indexed = aggregates.certificate_by(deadline, end, serial).await;
        indexed.map_err(StatusError::Certificate)?;
    }
    let _place = places.answering.acquire().await;
    // From the beginning: what was revoked meanwhile is not good.
    all().await
}

/// What the log says of a serial of this issuer, if the ledger ended there.
async fn status(
    desk: &Desk,
    issuer: &IssuerId,
    serial: Option<&Serial>,
    ledger_end: Sequence,
) -> Result<OcspStatus, StatusError> {
    let Some(serial) = serial else { return Ok(OcspStatus::Unknown) };
    let aggregates = &desk.ports.aggregates;
    let revoked = aggregates.revocation(issuer, serial).await.map_err(StatusError::Revocation)?;
    if let Some(revoked) = revoked {
        return Ok(OcspStatus::Revoked { at: revoked.at, reason: revoked.reason });
    }
    let found = aggregates.certificate_up_to(ledger_end, serial).await;
    match found.map_err(StatusError::Certificate)? {
        Some(entry) if entry.issuer == *issuer => Ok(OcspStatus::Good),
        Some(_) | None => Ok(OcspStatus::Unknown),
    }
}
