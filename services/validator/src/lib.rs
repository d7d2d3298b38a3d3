//! The validator role: takes ready challenges of orders and pre-authorizations from the log, has them validated, and
//! records what was seen; and looks at CAA again when the signer asks for it.
//!
//! One delivery is followed file by file: `worker` takes it, reads its `task` and waits for its turn in the `queue`, the
//! `desk` has `challenge` or `caa` do it and settles the delivery.

mod applicant;
mod caa;
mod challenge;
mod desk;
mod measure;
mod pace;
mod queue;
mod settings;
mod task;
mod waiting;
mod worker;

use std::sync::Arc;

use eventstore::{EventFeed, Wakes};
use readmodel::Aggregates;
use runtime::Check;
use tokio_util::sync::CancellationToken;

pub use settings::{ConfigError, Group, Settings, TrustAnchorProblem};

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
    let desk = Arc::new(desk::Desk::new(&settings, ports)?);
    measure::begin();
    worker::Worker::new(desk, &settings, health).run(stop).await;
    Ok(())
}
