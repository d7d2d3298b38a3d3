//! Following the log for as long as the process runs, whatever fails meanwhile.

use std::time::Duration;

use eventstore::{LoadError, StoreError, Stream};
use runtime::Check;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{Ports, ProjectError, followed, follower::Follower};

/// What an operator is to do where the log lost what the read model knows. It is not done by itself: a NATS server that was
/// deposed looks the same for a while, and the read model would be built from its log.
const AHEAD: &str = "the read model is newer than the event log, which was lost or restored: run `certmill rebuild`";
/// Told where waiting does not help: only a newer release can read the message, or the log is damaged there.
const UNREADABLE: &str =
    "a message of the event log cannot be read: the warnings of this process say where it is";
/// How long the projector waits after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Follows until told to stop; any number of projectors may.
pub(crate) async fn follow(
    ports: &Ports,
    order_shards: u8,
    health: Check,
    stop: CancellationToken,
) {
    let streams = followed(order_shards);
    let following = async {
        loop {
            if let Err(error) = follow_from_markers(ports, &streams, &health).await {
                let cause = &error as &dyn std::error::Error;
                warn!(error = cause, "the read model is not kept complete");
                health.not_ready(why_not_ready(&error));
            }
            tokio::time::sleep(RETRY_DELAY).await;
        }
    };
    stop.run_until_cancelled(following).await;
}

fn why_not_ready(error: &ProjectError) -> &'static str {
    match error {
        ProjectError::Ahead { .. } => AHEAD,
        ProjectError::Decode { .. }
        | ProjectError::Load(LoadError::Decode(_))
        | ProjectError::Store(StoreError::Damaged(_))
        | ProjectError::Load(LoadError::Store(StoreError::Damaged(_))) => UNREADABLE,
        ProjectError::Store(StoreError::Unavailable(_))
        | ProjectError::Load(LoadError::Store(StoreError::Unavailable(_)))
        | ProjectError::View(_) => "the event log or the read model is out of reach",
    }
}

/// Follows from where the markers stand until something fails.
async fn follow_from_markers(
    ports: &Ports,
    streams: &[Stream],
    health: &Check,
) -> Result<(), ProjectError> {
    let mut follower = Follower::start(ports, streams).await?;
    health.ready();
    loop {
        follower.step(ports).await?;
    }
}
