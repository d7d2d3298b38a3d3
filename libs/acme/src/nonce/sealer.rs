//! Sealing: only who holds the key makes a nonce, and nobody else learns what it counts.

use std::fmt;

use domain::ProfileName;
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, UnboundKey},
    rand::{SecureRandom as _, SystemRandom},
};

use super::{NonceParts, NoncesUnavailable};
use crate::base64url;

const KEY_BYTES: usize = 32;
const PARTS_BYTES: usize = 20;
const TAG_BYTES: usize = 16;
const SEALED_BYTES: usize = NONCE_LEN + PARTS_BYTES + TAG_BYTES;
/// Keeps the key's nonces apart from anything else that might ever be sealed with it. A profile's name follows.
const PURPOSE: &str = "certmill nonce v2 ";

/// Seals and opens nonces with ChaCha20-Poly1305.
///
/// The cipher's own 96-bit nonce is random: among 2^40 nonces of one key (a year at 30,000 a second) two are equal with a
/// chance of 2^-17, and whoever found them could forge counters, which the window still bounds, but no signature.
#[derive(Clone)]
pub struct NonceSealer {
    key: LessSafeKey,
    random: SystemRandom,
}

/// The text was not sealed with this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the nonce was not sealed here")]
pub struct ForgedNonce;

impl NonceSealer {
    /// Takes the key that was made together with the epoch.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        #[expect(clippy::expect_used, reason = "only a wrong length fails, and the type fixes it")]
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("a key of 32 bytes");
        Self { key: LessSafeKey::new(key), random: SystemRandom::new() }
    }

    /// Seals a counter into the 64 characters of a nonce, which only the same profile opens.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn seal(
        &self,
        profile: &ProfileName,
        parts: &NonceParts,
    ) -> Result<String, NoncesUnavailable> {
        let mut sealed = [0; SEALED_BYTES];
        let (iv, rest) = sealed.split_at_mut(NONCE_LEN);
        let (body, tag) = rest.split_at_mut(PARTS_BYTES);
        self.random.fill(iv).map_err(NoncesUnavailable::because)?;
        body.copy_from_slice(&to_octets(parts));
        let iv = ring::aead::Nonce::try_assume_unique_for_key(iv);
        let computed = iv
            .and_then(|iv| self.key.seal_in_place_separate_tag(iv, bound_to(profile), body))
            .map_err(NoncesUnavailable::because)?;
        tag.copy_from_slice(computed.as_ref());
        Ok(base64url::encode(&sealed))
    }

    /// Opens a nonce; whether it is still good is for [`NonceParts::check`] and the memory of spent ones to say.
    ///
    /// # Errors
    /// When it was not sealed with this key for this profile.
    pub fn open(&self, profile: &ProfileName, text: &str) -> Result<NonceParts, ForgedNonce> {
        let sealed = base64url::decode(text).map_err(|_| ForgedNonce)?;
        let mut sealed: [u8; SEALED_BYTES] = sealed.try_into().map_err(|_| ForgedNonce)?;
        let (iv, body) = sealed.split_at_mut(NONCE_LEN);
        let iv = ring::aead::Nonce::try_assume_unique_for_key(iv).map_err(|_| ForgedNonce)?;
        let opened =
            self.key.open_in_place(iv, bound_to(profile), body).map_err(|_| ForgedNonce)?;
        from_octets(opened).ok_or(ForgedNonce)
    }
}

/// Shows nothing of the key.
impl fmt::Debug for NonceSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NonceSealer(..)")
    }
}

fn bound_to(profile: &ProfileName) -> Aad<String> {
    Aad::from(format!("{PURPOSE}{profile}"))
}

fn to_octets(parts: &NonceParts) -> [u8; PARTS_BYTES] {
    let mut octets = [0; PARTS_BYTES];
    octets[..8].copy_from_slice(&parts.epoch.to_be_bytes());
    octets[8..12].copy_from_slice(&parts.node.to_be_bytes());
    octets[12..16].copy_from_slice(&parts.minute.to_be_bytes());
    octets[16..].copy_from_slice(&parts.counter.to_be_bytes());
    octets
}

fn from_octets(octets: &[u8]) -> Option<NonceParts> {
    let (epoch, octets) = octets.split_first_chunk()?;
    let (node, octets) = octets.split_first_chunk()?;
    let (minute, octets) = octets.split_first_chunk()?;
    let counter = octets.try_into().ok()?;
    Some(NonceParts {
        epoch: u64::from_be_bytes(*epoch),
        node: u32::from_be_bytes(*node),
        minute: u32::from_be_bytes(*minute),
        counter: u32::from_be_bytes(counter),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: NonceParts =
        NonceParts { epoch: 0x0102_0304_0506_0708, node: 9, minute: 29_000_000, counter: 7 };

    fn profile(name: &str) -> ProfileName {
        name.parse().unwrap()
    }

    #[test]
    fn a_sealed_counter_is_opened_by_its_profile_only() {
        let sealer = NonceSealer::new(&[1; 32]);
        let text = sealer.seal(&profile("a"), &PARTS).unwrap();
        for other in ["b", "A", "aa"] {
            assert_eq!(sealer.open(&profile(other), &text), Err(ForgedNonce), "{other}");
        }
    }

    #[test]
    fn a_sealed_counter_is_opened_by_its_key_only() {
        let sealer = NonceSealer::new(&[1; 32]);
        let text = sealer.seal(&profile("a"), &PARTS).unwrap();
        assert_eq!(text.len(), 64);
        assert_eq!(sealer.open(&profile("a"), &text), Ok(PARTS));
        assert_eq!(NonceSealer::new(&[2; 32]).open(&profile("a"), &text), Err(ForgedNonce));
    }

    #[test]
    fn one_counter_sealed_twice_gives_two_texts() {
        let sealer = NonceSealer::new(&[1; 32]);
        assert_ne!(
            sealer.seal(&profile("a"), &PARTS).unwrap(),
            sealer.seal(&profile("a"), &PARTS).unwrap()
        );
    }

    #[test]
    fn no_changed_character_is_accepted() {
        let sealer = NonceSealer::new(&[1; 32]);
        let text = sealer.seal(&profile("a"), &PARTS).unwrap();
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = str::from_utf8(&forged).unwrap();
            assert_eq!(sealer.open(&profile("a"), forged), Err(ForgedNonce), "{at}");
        }
        for text in ["", "AAAA", &text[1..], &format!("{text}AAAA")] {
            assert_eq!(sealer.open(&profile("a"), text), Err(ForgedNonce));
        }
    }
}
