//! The active certificate of a set of identifiers, where a profile allows only one.

use std::convert::Infallible;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Aggregate, DomainEvent, IssuerId, ProfileName, Serial, Timestamp};

/// The aggregate of one profile and set of identifiers.
#[derive(Debug)]
pub enum ActiveCertificate {}

/// The active certificate, and the one whose place it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveState {
    /// The one that is active.
    pub active: CertificateActivated,
    /// The one before.
    pub superseded: Option<CertificateActivated>,
}

/// An event of the active certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum ActiveCertificateEvent {
    /// A newer certificate became the active one.
    CertificateActivated(CertificateActivated),
}

/// A newer certificate became the active one. Stored: change it only by adding a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateActivated {
    /// The profile that allows only one.
    pub profile: ProfileName,
    /// The CA key that signed it.
    pub issuer: IssuerId,
    /// Its serial.
    pub serial: Serial,
    /// Where the ledger holds it; of two certificates the later one is active.
    pub ledger_sequence: u64,
    /// The end of its validity.
    pub not_after: Timestamp,
}

impl ActiveState {
    /// The certificate that is to be revoked once `serial` was issued: the one before, or itself if a newer one was
    /// faster.
    pub fn to_revoke<'a>(
        &'a self,
        issued: &'a CertificateActivated,
    ) -> Option<&'a CertificateActivated> {
        if self.active.serial == issued.serial { self.superseded.as_ref() } else { Some(issued) }
    }
}

impl DomainEvent for ActiveCertificateEvent {
    const TYPES: &'static [(&'static str, u16)] = &[("CertificateActivated", 1)];

    fn event_type(&self) -> &'static str {
        match self {
            Self::CertificateActivated(_) => "CertificateActivated",
        }
    }
}

/// The only command is to activate what was issued; what is older than the active one changes nothing.
impl Aggregate for ActiveCertificate {
    type State = ActiveState;
    type Command = CertificateActivated;
    type Event = ActiveCertificateEvent;
    type Rejection = Infallible;

    fn decide(
        state: Option<&ActiveState>,
        issued: &CertificateActivated,
    ) -> Result<Vec<ActiveCertificateEvent>, Infallible> {
        match state {
            Some(state) if state.active.ledger_sequence >= issued.ledger_sequence => Ok(vec![]),
            Some(_) | None => {
                Ok(vec![ActiveCertificateEvent::CertificateActivated(issued.clone())])
            }
        }
    }

    fn evolve(state: Option<ActiveState>, event: &ActiveCertificateEvent) -> Option<ActiveState> {
        let ActiveCertificateEvent::CertificateActivated(activated) = event;
        let superseded = state.map(|state| state.active);
        Some(ActiveState { active: activated.clone(), superseded })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(place: u8) -> CertificateActivated {
        CertificateActivated {
            profile: ProfileName::default(),
            issuer: IssuerId::from_hash(&[1; 32]),
            serial: Serial::from_random(&[place; 16]),
            ledger_sequence: place.into(),
            not_after: Timestamp::from_unix_seconds(9),
        }
    }

    fn after(commands: &[CertificateActivated]) -> Option<ActiveState> {
        commands.iter().fold(None, |state, command| {
            let Ok(events) = ActiveCertificate::decide(state.as_ref(), command);
            ActiveCertificate::fold(state, &events)
        })
    }

    #[test]
    fn a_newer_certificate_takes_the_place_of_the_one_before() {
        let state = after(&[issued(1), issued(2)]).unwrap();
        assert_eq!(state.to_revoke(&issued(2)), Some(&issued(1)));
        assert_eq!(after(&[issued(1)]).unwrap().to_revoke(&issued(1)), None);
    }

    #[test]
    fn activating_twice_changes_nothing() {
        assert_eq!(after(&[issued(1), issued(2), issued(2)]), after(&[issued(1), issued(2)]));
    }

    #[test]
    fn an_older_certificate_that_comes_late_is_itself_to_be_revoked() {
        let state = after(&[issued(2), issued(1)]).unwrap();
        assert_eq!(state.active, issued(2));
        assert_eq!(state.to_revoke(&issued(1)), Some(&issued(1)));
    }
}
