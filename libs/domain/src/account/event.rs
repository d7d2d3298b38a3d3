//! What happens to an account. These types are stored: change them only by adding a version.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, AccountKey, DomainEvent, ExternalKeyId, NamePattern, ProfileName, Thumbprint,
    Timestamp,
};

/// An event of an account, or of a key that an account changes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// The account was made.
    AccountCreated(AccountCreated),
    /// The account's contacts were replaced.
    AccountUpdated(AccountUpdated),
    /// The account's holder agreed to the terms of service.
    AccountTermsAgreed(AccountTermsAgreed),
    /// The account was bound to one of another system.
    AccountBound(AccountBound),
    /// An account claimed a key; stored where an account that the key made would be.
    AccountKeyClaimed(AccountKeyClaimed),
    /// The account's key was replaced.
    AccountKeyChanged(AccountKeyChanged),
    /// The account was ended.
    AccountDeactivated(AccountDeactivated),
}

/// The account was made (RFC 8555 §7.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountCreated {
    /// The new account.
    pub id: AccountId,
    /// The profile it belongs to.
    pub profile: ProfileName,
    /// Its first key.
    pub key: AccountKey,
    /// Contact URLs as sent.
    pub contact: Vec<String>,
    /// Whether the client agreed to the terms of service.
    pub terms_of_service_agreed: bool,
    /// When it was made.
    pub at: Timestamp,
}

/// The account's contacts were replaced (RFC 8555 §7.3.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountUpdated {
    /// Contact URLs as sent.
    pub contact: Vec<String>,
}

/// The account's holder agreed to terms of service, when the account was made or later (RFC 8555 §7.3.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountTermsAgreed {
    /// The URL of the terms.
    pub terms_of_service: String,
    /// When.
    pub at: Timestamp,
}

/// The account was bound to one of another system, when it was made (RFC 8555 §7.3.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountBound {
    /// The key that binds it.
    pub key: ExternalKeyId,
    /// What the client sent, which the account shows.
    pub binding: Binding,
    /// The names the account may order; all of them when there are none here.
    pub names: Vec<NamePattern>,
    /// When.
    pub at: Timestamp,
}

/// A binding as it was sent: a flattened JWS with the parts in unpadded base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Binding {
    /// The protected header.
    pub protected: String,
    /// The account's key.
    pub payload: String,
    /// The MAC.
    pub signature: String,
}

/// An account claimed a key that it is about to change to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountKeyClaimed {
    /// The account.
    pub account: AccountId,
    /// The key's thumbprint.
    pub key: Thumbprint,
    /// When.
    pub at: Timestamp,
}

/// The account's key was replaced; the one before can do nothing any more (RFC 8555 §7.3.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountKeyChanged {
    /// The new key.
    pub key: AccountKey,
    /// When.
    pub at: Timestamp,
}

/// The account was ended (RFC 8555 §7.3.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountDeactivated {}

impl DomainEvent for Event {
    const TYPES: &'static [(&'static str, u16)] = &[
        ("AccountCreated", 1),
        ("AccountUpdated", 1),
        ("AccountTermsAgreed", 1),
        ("AccountBound", 1),
        ("AccountKeyClaimed", 1),
        ("AccountKeyChanged", 1),
        ("AccountDeactivated", 1),
    ];

    fn event_type(&self) -> &'static str {
        match self {
            Self::AccountCreated(_) => "AccountCreated",
            Self::AccountUpdated(_) => "AccountUpdated",
            Self::AccountTermsAgreed(_) => "AccountTermsAgreed",
            Self::AccountBound(_) => "AccountBound",
            Self::AccountKeyClaimed(_) => "AccountKeyClaimed",
            Self::AccountKeyChanged(_) => "AccountKeyChanged",
            Self::AccountDeactivated(_) => "AccountDeactivated",
        }
    }
}
