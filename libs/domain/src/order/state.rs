//! An order as the rules see it. What a status needs lives in the status; what time decides is computed from now.

use super::{Authorization, AuthorizationIndex, AuthorizationStatus, ReliedOn};
use crate::{
    AccountId, Failure, Identifier, IssuerId, OrderId, ProfileName, Serial, SubjectPublicKey,
    Timestamp,
};

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The order's id.
    pub id: OrderId,
    /// The profile whose rules it follows.
    pub profile: ProfileName,
    /// The account that placed it.
    pub account: AccountId,
    /// What is to be certified, in the order and the spelling of the request.
    pub identifiers: Vec<Identifier>,
    /// The requested start of validity.
    pub not_before: Option<Timestamp>,
    /// The requested end of validity.
    pub not_after: Option<Timestamp>,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// When it ends unless it was finalized; its authorizations end with it.
    pub expires_at: Timestamp,
    /// What must be proven, at least one.
    pub authorizations: Vec<Authorization>,
    /// How far it came.
    pub progress: Progress,
}

/// How far an order came beyond its authorizations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not finalized.
    Open,
    /// Finalized; the signer is at work.
    Processing(Finalized),
    /// A certificate was issued.
    Valid {
        /// What was finalized.
        finalized: Finalized,
        /// Which CA key signed.
        issuer: IssuerId,
        /// Its serial.
        serial: Serial,
        /// Where the ledger holds it.
        ledger_sequence: u64,
    },
    /// No certificate will be issued.
    Invalid {
        /// Why.
        failure: Failure,
    },
}

/// What the client asked to certify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finalized {
    /// The key to certify.
    pub public_key: SubjectPublicKey,
    /// The common name that the CSR asks for.
    pub common_name: Option<String>,
    /// When.
    pub at: Timestamp,
    /// The serial claimed for it, once the signer chose one.
    pub reservation: Option<Reservation>,
}

/// A serial claimed for an order before anything is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The CA key that is to sign.
    pub issuer: IssuerId,
    /// The serial.
    pub serial: Serial,
    /// Where the ledger holds the bytes to sign.
    pub ledger_sequence: u64,
}

/// The status of an order (RFC 8555 §7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Waits for authorizations.
    Pending,
    /// Waits for the client to finalize.
    Ready,
    /// Waits for the signer.
    Processing,
    /// Has its certificate.
    Valid,
    /// Ended without one.
    Invalid,
}

impl State {
    /// The order's status at a time.
    pub fn status(&self, now: Timestamp) -> Status {
        match &self.progress {
            Progress::Processing(_) => Status::Processing,
            Progress::Valid { .. } => Status::Valid,
            Progress::Invalid { .. } => Status::Invalid,
            Progress::Open => self.open_status(now),
        }
    }

    fn open_status(&self, now: Timestamp) -> Status {
        let statuses = || {
            self.authorizations
                .iter()
                .map(|authorization| self.authorization_status(authorization, now))
        };
        if statuses().all(|status| status == AuthorizationStatus::Valid) {
            Status::Ready
        } else if statuses()
            .all(|s| matches!(s, AuthorizationStatus::Valid | AuthorizationStatus::Pending))
        {
            Status::Pending
        } else {
            Status::Invalid
        }
    }

    /// The status of one of the order's authorizations at a time.
    pub fn authorization_status(
        &self,
        authorization: &Authorization,
        now: Timestamp,
    ) -> AuthorizationStatus {
        authorization.status(self.expires_at, now)
    }

    /// The identifiers whose control was proven for this order, as far as that is valid at a time, in canonical form; a
    /// wildcard proves nothing but itself.
    pub fn proven(&self, now: Timestamp) -> impl Iterator<Item = String> {
        let own = self.authorizations.iter().filter(|it| it.relies_on.is_none());
        own.filter_map(move |authorization| {
            let valid = self.authorization_status(authorization, now) == AuthorizationStatus::Valid;
            let name = authorization.identifier.canonical();
            valid.then(|| if authorization.wildcard { format!("*.{name}") } else { name })
        })
    }

    /// The pre-authorizations that the order relies on, each with the place of what it proves.
    pub fn relied_on(&self) -> impl Iterator<Item = (AuthorizationIndex, &ReliedOn)> {
        self.indexed_authorizations()
            .filter_map(|(index, authorization)| Some((index, authorization.relies_on.as_ref()?)))
    }

    /// The authorizations, each with its place.
    pub fn indexed_authorizations(
        &self,
    ) -> impl Iterator<Item = (AuthorizationIndex, &Authorization)> {
        (0..=u16::MAX).map(AuthorizationIndex).zip(&self.authorizations)
    }

    /// The authorization at a place, if there is one.
    pub fn authorization(&self, index: AuthorizationIndex) -> Option<&Authorization> {
        self.authorizations.get(usize::from(index.0))
    }

    /// Why the order is invalid, as far as its own events tell.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.progress {
            Progress::Invalid { failure } => Some(failure),
            Progress::Open | Progress::Processing(_) | Progress::Valid { .. } => {
                self.authorizations.iter().find_map(Authorization::failure)
            }
        }
    }
}
