//! Answers OCSP requests (RFC 6960), for each issuer with a key that it certified for this and nothing else.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ca::{OcspFailure, OcspRequest, OcspResponder, OcspStatus};
use domain::{IssuerId, Serial, Timestamp};
use eventstore::{Call, LoadError, OcspAnswer, Service};
use futures::{
    future::try_join_all,
    stream::{FuturesUnordered, StreamExt as _},
};
use readmodel::FindError;
use runtime::metrics::names;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    IssuanceError, calls,
    desk::{Desk, now},
    issuance,
    issuers::Issuer,
    measure,
    server_certificate::issue_planned,
};

/// How long the responder's certificate is valid: short, because nobody checks it for revocation (RFC 6960 §4.2.2.2.1).
const RESPONDER_VALIDITY: Duration = Duration::from_hours(14 * 24);
/// How many requests are answered at once.
const AT_ONCE: usize = 32;
/// How long before its end the responder gets a new key and certificate.
const RENEW_BEFORE: Duration = Duration::from_hours(5 * 24);

/// Serves until told to stop; does nothing where OCSP is off.
pub(crate) async fn serve(desk: Arc<Desk>, stop: CancellationToken) {
    if desk.settings.ocsp_issuers.is_empty() {
        return;
    }
    calls::serve(&desk, Service::Ocsp, |calls| answer_all(&desk, calls), stop).await;
}

/// Answers so many requests at once as may be: each asks the log and the read model, and nobody is to wait for all before.
async fn answer_all(desk: &Desk, mut calls: mpsc::Receiver<Call>) {
    let mut responders = HashMap::new();
    let mut answering = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(call) = calls.recv(), if answering.len() < AT_ONCE => {
                match OcspRequest::parse(&call.question) {
                    Ok(request) => match responder(desk, &mut responders, &request).await {
                        Ok(responder) => answering.push(respond(desk, responder, request, call)),
                        Err(refusal) => call.answer(failure(refusal).to_octets()),
                    },
                    Err(_) => call.answer(failure(OcspFailure::MalformedRequest).to_octets()),
                }
            }
            Some(()) = answering.next() => {}
            else => return,
        }
    }
}

fn failure(failure: OcspFailure) -> OcspAnswer {
    OcspAnswer::once(failure.to_der())
}

/// Who answers for the issuer that is asked about.
async fn responder<'a>(
    desk: &'a Desk,
    responders: &mut HashMap<IssuerId, Arc<Current>>,
    request: &OcspRequest,
) -> Result<(&'a Issuer, Arc<Current>), OcspFailure> {
    let issuer = asked(desk, request);
    let certificate = issuer.authority.certificate();
    let (issuer_start, issuer_end) = (certificate.not_before(), certificate.not_after());
    // With the issuer its certificates ended: nobody needs to know more, and nobody can be certified to say it.
    if !issuer.answers_ocsp || issuer_end <= now() {
        return Err(OcspFailure::Unauthorized);
    }
    let is_due =
        |current: &Arc<Current>| is_due(current.validity, (issuer_start, issuer_end), now());
    if responders.get(issuer.id()).is_none_or(is_due) {
        match Current::issue(desk, issuer).await {
            Ok(issued) => drop(responders.insert(issuer.id().clone(), Arc::new(issued))),
            Err(error) => warn!(error = &error as &dyn std::error::Error, "no OCSP responder"),
        }
    }
    let current = responders.get(issuer.id()).filter(|current| current.validity.1 > now());
    current.map(|current| (&**issuer, Arc::clone(current))).ok_or(OcspFailure::TryLater)
}

async fn respond(
    desk: &Desk,
    (issuer, current): (&Issuer, Arc<Current>),
    request: OcspRequest,
    call: Call,
) {
    call.answer(answer(desk, (issuer, &current), &request).await.to_octets());
}

/// Whose certificates a request is about; where it is about none of ours, any answers that it does not know them.
fn asked<'a>(desk: &'a Desk, request: &OcspRequest) -> &'a Arc<Issuer> {
    let is_asked = |issuer: &&Arc<Issuer>| {
        request.serials(issuer.authority.certificate()).into_iter().any(|serial| serial.is_some())
    };
    let answering = || desk.issuers.all().find(|issuer| issuer.answers_ocsp);
    desk.issuers.all().find(is_asked).or_else(answering).unwrap_or(desk.issuers.default())
}

/// From when until when a certificate is valid.
type Validity = (Timestamp, Timestamp);

/// The responder of the moment.
struct Current {
    responder: OcspResponder,
    validity: Validity,
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
            validity: (planned.not_before, planned.not_after),
        })
    }
}

/// Due before its end, and when it is not valid yet: it was made while the clock was ahead. What begins or ends with its
/// issuer is not to be had for longer: it would be made anew for each request.
fn is_due(
    (not_before, not_after): Validity,
    (issuer_start, issuer_end): Validity,
    now: Timestamp,
) -> bool {
    let ends = not_after < issuer_end && now.plus(RENEW_BEFORE) >= not_after;
    let is_early = issuer_start < not_before && now < not_before;
    ends || is_early
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
    match current.responder.respond(request, &statuses, (now, next_update)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn days(from: i64, to: i64) -> Validity {
        let at = |days| Timestamp::from_unix_seconds(days * 24 * 3600);
        (at(from), at(to))
    }

    #[test]
    fn a_responder_is_replaced_before_its_end_and_while_it_is_not_valid_yet() {
        let (issuer, at) = (days(0, 1000), |day| days(day, 0).0);
        for (day, expected) in [(68, true), (99, true), (100, false), (108, false), (109, true)] {
            assert_eq!(is_due(days(100, 114), issuer, at(day)), expected, "day {day}");
        }
    }

    #[test]
    fn a_responder_as_long_as_its_issuer_is_not_made_anew_for_each_request() {
        let (issuer, at) = (days(100, 114), |day| days(day, 0).0);
        for day in [90, 100, 113] {
            assert!(!is_due(days(100, 114), issuer, at(day)), "day {day}");
        }
    }
}
