//! An authorization with its challenges, as the rules see it: part of an order, or by itself.

mod proving;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ChallengeType, Failure, Identifier, Timestamp, order::ReliedOn};
pub(crate) use proving::{Failed, Proving, Rejection};

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
    /// The pre-authorization that proved it, if the order came later than the proof.
    pub relies_on: Option<ReliedOn>,
    /// Whether its holder gave it up (RFC 8555 §7.5.2).
    pub deactivated: bool,
    /// When CAA was last seen to allow issuance; `None` where it was not looked at.
    pub caa_checked_at: Option<Timestamp>,
    /// Whether a validator is to look at CAA again.
    pub caa_awaited: bool,
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
    Processing(Attempts),
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

/// The looks that validators took at a challenge that is not decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// How often the client asked.
    pub round: u16,
    /// How many looks did not see the proof.
    pub failed: u16,
    /// Why the last one did not.
    pub failure: Option<Failure>,
    /// When the next one is; `None` when it is due now.
    pub retry_at: Option<Timestamp>,
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

impl AuthorizationIndex {
    /// The place of the first, or of one by itself.
    pub const FIRST: Self = Self(0);
}

impl Authorization {
    /// The status at a time, when it ends at another.
    pub(crate) fn status(&self, expires_at: Timestamp, now: Timestamp) -> AuthorizationStatus {
        match self.outcome() {
            AuthorizationStatus::Pending | AuthorizationStatus::Valid if now >= expires_at => {
                AuthorizationStatus::Expired
            }
            outcome => outcome,
        }
    }

    /// The status as its challenges leave it, regardless of time.
    pub(crate) fn outcome(&self) -> AuthorizationStatus {
        if self.deactivated {
            AuthorizationStatus::Deactivated
        } else if self.proof().is_some() {
            AuthorizationStatus::Valid
        } else if self.failure().is_some() {
            AuthorizationStatus::Invalid
        } else {
            AuthorizationStatus::Pending
        }
    }

    /// Whether no challenge has decided it and its holder has not given it up.
    pub(crate) fn is_undecided(&self) -> bool {
        self.outcome() == AuthorizationStatus::Pending
    }

    /// Whether it was proven and not given up.
    pub(crate) fn is_valid(&self) -> bool {
        self.outcome() == AuthorizationStatus::Valid
    }

    /// Whether a validator is to decide one of its challenges.
    pub fn is_in_validation(&self) -> bool {
        self.is_undecided() && self.attempts().next().is_some()
    }

    /// Whether a look at one of its challenges is due, so that a validator's answer is near; between two looks none is.
    pub fn is_validation_due(&self, now: Timestamp) -> bool {
        self.is_undecided() && self.attempts().any(|attempts| attempts.wait(now).is_none())
    }

    /// How long it takes until a validator looks again; `None` when a look is due, or no challenge is under validation.
    pub fn retry_wait(&self, now: Timestamp) -> Option<Duration> {
        if self.is_validation_due(now) {
            None
        } else {
            self.attempts().filter_map(|it| it.wait(now)).min()
        }
    }

    fn attempts(&self) -> impl Iterator<Item = &Attempts> {
        self.challenges.iter().filter_map(|challenge| match &challenge.status {
            ChallengeStatus::Processing(attempts) => Some(attempts),
            ChallengeStatus::Pending
            | ChallengeStatus::Valid { .. }
            | ChallengeStatus::Invalid { .. } => None,
        })
    }

    /// The challenge that proved it.
    pub fn proof(&self) -> Option<&Challenge> {
        let proves =
            |challenge: &&Challenge| matches!(challenge.status, ChallengeStatus::Valid { .. });
        self.challenges.iter().find(proves)
    }

    /// Whether CAA has to be looked at again before issuance, because it was not since a time; CAA is about names only.
    pub fn is_caa_stale(&self, since: Timestamp) -> bool {
        match self.identifier {
            Identifier::Dns(_) => self.caa_checked_at.is_none_or(|at| at < since),
            Identifier::Ip(_) => false,
        }
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
            | ChallengeStatus::Processing(_)
            | ChallengeStatus::Valid { .. } => None,
        })
    }
}

impl Attempts {
    /// How long it takes until the next look; `None` when it is due.
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        self.retry_at.filter(|retry_at| *retry_at > now).map(|retry_at| now.until(retry_at))
    }
}
