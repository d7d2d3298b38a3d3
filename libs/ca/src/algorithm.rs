//! The kinds of CA key, each with the one signature algorithm we use it with.

use std::{fmt, str::FromStr};

use yasna::models::ObjectIdentifier;

/// A kind of CA key and the signature algorithm that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384,
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// RSA PKCS#1 v1.5 with SHA-256; such keys are imported or made by a token, never generated here.
    Rsa,
}

/// What key to use for a new CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChoice {
    /// One that is there, of whatever kind; else a new one of this kind.
    OrNew(KeyAlgorithm),
    /// One of this kind: one that is there must be.
    Only(KeyAlgorithm),
}

impl KeyChoice {
    /// The kind of a new one.
    pub(crate) fn algorithm(self) -> KeyAlgorithm {
        match self {
            Self::OrNew(algorithm) | Self::Only(algorithm) => algorithm,
        }
    }

    /// Whether a key of this kind does.
    pub(crate) fn permits(self, there: KeyAlgorithm) -> bool {
        match self {
            Self::OrNew(_) => true,
            Self::Only(algorithm) => there == algorithm,
        }
    }
}

impl From<KeyAlgorithm> for KeyChoice {
    fn from(algorithm: KeyAlgorithm) -> Self {
        Self::OrNew(algorithm)
    }
}

/// The text names no kind of CA key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key algorithm: expected p256, p384, ed25519 or rsa")]
pub struct UnknownKeyAlgorithm;

impl KeyAlgorithm {
    /// Every kind of key.
    pub const ALL: [Self; 4] = [Self::EcdsaP256, Self::EcdsaP384, Self::Ed25519, Self::Rsa];

    /// The name used in configuration and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "p256",
            Self::EcdsaP384 => "p384",
            Self::Ed25519 => "ed25519",
            Self::Rsa => "rsa",
        }
    }

    /// Whether signing the same bytes again gives the same signature, so that a lost signature may be made again.
    pub fn is_deterministic(self) -> bool {
        match self {
            Self::EcdsaP256 | Self::EcdsaP384 => false,
            Self::Ed25519 | Self::Rsa => true,
        }
    }

    /// The signature algorithm as rcgen knows it.
    pub(crate) fn rcgen(self) -> &'static rcgen::SignatureAlgorithm {
        match self {
            Self::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::Ed25519 => &rcgen::PKCS_ED25519,
            Self::Rsa => &rcgen::PKCS_RSA_SHA256,
        }
    }

    /// The DER AlgorithmIdentifier that stands beside a signature (RFC 5280 §4.1.1.2).
    pub(crate) fn signature_identifier(self) -> Vec<u8> {
        let (oid, has_null): (&[u64], bool) = match self {
            Self::EcdsaP256 => (&[1, 2, 840, 10045, 4, 3, 2], false),
            Self::EcdsaP384 => (&[1, 2, 840, 10045, 4, 3, 3], false),
            Self::Ed25519 => (&[1, 3, 101, 112], false),
            Self::Rsa => (&[1, 2, 840, 113_549, 1, 1, 11], true),
        };
        yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_oid(&ObjectIdentifier::from_slice(oid));
                if has_null {
                    writer.next().write_null();
                }
            });
        })
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyAlgorithm {
    type Err = UnknownKeyAlgorithm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownKeyAlgorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_survives_its_name() {
        for algorithm in KeyAlgorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        }
        assert_eq!("p521".parse::<KeyAlgorithm>(), Err(UnknownKeyAlgorithm));
    }
}
