//! The port by which a worker tells waiting requests that an outcome is in the log.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::{Sequence, Subject};

/// Something happened to an aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// The aggregate.
    pub subject: Subject,
    /// The message that tells what.
    pub sequence: Sequence,
}

/// Carries wakes from workers to every api node. A wake may be lost; whoever waits reads once more at the end.
#[async_trait]
pub trait Wakes: Send + Sync {
    /// Tells all who listen; called after the append was acknowledged and the view written. A failure is logged by the
    /// adapter: the waiting request's last read makes up for it.
    async fn publish(&self, wake: Wake);

    /// Listens from now on. A receiver that lags loses wakes and must treat that as a wake for everything.
    fn subscribe(&self) -> broadcast::Receiver<Wake>;
}
