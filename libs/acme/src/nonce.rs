//! Anti-replay nonces (RFC 8555 §6.5): sealed counters of which only the redeemed ones are remembered.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod sealer;
mod window;

use std::{error::Error, fmt, str::FromStr};

use async_trait::async_trait;
use domain::ProfileName;

pub use sealer::{ForgedNonce, NonceSealer};
pub use window::{
    InvalidLifetime, MAX_PER_MINUTE, NonceCounter, NonceLifetime, NonceParts, OutsideWindow,
    SPENT_LIFETIME, minute_of,
};

use crate::base64url;

/// Issues and redeems anti-replay nonces (RFC 8555 §6.5).
#[async_trait]
pub trait Nonces: Send + Sync {
    /// Makes a nonce that nobody has seen, as it stands in `Replay-Nonce`; it is good under this profile alone.
    ///
    /// # Errors
    /// When the memory of spent nonces cannot be reached; the caller answers 503.
    async fn issue(&self, profile: &ProfileName) -> Result<String, NoncesUnavailable>;

    /// Spends a nonce: of any number of calls with one nonce, at most one says [`Redeemed::Fresh`]. One of another profile
    /// is unknown, and not spent.
    ///
    /// # Errors
    /// When the memory of spent nonces cannot be reached; the caller answers 503.
    async fn redeem(
        &self,
        profile: &ProfileName,
        nonce: &str,
    ) -> Result<Redeemed, NoncesUnavailable>;
}

/// What became of a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// It was good, and is spent now.
    Fresh,
    /// It was spent before.
    Replayed,
    /// It is of another epoch or profile, too old, or not ours.
    Unknown,
}

/// The memory of spent nonces cannot be reached.
#[derive(Debug, Default, thiserror::Error)]
#[error("nonces are unavailable")]
pub struct NoncesUnavailable(#[source] Option<Box<dyn Error + Send + Sync>>);

impl NoncesUnavailable {
    /// Keeps the cause for the log.
    pub fn because(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Some(cause.into()))
    }
}

/// The text of a nonce in a request: well-formed, perhaps not ours.
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(Box<str>);

/// The text is not a nonce (RFC 8555 §6.5.1): answered as `malformed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the nonce is empty, too long, or not base64url")]
pub struct MalformedNonce;

impl Nonce {
    /// Four times the length of ours.
    const MAX_BYTES: usize = 256;

    /// The nonce's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Nonce {
    type Err = MalformedNonce;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > Self::MAX_BYTES || base64url::decode(text).is_err() {
            return Err(MalformedNonce);
        }
        Ok(Self(text.into()))
    }
}

/// Hides the text: nonces are never logged.
impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_base64url_of_bounded_length() {
        for text in ["", "a", "a=", "ä", "a b", "+/+/", &"a".repeat(260)] {
            assert_eq!(text.parse::<Nonce>(), Err(MalformedNonce), "{text}");
        }
        assert!("taroDvhk2H7ErEkhFCq8zux1hCbY0KzFQDEFGjMaSvvCC_k".parse::<Nonce>().is_ok());
        assert_eq!(format!("{:?}", "AAAA".parse::<Nonce>().unwrap()), "Nonce(..)");
    }
}
