//! Which public keys we certify.

use std::sync::LazyLock;

use x509_parser::{
    num_bigint::BigUint,
    prelude::FromDer,
    public_key::{PublicKey, RSAPublicKey},
    x509::SubjectPublicKeyInfo,
};

const MIN_RSA_BITS: u64 = 2048;
const MAX_RSA_BITS: u64 = 4096;
/// An SPKI of RSA 4096 has 550 octets.
const MAX_SPKI_BYTES: usize = 1024;
const MIN_RSA_EXPONENT: u64 = 65_537;
/// Larger exponents make verifying slow, which is an attack of its own.
const MAX_RSA_EXPONENT: u64 = (1 << 33) - 1;
/// Primes that must not divide an RSA modulus (CA/Browser Forum baseline requirements §6.1.6).
static SMALL_PRIMES: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let is_prime = |number: &u32| (2..*number).all(|divisor| !number.is_multiple_of(divisor));
    (2..752).filter(is_prime).collect()
});

/// A kind of public key that we certify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum KeyKind {
    /// An EC key on P-256.
    P256,
    /// An EC key on P-384.
    P384,
    /// An Ed25519 key.
    Ed25519,
    /// An RSA key.
    Rsa {
        /// The length of the modulus.
        bits: u64,
    },
}

/// Why a public key is not certified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakKey {
    /// The bytes are no DER SubjectPublicKeyInfo, or not the one DER form of it.
    #[error("the public key is not a canonical SubjectPublicKeyInfo")]
    Malformed,
    /// The kind of key, or its curve, is none of ours.
    #[error("the public key is not P-256, P-384, Ed25519 or RSA")]
    UnsupportedKind,
    /// The point is not an uncompressed one on its curve.
    #[error("the public key is not an uncompressed point on its curve")]
    NotOnCurve,
    /// The RSA modulus has other than 2048 to 4096 bits, or not a multiple of eight.
    #[error("the RSA modulus does not have 2048 to 4096 bits, in whole octets")]
    RsaSize,
    /// The RSA exponent is even, small, or huge.
    #[error("the RSA exponent is not odd, or not between 65537 and 2^33")]
    RsaExponent,
    /// A small prime divides the RSA modulus.
    #[error("the RSA modulus has a small factor")]
    RsaSmallFactor,
}

/// Says what kind of key a DER SubjectPublicKeyInfo holds.
///
/// # Errors
/// When we do not certify it.
pub(crate) fn check_public_key(spki: &[u8]) -> Result<KeyKind, WeakKey> {
    if spki.len() > MAX_SPKI_BYTES {
        return Err(WeakKey::Malformed);
    }
    let (_, parsed) = SubjectPublicKeyInfo::from_der(spki).map_err(|_| WeakKey::Malformed)?;
    let known =
        rcgen::SubjectPublicKeyInfo::from_der(spki).map_err(|_| WeakKey::UnsupportedKind)?;
    // Written anew it is the same: no trailing data, no unused bits, no odd parameters.
    if rcgen::PublicKeyData::subject_public_key_info(&known) != spki {
        return Err(WeakKey::Malformed);
    }
    let algorithm = rcgen::PublicKeyData::algorithm(&known);
    let octets = parsed.subject_public_key.as_ref();
    match parsed.parsed().map_err(|_| WeakKey::Malformed)? {
        PublicKey::RSA(key) => check_rsa(&key, octets),
        PublicKey::EC(_) if algorithm == &rcgen::PKCS_ECDSA_P256_SHA256 => {
            P256.check(octets).map(|()| KeyKind::P256)
        }
        PublicKey::EC(_) if algorithm == &rcgen::PKCS_ECDSA_P384_SHA384 => {
            P384.check(octets).map(|()| KeyKind::P384)
        }
        _ if algorithm == &rcgen::PKCS_ED25519 => {
            if octets.len() == 32 {
                Ok(KeyKind::Ed25519)
            } else {
                Err(WeakKey::Malformed)
            }
        }
        _ => Err(WeakKey::UnsupportedKind),
    }
}

fn check_rsa(key: &RSAPublicKey<'_>, der: &[u8]) -> Result<KeyKind, WeakKey> {
    let (modulus, exponent) =
        (BigUint::from_bytes_be(key.modulus), BigUint::from_bytes_be(key.exponent));
    // A second form of one key, as a negative or padded integer would be, is none.
    let canonical = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_bigint_bytes(&modulus.to_bytes_be(), true);
            writer.next().write_bigint_bytes(&exponent.to_bytes_be(), true);
        });
    });
    if canonical != der {
        return Err(WeakKey::Malformed);
    }
    let bits = modulus.bits();
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) || !bits.is_multiple_of(8) {
        return Err(WeakKey::RsaSize);
    }
    let exponent = u64::try_from(exponent).map_err(|_| WeakKey::RsaExponent)?;
    if !(MIN_RSA_EXPONENT..=MAX_RSA_EXPONENT).contains(&exponent) || exponent.is_multiple_of(2) {
        return Err(WeakKey::RsaExponent);
    }
    if SMALL_PRIMES.iter().any(|prime| &modulus % prime == BigUint::ZERO) {
        return Err(WeakKey::RsaSmallFactor);
    }
    Ok(KeyKind::Rsa { bits })
}

/// A curve y² = x³ - 3x + b over the integers modulo p (SEC 2), both numbers in hex.
struct Curve {
    p: &'static [u8],
    b: &'static [u8],
    coordinate_bytes: usize,
}

const P256: Curve = Curve {
    p: b"ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
    b: b"5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
    coordinate_bytes: 32,
};
const P384: Curve = Curve {
    p: b"fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
    b: b"b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
    coordinate_bytes: 48,
};

impl Curve {
    fn check(&self, point: &[u8]) -> Result<(), WeakKey> {
        let Some((&0x04, coordinates)) = point.split_first() else {
            return Err(WeakKey::NotOnCurve);
        };
        if coordinates.len() != 2 * self.coordinate_bytes {
            return Err(WeakKey::NotOnCurve);
        }
        let (x, y) = coordinates.split_at(self.coordinate_bytes);
        let (x, y) = (BigUint::from_bytes_be(x), BigUint::from_bytes_be(y));
        let hex = |digits| BigUint::parse_bytes(digits, 16).unwrap_or_default();
        let (p, b) = (hex(self.p), hex(self.b));
        // y² + 3x = x³ + b, so that nothing is negative.
        let on_curve = (&y * &y + &x * 3u32) % &p == (&x * &x * &x + b) % &p;
        if x < p && y < p && on_curve { Ok(()) } else { Err(WeakKey::NotOnCurve) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CaKey, KeyAlgorithm};

    fn spki(algorithm: KeyAlgorithm) -> Vec<u8> {
        CaKey::from_pkcs8(&CaKey::generate_pkcs8(algorithm).unwrap()).unwrap().spki()
    }

    /// The SPKI of an RSA key with this modulus, which needs no known factors.
    fn rsa(modulus: &BigUint, exponent: u64) -> Vec<u8> {
        let key = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_bigint_bytes(&modulus.to_bytes_be(), true);
                writer.next().write_u64(exponent);
            });
        });
        yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_sequence(|writer| {
                    let oid = [1, 2, 840, 113_549, 1, 1, 1];
                    writer.next().write_oid(&yasna::models::ObjectIdentifier::from_slice(&oid));
                    writer.next().write_null();
                });
                writer.next().write_bitvec_bytes(&key, key.len() * 8);
            });
        })
    }

    /// A number of that many bits that no small prime divides.
    fn modulus(bits: u64) -> BigUint {
        let mut number = (BigUint::from(1u32) << (bits - 1)) + 1u32;
        while SMALL_PRIMES.iter().any(|prime| &number % prime == BigUint::ZERO) {
            number += 2u32;
        }
        number
    }

    fn check(spki: &[u8], expected: Result<KeyKind, WeakKey>) {
        assert_eq!(check_public_key(spki), expected);
    }

    #[test]
    fn good_keys_are_accepted() {
        check(&spki(KeyAlgorithm::EcdsaP256), Ok(KeyKind::P256));
        check(&spki(KeyAlgorithm::EcdsaP384), Ok(KeyKind::P384));
        check(&spki(KeyAlgorithm::Ed25519), Ok(KeyKind::Ed25519));
        for bits in [2048, 3072, 4096] {
            check(&rsa(&modulus(bits), 65_537), Ok(KeyKind::Rsa { bits }));
        }
    }

    #[test]
    fn rsa_keys_of_other_sizes_are_refused() {
        for bits in [1024, 2040, 2047, 2049, 4104] {
            check(&rsa(&modulus(bits), 65_537), Err(WeakKey::RsaSize));
        }
    }

    #[test]
    fn rsa_exponents_that_are_even_small_or_huge_are_refused() {
        for exponent in [1, 3, 17, 65_535, 65_538, (1 << 33) + 1] {
            check(&rsa(&modulus(2048), exponent), Err(WeakKey::RsaExponent));
        }
        check(&rsa(&modulus(2048), (1 << 33) - 1), Ok(KeyKind::Rsa { bits: 2048 }));
    }

    #[test]
    fn rsa_moduli_with_small_factors_are_refused() {
        check(&rsa(&(modulus(2039) * 751u32), 65_537), Err(WeakKey::RsaSmallFactor));
        check(&rsa(&(modulus(2048) + 1u32), 65_537), Err(WeakKey::RsaSmallFactor));
    }

    #[test]
    fn a_point_off_its_curve_is_refused() {
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384] {
            let mut spki = spki(algorithm);
            *spki.last_mut().unwrap() ^= 1;
            check(&spki, Err(WeakKey::NotOnCurve));
        }
    }

    /// Of which x is 0, and p another way to write that.
    #[test]
    fn a_second_form_of_a_point_is_refused() {
        let y = b"66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4";
        let y = BigUint::parse_bytes(y, 16).unwrap().to_bytes_be();
        let p = BigUint::parse_bytes(P256.p, 16).unwrap().to_bytes_be();
        let with = |x: &[u8]| {
            let spki = spki(KeyAlgorithm::EcdsaP256);
            [&spki[..spki.len() - 64], x, &y].concat()
        };
        check(&with(&[0; 32]), Ok(KeyKind::P256));
        check(&with(&p), Err(WeakKey::NotOnCurve));
    }

    #[test]
    fn no_changed_bit_of_an_ec_key_is_accepted() {
        let good = spki(KeyAlgorithm::EcdsaP256);
        for position in 0..good.len() * 8 {
            let mut changed = good.clone();
            changed[position / 8] ^= 1 << (position % 8);
            assert!(check_public_key(&changed).is_err(), "bit {position}");
        }
    }

    #[test]
    fn trailing_data_is_refused() {
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Ed25519] {
            let mut spki = spki(algorithm);
            spki.push(0);
            assert!(check_public_key(&spki).is_err());
        }
        check(&[0; MAX_SPKI_BYTES + 1], Err(WeakKey::Malformed));
        check(b"", Err(WeakKey::Malformed));
    }

    #[test]
    fn other_kinds_of_key_are_refused() {
        let mut p256 = spki(KeyAlgorithm::EcdsaP256);
        let last_of_curve_oid = 22;
        assert_eq!(p256[last_of_curve_oid], 7);
        p256[last_of_curve_oid] = 6;
        check(&p256, Err(WeakKey::UnsupportedKind));
    }
}
