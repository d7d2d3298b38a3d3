//! Who answers for an issuer: a key that it certified for this and nothing else, and the next one in time.

use std::{sync::Arc, time::Duration};

use ca::OcspResponder;
use domain::Timestamp;
use eventstore::CALL_TIMEOUT;
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};
use tracing::{info, warn};

use crate::{
    IssuanceError,
    desk::{Desk, now},
    issuance::{issue_unordered, random_serial},
    issuers::Issuer,
};

/// How long the responder's certificate is valid: short, because nobody checks it for revocation (RFC 6960 §4.2.2.2.1).
const VALIDITY: Duration = Duration::from_hours(14 * 24);
/// How long before its end the responder gets a new key and certificate.
const RENEW_BEFORE: Duration = Duration::from_hours(5 * 24);

/// The responder of an issuer; there is one once somebody asked.
pub(crate) struct Responder {
    current: watch::Sender<Option<Arc<Current>>>,
    /// Taken by who has one certified.
    turn: Semaphore,
}

/// From when until when a certificate is valid.
type Validity = (Timestamp, Timestamp);

/// The responder of the moment.
pub(super) struct Current {
    pub(super) key: OcspResponder,
    pub(super) validity: Validity,
}

impl Default for Responder {
    fn default() -> Self {
        Self { current: watch::Sender::new(None), turn: Semaphore::new(1) }
    }
}

impl Responder {
    /// Who answers now; where nobody can, another one is certified, for which nobody waits longer than for an answer.
    pub(super) async fn current(&self, desk: &Desk, issuer: &Arc<Issuer>) -> Option<Arc<Current>> {
        if let Some(valid) = self.valid(issuer) {
            return Some(valid);
        }
        let _turn = timeout(CALL_TIMEOUT, self.turn.acquire()).await.ok()?.ok()?;
        if self.valid(issuer).is_none() {
            self.certify(desk, issuer).await;
        }
        self.valid(issuer)
    }

    /// Has the next one certified where the present one ends soon, unless somebody is at it.
    pub(super) async fn renew(&self, desk: &Desk, issuer: &Arc<Issuer>) {
        let issuer_end = issuer.authority.certificate().not_after();
        let ends_soon = |current: Arc<Current>| ends_soon(current.validity, issuer_end, now());
        if let Ok(_turn) = self.turn.try_acquire()
            && self.valid(issuer).is_some_and(ends_soon)
        {
            self.certify(desk, issuer).await;
        }
    }

    fn valid(&self, issuer: &Issuer) -> Option<Arc<Current>> {
        let issuer_start = issuer.authority.certificate().not_before();
        let current = self.current.borrow().clone();
        current.filter(|current| is_valid(current.validity, issuer_start, now()))
    }

    async fn certify(&self, desk: &Desk, issuer: &Arc<Issuer>) {
        match Current::issue(desk, issuer).await {
            Ok(issued) => drop(self.current.send_replace(Some(Arc::new(issued)))),
            Err(error) => warn!(error = &error as &dyn std::error::Error, "no OCSP responder"),
        }
    }
}

impl Current {
    /// A new key with a certificate, which goes through ledger and journal as every other does.
    async fn issue(desk: &Desk, issuer: &Arc<Issuer>) -> Result<Self, IssuanceError> {
        let serial = random_serial()?;
        let (key, planned) = OcspResponder::plan(&issuer.authority, &serial, now(), VALIDITY)
            .map_err(IssuanceError::OcspResponder)?;
        let certificate = issue_unordered(desk, issuer, &planned).await?;
        info!(%serial, not_after = %planned.not_after, "OCSP responder certified");
        let validity = (planned.not_before, planned.not_after);
        Ok(Self { key: key.with_certificate(certificate), validity })
    }
}

/// Not before its beginning: it was made while the clock was ahead. One that begins with its issuer is not to be had sooner:
/// it would be made anew for each request.
fn is_valid((not_before, not_after): Validity, issuer_start: Timestamp, now: Timestamp) -> bool {
    (not_before <= now || not_before <= issuer_start) && now < not_after
}

/// One that ends with its issuer is not to be had for longer.
fn ends_soon((_, not_after): Validity, issuer_end: Timestamp, now: Timestamp) -> bool {
    not_after < issuer_end && now.plus(RENEW_BEFORE) >= not_after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_unix_seconds(day * 24 * 3600)
    }

    #[test]
    fn a_responder_is_replaced_before_its_end_and_while_it_is_not_valid_yet() {
        let validity = (day(100), day(114));
        for (at, valid, renewed) in [
            (68, false, false),
            (99, false, false),
            (100, true, false),
            (108, true, false),
            (109, true, true),
            (114, false, true),
        ] {
            assert_eq!(is_valid(validity, day(0), day(at)), valid, "day {at}");
            assert_eq!(ends_soon(validity, day(1000), day(at)), renewed, "day {at}");
        }
    }

    #[test]
    fn a_responder_as_long_as_its_issuer_is_not_made_anew_for_each_request() {
        let validity = (day(100), day(114));
        for at in [90, 100, 113] {
            assert!(is_valid(validity, day(100), day(at)), "day {at}");
            assert!(!ends_soon(validity, day(114), day(at)), "day {at}");
        }
    }
}
