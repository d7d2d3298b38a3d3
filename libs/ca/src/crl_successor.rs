//! Whether a CRL may follow another: nothing revoked may become unrevoked.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use domain::{Serial, Timestamp, certificate::CertRevoked};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList, time::ASN1Time};

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
    let (previous, next) = (Compared::parse(previous)?, Compared::parse(next)?);
    if previous.issuer != next.issuer {
        return Err(SuccessorError::OtherIssuer);
    }
    if next.number <= previous.number {
        return Err(SuccessorError::NumberNotAbove);
    }
    // After a clock that ran ahead the right date is an earlier one. A clock that is late would make a CRL that ends early.
    if next.made < previous.made && next.next_update < previous.next_update {
        return Err(SuccessorError::DatedBefore);
    }
    let mut missing = previous.serials.difference(&next.serials).peekable();
    if missing.peek().is_none() {
        return Ok(());
    }
    let ends: HashMap<&Serial, Timestamp> =
        revocations.into_iter().map(|revoked| (&revoked.serial, revoked.not_after)).collect();
    let expired =
        |serial: &Serial| ends.get(serial).is_some_and(|end| !is_listed(*end, next.made, period));
    match missing.find(|serial| !expired(serial)) {
        Some(serial) => Err(SuccessorError::LacksEntry(serial.clone())),
        None => Ok(()),
    }
}

/// What is compared of a CRL: parsed, an entry takes ten times as much memory as its serial.
struct Compared {
    issuer: Vec<u8>,
    number: u64,
    made: Timestamp,
    next_update: Option<Timestamp>,
    serials: BTreeSet<Serial>,
}

impl Compared {
    fn parse(der: &[u8]) -> Result<Self, SuccessorError> {
        let Ok(([], crl)) = CertificateRevocationList::from_der(der) else {
            return Err(SuccessorError::Malformed);
        };
        let number = crl.crl_number().and_then(|number| u64::try_from(number).ok());
        let at = |time: ASN1Time| Timestamp::from_unix_seconds(time.timestamp());
        let serials = crl
            .iter_revoked_certificates()
            .map(|revoked| Serial::from_octets(revoked.raw_serial()))
            .collect::<Result<_, _>>();
        Ok(Self {
            issuer: crl.issuer().as_raw().to_vec(),
            number: number.ok_or(SuccessorError::Malformed)?,
            made: at(crl.last_update()),
            next_update: crl.next_update().map(at),
            serials: serials.map_err(|_| SuccessorError::Malformed)?,
        })
    }
}
