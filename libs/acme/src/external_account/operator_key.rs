//! How MAC keys are kept: sealed with a key that is in a file of the operator's and not in the log.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{ExternalKeyId, ProfileName, external_key::SealedSecret};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom as _, SystemRandom},
};

use super::MacKey;
use crate::base64url;

const BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// Keeps sealed MAC keys apart from anything else that might ever be sealed with the operator's key.
const PURPOSE: &str = "certmill external account key v1";

/// The operator's key. Few keys are sealed, so that random nonces of 96 bits do not repeat.
pub struct OperatorKey(LessSafeKey);

/// The text is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 octets in base64, such as `openssl rand -base64 32` makes")]
pub struct BadOperatorKey;

/// A secret cannot be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsealable {
    /// The system gives no random numbers.
    #[error("no random numbers")]
    Random,
    /// It was sealed with another key, or for another id or profile.
    #[error("the secret was sealed with another key")]
    OtherKey,
}

impl OperatorKey {
    /// Reads the key.
    ///
    /// # Errors
    /// When the text is not base64 of 32 octets.
    pub fn from_text(text: &str) -> Result<Self, BadOperatorKey> {
        let octets = STANDARD.decode(text.trim()).map_err(|_| BadOperatorKey)?;
        let octets: [u8; BYTES] = octets.try_into().map_err(|_| BadOperatorKey)?;
        let key = UnboundKey::new(&AES_256_GCM, &octets).map_err(|_| BadOperatorKey)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals a MAC key for one id of one profile.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn seal(
        &self,
        (id, profile): (&ExternalKeyId, &ProfileName),
        key: &MacKey,
    ) -> Result<SealedSecret, Unsealable> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| Unsealable::Random)?;
        let mut sealed = key.octets().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0
            .seal_in_place_append_tag(unique, Aad::from(context(id, profile)), &mut sealed)
            .map_err(|_| Unsealable::OtherKey)?;
        Ok(SealedSecret(base64url::encode(&[&nonce, sealed.as_slice()].concat())))
    }

    /// Opens a MAC key.
    ///
    /// # Errors
    /// When it was not sealed with this key, for this id and profile.
    pub fn open(
        &self,
        (id, profile): (&ExternalKeyId, &ProfileName),
        secret: &SealedSecret,
    ) -> Result<MacKey, Unsealable> {
        const SEALED_BYTES: usize = NONCE_LEN + MacKey::BYTES + TAG_BYTES;
        let sealed = base64url::decode(&secret.0).map_err(|_| Unsealable::OtherKey)?;
        let mut sealed: [u8; SEALED_BYTES] = sealed.try_into().map_err(|_| Unsealable::OtherKey)?;
        let (nonce, body) = sealed.split_at_mut(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unsealable::OtherKey)?;
        let opened = self.0.open_in_place(nonce, Aad::from(context(id, profile)), body);
        let octets = opened.ok().and_then(|octets| <[u8; MacKey::BYTES]>::try_from(&*octets).ok());
        octets.map(MacKey::from_octets).ok_or(Unsealable::OtherKey)
    }
}

/// What a sealed key belongs to: the sealed form is worth nothing anywhere else.
fn context(id: &ExternalKeyId, profile: &ProfileName) -> String {
    format!("{PURPOSE}\0{profile}\0{id}")
}

/// Shows nothing of the key.
impl fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(octet: u8) -> OperatorKey {
        OperatorKey::from_text(&format!("{}\n", STANDARD.encode([octet; 32]))).unwrap()
    }

    #[test]
    fn a_sealed_key_opens_where_it_belongs_and_nowhere_else() {
        let (id, other) =
            (ExternalKeyId::from_random(&[1; 16]), ExternalKeyId::from_random(&[2; 16]));
        let (profile, stranger): (ProfileName, ProfileName) =
            ("default".parse().unwrap(), "other".parse().unwrap());
        let key = MacKey::random().unwrap();
        let sealed = operator(1).seal((&id, &profile), &key).unwrap();
        assert_eq!(operator(1).open((&id, &profile), &sealed), Ok(key.clone()));
        assert_eq!(operator(2).open((&id, &profile), &sealed), Err(Unsealable::OtherKey));
        assert_eq!(operator(1).open((&other, &profile), &sealed), Err(Unsealable::OtherKey));
        assert_eq!(operator(1).open((&id, &stranger), &sealed), Err(Unsealable::OtherKey));
        assert!(!sealed.0.contains(&key.to_text()));
        let again = operator(1).seal((&id, &profile), &key).unwrap();
        assert_ne!(again, sealed, "no nonce is used twice");
        for damaged in ["", "AAAA", &sealed.0[1..], &format!("{}A", sealed.0)] {
            let damaged = SealedSecret(damaged.to_owned());
            assert_eq!(operator(1).open((&id, &profile), &damaged), Err(Unsealable::OtherKey));
        }
    }

    #[test]
    fn only_32_octets_of_base64_are_a_key_and_it_is_not_shown() {
        for text in ["", "AAAA", "hunter2", &STANDARD.encode([1; 33]), &"A".repeat(1000)] {
            assert_eq!(OperatorKey::from_text(text).err(), Some(BadOperatorKey), "{text}");
        }
        assert_eq!(format!("{:?}", operator(1)), "OperatorKey(..)");
    }
}
