//! What happens to a pre-authorization. These types are stored: change them only by adding a version.
//!
//! After its first event, a pre-authorization has the same events as an order's authorizations, so that a validator works
//! for both in the same way.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, DomainEvent, Identifier, PreAuthorizationId, ProfileName, Timestamp,
    authorization::Failed,
    order::{
        AuthorizationDeactivated, ChallengeAttemptFailed, ChallengeFailed, ChallengePlaced,
        ChallengeReady, ChallengeValidated,
    },
};

/// An event of a pre-authorization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// The client asked for it.
    PreAuthorizationPlaced(PreAuthorizationPlaced),
    /// The client asked for a challenge to be validated.
    ChallengeReady(ChallengeReady),
    /// A validator saw the proof.
    ChallengeValidated(ChallengeValidated),
    /// A validator did not see the proof.
    ChallengeFailed(ChallengeFailed),
    /// A validator did not see the proof, and will look again.
    ChallengeAttemptFailed(ChallengeAttemptFailed),
    /// The holder gave it up.
    AuthorizationDeactivated(AuthorizationDeactivated),
}

/// A client asked to prove an identifier before it orders (RFC 8555 §7.4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreAuthorizationPlaced {
    /// The new pre-authorization.
    pub id: PreAuthorizationId,
    /// The profile whose rules it follows.
    pub profile: ProfileName,
    /// The account that asked for it, and whose orders may rely on it.
    pub account: AccountId,
    /// What is to be proven, as sent; never a wildcard.
    pub identifier: Identifier,
    /// The ways to prove it.
    pub challenges: Vec<ChallengePlaced>,
    /// When it was asked for.
    pub at: Timestamp,
    /// When it ends, proven or not.
    pub expires_at: Timestamp,
}

impl From<Failed> for Event {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::ForNow(failed) => Self::ChallengeAttemptFailed(failed),
            Failed::ForEver(failed) => Self::ChallengeFailed(failed),
        }
    }
}

impl DomainEvent for Event {
    const TYPES: &'static [(&'static str, u16)] = &[
        ("PreAuthorizationPlaced", 1),
        ("ChallengeReady", 2),
        ("ChallengeValidated", 2),
        ("ChallengeFailed", 2),
        ("ChallengeAttemptFailed", 1),
        ("AuthorizationDeactivated", 1),
    ];

    fn event_type(&self) -> &'static str {
        match self {
            Self::PreAuthorizationPlaced(_) => "PreAuthorizationPlaced",
            Self::ChallengeReady(_) => "ChallengeReady",
            Self::ChallengeValidated(_) => "ChallengeValidated",
            Self::ChallengeFailed(_) => "ChallengeFailed",
            Self::ChallengeAttemptFailed(_) => "ChallengeAttemptFailed",
            Self::AuthorizationDeactivated(_) => "AuthorizationDeactivated",
        }
    }
}
