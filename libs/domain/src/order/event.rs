//! What happens to an order. These types are stored: change them only by adding a version.
//!
//! An event holds what its reader needs: a validator works from `ChallengeReady` and the signer from `OrderFinalized`
//! without reading anything else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AuthorizationIndex;
use crate::{
    AccountId, ChallengeType, DomainEvent, Evidence, Failure, Identifier, IssuerId, OrderId,
    PreAuthorizationId, ProfileName, Serial, SubjectPublicKey, Timestamp,
};

/// An event of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// The order was placed.
    OrderPlaced(OrderPlaced),
    /// The client asked for a challenge to be validated.
    ChallengeReady(ChallengeReady),
    /// A validator saw the proof.
    ChallengeValidated(ChallengeValidated),
    /// A validator did not see the proof.
    ChallengeFailed(ChallengeFailed),
    /// A validator did not see the proof, and will look again.
    ChallengeAttemptFailed(ChallengeAttemptFailed),
    /// The holder gave an authorization up.
    AuthorizationDeactivated(AuthorizationDeactivated),
    /// The client handed in what to certify.
    OrderFinalized(OrderFinalized),
    /// The signer wants CAA to be looked at again.
    CaaCheckNeeded(CaaCheckNeeded),
    /// A validator saw that CAA still allows issuance.
    CaaChecked(CaaChecked),
    /// A validator saw that CAA forbids issuance, or could not look.
    CaaCheckFailed(CaaCheckFailed),
    /// The signer claimed a serial.
    CertificateReserved(CertificateReserved),
    /// The claimed serial was given up.
    ReservationBurned(ReservationBurned),
    /// The certificate is there.
    CertificateIssued(CertificateIssued),
    /// There will be no certificate.
    IssuanceFailed(IssuanceFailed),
}

/// The order was placed (RFC 8555 §7.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderPlaced {
    /// The new order.
    pub id: OrderId,
    /// The profile whose rules it follows.
    pub profile: ProfileName,
    /// The account that placed it.
    pub account: AccountId,
    /// What is to be certified, as sent.
    pub identifiers: Vec<Identifier>,
    /// The requested start of validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The requested end of validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// When it was placed.
    pub at: Timestamp,
    /// When it ends unless it is finalized.
    pub expires_at: Timestamp,
    /// What must be proven.
    pub authorizations: Vec<AuthorizationPlaced>,
}

/// An authorization of a new order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthorizationPlaced {
    /// What is to be proven, without a leading `*.`.
    pub identifier: Identifier,
    /// Whether every name below is asked for.
    pub wildcard: bool,
    /// The ways to prove it; the one that did, where it was proven before.
    pub challenges: Vec<ChallengePlaced>,
    /// The pre-authorization that proves it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relies_on: Option<ReliedOn>,
}

/// A pre-authorization that was valid when an order was placed (RFC 8555 §7.4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReliedOn {
    /// Which one.
    pub id: PreAuthorizationId,
    /// When it was proven.
    pub validated_at: Timestamp,
    /// When CAA was seen to allow issuance; absent where it was not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caa_checked_at: Option<Timestamp>,
    /// When it ends; the order ends no later.
    pub expires_at: Timestamp,
}

/// A challenge of a new order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChallengePlaced {
    /// How control is proven.
    pub kind: ChallengeType,
    /// At least 128 random bits as unpadded base64url (RFC 8555 §8.1).
    pub token: String,
}

/// The client asked for a challenge to be validated (RFC 8555 §7.5.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChallengeReady {
    /// Which authorization.
    pub authorization: AuthorizationIndex,
    /// Which of its challenges.
    pub challenge: ChallengeType,
    /// What is to be proven, without a leading `*.`.
    pub identifier: Identifier,
    /// Whether every name below is asked for.
    pub wildcard: bool,
    /// How often the client asked, this time included: an older request is superseded.
    pub round: u16,
    /// The challenge's token.
    pub token: String,
    /// What the applicant must show (RFC 8555 §8.1).
    pub key_authorization: String,
    /// The order's account, for fair shares of the validators.
    pub account: AccountId,
    /// The order's profile, whose validation settings apply.
    pub profile: ProfileName,
}

/// A validator saw the proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChallengeValidated {
    /// Which authorization.
    pub authorization: AuthorizationIndex,
    /// Which of its challenges.
    pub challenge: ChallengeType,
    /// The identifier that was looked at, again: each one has evidence of its own.
    pub identifier: Identifier,
    /// When.
    pub at: Timestamp,
    /// What was seen.
    pub evidence: Evidence,
}

/// A validator did not see the proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChallengeFailed {
    /// Which authorization.
    pub authorization: AuthorizationIndex,
    /// Which of its challenges.
    pub challenge: ChallengeType,
    /// The identifier that was looked at.
    pub identifier: Identifier,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub failure: Failure,
    /// What was seen.
    pub evidence: Evidence,
}

/// A validator did not see the proof, and will look again (RFC 8555 §8.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChallengeAttemptFailed {
    /// Which authorization.
    pub authorization: AuthorizationIndex,
    /// Which of its challenges.
    pub challenge: ChallengeType,
    /// The identifier that was looked at.
    pub identifier: Identifier,
    /// When.
    pub at: Timestamp,
    /// When a validator looks again, unless the client asks for it earlier.
    pub retry_at: Timestamp,
    /// Why.
    pub failure: Failure,
    /// What was seen.
    pub evidence: Evidence,
}

/// The holder gave an authorization up (RFC 8555 §7.5.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthorizationDeactivated {
    /// Which authorization.
    pub authorization: AuthorizationIndex,
}

/// The client handed in what to certify (RFC 8555 §7.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderFinalized {
    /// The key to certify.
    pub public_key: SubjectPublicKey,
    /// What to certify.
    pub identifiers: Vec<Identifier>,
    /// The common name that the CSR asks for: one of the identifiers, in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// The requested start of validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The requested end of validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// The order's account.
    pub account: AccountId,
    /// The order's profile.
    pub profile: ProfileName,
    /// When.
    pub at: Timestamp,
}

/// The signer wants CAA to be looked at again, because the last look is too long ago.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaaCheckNeeded {
    /// Which authorization.
    pub authorization: AuthorizationIndex,
    /// The challenge it was proven by, which CAA may restrict (RFC 8657 §4).
    pub challenge: ChallengeType,
    /// What was proven, without a leading `*.`.
    pub identifier: Identifier,
    /// Whether every name below is asked for.
    pub wildcard: bool,
    /// The order's account, which CAA may restrict (RFC 8657 §3).
    pub account: AccountId,
    /// The order's profile, whose validation settings apply.
    pub profile: ProfileName,
}

/// A validator saw that CAA still allows issuance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaaChecked {
    /// Which authorization.
    pub authorization: AuthorizationIndex,
    /// The identifier that was looked at, again: each one has evidence of its own.
    pub identifier: Identifier,
    /// When.
    pub at: Timestamp,
    /// What was seen.
    pub evidence: Evidence,
}

/// A validator saw that CAA forbids issuance, or could not look: there will be no certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaaCheckFailed {
    /// Which authorization.
    pub authorization: AuthorizationIndex,
    /// The identifier that was looked at.
    pub identifier: Identifier,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub failure: Failure,
    /// What was seen.
    pub evidence: Evidence,
}

/// The signer claimed a serial for the order; the ledger holds the bytes to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateReserved {
    /// The CA key that is to sign.
    pub issuer: IssuerId,
    /// The serial.
    pub serial: Serial,
    /// Where the ledger holds the bytes to sign.
    pub ledger_sequence: u64,
}

/// The claimed serial was given up after a crash: it counts as issued and revoked, and another one may be claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReservationBurned {
    /// The CA key that may have signed.
    pub issuer: IssuerId,
    /// The serial.
    pub serial: Serial,
}

/// The certificate is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateIssued {
    /// The CA key that signed.
    pub issuer: IssuerId,
    /// The serial.
    pub serial: Serial,
    /// Where the ledger holds the certificate.
    pub ledger_sequence: u64,
    /// When.
    pub at: Timestamp,
}

/// There will be no certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuanceFailed {
    /// Why.
    pub failure: Failure,
    /// When.
    pub at: Timestamp,
}

impl DomainEvent for Event {
    const TYPES: &'static [(&'static str, u16)] = &[
        ("OrderPlaced", 3),
        ("ChallengeReady", 2),
        ("ChallengeValidated", 2),
        ("ChallengeFailed", 2),
        ("ChallengeAttemptFailed", 1),
        ("AuthorizationDeactivated", 1),
        ("OrderFinalized", 2),
        ("CaaCheckNeeded", 1),
        ("CaaChecked", 1),
        ("CaaCheckFailed", 1),
        ("CertificateReserved", 1),
        ("ReservationBurned", 1),
        ("CertificateIssued", 1),
        ("IssuanceFailed", 1),
    ];

    fn event_type(&self) -> &'static str {
        match self {
            Self::OrderPlaced(_) => "OrderPlaced",
            Self::ChallengeReady(_) => "ChallengeReady",
            Self::ChallengeValidated(_) => "ChallengeValidated",
            Self::ChallengeFailed(_) => "ChallengeFailed",
            Self::ChallengeAttemptFailed(_) => "ChallengeAttemptFailed",
            Self::AuthorizationDeactivated(_) => "AuthorizationDeactivated",
            Self::OrderFinalized(_) => "OrderFinalized",
            Self::CaaCheckNeeded(_) => "CaaCheckNeeded",
            Self::CaaChecked(_) => "CaaChecked",
            Self::CaaCheckFailed(_) => "CaaCheckFailed",
            Self::CertificateReserved(_) => "CertificateReserved",
            Self::ReservationBurned(_) => "ReservationBurned",
            Self::CertificateIssued(_) => "CertificateIssued",
            Self::IssuanceFailed(_) => "IssuanceFailed",
        }
    }
}
