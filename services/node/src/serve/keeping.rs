//! Watches whether the streams of a cluster's log are still as they were made: who limits one beneath running processes has it
//! drop what must be kept, and no append would tell.

use std::{convert::Infallible, time::Duration};

use jetstream::{ConnectError, JetStream};
use runtime::{Check, Stop};
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

/// How often it is looked.
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
