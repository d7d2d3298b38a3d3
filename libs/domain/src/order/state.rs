//! An order as the rules see it. What a status needs lives in the status; what time decides is computed from now.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, ChallengeType, Failure, Identifier, IssuerId, OrderId, ProfileName, Serial,
    SubjectPublicKey, Timestamp,
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

/// The place of an authorization in its order, from 0.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct AuthorizationIndex(pub u16);

/// An authorization (RFC 8555 §7.1.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// What is to be proven, without a leading `*.`.
    pub identifier: Identifier,
    /// Whether every name below is asked for.
    pub wildcard: bool,
    /// The ways to prove it.
    pub challenges: Vec<Challenge>,
    /// Whether its holder gave it up (RFC 8555 §7.5.2).
    pub deactivated: bool,
}

/// A challenge (RFC 8555 §7.1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// How control is proven.
    pub kind: ChallengeType,
    /// The random value to prove it with.
    pub token: String,
    /// How far it came.
    pub status: ChallengeStatus,
}

/// The status of a challenge (RFC 8555 §7.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChallengeStatus {
    /// Waits for the client.
    Pending,
    /// Waits for a validator.
    Processing,
    /// Proven.
    Valid {
        /// When.
        at: Timestamp,
    },
    /// Not proven, for ever.
    Invalid {
        /// When.
        at: Timestamp,
        /// Why.
        failure: Failure,
    },
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

/// The status of an authorization (RFC 8555 §7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationStatus {
    /// Waits for a challenge.
    Pending,
    /// Proven.
    Valid,
    /// A challenge failed.
    Invalid,
    /// Given up.
    Deactivated,
    /// Its time is over.
    Expired,
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
        match authorization.outcome() {
            AuthorizationStatus::Pending | AuthorizationStatus::Valid if now >= self.expires_at => {
                AuthorizationStatus::Expired
            }
            outcome => outcome,
        }
    }

    /// The identifiers whose control is proven at a time, in canonical form; a wildcard proves nothing but itself.
    pub fn proven(&self, now: Timestamp) -> impl Iterator<Item = String> {
        self.authorizations.iter().filter_map(move |authorization| {
            let valid = self.authorization_status(authorization, now) == AuthorizationStatus::Valid;
            let name = authorization.identifier.canonical();
            valid.then(|| if authorization.wildcard { format!("*.{name}") } else { name })
        })
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

impl Authorization {
    /// The status as its challenges leave it, regardless of time.
    fn outcome(&self) -> AuthorizationStatus {
        if self.deactivated {
            AuthorizationStatus::Deactivated
        } else if self.is_proven() {
            AuthorizationStatus::Valid
        } else if self.failure().is_some() {
            AuthorizationStatus::Invalid
        } else {
            AuthorizationStatus::Pending
        }
    }

    fn is_proven(&self) -> bool {
        self.challenges
            .iter()
            .any(|challenge| matches!(challenge.status, ChallengeStatus::Valid { .. }))
    }

    /// Whether no challenge has decided it and its holder has not given it up.
    pub(super) fn is_undecided(&self) -> bool {
        self.outcome() == AuthorizationStatus::Pending
    }

    /// Whether it was proven and not given up.
    pub(super) fn is_valid(&self) -> bool {
        self.outcome() == AuthorizationStatus::Valid
    }

    /// Whether a validator is to decide one of its challenges.
    pub fn is_in_validation(&self) -> bool {
        self.is_undecided()
            && self
                .challenges
                .iter()
                .any(|challenge| challenge.status == ChallengeStatus::Processing)
    }

    /// The challenge of a type, if it is offered.
    pub fn challenge(&self, kind: ChallengeType) -> Option<&Challenge> {
        self.challenges.iter().find(|challenge| challenge.kind == kind)
    }

    /// Why a challenge failed, if one did.
    pub fn failure(&self) -> Option<&Failure> {
        self.challenges.iter().find_map(|challenge| match &challenge.status {
            ChallengeStatus::Invalid { failure, .. } => Some(failure),
            ChallengeStatus::Pending
            | ChallengeStatus::Processing
            | ChallengeStatus::Valid { .. } => None,
        })
    }
}
