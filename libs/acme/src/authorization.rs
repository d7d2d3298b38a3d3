//! The authorization and challenge resources (RFC 8555 §7.1.4, §7.1.5, §8) and what clients ask of them.

use std::ops::Not;

use domain::{
    ChallengeType, Identifier, Timestamp,
    order::{self, AuthorizationStatus},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use crate::{
    order::RequestedIdentifier,
    problem::Problem,
    time::{optional_whole_seconds, whole_seconds},
};

/// An authorization as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Authorization<'a> {
    /// What is to be proven, without a leading `*.`.
    pub identifier: &'a Identifier,
    /// How far it came.
    #[serde(serialize_with = "status")]
    #[schemars(schema_with = "statuses")]
    pub status: AuthorizationStatus,
    /// When it ends.
    #[serde(serialize_with = "whole_seconds")]
    pub expires: Timestamp,
    /// The ways to prove it.
    pub challenges: Vec<Challenge<'a>>,
    /// Whether the order asks for every name below.
    #[serde(skip_serializing_if = "Not::not")]
    pub wildcard: bool,
}

/// A challenge as it is shown: a flat object, because some clients read it with text tools.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Challenge<'a> {
    /// How control is proven.
    #[serde(rename = "type")]
    pub kind: ChallengeType,
    /// Its own URL, where the client responds.
    pub url: String,
    /// How far it came.
    pub status: ChallengeStatus,
    /// The random value to prove it with.
    pub token: &'a str,
    /// When it was validated.
    #[serde(serialize_with = "optional_whole_seconds", skip_serializing_if = "Option::is_none")]
    pub validated: Option<Timestamp>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// The word for a challenge's status; what belongs to it stands in the challenge's other members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChallengeStatus {
    /// Waits for the client.
    Pending,
    /// Waits for a validator.
    Processing,
    /// Proven.
    Valid,
    /// Not proven.
    Invalid,
}

/// The payload of newAuthz; whatever else it has is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct NewAuthorization {
    /// What is to be proven.
    pub identifier: RequestedIdentifier,
}

/// The payload of a request to an authorization; whatever else it has is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AuthorizationUpdate {
    /// `deactivated`; nothing else can be asked for.
    pub status: Option<String>,
}

/// The payload of a response to a challenge: an object whose members are all ignored (RFC 8555 §8.3, §8.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ChallengeResponse {}

impl AuthorizationUpdate {
    /// Whether the authorization is to be deactivated (RFC 8555 §7.5.2).
    pub fn deactivates(&self) -> bool {
        self.status.as_deref() == Some("deactivated")
    }
}

impl From<&order::ChallengeStatus> for ChallengeStatus {
    fn from(status: &order::ChallengeStatus) -> Self {
        match status {
            order::ChallengeStatus::Pending => Self::Pending,
            order::ChallengeStatus::Processing(_) => Self::Processing,
            order::ChallengeStatus::Valid { .. } => Self::Valid,
            order::ChallengeStatus::Invalid { .. } => Self::Invalid,
        }
    }
}

fn status<S: Serializer>(status: &AuthorizationStatus, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match status {
        AuthorizationStatus::Pending => "pending",
        AuthorizationStatus::Valid => "valid",
        AuthorizationStatus::Invalid => "invalid",
        AuthorizationStatus::Deactivated => "deactivated",
        AuthorizationStatus::Expired => "expired",
    })
}

fn statuses(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": ["pending", "valid", "invalid", "deactivated", "expired"] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::ErrorType;

    #[test]
    fn an_authorization_is_deactivated_by_that_status_only() {
        for (json, expected) in [
            (r#"{"status":"deactivated"}"#, true),
            (r#"{"status":"valid"}"#, false),
            (r#"{"status":null}"#, false),
            ("{}", false),
        ] {
            let update: AuthorizationUpdate = serde_json::from_str(json).unwrap();
            assert_eq!(update.deactivates(), expected, "{json}");
        }
    }

    #[test]
    fn an_authorization_is_shown_as_the_rfc_says() {
        let challenge = |status, validated, error| Challenge {
            kind: ChallengeType::Dns01,
            url: "https://ca.example/challenge/1".into(),
            status,
            token: "token",
            validated,
            error,
        };
        let at = Timestamp::from_unix_millis(1_790_000_000_999);
        let failed = Problem::new(ErrorType::Dns, "no such name");
        let authorization = Authorization {
            identifier: &Identifier::Dns("example.com".parse().unwrap()),
            status: AuthorizationStatus::Valid,
            expires: at,
            challenges: vec![
                challenge(ChallengeStatus::Valid, Some(at), None),
                challenge(ChallengeStatus::Invalid, None, Some(failed)),
            ],
            wildcard: true,
        };
        assert_eq!(
            serde_json::to_value(&authorization).unwrap(),
            serde_json::json!({
                "identifier": {"type": "dns", "value": "example.com"},
                "status": "valid",
                "expires": "2026-09-21T14:13:20Z",
                "challenges": [
                    {"type": "dns-01", "url": "https://ca.example/challenge/1", "status": "valid",
                     "token": "token", "validated": "2026-09-21T14:13:20Z"},
                    {"type": "dns-01", "url": "https://ca.example/challenge/1", "status": "invalid",
                     "token": "token", "error": {"type": "urn:ietf:params:acme:error:dns",
                     "detail": "no such name", "status": 400}},
                ],
                "wildcard": true,
            })
        );
    }

    #[test]
    fn a_response_to_a_challenge_may_have_any_members() {
        assert!(serde_json::from_str::<ChallengeResponse>("{}").is_ok());
        let old = r#"{"resource":"challenge","keyAuthorization":"x"}"#;
        assert!(serde_json::from_str::<ChallengeResponse>(old).is_ok());
    }
}
