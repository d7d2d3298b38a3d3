//! Watches whether the streams of a cluster's log are still configured as they were created. A limit that somebody sets
//! on one while processes run makes it drop messages that must be kept, and no append would fail.

use std::{convert::Infallible, time::Duration};

use jetstream::{ConnectError, JetStream};
use runtime::{Check, Stop};
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

/// How often to look.
const INTERVAL: Duration = Duration::from_secs(15);

/// Watches until the stage stops.
pub(super) fn start(log: JetStream, health: Check, stop: &Stop) {
    // They have just been compared.
    health.ready();
    let requested = stop.token();
    stop.spawn("watch over the streams", async move {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watching = async {
            loop {
                ticks.tick().await;
                look(&log, &health).await;
            }
        };
        requested.run_until_cancelled(watching).await;
        Ok::<_, Infallible>(())
    });
}

async fn look(log: &JetStream, health: &Check) {
    match log.verify().await {
        Ok(()) => health.ready(),
        Err(error @ (ConnectError::StreamDiffers { .. } | ConnectError::StreamMissing { .. })) => {
            health.not_ready(error.to_string())
        }
        // A log out of reach is seen by those who need it.
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            debug!(error, "it is not known how the streams are kept");
        }
    }
}
