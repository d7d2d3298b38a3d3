//! A CA key, in memory or in a token: signs, and shows its public half.

use std::fmt;

use pkcs8::{ObjectIdentifier, PrivateKeyInfo};
use rcgen::PublicKeyData;
use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use zeroize::Zeroizing;

use crate::{
    algorithm::KeyAlgorithm,
    token::{TokenError, TokenKey},
};

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// What stands before the 32 octets of an Ed25519 key in its PKCS#8 form (RFC 8410 §7).
const ED25519_PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
const ED25519_SEED_BYTES: usize = 32;

/// A CA's private key.
pub struct CaKey {
    signer: Signer,
    algorithm: KeyAlgorithm,
    public_key: Vec<u8>,
}

enum Signer {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
    Token(Box<TokenKey>),
}

/// Why a private key cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The bytes are no PKCS#8 private key.
    #[error("the key is not a PKCS#8 private key")]
    NotPkcs8,
    /// The kind of key is none we sign with.
    #[error("the key is not of a supported kind: P-256, P-384, Ed25519 or RSA")]
    UnsupportedAlgorithm,
    /// The key is of the right kind, but not a good one; RSA keys need 2048 to 4096 bits and an exponent of 65537 or more.
    #[error("the key is inconsistent, or RSA of other than 2048 to 4096 bits")]
    Rejected(#[source] ring::error::KeyRejected),
    /// RSA keys can only be imported.
    #[error("RSA keys are not generated here: make one with openssl genpkey and import it")]
    CannotGenerateRsa,
    /// The operating system gave no random numbers.
    #[error("the system's random number generator failed")]
    Random,
}

/// The key did not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The system's random number generator failed.
    #[error("the CA key did not sign")]
    Failed,
    /// The token that holds the key cannot be used now.
    #[error("the token with the CA key did not sign")]
    TokenAway,
}

impl CaKey {
    /// Generates a key and returns its PKCS#8 form, which is wiped when dropped.
    ///
    /// # Errors
    /// For RSA, and when there are no random numbers.
    pub fn generate_pkcs8(algorithm: KeyAlgorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let random = SystemRandom::new();
        let ecdsa = |curve| {
            EcdsaKeyPair::generate_pkcs8(curve, &random)
                .map(|document| Zeroizing::new(document.as_ref().to_vec()))
                .map_err(|_| KeyError::Random)
        };
        match algorithm {
            KeyAlgorithm::EcdsaP256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyAlgorithm::EcdsaP384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyAlgorithm::Ed25519 => generate_ed25519(&random),
            KeyAlgorithm::Rsa => Err(KeyError::CannotGenerateRsa),
        }
    }

    /// Takes a private key from its DER PKCS#8 form (RFC 5958).
    ///
    /// # Errors
    /// When it is no PKCS#8, of another kind than ours, or weak.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let algorithm = algorithm_of(der)?;
        let ecdsa =
            |curve| EcdsaKeyPair::from_pkcs8(curve, der, &SystemRandom::new()).map(Signer::Ecdsa);
        let signer = match algorithm {
            KeyAlgorithm::EcdsaP256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyAlgorithm::EcdsaP384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            // Keys made by openssl carry no public half to check against.
            KeyAlgorithm::Ed25519 => {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Signer::Ed25519)
            }
            KeyAlgorithm::Rsa => RsaKeyPair::from_pkcs8(der).map(|key| Signer::Rsa(Box::new(key))),
        }
        .map_err(KeyError::Rejected)?;
        let public_key = match &signer {
            Signer::Ecdsa(key) => key.public_key().as_ref().to_vec(),
            Signer::Ed25519(key) => key.public_key().as_ref().to_vec(),
            Signer::Rsa(key) => key.public_key().as_ref().to_vec(),
            Signer::Token(key) => key.public_key().to_vec(),
        };
        Ok(Self { signer, algorithm, public_key })
    }

    /// Takes a key that stays in its token.
    pub(crate) fn in_token(key: TokenKey) -> Self {
        let (algorithm, public_key) = (key.algorithm(), key.public_key().to_vec());
        Self { signer: Signer::Token(Box::new(key)), algorithm, public_key }
    }

    /// The kind of key.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Whether signing the same bytes again gives the same signature. Of RSA PKCS#1 that is certain wherever the key is;
    /// tokens may add randomness to Ed25519.
    pub fn is_deterministic(&self) -> bool {
        match &self.signer {
            Signer::Token(_) => self.algorithm == KeyAlgorithm::Rsa,
            Signer::Ecdsa(_) | Signer::Ed25519(_) | Signer::Rsa(_) => {
                self.algorithm.is_deterministic()
            }
        }
    }

    /// Whether a signature takes so long that a thread that serves others must not make it.
    pub fn is_slow(&self) -> bool {
        matches!(&self.signer, Signer::Token(_) | Signer::Rsa(_))
    }

    /// Whether the key is in a token.
    pub fn is_in_token(&self) -> bool {
        matches!(&self.signer, Signer::Token(_))
    }

    /// Whether the key is in a token that failed when it was used last.
    pub fn is_away(&self) -> bool {
        matches!(&self.signer, Signer::Token(key) if key.is_away())
    }

    /// Takes a key whose token does not answer for away, until it was [looked](Self::look) for.
    pub fn put_away(&self) {
        if let Signer::Token(key) = &self.signer {
            key.put_away();
        }
    }

    /// Looks whether the key can sign now; one that is away is back after that. It blocks.
    ///
    /// # Errors
    /// When its token cannot be used.
    pub fn look(&self) -> Result<(), TokenError> {
        match &self.signer {
            Signer::Token(key) => key.look(),
            Signer::Ecdsa(_) | Signer::Ed25519(_) | Signer::Rsa(_) => Ok(()),
        }
    }

    /// The DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> Vec<u8> {
        self.subject_public_key_info()
    }

    /// Signs the bytes of a TBSCertificate, TBSCertList or CertificationRequestInfo.
    ///
    /// # Errors
    /// When the system's random number generator fails, or the key's token cannot be used.
    pub fn sign(&self, tbs: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        match &self.signer {
            Signer::Ecdsa(key) => {
                key.sign(&random, tbs).map(|signature| signature.as_ref().to_vec())
            }
            Signer::Ed25519(key) => Ok(key.sign(tbs).as_ref().to_vec()),
            Signer::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, tbs, &mut signature).map(|()| signature)
            }
            Signer::Token(key) => return key.sign(tbs).ok_or(SignError::TokenAway),
        }
        .map_err(|_| SignError::Failed)
    }
}

impl fmt::Debug for CaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl PublicKeyData for CaKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public_key
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm.rcgen()
    }
}

impl rcgen::SigningKey for CaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        CaKey::sign(self, message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// ring writes the version of PKCS#8 that openssl cannot read, so the key is written here.
fn generate_ed25519(random: &SystemRandom) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut seed = Zeroizing::new([0u8; ED25519_SEED_BYTES]);
    random.fill(seed.as_mut()).map_err(|_| KeyError::Random)?;
    let mut der =
        Zeroizing::new(Vec::with_capacity(ED25519_PKCS8_PREFIX.len() + ED25519_SEED_BYTES));
    der.extend_from_slice(&ED25519_PKCS8_PREFIX);
    der.extend_from_slice(seed.as_ref());
    Ok(der)
}

fn algorithm_of(der: &[u8]) -> Result<KeyAlgorithm, KeyError> {
    let key = PrivateKeyInfo::try_from(der).map_err(|_| KeyError::NotPkcs8)?;
    let curve = || key.algorithm.parameters_oid().ok();
    match key.algorithm.oid {
        RSA_ENCRYPTION => Ok(KeyAlgorithm::Rsa),
        ED25519 => Ok(KeyAlgorithm::Ed25519),
        EC_PUBLIC_KEY if curve() == Some(P256) => Ok(KeyAlgorithm::EcdsaP256),
        EC_PUBLIC_KEY if curve() == Some(P384) => Ok(KeyAlgorithm::EcdsaP384),
        _ => Err(KeyError::UnsupportedAlgorithm),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_but_rsa_is_generated_and_loads_again() {
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519] {
            let pkcs8 = CaKey::generate_pkcs8(algorithm).unwrap();
            let key = CaKey::from_pkcs8(&pkcs8).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            assert_eq!(key.spki(), CaKey::from_pkcs8(&pkcs8).unwrap().spki());
        }
        assert!(matches!(
            CaKey::generate_pkcs8(KeyAlgorithm::Rsa),
            Err(KeyError::CannotGenerateRsa)
        ));
    }

    #[test]
    fn only_deterministic_keys_sign_alike_twice() {
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Ed25519] {
            let key = CaKey::from_pkcs8(&CaKey::generate_pkcs8(algorithm).unwrap()).unwrap();
            let same = key.sign(b"tbs").unwrap() == key.sign(b"tbs").unwrap();
            assert_eq!(same, key.is_deterministic());
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(matches!(CaKey::from_pkcs8(b"no key"), Err(KeyError::NotPkcs8)));
    }
}
