//! Which kinds of keys an operator accepts, among those we accept at all.

use std::collections::BTreeSet;

use super::{BadPublicKey, KeyKind, PublicKey};

/// The kinds and lengths of keys that are accepted for accounts or for certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRules {
    /// The kinds.
    pub kinds: BTreeSet<KeyKind>,
    /// The shortest RSA modulus, in bits.
    pub min_rsa_bits: usize,
    /// The longest RSA modulus, in bits.
    pub max_rsa_bits: usize,
}

impl KeyRules {
    /// Checks a key's kind and length.
    ///
    /// # Errors
    /// [`BadPublicKey::NotAllowed`].
    pub fn check(&self, key: &PublicKey) -> Result<(), BadPublicKey> {
        let length_allowed = key
            .rsa_bits()
            .is_none_or(|bits| (self.min_rsa_bits..=self.max_rsa_bits).contains(&bits));
        let allowed = self.kinds.contains(&key.kind()) && length_allowed;
        if allowed { Ok(()) } else { Err(BadPublicKey::NotAllowed) }
    }
}

impl Default for KeyRules {
    fn default() -> Self {
        Self {
            kinds: [KeyKind::Rsa, KeyKind::P256, KeyKind::P384, KeyKind::Ed25519].into(),
            min_rsa_bits: PublicKey::MIN_RSA_BITS,
            max_rsa_bits: PublicKey::MAX_RSA_BITS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rsa(bits: usize) -> PublicKey {
        PublicKey::rsa(&vec![0xff; bits / 8], &[1, 0, 1]).unwrap()
    }

    #[test]
    fn whatever_we_accept_at_all_is_allowed_by_default() {
        let rules = KeyRules::default();
        for key in [rsa(2048), rsa(4096), PublicKey::ed25519(&[1; 32]).unwrap()] {
            assert_eq!(rules.check(&key), Ok(()));
        }
    }

    #[test]
    fn kinds_and_lengths_outside_the_rules_are_refused() {
        let rules = KeyRules {
            kinds: [KeyKind::Rsa, KeyKind::P384].into(),
            min_rsa_bits: 3072,
            max_rsa_bits: 3072,
        };
        assert_eq!(rules.check(&rsa(3072)), Ok(()));
        let ed25519 = PublicKey::ed25519(&[1; 32]).unwrap();
        for key in [rsa(2048), rsa(4096), ed25519, PublicKey::p256(&[4; 65]).unwrap()] {
            assert_eq!(rules.check(&key), Err(BadPublicKey::NotAllowed));
        }
    }
}
