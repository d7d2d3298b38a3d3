//! The tasks of one stage: spawned by name, joined at the stop, and reported when they fail.

use std::{
    any::Any,
    collections::BTreeMap,
    error::Error,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::FutureExt as _;
use tokio::{sync::mpsc, task::AbortHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, error};

use super::StopError;

/// Tells the tasks of one stage when to stop and takes care of them; clones share it.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Stage>);

#[derive(Debug)]
struct Stage {
    requested: CancellationToken,
    tracker: TaskTracker,
    running: Mutex<Running>,
    failures: mpsc::UnboundedSender<StopError>,
}

/// The tasks that have not ended.
#[derive(Debug, Default)]
struct Running {
    started: u64,
    tasks: BTreeMap<u64, (&'static str, AbortHandle)>,
}

impl Stop {
    pub(super) fn new(failures: mpsc::UnboundedSender<StopError>) -> Self {
        Self(Arc::new(Stage {
            requested: CancellationToken::new(),
            tracker: TaskTracker::new(),
            running: Mutex::default(),
            failures,
        }))
    }

    /// Waits until the stage is to stop: finish what is begun, begin nothing.
    pub async fn requested(&self) {
        self.0.requested.cancelled().await;
    }

    /// The token that is cancelled when the stage is to stop, for tasks that hand it on.
    pub fn token(&self) -> CancellationToken {
        self.0.requested.clone()
    }

    /// Runs a task of the stage, which the stop waits for; its error or panic stops the whole process.
    pub fn spawn<E>(
        &self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        // Held while spawning, so that a task that ends at once finds itself.
        let mut running = self.running();
        let id = running.started;
        running.started += 1;
        let stop = self.clone();
        let watched = async move {
            let outcome = AssertUnwindSafe(task).catch_unwind().await;
            stop.running().tasks.remove(&id);
            let failure = match outcome {
                Ok(Ok(())) => return,
                Ok(Err(error)) => StopError::Failed { task: name, source: error.into() },
                Err(panic) => StopError::Panicked { task: name, message: panic_message(&*panic) },
            };
            error!(task = name, %failure, cause = failure.source().map(tracing::field::display), "task ended");
            // Nobody listens once the process has stopped; the log line above remains.
            let _ = stop.0.failures.send(failure);
        };
        let handle = self.0.tracker.spawn(watched.in_current_span());
        running.tasks.insert(id, (name, handle.abort_handle()));
    }

    /// Asks the tasks to stop and waits for them, for `patience` at most; answers the names of those aborted then.
    pub(super) async fn finish(&self, patience: Duration) -> Vec<&'static str> {
        self.0.requested.cancel();
        self.0.tracker.close();
        if tokio::time::timeout(patience, self.0.tracker.wait()).await.is_ok() {
            return Vec::new();
        }
        let unfinished: Vec<_> = self.running().tasks.values().cloned().collect();
        unfinished.iter().for_each(|(_, task)| task.abort());
        unfinished.into_iter().map(|(name, _)| name).collect()
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[tokio::test]
    async fn tasks_that_have_ended_are_forgotten() {
        let (failures, _) = mpsc::unbounded_channel();
        let stop = Stop::new(failures);
        for _ in 0..100 {
            stop.spawn("short", async { Ok::<_, Infallible>(()) });
        }
        assert_eq!(stop.running().tasks.len(), 100);
        assert!(stop.finish(Duration::from_secs(10)).await.is_empty());
        assert!(stop.running().tasks.is_empty());
    }
}
