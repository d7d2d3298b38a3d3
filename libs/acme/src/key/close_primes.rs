//! RSA moduli whose two primes are so close to each other that Fermat's method finds them (CVE-2022-26320).

use x509_parser::num_bigint::BigUint;

use super::strength::remainder;

/// How many rounds CAs try (CA/Browser Forum BR §6.1.1.3).
const ROUNDS: u32 = 100;
/// Modulo these few numbers are squares, so that hardly one has to be looked at closely.
const TELLING: [u32; 5] = [64, 63, 65, 11, 17];

/// Whether the modulus is a² - b² = (a + b)(a - b) for one of the first numbers a from its root on.
pub(super) fn are_found(modulus: &BigUint) -> bool {
    let mut a = modulus.sqrt();
    if &a * &a < *modulus {
        a += 1u32;
    }
    let mut rest = &a * &a - modulus;
    for _ in 0..ROUNDS {
        if is_square(&rest) {
            return true;
        }
        rest += &a * 2u32 + 1u32;
        a += 1u32;
    }
    false
}

fn is_square(number: &BigUint) -> bool {
    let may_be = TELLING.iter().all(|&modulus| {
        let rest = remainder(number, modulus);
        (0..modulus).any(|root| root * root % modulus == rest)
    });
    if !may_be {
        return false;
    }
    let root = number.sqrt();
    &root * &root == *number
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The product of an odd number of 1024 bits and one that much above it.
    fn product(difference: BigUint) -> BigUint {
        let number: BigUint = (BigUint::from(7u32) << 1021) + 1u32;
        let other: BigUint = &number + difference;
        number * other
    }

    #[test]
    fn factors_are_found_up_to_where_a_hundred_rounds_lead() {
        for difference in [0u32, 2, 1 << 20] {
            assert!(are_found(&product(difference.into())), "{difference}");
        }
        assert!(are_found(&product(BigUint::from(1u32) << 515)));
        assert!(!are_found(&product(BigUint::from(1u32) << 520)));
    }

    #[test]
    fn squares_are_told_from_their_neighbours() {
        for root in [0u64, 1, 2, 63, 1_000_003, u64::from(u32::MAX)] {
            let square = BigUint::from(root) * root;
            assert!(is_square(&square), "{root}");
            assert!(root < 2 || !is_square(&(square + 1u32)), "{root}");
        }
    }
}
