//! Taking connections within a bound.

use std::{io, sync::Arc, time::Duration};

use rustix::io::Errno;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::LogThrottle;

/// How long accepting pauses when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What the operator can do about that.
const TOO_MANY_FILES: &str = "raise the limit of open files (LimitNOFILE of systemd, `ulimit -Hn`), or lower api.max_connections";

/// The places of a listener: so many connections are served at once, more wait in the system's queue.
#[derive(Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    complaints: LogThrottle,
}

impl Places {
    /// So many places.
    pub fn new(connections: usize) -> Self {
        let free = Arc::new(Semaphore::new(connections));
        Self { free, complaints: LogThrottle::default() }
    }

    /// Takes the next connection once there is a place for it, which it keeps as long as the permit lives; `None` at the stop.
    pub async fn next<A, C>(
        &self,
        accept: impl Fn() -> A,
        stop: &CancellationToken,
    ) -> Option<(C, OwnedSemaphorePermit)>
    where
        A: Future<Output = io::Result<C>>,
    {
        stop.run_until_cancelled(async {
            loop {
                // The semaphore is never closed.
                let place = Arc::clone(&self.free).acquire_owned().await.ok()?;
                match accept().await {
                    Ok(connection) => return Some((connection, place)),
                    Err(error) => self.tell(&error),
                }
                sleep(ACCEPT_PAUSE).await;
            }
        })
        .await
        .flatten()
    }

    fn tell(&self, error: &io::Error) {
        let Some(untold) = self.complaints.due(error) else { return };
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::MFILE) => {
                warn!(%error, untold, advice = TOO_MANY_FILES, "connection not accepted")
            }
            Some(_) | None => warn!(%error, untold, "connection not accepted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_not_accepted_is_not_the_last() {
        let tries = Cell::new(0);
        let accept = || {
            tries.set(tries.get() + 1);
            let is_full = tries.get() < 3;
            async move { if is_full { Err(io::Error::other("too many open files")) } else { Ok(()) } }
        };
        assert!(Places::new(1).next(accept, &CancellationToken::new()).await.is_some());
        assert_eq!(tries.get(), 3);
    }
}
