//! JSON Web Keys (RFC 7517) of accounts, their thumbprints (RFC 7638) and the account ids made of them.
//!
//! biscuit computes the thumbprint when a key is first seen, but only of a key that passed our own checks and was
//! written again from scratch: its JWK reader accepts private values, curves of other key types and empty numbers.

use biscuit::{Empty, digest, jwk::JWK};
use domain::{AccountId, AccountKey, ProfileName, Thumbprint};
use ring::digest::{Context, SHA256};

use crate::{
    base64url,
    key::{BadPublicKey, PublicKey},
    strict_json::{NotText, Object},
};

/// Longer than the longest key we accept: 4096 bits in base64url with members to ignore.
const MAX_JWK_BYTES: usize = 4 * 1024;

/// A JWK whose type and size we accept, with its thumbprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicJwk {
    key: PublicKey,
    account_key: AccountKey,
}

/// A JWK as it stands in a request: read, not judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UncheckedJwk {
    key_type: Box<str>,
    curve: Option<Box<str>>,
    x: Number,
    y: Number,
    n: Number,
    e: Number,
    has_private_members: bool,
}

type Number = Option<Box<[u8]>>;

/// Why a text is not a JWK we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// It is not a JWK at all: `malformed`.
    #[error("the jwk is malformed")]
    Malformed,
    /// It is one we do not accept: `badPublicKey`.
    #[error(transparent)]
    BadPublicKey(#[from] BadPublicKey),
}

impl PublicJwk {
    /// Reads and checks a JWK.
    ///
    /// # Errors
    /// When it is not a JWK, or its key is not accepted.
    pub fn parse(json: &str) -> Result<Self, JwkError> {
        Ok(UncheckedJwk::parse(json)?.check()?)
    }

    /// Takes a key that was checked when its account was made, as every request needs it.
    ///
    /// # Errors
    /// When the stored key is not one that we wrote.
    pub fn from_account_key(account_key: &AccountKey) -> Result<Self, JwkError> {
        let key = UncheckedJwk::parse(&account_key.jwk)?.public_key()?;
        Ok(Self { key, account_key: account_key.clone() })
    }

    /// The key as the rules know it.
    pub fn account_key(&self) -> &AccountKey {
        &self.account_key
    }

    /// The key's SHA-256 thumbprint (RFC 7638).
    pub fn thumbprint(&self) -> &Thumbprint {
        &self.account_key.thumbprint
    }

    /// The key itself, comparable with that of a CSR or a certificate.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }
}

impl UncheckedJwk {
    /// Reads a JWK's members.
    ///
    /// # Errors
    /// When it is too long, no JSON object, or a member repeats or is no base64url text.
    pub fn parse(json: &str) -> Result<Self, JwkError> {
        if json.len() > MAX_JWK_BYTES {
            return Err(JwkError::Malformed);
        }
        let object = Object::parse(json.as_bytes()).map_err(|_| JwkError::Malformed)?;
        Self::from_object(&object)
    }

    pub(crate) fn from_object(object: &Object<'_>) -> Result<Self, JwkError> {
        /// Members of private and symmetric keys (RFC 7518 §6).
        const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
        let text = |name| object.text(name).map_err(|NotText| JwkError::Malformed);
        let number = |name| -> Result<Number, JwkError> {
            let decoded = text(name)?.map(base64url::decode).transpose();
            decoded.map(|octets| octets.map(Vec::into_boxed_slice)).map_err(|_| JwkError::Malformed)
        };
        Ok(Self {
            key_type: text("kty")?.ok_or(JwkError::Malformed)?.into(),
            curve: text("crv")?.map(Into::into),
            x: number("x")?,
            y: number("y")?,
            n: number("n")?,
            e: number("e")?,
            has_private_members: PRIVATE.iter().any(|name| object.contains(name)),
        })
    }

    /// Checks that we accept the key, and computes its thumbprint.
    ///
    /// # Errors
    /// Why we do not.
    pub fn check(&self) -> Result<PublicJwk, BadPublicKey> {
        let key = self.public_key()?;
        key.check_numbers()?;
        let jwk = key.canonical_jwk();
        let thumbprint = serde_json::from_str::<JWK<Empty>>(&jwk)
            .and_then(|jwk| jwk.algorithm.thumbprint(&digest::SHA256))
            .map_err(|_| BadPublicKey::Unsupported)?;
        Ok(PublicJwk { key, account_key: AccountKey { jwk, thumbprint: Thumbprint(thumbprint) } })
    }

    fn public_key(&self) -> Result<PublicKey, BadPublicKey> {
        if self.has_private_members {
            return Err(BadPublicKey::Private);
        }
        match (&*self.key_type, self.curve.as_deref()) {
            ("RSA", None) => PublicKey::rsa(present(&self.n)?, present(&self.e)?),
            ("EC", Some("P-256")) => PublicKey::p256(&self.point(32)?),
            ("EC", Some("P-384")) => PublicKey::p384(&self.point(48)?),
            ("OKP", Some("Ed25519")) => PublicKey::ed25519(present(&self.x)?),
            _ => Err(BadPublicKey::Unsupported),
        }
    }

    /// Both coordinates at their full length (RFC 7518 §6.2.1.2), so that x and y cannot shift into each other.
    fn point(&self, coordinate_bytes: usize) -> Result<Vec<u8>, BadPublicKey> {
        let (x, y) = (present(&self.x)?, present(&self.y)?);
        if x.len() != coordinate_bytes || y.len() != coordinate_bytes {
            return Err(BadPublicKey::Length);
        }
        Ok([&[4], x, y].concat())
    }
}

fn present(number: &Number) -> Result<&[u8], BadPublicKey> {
    number.as_deref().ok_or(BadPublicKey::Length)
}

/// The id of the account that a key makes under a profile: creating it twice meets at one id.
pub fn account_id(profile: &ProfileName, thumbprint: &Thumbprint) -> AccountId {
    let mut context = Context::new(&SHA256);
    context.update(profile.as_str().as_bytes());
    context.update(&[0]);
    context.update(thumbprint.as_str().as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    AccountId::from_hash(&hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_depends_on_profile_and_key() {
        let id = |profile: &str, thumbprint: &str| {
            account_id(&profile.parse().unwrap(), &Thumbprint(thumbprint.into()))
        };
        assert_eq!(id("default", "abc"), id("default", "abc"));
        assert_ne!(id("default", "abc"), id("other", "abc"));
        assert_ne!(id("default", "abc"), id("defaulta", "bc"));
        assert_eq!(id("default", "abc").as_str(), "-ll6thADckuJMHH1jiDo-A");
    }

    #[test]
    fn a_key_has_the_same_thumbprint_in_a_csr_as_in_an_account() {
        let jwk =
            r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let account = PublicJwk::parse(jwk).unwrap();
        assert_eq!(account.public_key().thumbprint(), *account.thumbprint());
    }
}
