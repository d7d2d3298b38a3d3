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
const SEALED_BYTES: usize = NONCE_LEN + MacKey::BYTES + TAG_BYTES;
/// Keeps sealed MAC keys apart from anything else that might ever be sealed with the operator's key.
const PURPOSE: &str = "certmill external account key v1";

/// The operator's key, and those it took the place of. Few keys are sealed, so that random nonces of 96 bits do not repeat.
pub struct OperatorKey {
    /// Seals and opens.
    key: LessSafeKey,
    /// Only open what was sealed before.
    former: Vec<LessSafeKey>,
}

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
        Ok(Self { key: LessSafeKey::new(key), former: Vec::new() })
    }

    /// Opens also what a former key sealed.
    #[must_use]
    pub fn with_former(mut self, former: Self) -> Self {
        self.former.push(former.key);
        self.former.extend(former.former);
        self
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
        self.key
            .seal_in_place_append_tag(unique, Aad::from(context(id, profile)), &mut sealed)
            .map_err(|_| Unsealable::OtherKey)?;
        Ok(SealedSecret(base64url::encode(&[&nonce, sealed.as_slice()].concat())))
    }

    /// Opens a MAC key.
    ///
    /// # Errors
    /// When it was not sealed with this key or a former one, for this id and profile.
    pub fn open(
        &self,
        (id, profile): (&ExternalKeyId, &ProfileName),
        secret: &SealedSecret,
    ) -> Result<MacKey, Unsealable> {
        let sealed = base64url::decode(&secret.0).map_err(|_| Unsealable::OtherKey)?;
        let sealed: [u8; SEALED_BYTES] = sealed.try_into().map_err(|_| Unsealable::OtherKey)?;
        let context = context(id, profile);
        let mut keys = std::iter::once(&self.key).chain(&self.former);
        keys.find_map(|key| open_with(key, &context, sealed)).ok_or(Unsealable::OtherKey)
    }
}

fn open_with(key: &LessSafeKey, context: &str, mut sealed: [u8; SEALED_BYTES]) -> Option<MacKey> {
    let (nonce, body) = sealed.split_at_mut(NONCE_LEN);
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let opened = key.open_in_place(nonce, Aad::from(context), body).ok()?;
    <[u8; MacKey::BYTES]>::try_from(&*opened).ok().map(MacKey::from_octets)
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
    fn a_key_that_took_the_place_of_others_opens_what_they_sealed_and_seals_by_itself() {
        let (id, profile) = (ExternalKeyId::from_random(&[1; 16]), ProfileName::default());
        let key = MacKey::random().unwrap();
        let oldest = operator(1).seal((&id, &profile), &key).unwrap();
        let old = operator(2).seal((&id, &profile), &key).unwrap();
        let operator_now = operator(3).with_former(operator(2)).with_former(operator(1));
        let new = operator_now.seal((&id, &profile), &key).unwrap();
        for sealed in [&oldest, &old, &new] {
            assert_eq!(operator_now.open((&id, &profile), sealed), Ok(key.clone()));
        }
        assert_eq!(operator(3).open((&id, &profile), &new), Ok(key));
        assert_eq!(operator(3).open((&id, &profile), &old), Err(Unsealable::OtherKey));
    }

    #[test]
    fn only_32_octets_of_base64_are_a_key_and_it_is_not_shown() {
        for text in ["", "AAAA", "hunter2", &STANDARD.encode([1; 33]), &"A".repeat(1000)] {
            assert_eq!(OperatorKey::from_text(text).err(), Some(BadOperatorKey), "{text}");
        }
        assert_eq!(format!("{:?}", operator(1)), "OperatorKey(..)");
    }
}
