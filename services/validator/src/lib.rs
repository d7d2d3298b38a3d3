//! The validator role: takes ready challenges from the log, has them validated, and records what was seen.
//!
//! One delivery is followed file by file: `worker` takes it and waits for its turn in the `queue`, `challenge` has it
//! validated and appends the outcome.

mod challenge;
mod queue;
mod settings;
mod worker;

use std::sync::Arc;

use eventstore::{EventFeed, Wakes};
use readmodel::Aggregates;
use runtime::Check;
use tokio_util::sync::CancellationToken;

pub use settings::{ConfigError, Group, Settings};

/// What a validator node works with.
#[derive(Clone)]
pub struct Ports {
    /// The event log and the views over it.
    pub aggregates: Aggregates,
    /// Delivers what happens to orders.
    pub feed: Arc<dyn EventFeed>,
    /// Tells waiting requests that an outcome is in the log.
    pub wakes: Arc<dyn Wakes>,
}

/// Validates challenges until told to stop, then finishes and acknowledges what is under way.
///
/// # Errors
/// When the settings make no validator; the operator must change the configuration.
pub async fn run(
    settings: Settings,
    ports: Ports,
    health: Check,
    stop: CancellationToken,
) -> Result<(), validation::SettingsError> {
    let validators = challenge::Validators::new(&settings)?;
    let desk = Arc::new(challenge::Desk { validators, ports });
    worker::Worker::new(desk, &settings, health).run(stop).await;
    Ok(())
}
