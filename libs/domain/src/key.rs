//! Public keys as the rules see them: opaque, comparable, already checked at the edge.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An account's public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountKey {
    /// The JWK's required members in the canonical form of RFC 7638 §3.
    pub jwk: String,
    /// The SHA-256 thumbprint of that form.
    pub thumbprint: Thumbprint,
}

/// A JWK SHA-256 thumbprint (RFC 7638) as 43 characters of unpadded base64url.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Thumbprint(pub String);

impl Thumbprint {
    /// The thumbprint's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The key a certificate certifies: its DER SubjectPublicKeyInfo as unpadded base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SubjectPublicKey(pub String);
