//! Signatures that other systems make, in the forms that are usual outside of JWS.

use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};

use super::{KeyKind, PublicKey};

impl PublicKey {
    /// Whether the key made a signature over a message: PKCS#1 v1.5 with SHA-256, ECDSA as DER with the hash of the curve's
    /// size, or Ed25519.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self.kind() {
            KeyKind::Rsa => &RSA_PKCS1_2048_8192_SHA256,
            KeyKind::P256 => &ECDSA_P256_SHA256_ASN1,
            KeyKind::P384 => &ECDSA_P384_SHA384_ASN1,
            KeyKind::Ed25519 => &ED25519,
        };
        UnparsedPublicKey::new(algorithm, self.bits()).verify(message, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use ring::{
        rand::SystemRandom,
        signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair},
    };

    use super::*;

    #[test]
    fn an_rsa_key_signs_by_pkcs1_and_not_by_pss() {
        let pair =
            RsaKeyPair::from_der(include_bytes!("../../tests/data/rsa2048.key.der")).unwrap();
        let public: ring::rsa::PublicKeyComponents<Vec<u8>> = pair.public().into();
        let key = PublicKey::rsa(&public.n, &public.e).unwrap();
        let signed = |encoding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), b"message", &mut signature).unwrap();
            signature
        };
        assert!(key.has_signed(b"message", &signed(&RSA_PKCS1_SHA256)));
        assert!(!key.has_signed(b"other", &signed(&RSA_PKCS1_SHA256)));
        assert!(!key.has_signed(b"message", &signed(&RSA_PSS_SHA256)));
    }
}
