//! The signature algorithms of account keys (RFC 7518 §3, RFC 8037 §3.1).

use biscuit::{jwa, jws::Secret};
use ring::signature;

use crate::key::{KeyKind, PublicKey};

/// A signature algorithm we verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256,
    /// RSA PSS with SHA-256.
    Ps256,
    /// Ed25519.
    EdDsa,
}

/// Why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// The algorithm belongs to another kind of key: answered as `badSignatureAlgorithm`.
    #[error("the signature algorithm does not belong to the kind of key")]
    Algorithm,
    /// The signature is not this key's over this request.
    #[error("the signature is wrong")]
    Signature,
}

impl SignatureAlgorithm {
    /// Every algorithm we verify, for the `algorithms` of a badSignatureAlgorithm problem.
    pub const ALL: [Self; 5] = [Self::Es256, Self::Es384, Self::Rs256, Self::Ps256, Self::EdDsa];

    /// The names of [`Self::ALL`].
    pub fn names() -> [&'static str; 5] {
        Self::ALL.map(Self::name)
    }

    /// The algorithm's name in `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm with a name, if we verify it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Whether keys of a kind make such signatures.
    pub fn fits(self, kind: KeyKind) -> bool {
        match self {
            Self::Es256 => kind == KeyKind::P256,
            Self::Es384 => kind == KeyKind::P384,
            Self::Rs256 | Self::Ps256 => kind == KeyKind::Rsa,
            Self::EdDsa => kind == KeyKind::Ed25519,
        }
    }

    /// Verifies a signature over a message.
    ///
    /// # Errors
    /// When the algorithm does not belong to the key, or the signature is wrong.
    pub fn verify(
        self,
        key: &PublicKey,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        // biscuit panics on some combinations of algorithm and key, so it only ever sees those that fit.
        if !self.fits(key.kind()) {
            return Err(BadSignature::Algorithm);
        }
        let verified = match self {
            Self::Es256 => biscuit_verify(jwa::SignatureAlgorithm::ES256, key, message, signature),
            Self::Es384 => biscuit_verify(jwa::SignatureAlgorithm::ES384, key, message, signature),
            Self::Rs256 => biscuit_verify(jwa::SignatureAlgorithm::RS256, key, message, signature),
            Self::Ps256 => biscuit_verify(jwa::SignatureAlgorithm::PS256, key, message, signature),
            // biscuit does not know EdDSA.
            Self::EdDsa => signature::UnparsedPublicKey::new(&signature::ED25519, key.bits())
                .verify(message, signature)
                .is_ok(),
        };
        if verified { Ok(()) } else { Err(BadSignature::Signature) }
    }
}

/// Takes the octets that were signed: going through biscuit's JSON types would parse the request a second time, while
/// this costs less than a microsecond beside ring's own 20 to 800.
fn biscuit_verify(
    algorithm: jwa::SignatureAlgorithm,
    key: &PublicKey,
    message: &[u8],
    signature: &[u8],
) -> bool {
    algorithm.verify(signature, message, &Secret::PublicKey(key.bits())).is_ok()
}
