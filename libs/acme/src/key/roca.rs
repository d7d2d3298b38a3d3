//! The fingerprint of RSA keys from Infineon's generator (CVE-2017-15361): "The Return of Coppersmith's Attack", §2.
//!
//! Its primes are 65537^a modulo a product of small primes, so modulo each of these the modulus is a power of 65537. A
//! modulus made otherwise is that for all of them once in about 2^27.

use x509_parser::num_bigint::BigUint;

use super::strength::remainder;

/// The small primes modulo which 65537 does not generate every residue; the others tell nothing.
const TELLING_PRIMES: [u32; 17] =
    [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
const GENERATOR: u32 = 65_537;

pub(super) fn has_fingerprint(modulus: &BigUint) -> bool {
    TELLING_PRIMES.iter().all(|&prime| is_power_of_generator(remainder(modulus, prime), prime))
}

fn is_power_of_generator(residue: u32, prime: u32) -> bool {
    let mut power = 1;
    for _ in 1..prime {
        if power == residue {
            return true;
        }
        power = power * GENERATOR % prime;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least number above 2^2047 that has given residues modulo all telling primes, by stepping through their product.
    fn modulus(residues: impl Fn(u32) -> u32) -> Vec<u8> {
        let mut octets = vec![0; 256];
        octets[0] = 0x80;
        let mut step = 1_u128;
        for prime in TELLING_PRIMES {
            while remainder(&BigUint::from_bytes_be(&octets), prime) != residues(prime) {
                add(&mut octets, step);
            }
            step *= u128::from(prime);
        }
        octets
    }

    fn add(octets: &mut [u8], number: u128) {
        let mut carry = number;
        for octet in octets.iter_mut().rev() {
            let sum = u128::from(*octet) + (carry & 0xff);
            *octet = u8::try_from(sum & 0xff).unwrap();
            carry = (carry >> 8) + (sum >> 8);
        }
    }

    #[test]
    fn a_modulus_made_of_powers_of_the_generator_is_found() {
        let powers = |prime| (0..40).fold(1, |power, _| power * GENERATOR % prime);
        assert!(has_fingerprint(&BigUint::from_bytes_be(&modulus(powers))));
    }

    #[test]
    fn one_residue_that_is_no_power_clears_a_modulus() {
        // Modulo 11, the powers of 65537 are 1 and 10.
        let residues = |prime| if prime == 11 { 2 } else { 1 };
        assert!(!has_fingerprint(&BigUint::from_bytes_be(&modulus(residues))));
    }

    #[test]
    fn an_ordinary_modulus_is_clear() {
        assert!(!has_fingerprint(&BigUint::from_bytes_be(&[0xff; 256])));
    }
}
