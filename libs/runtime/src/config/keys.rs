//! Which public keys a profile accepts.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[profile.account_keys]` and `[profile.certificate_keys]`: which public keys are accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// The kinds of keys, at least one; ECDSA keys by their curve.
    pub types: BTreeSet<KeyType>,
    /// The shortest RSA modulus, in bits: from 2048 to 4096, a multiple of 8.
    pub min_rsa_bits: u16,
    /// The longest RSA modulus, in bits: from 2048 to 4096, a multiple of 8.
    pub max_rsa_bits: u16,
}

/// A kind of public key.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    /// RSA.
    Rsa,
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
}

impl Keys {
    /// The shortest RSA modulus any profile may accept, in bits.
    pub(crate) const LEAST_RSA_BITS: u16 = 2048;
    /// The longest RSA modulus any profile may accept, in bits.
    pub(crate) const MOST_RSA_BITS: u16 = 4096;
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            types: [KeyType::Rsa, KeyType::P256, KeyType::P384, KeyType::Ed25519].into(),
            min_rsa_bits: Self::LEAST_RSA_BITS,
            max_rsa_bits: Self::MOST_RSA_BITS,
        }
    }
}
