//! Subscriptions that a server ended because the user lost the right to them. They do not come back with the right, and the
//! client does not know: only a new connection begins them again.

use std::{sync::Arc, time::Duration};

use async_nats::Client;
use futures::FutureExt as _;
use tokio::{sync::Notify, time::sleep};

/// How a server begins to say it.
const ENDED: &str = "Permissions Violation for Subscription to ";
/// How long after that a new connection is made, which shows whether the right was given back. All that is under way is
/// interrupted each time.
const PAUSE: Duration = Duration::from_secs(30);

/// Whether subscriptions were ended. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Deaf(Arc<Notify>);

impl Deaf {
    /// Notes what a server says, if it is that.
    pub(super) fn note(&self, said: &str) {
        if said.contains(ENDED) {
            self.0.notify_one();
        }
    }

    /// Connects anew whenever subscriptions were ended, until it is aborted.
    pub(super) async fn mend(self, client: Client) {
        loop {
            self.0.notified().await;
            sleep(PAUSE).await;
            // What was ended meanwhile begins again, too.
            let _ = self.0.notified().now_or_never();
            if let Err(error) = client.force_reconnect().await {
                tracing::debug!(%error, "a connection was not given up");
            }
        }
    }
}
