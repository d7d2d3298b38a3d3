//! The secret that makes a binding.

use std::fmt;

use ring::{
    error::Unspecified,
    rand::{SecureRandom as _, SystemRandom},
};

use crate::base64url;

/// As long as the longest hash, which RFC 7518 §3.2 asks for with HS512; the others may have longer keys than theirs.
const BYTES: usize = 64;

/// A MAC key.
#[derive(Clone, PartialEq, Eq)]
pub struct MacKey([u8; BYTES]);

impl MacKey {
    /// How long a key is.
    pub const BYTES: usize = BYTES;

    /// Draws a key.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn random() -> Result<Self, Unspecified> {
        let mut octets = [0; BYTES];
        SystemRandom::new().fill(&mut octets)?;
        // As text it is an argument of clients' command lines, where a first hyphen would make it a flag.
        octets[0] &= 0x7f;
        Ok(Self(octets))
    }

    /// The key as clients are given it: unpadded base64url.
    pub fn to_text(&self) -> String {
        base64url::encode(&self.0)
    }

    pub(super) fn from_octets(octets: [u8; BYTES]) -> Self {
        Self(octets)
    }

    pub(super) fn octets(&self) -> &[u8; BYTES] {
        &self.0
    }
}

/// Shows nothing of the key.
impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_taken_for_a_flag_and_has_all_its_octets_in_its_text() {
        for _ in 0..100 {
            let key = MacKey::random().unwrap();
            assert!(key.to_text().starts_with(|first| matches!(first, 'A'..='Z' | 'a'..='f')));
            assert_eq!(base64url::decode(&key.to_text()).as_deref(), Ok(key.octets().as_slice()));
        }
    }
}
