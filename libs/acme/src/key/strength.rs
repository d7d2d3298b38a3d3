//! The checks of a key that need arithmetic, done once when a key is first seen.

use ring::{agreement, rand::SystemRandom};
use x509_parser::num_bigint::BigUint;

use super::{BadPublicKey, Material, PublicKey, close_primes, roca};

/// CAs check for factors below this bound (CA/Browser Forum BR §6.1.6).
const SMALL_FACTOR_BOUND: u32 = 752;

impl PublicKey {
    /// Checks the key's numbers: that an RSA modulus has neither a small factor nor the ROCA fingerprint nor primes
    /// that are close to each other, and that a point is on its curve. An Ed25519 key is decompressed by every verification.
    ///
    /// # Errors
    /// [`BadPublicKey::SmallFactor`], [`BadPublicKey::Roca`], [`BadPublicKey::ClosePrimes`] or [`BadPublicKey::NotOnCurve`].
    pub(crate) fn check_numbers(&self) -> Result<(), BadPublicKey> {
        match &self.0 {
            Material::Rsa { .. } => self.check_factors(),
            Material::P256(point) => check_point(&agreement::ECDH_P256, point),
            Material::P384(point) => check_point(&agreement::ECDH_P384, point),
            Material::Ed25519(_) => Ok(()),
        }
    }

    /// Checks only what a valid signature does not prove: ring refuses points off the curve when it verifies.
    pub(crate) fn check_factors(&self) -> Result<(), BadPublicKey> {
        match &self.0 {
            Material::Rsa { modulus, .. } => check_modulus(modulus),
            Material::P256(_) | Material::P384(_) | Material::Ed25519(_) => Ok(()),
        }
    }
}

fn check_modulus(modulus: &[u8]) -> Result<(), BadPublicKey> {
    let modulus = BigUint::from_bytes_be(modulus);
    if has_small_factor(&modulus) {
        return Err(BadPublicKey::SmallFactor);
    }
    if roca::has_fingerprint(&modulus) {
        return Err(BadPublicKey::Roca);
    }
    if close_primes::are_found(&modulus) { Err(BadPublicKey::ClosePrimes) } else { Ok(()) }
}

fn has_small_factor(modulus: &BigUint) -> bool {
    (3..SMALL_FACTOR_BOUND).step_by(2).any(|divisor| remainder(modulus, divisor) == 0)
}

/// The remainder after a division.
pub(super) fn remainder(number: &BigUint, divisor: u32) -> u32 {
    // It is below the divisor, so that it has one digit, or none when it is zero.
    (number % divisor).iter_u32_digits().next().unwrap_or(0)
}

/// ring shows no point check of its own, but agrees on a key only with points on the curve.
fn check_point(curve: &'static agreement::Algorithm, point: &[u8]) -> Result<(), BadPublicKey> {
    agreement::EphemeralPrivateKey::generate(curve, &SystemRandom::new())
        .and_then(|own| {
            let theirs = agreement::UnparsedPublicKey::new(curve, point);
            agreement::agree_ephemeral(own, &theirs, |_| ())
        })
        .map_err(|_| BadPublicKey::NotOnCurve)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_off_the_curve_is_refused() {
        let p256 = PublicKey::p256(&[4; 65]).unwrap();
        assert_eq!(p256.check_numbers(), Err(BadPublicKey::NotOnCurve));
        let p384 = PublicKey::p384(&[4; 97]).unwrap();
        assert_eq!(p384.check_numbers(), Err(BadPublicKey::NotOnCurve));
    }

    #[test]
    fn small_factors_are_found() {
        // 2^2048 - 1 is divisible by 3; 751 is the largest prime below the bound and 757 the next one.
        assert!(has_small_factor(&BigUint::from_bytes_be(&[0xff; 256])));
        assert!(has_small_factor(&BigUint::from_bytes_be(&751_u32.to_be_bytes())));
        assert!(has_small_factor(&BigUint::from_bytes_be(&(751_u64 * 1_000_003).to_be_bytes())));
        assert!(!has_small_factor(&BigUint::from_bytes_be(&(757_u64 * 1_000_003).to_be_bytes())));
    }
}
