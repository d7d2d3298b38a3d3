//! The error types registered for ACME (RFC 8555 §9.7.4 and the registry it founded).

use std::borrow::Cow;

use domain::FailureKind;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// An error type of ACME; servers must not make up others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// The request names an account that does not exist.
    AccountDoesNotExist,
    /// The order replaces a certificate that another one replaces already (RFC 9773 §7.4).
    AlreadyReplaced,
    /// The certificate is revoked already.
    AlreadyRevoked,
    /// The automatic renewal was canceled (RFC 8739).
    AutoRenewalCanceled,
    /// The automatic renewal cannot be canceled in this state (RFC 8739).
    AutoRenewalCancellationInvalid,
    /// The automatic renewal is over (RFC 8739).
    AutoRenewalExpired,
    /// An automatically renewed certificate cannot be revoked (RFC 8739).
    AutoRenewalRevocationNotSupported,
    /// The CSR is not acceptable.
    BadCsr,
    /// The anti-replay nonce is not acceptable.
    BadNonce,
    /// The request was signed by a key that is not accepted.
    BadPublicKey,
    /// The revocation reason is not allowed.
    BadRevocationReason,
    /// The request was signed with an algorithm that is not accepted.
    BadSignatureAlgorithm,
    /// CAA records forbid issuance.
    Caa,
    /// The problems are in the subproblems.
    Compound,
    /// The applicant's server could not be reached.
    Connection,
    /// A DNS query failed.
    Dns,
    /// The request needs an external account binding.
    ExternalAccountRequired,
    /// The response did not match the challenge.
    IncorrectResponse,
    /// A contact URL is invalid.
    InvalidContact,
    /// The request is malformed.
    Malformed,
    /// The CA needs the CAA records of a hidden service in the request (RFC 9799 §6.4).
    OnionCaaRequired,
    /// The order is not ready to be finalized.
    OrderNotReady,
    /// The request exceeds a rate limit.
    RateLimited,
    /// The server will not issue for the identifier.
    RejectedIdentifier,
    /// The server failed.
    ServerInternal,
    /// The applicant's server had a TLS fault.
    Tls,
    /// The client is not allowed to do this.
    Unauthorized,
    /// The delegation is not known (RFC 9115).
    UnknownDelegation,
    /// A contact URL has a scheme that is not supported.
    UnsupportedContact,
    /// An identifier has a type that is not supported.
    UnsupportedIdentifier,
    /// A person has to visit the `instance` URL.
    UserActionRequired,
}

impl ErrorType {
    /// The type's URN.
    pub fn urn(self) -> &'static str {
        match self {
            Self::AccountDoesNotExist => "urn:ietf:params:acme:error:accountDoesNotExist",
            Self::AlreadyReplaced => "urn:ietf:params:acme:error:alreadyReplaced",
            Self::AlreadyRevoked => "urn:ietf:params:acme:error:alreadyRevoked",
            Self::AutoRenewalCanceled => "urn:ietf:params:acme:error:autoRenewalCanceled",
            Self::AutoRenewalCancellationInvalid => {
                "urn:ietf:params:acme:error:autoRenewalCancellationInvalid"
            }
            Self::AutoRenewalExpired => "urn:ietf:params:acme:error:autoRenewalExpired",
            Self::AutoRenewalRevocationNotSupported => {
                "urn:ietf:params:acme:error:autoRenewalRevocationNotSupported"
            }
            Self::BadCsr => "urn:ietf:params:acme:error:badCSR",
            Self::BadNonce => "urn:ietf:params:acme:error:badNonce",
            Self::BadPublicKey => "urn:ietf:params:acme:error:badPublicKey",
            Self::BadRevocationReason => "urn:ietf:params:acme:error:badRevocationReason",
            Self::BadSignatureAlgorithm => "urn:ietf:params:acme:error:badSignatureAlgorithm",
            Self::Caa => "urn:ietf:params:acme:error:caa",
            Self::Compound => "urn:ietf:params:acme:error:compound",
            Self::Connection => "urn:ietf:params:acme:error:connection",
            Self::Dns => "urn:ietf:params:acme:error:dns",
            Self::ExternalAccountRequired => "urn:ietf:params:acme:error:externalAccountRequired",
            Self::IncorrectResponse => "urn:ietf:params:acme:error:incorrectResponse",
            Self::InvalidContact => "urn:ietf:params:acme:error:invalidContact",
            Self::Malformed => "urn:ietf:params:acme:error:malformed",
            Self::OnionCaaRequired => "urn:ietf:params:acme:error:onionCAARequired",
            Self::OrderNotReady => "urn:ietf:params:acme:error:orderNotReady",
            Self::RateLimited => "urn:ietf:params:acme:error:rateLimited",
            Self::RejectedIdentifier => "urn:ietf:params:acme:error:rejectedIdentifier",
            Self::ServerInternal => "urn:ietf:params:acme:error:serverInternal",
            Self::Tls => "urn:ietf:params:acme:error:tls",
            Self::Unauthorized => "urn:ietf:params:acme:error:unauthorized",
            Self::UnknownDelegation => "urn:ietf:params:acme:error:unknownDelegation",
            Self::UnsupportedContact => "urn:ietf:params:acme:error:unsupportedContact",
            Self::UnsupportedIdentifier => "urn:ietf:params:acme:error:unsupportedIdentifier",
            Self::UserActionRequired => "urn:ietf:params:acme:error:userActionRequired",
        }
    }

    /// The HTTP status it is answered with unless the situation asks for another.
    pub fn status(self) -> u16 {
        match self {
            Self::AccountDoesNotExist
            | Self::AlreadyRevoked
            | Self::AutoRenewalCancellationInvalid
            | Self::BadCsr
            | Self::BadNonce
            | Self::BadPublicKey
            | Self::BadRevocationReason
            | Self::BadSignatureAlgorithm
            | Self::Compound
            | Self::Connection
            | Self::Dns
            | Self::InvalidContact
            | Self::Malformed
            | Self::RejectedIdentifier
            | Self::Tls
            | Self::UnsupportedContact
            | Self::UnsupportedIdentifier => 400,
            Self::AutoRenewalCanceled
            | Self::AutoRenewalExpired
            | Self::AutoRenewalRevocationNotSupported
            | Self::Caa
            | Self::ExternalAccountRequired
            | Self::IncorrectResponse
            | Self::OnionCaaRequired
            | Self::OrderNotReady
            | Self::Unauthorized
            | Self::UnknownDelegation
            | Self::UserActionRequired => 403,
            Self::AlreadyReplaced => 409,
            Self::RateLimited => 429,
            Self::ServerInternal => 500,
        }
    }
}

impl Serialize for ErrorType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.urn())
    }
}

impl JsonSchema for ErrorType {
    fn schema_name() -> Cow<'static, str> {
        "ErrorType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^urn:ietf:params:acme:error:[A-Za-z]+$" })
    }
}

impl From<FailureKind> for ErrorType {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Caa => Self::Caa,
            FailureKind::Connection => Self::Connection,
            FailureKind::Dns => Self::Dns,
            FailureKind::IncorrectResponse => Self::IncorrectResponse,
            FailureKind::RejectedIdentifier => Self::RejectedIdentifier,
            FailureKind::ServerInternal => Self::ServerInternal,
            FailureKind::Tls => Self::Tls,
            FailureKind::Unauthorized => Self::Unauthorized,
        }
    }
}
