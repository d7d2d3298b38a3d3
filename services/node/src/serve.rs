//! `certmill serve`: opens the ports, starts the roles, and stops them in order.

mod banner;
mod keeping;
mod listeners;
mod prune;
mod roles;

use std::{collections::BTreeSet, convert::Infallible, time::Duration};

use runtime::{
    Config, Health, Metrics, Process, Role, StopError, Telemetry, allow_open_files, ops,
    service_manager,
};
use tracing::{info, warn};

use crate::{
    control,
    failure::Failure,
    files,
    output::{Format, Output},
    ports::{LogAdapter, Patience, Ports},
};
use banner::Banner;
use listeners::Listeners;
use roles::{Roles, Stages};

/// How long closing the log may take. What was acknowledged is durable without it.
const CLOSE_PATIENCE: Duration = Duration::from_millis(500);

/// Serves until a signal or a failure.
///
/// # Errors
/// When the server cannot start, or a part of it failed; the failure names the key to change.
pub(crate) async fn run(
    config: &Config,
    roles: &BTreeSet<Role>,
    out: &mut Output,
) -> Result<(), Failure> {
    config.check_for(roles)?;
    let telemetry = Telemetry::start(&config.telemetry, roles)?;
    let names: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    info!(
        version = env!("CARGO_PKG_VERSION"),
        roles = names.join(","),
        data_dir = %files::absolute(&config.data_dir).display(),
        "starting"
    );
    let of = |role, number| if roles.contains(&role) { number } else { 0 };
    allow_open_files(
        of(Role::Api, config.api.max_connections),
        of(Role::Validator, config.validation.concurrency),
    );
    let mut process = Process::new()?;
    let opening = Ports::open(config, roles, Patience::of_a_server());
    let Some(ports) = process.prepare(opening).await else {
        telemetry.stop().await;
        return Ok(());
    };
    let ports = ports?;
    let config = &with_all_orders(config, &ports).await?;
    let outcome = serve(config, roles, &ports, (process, out.format())).await;
    if let Err(Stopped::AtOnce(failure)) = outcome {
        return Err(failure);
    }
    if tokio::time::timeout(CLOSE_PATIENCE, ports.close()).await.is_err() {
        warn!("the event log was not closed in time");
    }
    telemetry.stop().await;
    match outcome {
        Ok(()) => Ok(()),
        Err(Stopped::AtOnce(failure) | Stopped::InOrder(failure)) => Err(failure),
    }
}

/// Lets the roles work on every order that an embedded log holds, also where new ones are spread over fewer shards than
/// before. A cluster's log is not opened with fewer.
async fn with_all_orders(config: &Config, ports: &Ports) -> Result<Config, Failure> {
    let mut config = config.clone();
    if let LogAdapter::Embedded(embedded) = &ports.log {
        let shards = &mut config.event_log.order_shards;
        *shards = embedded.order_shards().await?.max(*shards);
    }
    Ok(config)
}

/// How serving ended early.
enum Stopped {
    /// Tasks may still run and are not waited for.
    AtOnce(Failure),
    /// Nothing runs any more.
    InOrder(Failure),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::InOrder(failure)
    }
}

async fn serve(
    config: &Config,
    roles: &BTreeSet<Role>,
    ports: &Ports,
    (mut process, format): (Process, Format),
) -> Result<(), Stopped> {
    let listeners = Listeners::bind(config, roles).await?;
    let health = Health::new();
    let metrics = Metrics::install().map_err(Failure::from)?;
    ops::serve(listeners.ops, health.clone(), metrics, process.background());
    if let LogAdapter::Embedded(_) = &ports.log {
        control::listen(config, ports, process.listeners())?;
    }
    let stages = Stages::of(&process);
    let starting = Roles { config, ports, stages: &stages, health: &health };
    match process.prepare(starting.start(roles, listeners.api)).await {
        Some(started) => {
            started?;
            if let LogAdapter::Embedded(embedded) = &ports.log {
                prune::start(embedded.clone(), config.order_max_age(), process.background());
            }
            // Not sooner: a process is ready once all parts that it has so far are.
            service_manager::report(&health, process.background());
            announce(Banner::of(config, roles), format, &health, &process);
        }
        // What was started by then is stopped like all else.
        None => process.stopper().stop(),
    }
    match process.run(&health).await {
        Ok(()) => Ok(()),
        Err(error @ (StopError::Forced | StopError::Unfinished { .. })) => {
            Err(Stopped::AtOnce(error.into()))
        }
        Err(error) => Err(Stopped::InOrder(error.into())),
    }
}

/// Prints the banner once everything is ready.
fn announce(banner: Banner, format: Format, health: &Health, process: &Process) {
    let (health, stop) = (health.clone(), process.background().clone());
    process.background().spawn("banner", async move {
        tokio::select! {
            () = health.until_ready() => {}
            () = stop.requested() => return Ok::<_, Infallible>(()),
        }
        banner.warn();
        let mut out = Output::new(format);
        // A server whose standard output nobody reads is a server all the same.
        if let Err(failure) = out.either(&banner, &banner).and_then(|()| out.flush()) {
            warn!(%failure, "banner not printed");
        }
        Ok(())
    });
}
