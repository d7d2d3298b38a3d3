//! Whether a CRL may follow another: nothing revoked may become unrevoked.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use domain::{Serial, Timestamp, certificate::CertRevoked};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

use crate::crl::is_listed;

/// Why a CRL must not be published after the one before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuccessorError {
    /// One of the two is no CRL.
    #[error("one of the two is not a DER CRL with a number")]
    Malformed,
    /// They are of two issuers.
    #[error("the CRLs are of different issuers")]
    OtherIssuer,
    /// The number does not grow (RFC 5280 §5.2.3).
    #[error("the CRL's number is not above the one before")]
    NumberNotAbove,
    /// It claims to be made before the one before, and ends before that.
    #[error("the CRL is dated before the one before: is the clock right, or was it far ahead?")]
    DatedBefore,
    /// It lacks an entry of the one before.
    #[error(
        "the CRL lacks serial {0}, which the one before lists and which has not expired a period ago"
    )]
    LacksEntry(Serial),
}

/// Checks that `next` lists all that `previous`, the DER CRL before, listed and that has to stay: entries whose
/// certificate ended less than one `period` before `next` was made, and those of which `revocations` do not tell the end.
///
/// # Errors
/// When publishing `next` would take a revocation back or confuse those who keep CRLs.
pub fn check_successor<'a>(
    previous: &[u8],
    next: &[u8],
    period: Duration,
    revocations: impl IntoIterator<Item = &'a CertRevoked>,
) -> Result<(), SuccessorError> {
    let (previous, next) = (parse(previous)?, parse(next)?);
    if previous.issuer().as_raw() != next.issuer().as_raw() {
        return Err(SuccessorError::OtherIssuer);
    }
    if next.crl_number() <= previous.crl_number() {
        return Err(SuccessorError::NumberNotAbove);
    }
    // After a clock that ran ahead the right date is an earlier one. A clock that is late would make a CRL that ends early.
    if next.last_update() < previous.last_update() && next.next_update() < previous.next_update() {
        return Err(SuccessorError::DatedBefore);
    }
    let made = Timestamp::from_unix_seconds(next.last_update().timestamp());
    let listed: HashSet<&[u8]> =
        next.iter_revoked_certificates().map(|revoked| revoked.raw_serial()).collect();
    let missing = previous
        .iter_revoked_certificates()
        .filter(|revoked| !listed.contains(revoked.raw_serial()))
        .map(|revoked| Serial::from_octets(revoked.raw_serial()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| SuccessorError::Malformed)?;
    if missing.is_empty() {
        return Ok(());
    }
    let ends: HashMap<&Serial, Timestamp> =
        revocations.into_iter().map(|revoked| (&revoked.serial, revoked.not_after)).collect();
    let expired =
        |serial: &Serial| ends.get(serial).is_some_and(|end| !is_listed(*end, made, period));
    match missing.into_iter().find(|serial| !expired(serial)) {
        Some(serial) => Err(SuccessorError::LacksEntry(serial)),
        None => Ok(()),
    }
}

fn parse(der: &[u8]) -> Result<CertificateRevocationList<'_>, SuccessorError> {
    match CertificateRevocationList::from_der(der) {
        Ok(([], crl)) if crl.crl_number().is_some() => Ok(crl),
        _ => Err(SuccessorError::Malformed),
    }
}
