//! How long to wait for what is out of reach: a server waits, because all parts of a fleet may start at once; a command
//! does not.

use std::{error::Error, time::Duration};

use tokio::time::{Instant, sleep};
use tracing::{info, warn};

/// How long a server waits for the log and the read model. Whoever supervises it starts it again after that.
const SERVER: Duration = Duration::from_secs(60);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause between two reminders that something is still waited for.
const REMINDER: Duration = Duration::from_secs(10);

/// Until when to keep trying.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    until: Option<Instant>,
}

impl Patience {
    /// That of a command, whose operator is told at once.
    pub(crate) const NONE: Self = Self { until: None };

    /// That of a server.
    pub(crate) fn of_a_server() -> Self {
        Self { until: Some(Instant::now() + SERVER) }
    }

    /// Tries to reach something, and tries again as long as the failure is transient and patience lasts.
    pub(super) async fn reach<T, E: Error + 'static>(
        self,
        name: &str,
        is_transient: impl Fn(&E) -> bool,
        attempt: impl AsyncFn() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut reminded: Option<Instant> = None;
        loop {
            match attempt().await {
                Err(error) if is_transient(&error) && self.lasts() => {
                    if reminded.is_none_or(|at| at.elapsed() >= REMINDER) {
                        warn!(error = &error as &dyn Error, "waiting for {name}");
                        reminded = Some(Instant::now());
                    }
                    sleep(PAUSE).await;
                }
                reached => {
                    if reminded.is_some() && reached.is_ok() {
                        info!("reached {name}");
                    }
                    return reached;
                }
            }
        }
    }

    fn lasts(self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs, io,
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
    };

    use super::*;

    /// Fails so often, then succeeds; answers with how many attempts there were.
    async fn attempts(patience: Patience, failures: u32, passing: bool) -> (bool, u32) {
        let made = AtomicU32::new(0);
        let reached = patience
            .reach(
                "redis",
                |_: &io::Error| passing,
                async || match made.fetch_add(1, Ordering::Relaxed) < failures {
                    true => Err(io::Error::other("no route")),
                    false => Ok(()),
                },
            )
            .await;
        (reached.is_ok(), made.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_waits_for_what_starts_at_the_same_time() {
        assert_eq!(attempts(Patience::of_a_server(), 7, true).await, (true, 8));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_gives_up_after_a_minute() {
        let began = Instant::now();
        assert!(!attempts(Patience::of_a_server(), u32::MAX, true).await.0);
        assert!((SERVER..SERVER + 2 * PAUSE).contains(&began.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn that_a_server_waits_is_told_at_once_and_from_time_to_time_and_then_that_it_need_not() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let lines = tracing_subscriber::fmt().with_writer(Arc::new(log.reopen().unwrap()));
        let _guard = tracing::subscriber::set_default(lines.with_ansi(false).finish());
        for failures in [0, 25] {
            let attempts = attempts(Patience::of_a_server(), failures, true).await;
            assert_eq!(attempts, (true, failures + 1));
        }
        let told = fs::read_to_string(log.path()).unwrap();
        assert_eq!(told.matches("WARN").count(), 3, "{told}");
        assert_eq!(told.matches("reached redis").count(), 1, "{told}");
        assert_eq!(told.lines().count(), 4, "{told}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waiting_does_not_mend_is_told_at_once() {
        assert_eq!(attempts(Patience::of_a_server(), 1, false).await, (false, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_does_not_wait() {
        assert_eq!(attempts(Patience::NONE, 1, true).await, (false, 1));
    }
}
