//! Keeps apart requests that a server cannot work on at the same time.

use std::sync::Arc;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Lets no authorization be fetched while an order is placed, over all workers of a server.
///
/// Pebble 2.10 locks an authorization and then, to find the account, everything; newOrder locks everything and then each
/// authorization. With a writer waiting in between, both wait for ever: of a thousand issuances by 16 workers one or
/// two met in that way. The processor has enough else to do meanwhile, so that this does not slow Pebble down.
#[derive(Clone, Default)]
pub(crate) struct Fence(Option<Arc<RwLock<()>>>);

impl Fence {
    /// For servers that need none.
    pub(crate) fn open() -> Self {
        Self(None)
    }

    /// For the workers that get a clone of it.
    pub(crate) fn closed() -> Self {
        Self(Some(Arc::default()))
    }

    /// Waits until no authorization is fetched; orders may be placed at the same time.
    pub(super) async fn place_order(&self) -> Option<RwLockReadGuard<'_, ()>> {
        Some(self.0.as_ref()?.read().await)
    }

    /// Waits until no order is placed and no other authorization is fetched.
    pub(super) async fn fetch_authorization(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        Some(self.0.as_ref()?.write().await)
    }
}
