//! What signers count and measure.

use std::time::Instant;

use domain::{IssuerId, Timestamp};
use eventstore::{Delivery, Sequence, Stream};
use metrics::{counter, gauge, histogram};
use runtime::metrics::names;

use crate::desk::now;

/// Counts a delivery and how late it is.
pub(crate) fn delivery(role: &'static str, delivery: &Delivery) {
    counter!(names::FEED_MESSAGES, "role" => role).increment(1);
    if delivery.attempt > 1 {
        counter!(names::FEED_REDELIVERIES, "role" => role).increment(1);
    }
    let lag = delivery.message.envelope.at.until(now());
    histogram!(names::FEED_LAG_SECONDS, "role" => role).record(lag.as_secs_f64());
}

/// Measures a signature by a key of the CA.
pub(crate) fn signed(what: &'static str, started: Instant) {
    histogram!(names::SIGNING_SECONDS, "what" => what).record(started.elapsed().as_secs_f64());
}

/// Shows from when until when the published CRL is valid.
pub(crate) fn crl(issuer: &IssuerId, made: Timestamp, next_update: Timestamp) {
    show(names::CRL_THIS_UPDATE, issuer, made);
    show(names::CRL_NEXT_UPDATE, issuer, next_update);
}

/// Shows when the issuing certificate ends.
pub(crate) fn issuer(issuer: &IssuerId, not_after: Timestamp) {
    show(names::CA_NOT_AFTER, issuer, not_after);
}

/// Shows where a stream of the log ends.
#[expect(clippy::cast_precision_loss, reason = "no log reaches 2^53 messages")]
pub(crate) fn log_end(stream: Stream, last: Sequence) {
    gauge!(names::LOG_LAST_SEQUENCE, "stream" => stream.to_string()).set(last.0 as f64);
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit into a double")]
fn show(name: &'static str, issuer: &IssuerId, time: Timestamp) {
    gauge!(name, "issuer" => issuer.to_string()).set(time.unix_seconds() as f64);
}
