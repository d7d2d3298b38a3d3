//! Shows where each stream of the log ends: a stream that was lost or restored ends earlier than before.

use std::time::Duration;

use eventstore::Stream;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::Ports;

/// How often it is looked.
const INTERVAL: Duration = Duration::from_secs(15);

/// Looks until told to stop.
pub(crate) async fn show(ports: &Ports, order_shards: u8, stop: CancellationToken) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let showing = async {
        loop {
            ticks.tick().await;
            show_all(ports, order_shards).await;
        }
    };
    stop.run_until_cancelled(showing).await;
}

async fn show_all(ports: &Ports, order_shards: u8) {
    for stream in Stream::all(order_shards) {
        match ports.aggregates.store.last_sequence(stream).await {
            Ok(last) => runtime::metrics::log_end(&stream, last.0),
            // A log out of reach is seen by readiness.
            Err(error) => debug!(%error, %stream, "the end of a stream is not known"),
        }
    }
}
