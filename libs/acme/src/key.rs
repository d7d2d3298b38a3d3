//! Public keys of accounts and certificates: which ones we accept, and their one DER form.

mod block_list;
mod close_primes;
mod roca;
mod rules;
mod signature;
mod spki;
mod strength;

use std::fmt;

use domain::{KeyHash, SubjectPublicKey, Thumbprint};
use ring::digest::{SHA256, digest};

use crate::base64url;
pub use block_list::{BadEntry, BlockList};
pub use rules::KeyRules;

/// A public key whose type and size we accept.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(Material);

#[derive(Clone, PartialEq, Eq)]
enum Material {
    /// Modulus without leading zeros, and exponent.
    Rsa {
        modulus: Box<[u8]>,
        exponent: u32,
    },
    /// An uncompressed point: 4, x, y.
    P256([u8; 65]),
    /// An uncompressed point: 4, x, y.
    P384([u8; 97]),
    Ed25519([u8; 32]),
}

/// What kind of key a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// RSA, 2048 to 4096 bits.
    Rsa,
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
}

/// Why a public key is not accepted; its text may be shown to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPublicKey {
    /// A kind of key or curve we do not accept.
    #[error("the key type or curve is not supported")]
    Unsupported,
    /// A value is absent, or of the wrong length for its curve.
    #[error("a value of the key is absent or has the wrong length")]
    Length,
    /// Private values were sent: the key is not secret any more.
    #[error("the key carries private values and must not be used any more")]
    Private,
    /// The modulus has not 2048 to 4096 bits in whole octets.
    #[error("the RSA modulus must have 2048 to 4096 bits, in whole octets")]
    ModulusSize,
    /// The exponent is even, below 65537 or above 32 bits.
    #[error("the RSA exponent must be odd, at least 65537 and below 2^32")]
    Exponent,
    /// The modulus is divisible by a small number.
    #[error("the RSA modulus has a small factor")]
    SmallFactor,
    /// The point is not on its curve.
    #[error("the point is not on the curve")]
    NotOnCurve,
    /// The modulus was made by a generator whose keys can be factored (CVE-2017-15361).
    #[error("the RSA modulus has the ROCA fingerprint: its private key can be computed")]
    Roca,
    /// The two primes of the modulus are close to each other.
    #[error("the primes of the RSA modulus are too close: its private key can be computed")]
    ClosePrimes,
    /// The kind of key or its length is not among those the profile allows.
    #[error("the kind or the length of the key is not allowed here")]
    NotAllowed,
    /// The key is on a list of keys that others know, or a certificate for it was revoked for keyCompromise.
    #[error("the key is known to others and must not be used any more")]
    Compromised,
}

impl PublicKey {
    /// The smallest RSA modulus.
    pub const MIN_RSA_BITS: usize = 2048;
    /// The largest RSA modulus: the cost of one verification grows with its square.
    pub const MAX_RSA_BITS: usize = 4096;
    /// The smallest RSA exponent (NIST SP 800-89 §5.3.3).
    pub const MIN_RSA_EXPONENT: u32 = 65537;

    /// Takes an RSA key's big-endian numbers; leading zeros are dropped. Only sizes are looked at, so that hostile
    /// numbers cost nothing.
    ///
    /// # Errors
    /// When the modulus or the exponent is outside the accepted range.
    pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, BadPublicKey> {
        let modulus = without_leading_zeros(modulus);
        let bits = modulus.len() * 8;
        let whole_octets = modulus.first().is_some_and(|first| first & 0x80 != 0);
        let odd = modulus.last().is_some_and(|last| last & 1 == 1);
        if !(Self::MIN_RSA_BITS..=Self::MAX_RSA_BITS).contains(&bits) || !whole_octets {
            return Err(BadPublicKey::ModulusSize);
        }
        if !odd {
            return Err(BadPublicKey::SmallFactor);
        }
        let exponent = small_number(exponent).ok_or(BadPublicKey::Exponent)?;
        if exponent < Self::MIN_RSA_EXPONENT || exponent % 2 == 0 {
            return Err(BadPublicKey::Exponent);
        }
        Ok(Self(Material::Rsa { modulus: modulus.into(), exponent }))
    }

    /// Takes an uncompressed P-256 point: the octet 4, then both coordinates.
    ///
    /// # Errors
    /// When it has another form or length. Whether it is on the curve is checked where the key is taken for
    /// something, and by every verification.
    pub fn p256(point: &[u8]) -> Result<Self, BadPublicKey> {
        uncompressed_point(point).map(Material::P256).map(Self)
    }

    /// Takes an uncompressed P-384 point.
    ///
    /// # Errors
    /// As [`Self::p256`].
    pub fn p384(point: &[u8]) -> Result<Self, BadPublicKey> {
        uncompressed_point(point).map(Material::P384).map(Self)
    }

    /// Takes the 32 octets of an Ed25519 key (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// When there are more or fewer.
    pub fn ed25519(octets: &[u8]) -> Result<Self, BadPublicKey> {
        octets.try_into().map(Material::Ed25519).map(Self).map_err(|_| BadPublicKey::Length)
    }

    /// What kind of key it is.
    pub fn kind(&self) -> KeyKind {
        match self.0 {
            Material::Rsa { .. } => KeyKind::Rsa,
            Material::P256(_) => KeyKind::P256,
            Material::P384(_) => KeyKind::P384,
            Material::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// The length of an RSA modulus in bits.
    pub(crate) fn rsa_bits(&self) -> Option<usize> {
        self.rsa_modulus().map(|modulus| modulus.len() * 8)
    }

    /// An RSA key's modulus, big-endian and without leading zeros.
    pub(crate) fn rsa_modulus(&self) -> Option<&[u8]> {
        match &self.0 {
            Material::Rsa { modulus, .. } => Some(modulus),
            Material::P256(_) | Material::P384(_) | Material::Ed25519(_) => None,
        }
    }

    /// The SHA-256 over the key's SubjectPublicKeyInfo, by which keys are blocked.
    pub fn hash(&self) -> KeyHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &self.spki_der()).as_ref());
        KeyHash::from_hash(&hash)
    }

    /// The thumbprint that the key has as an account's (RFC 7638).
    pub fn thumbprint(&self) -> Thumbprint {
        let hash = digest(&SHA256, self.canonical_jwk().as_bytes());
        Thumbprint(base64url::encode(hash.as_ref()))
    }

    /// The key to certify as the rules know it: its SubjectPublicKeyInfo in our one encoding.
    pub fn subject_public_key(&self) -> SubjectPublicKey {
        SubjectPublicKey(base64url::encode(&self.spki_der()))
    }

    /// The members of the JWK that RFC 7638 §3.2 hashes, in its order and without spaces.
    pub(crate) fn canonical_jwk(&self) -> String {
        let text = base64url::encode;
        match &self.0 {
            Material::Rsa { modulus, exponent } => {
                let exponent = exponent.to_be_bytes();
                let e = text(without_leading_zeros(&exponent));
                format!(r#"{{"e":"{e}","kty":"RSA","n":"{}"}}"#, text(modulus))
            }
            Material::P256(point) => ec_jwk("P-256", &point[1..]),
            Material::P384(point) => ec_jwk("P-384", &point[1..]),
            Material::Ed25519(x) => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x))
            }
        }
    }
}

/// Shows the kind and the JWK, which is public.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.canonical_jwk()).finish()
    }
}

fn ec_jwk(curve: &str, coordinates: &[u8]) -> String {
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    let (x, y) = (base64url::encode(x), base64url::encode(y));
    format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#)
}

fn uncompressed_point<const N: usize>(point: &[u8]) -> Result<[u8; N], BadPublicKey> {
    match <[u8; N]>::try_from(point) {
        Ok(point) if point[0] == 4 => Ok(point),
        Ok(_) | Err(_) => Err(BadPublicKey::Length),
    }
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&octet| octet == 0).count();
    &number[zeros..]
}

fn small_number(number: &[u8]) -> Option<u32> {
    let number = without_leading_zeros(number);
    let fits = number.len() <= size_of::<u32>();
    fits.then(|| number.iter().fold(0, |value, &octet| value << 8 | u32::from(octet)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modulus(octets: usize) -> Vec<u8> {
        vec![0xff; octets]
    }

    fn check(modulus: &[u8], exponent: &[u8], expected: Result<(), BadPublicKey>) {
        assert_eq!(PublicKey::rsa(modulus, exponent).map(|_| ()), expected);
    }

    #[test]
    fn rsa_keys_of_2048_to_4096_bits_are_accepted() {
        let e = &[1, 0, 1];
        check(&modulus(256), e, Ok(()));
        check(&modulus(512), e, Ok(()));
        check(&[vec![0; 9], modulus(256)].concat(), &[0, 0, 0, 0, 1, 0, 1], Ok(()));
        check(&modulus(255), e, Err(BadPublicKey::ModulusSize));
        check(&modulus(513), e, Err(BadPublicKey::ModulusSize));
        check(&[&[0x7f], &modulus(256)[..]].concat(), e, Err(BadPublicKey::ModulusSize));
        check(&[], e, Err(BadPublicKey::ModulusSize));
        check(&[modulus(255), vec![0xfe]].concat(), e, Err(BadPublicKey::SmallFactor));
    }

    #[test]
    fn rsa_exponents_are_odd_and_fit_32_bits() {
        let n = &modulus(256);
        check(n, &[0xff; 4], Ok(()));
        for exponent in [&[][..], &[1], &[3], &[1, 0, 0], &[1, 0, 2], &[1, 0, 0, 0, 1], &[0; 9]] {
            check(n, exponent, Err(BadPublicKey::Exponent));
        }
    }

    #[test]
    fn points_and_octet_keys_have_exactly_their_length() {
        let point = |first: u8, length: usize| [vec![first], vec![1; length]].concat();
        assert!(PublicKey::p256(&point(4, 64)).is_ok());
        assert!(PublicKey::p384(&point(4, 96)).is_ok());
        assert!(PublicKey::ed25519(&[1; 32]).is_ok());
        assert_eq!(PublicKey::p256(&point(4, 63)), Err(BadPublicKey::Length));
        assert_eq!(PublicKey::p256(&point(4, 96)), Err(BadPublicKey::Length));
        assert_eq!(PublicKey::p256(&point(2, 64)), Err(BadPublicKey::Length));
        assert_eq!(PublicKey::p384(&point(4, 95)), Err(BadPublicKey::Length));
        assert_eq!(PublicKey::p384(&[]), Err(BadPublicKey::Length));
        assert_eq!(PublicKey::ed25519(&[1; 31]), Err(BadPublicKey::Length));
    }
}
