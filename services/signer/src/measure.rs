//! What signers count and measure.

use std::time::Instant;

use domain::{IssuerId, ProfileName, Timestamp};
use metrics::{counter, gauge, histogram};
use runtime::metrics::names;

/// Shows what is counted of a profile before the first of it: what begins at 1 was never seen to rise.
pub(crate) fn begin(profile: &ProfileName) {
    issued(profile, 0);
    failed(profile, 0);
}

/// Counts certificates issued.
pub(crate) fn issued(profile: &ProfileName, certificates: u64) {
    counter!(names::CERTIFICATES_ISSUED, "profile" => profile.to_string()).increment(certificates);
}

/// Counts issuances that failed for good.
pub(crate) fn failed(profile: &ProfileName, issuances: u64) {
    counter!(names::ISSUANCES_FAILED, "profile" => profile.to_string()).increment(issuances);
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

/// Shows when the issuing certificate, or what is above it, ends.
pub(crate) fn issuer(issuer: &IssuerId, not_after: Timestamp) {
    show(names::CA_NOT_AFTER, issuer, not_after);
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit into a double")]
fn show(name: &'static str, issuer: &IssuerId, time: Timestamp) {
    gauge!(name, "issuer" => issuer.to_string()).set(time.unix_seconds() as f64);
}
