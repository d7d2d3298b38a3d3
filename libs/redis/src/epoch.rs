//! Epochs: an epoch lasts as long as Redis keeps its memory. It is created in Redis together with its sealing key.
//! Nodes remember the last epoch they saw, and every script tells them when it has ended.
//!
//! A server that restarts or fails over loses what was written last, entries of an index before their marker. One that
//! throws keys away, or whose clock jumps ahead, may keep the marker and lose entries: from then on only markers with another tag count.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
};

use acme::nonce::{NonceLifetime, NonceParts, NonceSealer};
use domain::ProfileName;
use ring::rand::{SecureRandom as _, SystemRandom};
use tracing::{info, warn};

use crate::{ConnectError, LogIdentity, RedisStore, fault::Fault, key, stamp::Tag};

/// An epoch's random number, written as 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochId(pub(crate) u64);

/// An epoch with its key.
#[derive(Debug)]
pub(crate) struct Epoch {
    pub(crate) id: EpochId,
    pub(crate) sealer: NonceSealer,
    /// What markers must carry: all those from before keys were thrown away carry another.
    pub(crate) marks: Tag,
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

impl RedisStore {
    /// The epoch last seen; asks Redis, and lets it make one, only when none was seen.
    pub(crate) async fn epoch(&self) -> Result<Arc<Epoch>, Fault> {
        let seen = self.last_seen.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(epoch) = seen {
            return Ok(epoch);
        }
        let epoch = Arc::new(self.fetch_epoch().await?);
        *self.last_seen.0.write().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::clone(&epoch));
        Ok(epoch)
    }

    async fn fetch_epoch(&self) -> Result<Epoch, Fault> {
        let (mut id, mut key) = ([0; 8], [0; 32]);
        let random = SystemRandom::new();
        random.fill(&mut id).and_then(|()| random.fill(&mut key)).map_err(|_| Fault::Random)?;
        let new = EpochId(u64::from_be_bytes(id));
        let LogIdentity { made_at: log, group } = &self.options.log;
        let mut call = self.scripts.epoch.key(key::EPOCH);
        call.arg(log).arg(group.as_deref().unwrap_or_default()).arg(new.to_string()).arg(&key[..]);
        let answer = self.link.invoke("epoch", &call).await?;
        let (found, id, key, is_new, marks): (String, String, Vec<u8>, bool, String) = answer;
        if found != *log {
            return Err(Fault::Connect(ConnectError::OtherLog { found, log: log.clone() }));
        }
        let id: EpochId = id.parse().map_err(|_| Fault::Answer)?;
        let key: [u8; 32] = key.try_into().map_err(|_| Fault::Answer)?;
        let marks = match marks.as_str() {
            "" => Tag::Timeless,
            marks => Tag::Epoch(marks.parse().map_err(|_| Fault::Answer)?),
        };
        if is_new && marks == Tag::Epoch(id) {
            warn!(
                "redis threw keys away, for lack of memory or by its clock, which jumped ahead unless nobody used it for a day: older nonces are refused, and views and indexes are rebuilt from the log; look at its maxmemory-policy and its clock"
            );
        } else if is_new {
            info!(
                "redis is new, or was restarted, emptied, failed over or not used for a while: older nonces are refused, and views are rebuilt from the log"
            );
        }
        Ok(Epoch { id, sealer: NonceSealer::new(&key), marks })
    }
}

impl LastSeen {
    /// Forgets an epoch that has ended.
    pub(crate) fn forget(&self, ended: EpochId) {
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if seen.as_ref().is_some_and(|epoch| epoch.id == ended) {
            *seen = None;
        }
    }
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
        let sealer = NonceSealer::new(&[1; 32]);
        let epoch = Epoch { id: EpochId(7), sealer, marks: Tag::Timeless };
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
