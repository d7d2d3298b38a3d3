//! Epochs: how long one memory of Redis lasts. An epoch and its sealing key are made together, in Redis; nodes remember the
//! last one they saw, and every script tells them when it has ended.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
};

use acme::nonce::{NonceLifetime, NonceParts, NonceSealer};
use domain::ProfileName;
use ring::rand::{SecureRandom as _, SystemRandom};
use tracing::info;

use crate::{fault::Fault, key, link::Link, script::Scripts};

/// An epoch's random number, written as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochId(pub(crate) u64);

/// An epoch with its key.
#[derive(Debug)]
pub(crate) struct Epoch {
    pub(crate) id: EpochId,
    pub(crate) sealer: NonceSealer,
}

/// The epoch this process last saw.
#[derive(Debug, Default)]
pub(crate) struct LastSeen(RwLock<Option<Arc<Epoch>>>);

impl Epoch {
    /// Opens a profile's nonce that may be redeemed in this minute if it was not before.
    pub(crate) fn open(
        &self,
        (profile, nonce): (&ProfileName, &str),
        minute: u32,
        lifetime: NonceLifetime,
    ) -> Option<NonceParts> {
        let parts = self.sealer.open(profile, nonce).ok()?;
        parts.check(self.id.0, minute, lifetime).ok()?;
        Some(parts)
    }
}

impl LastSeen {
    /// The epoch last seen; asks Redis, and lets it make one, only when none was seen.
    pub(crate) async fn epoch(&self, link: &Link, scripts: &Scripts) -> Result<Arc<Epoch>, Fault> {
        let seen = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(epoch) = seen {
            return Ok(epoch);
        }
        let epoch = Arc::new(fetch(link, scripts).await?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&epoch));
        Ok(epoch)
    }

    /// Forgets an epoch that has ended.
    pub(crate) fn forget(&self, ended: EpochId) {
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if seen.as_ref().is_some_and(|epoch| epoch.id == ended) {
            *seen = None;
        }
    }
}

async fn fetch(link: &Link, scripts: &Scripts) -> Result<Epoch, Fault> {
    let (mut id, mut key) = ([0; 8], [0; 32]);
    let random = SystemRandom::new();
    random.fill(&mut id).and_then(|()| random.fill(&mut key)).map_err(|_| Fault::Random)?;
    let new = EpochId(u64::from_be_bytes(id));
    let mut call = scripts.epoch.key(key::EPOCH);
    call.arg(new.to_string()).arg(&key[..]);
    let (id, key, is_new): (String, Vec<u8>, bool) = link.invoke("epoch", &call).await?;
    let id = id.parse().map_err(|_| Fault::Answer)?;
    let key: [u8; 32] = key.try_into().map_err(|_| Fault::Answer)?;
    if is_new {
        info!(
            "redis has another memory than before: older nonces are refused, views are folded anew"
        );
    }
    Ok(Epoch { id, sealer: NonceSealer::new(&key) })
}

impl fmt::Display for EpochId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for EpochId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_nonce_is_good_for_as_long_as_is_configured() {
        let epoch = Epoch { id: EpochId(7), sealer: NonceSealer::new(&[1; 32]) };
        let profile = ProfileName::default();
        let parts = NonceParts { epoch: 7, node: 1, minute: 1000, counter: 0 };
        let nonce = epoch.sealer.seal(&profile, &parts).unwrap();
        let lifetime = NonceLifetime::try_from(Duration::from_mins(2)).unwrap();
        let open = |minute| epoch.open((&profile, &nonce), minute, lifetime);
        assert_eq!(open(1002), Some(parts));
        assert_eq!(open(1003), None);
        assert!(epoch.open((&profile, &nonce), 1003, NonceLifetime::default()).is_some());
    }
}
