//! Telling systemd, or whatever else supervises the process, how it is: the notifications of sd_notify(3).

use std::{convert::Infallible, env, future};

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::warn;

use crate::{
    Health, Stop,
    health::{PartState, Readiness, STARTING, STOPPING},
};

/// Tells the service manager when the process is ready, what it lacks when it is not, that it lives, as often as a watchdog asks
/// for that, and when it stops. Does nothing if no service manager set `NOTIFY_SOCKET`.
pub fn report(health: &Health, background: &Stop) {
    if env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let (mut readiness, stop) = (health.changes(), background.clone());
    background.spawn("service manager", async move {
        let mut pulse = pulse();
        loop {
            tokio::select! {
                // That the process stops is told even if this task has to stop at the same moment.
                biased;
                Ok(()) = readiness.changed() => tell_readiness(&readiness.borrow_and_update().clone()),
                () = stop.requested() => return Ok::<_, Infallible>(()),
                () = beat(pulse.as_mut()) => tell(&[NotifyState::Watchdog]),
            }
        }
    });
}

/// Twice as often as a watchdog asks for a sign of life, since a busy process is late; `None` without a watchdog.
fn pulse() -> Option<Interval> {
    let within = sd_notify::watchdog_enabled().filter(|within| !within.is_zero())?;
    let mut pulse = interval(within / 2);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Some(pulse)
}

/// Waits for the next beat; for ever where no watchdog listens.
async fn beat(pulse: Option<&mut Interval>) {
    match pulse {
        Some(pulse) => drop(pulse.tick().await),
        None => future::pending().await,
    }
}

fn tell_readiness(readiness: &Readiness) {
    let status = status(readiness);
    let status = NotifyState::Status(&status);
    if readiness.is_stopping() {
        tell(&[NotifyState::Stopping, status]);
    } else if readiness.is_ready() {
        tell(&[NotifyState::Ready, status]);
    } else {
        tell(&[status]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "the service manager was not told");
    }
}

/// What `systemctl status` shows: one line.
fn status(readiness: &Readiness) -> String {
    if readiness.is_stopping() {
        return STOPPING.to_owned();
    }
    if readiness.is_ready() {
        return "ready".to_owned();
    }
    let lacks = readiness.parts().iter().filter_map(|(part, state)| match state {
        PartState::Ready => None,
        PartState::NotReady { reason } => Some(format!("{part}: {reason}")),
    });
    let lacks: Vec<_> = lacks.collect();
    if lacks.is_empty() {
        return STARTING.to_owned();
    }
    // Each line of a notification is an assignment of its own.
    format!("not ready: {}", lacks.join("; ")).replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_names_each_part_that_is_not_ready_in_one_line() {
        let health = Health::new();
        health.register("api").ready();
        let log = health.register("log");
        log.not_ready("connection lost:\nREADY=1");
        health.register("signer").not_ready("no CA key");
        let lacks = "not ready: log: connection lost: READY=1; signer: no CA key";
        assert_eq!(status(&health.readiness()), lacks);
    }

    #[test]
    fn the_status_of_a_process_that_lacks_nothing_is_ready_until_it_stops() {
        let health = Health::new();
        assert_eq!(status(&health.readiness()), "starting");
        health.register("log").ready();
        assert_eq!(status(&health.readiness()), "ready");
        health.stop();
        assert_eq!(status(&health.readiness()), "stopping");
    }
}
