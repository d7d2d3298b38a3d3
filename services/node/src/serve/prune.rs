//! Drops old orders from the embedded log, as the streams of a cluster do by themselves.

use std::{convert::Infallible, time::Duration};

use embedded::Embedded;
use runtime::Stop;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::clock;

/// How often to look for such orders.
const INTERVAL: Duration = Duration::from_hours(1);

/// Drops orders older than `max_age` until the stage stops.
pub(super) fn start(log: Embedded, max_age: Duration, stop: &Stop) {
    let requested = stop.token();
    stop.spawn("prune", async move {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pruning = async {
            loop {
                ticks.tick().await;
                prune(&log, max_age).await;
            }
        };
        requested.run_until_cancelled(pruning).await;
        Ok::<_, Infallible>(())
    });
}

async fn prune(log: &Embedded, max_age: Duration) {
    match log.prune(clock::now().minus(max_age)).await {
        Ok(0) => {}
        Ok(orders) => info!(orders, "old orders dropped"),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            warn!(error, "old orders not dropped");
        }
    }
}
