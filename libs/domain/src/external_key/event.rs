//! What happens to a key for external accounts. These types are stored: change them only by adding a version.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, DomainEvent, ExternalKeyId, KeyFingerprint, NamePattern, ProfileName,
    SubjectPublicKey, Timestamp,
};

/// An event of a key for external accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data")]
pub enum Event {
    /// An operator made the key.
    ExternalKeyCreated(ExternalKeyCreated),
    /// An operator registered a public key.
    ExternalKeyRegistered(ExternalKeyRegistered),
    /// An account claimed a key that is good for one account.
    ExternalKeyUsed(ExternalKeyUsed),
    /// An operator ended the key.
    ExternalKeyDisabled(ExternalKeyDisabled),
}

/// An operator made a key for binding accounts (RFC 8555 §7.3.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExternalKeyCreated {
    /// The key's id, the `kid` of its bindings.
    pub id: ExternalKeyId,
    /// The profile whose accounts it binds.
    pub profile: ProfileName,
    /// The MAC key, sealed with the operator's key.
    pub secret: SealedSecret,
    /// How many accounts it binds.
    pub uses: Uses,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// The names its accounts may order; all of them when there are none here.
    pub names: Vec<NamePattern>,
    /// When it was made.
    pub at: Timestamp,
}

/// An operator registered a public key whose owner binds accounts, for the first time or after it had ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExternalKeyRegistered {
    /// The key's id, made of profile and fingerprint.
    pub id: ExternalKeyId,
    /// The profile whose accounts it binds.
    pub profile: ProfileName,
    /// The key.
    pub key: SubjectPublicKey,
    /// What its bindings know it by: the hash of what was registered, a public key or a certificate.
    pub fingerprint: KeyFingerprint,
    /// How many accounts it binds.
    pub uses: Uses,
    /// When it ends by itself; a certificate's key ends with it.
    pub expires_at: Option<Timestamp>,
    /// The names its accounts may order; all of them when there are none here.
    pub names: Vec<NamePattern>,
    /// When it was registered.
    pub at: Timestamp,
}

/// How many accounts a key binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Uses {
    /// One.
    OneAccount,
    /// Any number.
    AnyNumber,
}

/// A secret as unpadded base64url, sealed with a key that only the operator's servers have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SealedSecret(pub String);

/// An account claimed a key that is good for one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExternalKeyUsed {
    /// Which account.
    pub account: AccountId,
    /// When.
    pub at: Timestamp,
}

/// An operator ended a key; accounts that it bound stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExternalKeyDisabled {}

impl DomainEvent for Event {
    const TYPES: &'static [(&'static str, u16)] = &[
        ("ExternalKeyCreated", 1),
        ("ExternalKeyRegistered", 1),
        ("ExternalKeyUsed", 1),
        ("ExternalKeyDisabled", 1),
    ];

    fn event_type(&self) -> &'static str {
        match self {
            Self::ExternalKeyCreated(_) => "ExternalKeyCreated",
            Self::ExternalKeyRegistered(_) => "ExternalKeyRegistered",
            Self::ExternalKeyUsed(_) => "ExternalKeyUsed",
            Self::ExternalKeyDisabled(_) => "ExternalKeyDisabled",
        }
    }
}
