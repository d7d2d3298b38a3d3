//! The store: what all its ports share.

use std::io;

use acme::nonce::NonceCounter;
use ring::rand::{SecureRandom as _, SystemRandom};
use tracing::debug;

use crate::{
    ConnectError, Options, epoch::LastSeen, fault::Fault, index::Marks, link::Link, recent::Recent,
    rights, script::Scripts,
};

/// Views, indexes and nonces on one Redis primary: [`readmodel::ReadModel`], [`acme::Nonces`], [`readmodel::Admission`].
///
/// Every call ends within two seconds. While Redis is down each fails at once; when it is back the next one succeeds.
pub struct RedisStore {
    pub(crate) link: Link,
    pub(crate) scripts: Scripts,
    pub(crate) options: Options,
    pub(crate) last_seen: LastSeen,
    pub(crate) marks: Marks,
    pub(crate) recent: Recent,
    pub(crate) counter: NonceCounter,
    /// Tells the nonces of this process from those of others.
    pub(crate) node: u32,
}

impl RedisStore {
    /// Connects to the primary of a `redis://` or `rediss://` URL, and checks that it is safe to use. The check is
    /// repeated at intervals, and whenever a broken connection is replaced. A database that belongs to no log yet
    /// belongs to that of the options from now on, until it is emptied.
    ///
    /// # Errors
    /// [`ConnectError::Unreachable`]: try again later; all others: change the configuration.
    pub async fn connect(url: &str, options: Options) -> Result<Self, ConnectError> {
        let link = Link::new(url, &options)?;
        link.ready().await?;
        let mut node = [0; 4];
        if SystemRandom::new().fill(&mut node).is_err() {
            // Two nodes of one number share counters, which costs their clients a retry; sealing fails where it matters.
            debug!("no random number for this node");
        }
        let store = Self {
            link,
            scripts: Scripts::new(),
            options,
            last_seen: LastSeen::default(),
            marks: Marks::default(),
            recent: Recent::default(),
            counter: NonceCounter::default(),
            node: u32::from_be_bytes(node),
        };
        match store.epoch().await {
            Ok(_) => Ok(store),
            Err(Fault::Connect(error)) => Err(error),
            Err(Fault::Command(error)) => Err(rights::needing("+eval +evalsha", error)),
            Err(fault) => Err(ConnectError::Unreachable(io::Error::other(fault).into())),
        }
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore").field("options", &self.options).finish_non_exhaustive()
    }
}
