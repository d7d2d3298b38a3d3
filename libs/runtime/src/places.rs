//! Taking connections within a bound.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How long accepting pauses when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The places of a listener: so many connections are served at once, more wait in the system's queue.
#[derive(Debug)]
pub struct Places(Arc<Semaphore>);

impl Places {
    /// So many places.
    pub fn new(connections: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections)))
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
                let place = Arc::clone(&self.0).acquire_owned().await.ok()?;
                match accept().await {
                    Ok(connection) => return Some((connection, place)),
                    Err(error) => warn!(%error, "connection not accepted"),
                }
                sleep(ACCEPT_PAUSE).await;
            }
        })
        .await
        .flatten()
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
