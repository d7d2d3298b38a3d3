//! A revocation: what a CRL is built from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Aggregate, DomainEvent, IssuerId, Serial, Timestamp};

/// The revocation aggregate: one per issuer and serial.
#[derive(Debug)]
pub enum Revocation {}

/// The certificate was revoked before (RFC 8555 §7.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate is revoked already")]
pub struct AlreadyRevoked;

/// An event of a revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum RevocationEvent {
    /// The certificate was revoked.
    CertRevoked(CertRevoked),
}

/// The certificate was revoked. Stored: change it only by adding a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertRevoked {
    /// The CA key that signed the certificate and signs the CRL.
    pub issuer: IssuerId,
    /// The certificate's serial.
    pub serial: Serial,
    /// Why.
    pub reason: RevocationReason,
    /// When.
    pub at: Timestamp,
    /// The end of the certificate's validity, after which the CRL may drop it.
    pub not_after: Timestamp,
}

/// A CRL reason code (RFC 5280 §5.3.1) that ACME clients and operators may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RevocationReason {
    /// 0: no reason given; the CRL omits the code.
    Unspecified,
    /// 1: the certificate's key is known to others.
    KeyCompromise,
    /// 3: the subject's affiliation changed.
    AffiliationChanged,
    /// 4: another certificate took its place.
    Superseded,
    /// 5: no longer needed.
    CessationOfOperation,
    /// 9: the privilege was withdrawn; for operators.
    PrivilegeWithdrawn,
}

impl RevocationReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// The reasons a client may give over ACME.
    pub const FOR_CLIENTS: [Self; 5] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
    ];

    /// The code in a CRL.
    pub fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::PrivilegeWithdrawn => 9,
        }
    }

    /// The reason's name as RFC 5280 spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
        }
    }
}

impl DomainEvent for RevocationEvent {
    const TYPES: &'static [(&'static str, u16)] = &[("CertRevoked", 1)];

    fn event_type(&self) -> &'static str {
        match self {
            Self::CertRevoked(_) => "CertRevoked",
        }
    }
}

/// The only command is to revoke; what is revoked stays so, for the first reason.
impl Aggregate for Revocation {
    type State = CertRevoked;
    type Command = CertRevoked;
    type Event = RevocationEvent;
    type Rejection = AlreadyRevoked;

    fn decide(
        state: Option<&CertRevoked>,
        revoke: &CertRevoked,
    ) -> Result<Vec<RevocationEvent>, AlreadyRevoked> {
        match state {
            None => Ok(vec![RevocationEvent::CertRevoked(revoke.clone())]),
            Some(_) => Err(AlreadyRevoked),
        }
    }

    fn evolve(state: Option<CertRevoked>, event: &RevocationEvent) -> Option<CertRevoked> {
        let RevocationEvent::CertRevoked(revoked) = event;
        Some(state.unwrap_or_else(|| revoked.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revoked(reason: RevocationReason) -> CertRevoked {
        CertRevoked {
            issuer: IssuerId::from_hash(&[1; 32]),
            serial: Serial::from_random(&[2; 16]),
            reason,
            at: Timestamp::from_unix_seconds(1),
            not_after: Timestamp::from_unix_seconds(2),
        }
    }

    #[test]
    fn a_certificate_is_revoked_once_and_keeps_its_first_reason() {
        let first = revoked(RevocationReason::Superseded);
        let events = Revocation::decide(None, &first).unwrap();
        let state = Revocation::fold(None, &events);
        let second = revoked(RevocationReason::KeyCompromise);
        assert_eq!(Revocation::decide(state.as_ref(), &second), Err(AlreadyRevoked));
        assert_eq!(state, Some(first));
    }
}
