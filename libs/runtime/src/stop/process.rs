//! The process as a whole: runs until a signal, a request or a failed task, then stops stage by stage.

use std::{error::Error, io, time::Duration};

use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Stop, signals::Signals};
use crate::Health;

/// How long listeners may take to finish the requests they hold. With the other stages and the flush after them it
/// stays below the 10 s within which the whole process stops.
const LISTENERS_PATIENCE: Duration = Duration::from_secs(4);
/// How long workers may take to finish and acknowledge what they took.
const WORKERS_PATIENCE: Duration = Duration::from_secs(3);
/// How long the background may take.
const BACKGROUND_PATIENCE: Duration = Duration::from_secs(1);

/// The tasks of the process in their three stages.
pub struct Process {
    listeners: Stop,
    workers: Stop,
    background: Stop,
    failures: mpsc::UnboundedReceiver<StopError>,
    stopper: Stopper,
    signals: Signals,
}

/// Stops a process from inside, as a signal would.
#[derive(Clone, Debug, Default)]
pub struct Stopper(CancellationToken);

/// Why a process did not stop as it should, or had to.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The system does not let the process listen to signals.
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
    /// A task ended with an error.
    #[error("{task} failed")]
    Failed {
        /// The task's name.
        task: &'static str,
        /// Its error.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A task panicked.
    #[error("{task} panicked: {message}")]
    Panicked {
        /// The task's name.
        task: &'static str,
        /// The panic's message.
        message: String,
    },
    /// A signal insisted while stopping; tasks may still run.
    #[error("stopped at once by a second signal")]
    Forced,
    /// Tasks did not finish in time and were aborted.
    #[error("did not finish in time: {}", .tasks.join(", "))]
    Unfinished {
        /// Their names.
        tasks: Vec<&'static str>,
    },
}

impl Stopper {
    /// Asks the process to stop.
    pub fn stop(&self) {
        self.0.cancel();
    }
}

impl Process {
    /// Takes SIGTERM, SIGINT and SIGHUP over; has to be called inside the async runtime.
    ///
    /// # Errors
    /// When the system does not let the process listen to signals.
    pub fn new() -> Result<Self, StopError> {
        let (sender, failures) = mpsc::unbounded_channel();
        Ok(Self {
            listeners: Stop::new(sender.clone()),
            workers: Stop::new(sender.clone()),
            background: Stop::new(sender),
            failures,
            stopper: Stopper::default(),
            signals: Signals::listen().map_err(StopError::Signals)?,
        })
    }

    /// The stage that stops first: whatever takes requests. It answers held ones when the stop is requested.
    pub fn listeners(&self) -> &Stop {
        &self.listeners
    }

    /// The stage that stops second: whatever works on events of the log.
    pub fn workers(&self) -> &Stop {
        &self.workers
    }

    /// The stage that stops last.
    pub fn background(&self) -> &Stop {
        &self.background
    }

    /// What stops this process from inside.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Does what comes before the process can run; `None` when a signal came first.
    pub async fn prepare<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            signal = self.signals.next() => {
                info!(signal, "stopping");
                None
            }
        }
    }

    /// Runs until a signal, the [`Stopper`] or a failed task, then stops stage by stage; never longer than 8 s.
    ///
    /// # Errors
    /// When a task failed or panicked, did not finish in time, or a second signal came. The caller ends the process
    /// with an error; after [`StopError::Forced`] and [`StopError::Unfinished`] it does so without waiting for tasks.
    pub async fn run(mut self, health: &Health) -> Result<(), StopError> {
        let failure = tokio::select! {
            signal = self.signals.next() => {
                info!(signal, "stopping");
                None
            }
            () = self.stopper.0.cancelled() => {
                info!("stopping");
                None
            }
            failure = self.failures.recv() => failure,
        };
        let began = Instant::now();
        health.stop();
        let unfinished = tokio::select! {
            tasks = finish(&self.listeners, &self.workers, &self.background) => tasks,
            signal = self.signals.insist(began) => {
                warn!(signal, "stopping at once");
                return Err(failure.unwrap_or(StopError::Forced));
            }
        };
        match failure.or_else(|| self.failures.try_recv().ok()) {
            Some(failure) => Err(failure),
            None if unfinished.is_empty() => Ok(()),
            None => Err(StopError::Unfinished { tasks: unfinished }),
        }
    }
}

/// Stops stage after stage; answers the names of the tasks that did not finish in time.
async fn finish(listeners: &Stop, workers: &Stop, background: &Stop) -> Vec<&'static str> {
    let mut unfinished = listeners.finish(LISTENERS_PATIENCE).await;
    unfinished.extend(workers.finish(WORKERS_PATIENCE).await);
    unfinished.extend(background.finish(BACKGROUND_PATIENCE).await);
    unfinished
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        future::pending,
        sync::{Arc, Mutex},
    };

    use super::*;

    type Noted = Arc<Mutex<Vec<&'static str>>>;

    /// Spawns a task that notes its name when its stage is asked to stop.
    fn note(stop: &Stop, name: &'static str, noted: &Noted) {
        let (stage, noted) = (stop.clone(), noted.clone());
        stop.spawn(name, async move {
            stage.requested().await;
            noted.lock().unwrap().push(name);
            Ok::<_, Infallible>(())
        });
    }

    #[tokio::test]
    async fn stages_stop_in_order_after_readiness_has_ended() {
        let process = Process::new().unwrap();
        let health = Health::new();
        health.register("log").ready();
        let noted = Noted::default();
        note(process.background(), "background", &noted);
        note(process.workers(), "worker", &noted);
        let (stage, check, ended) = (process.listeners().clone(), health.clone(), noted.clone());
        process.listeners().spawn("listener", async move {
            stage.requested().await;
            assert!(!check.readiness().is_ready());
            ended.lock().unwrap().push("listener");
            Ok::<_, Infallible>(())
        });
        process.stopper().stop();
        process.run(&health).await.unwrap();
        assert_eq!(*noted.lock().unwrap(), ["listener", "worker", "background"]);
    }

    #[tokio::test]
    async fn an_error_of_a_task_stops_the_process() {
        let process = Process::new().unwrap();
        let noted = Noted::default();
        note(process.listeners(), "listener", &noted);
        process.workers().spawn("signer", async { Err(io::Error::other("no key")) });
        let error = process.run(&Health::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "signer failed");
        assert_eq!(error.source().unwrap().to_string(), "no key");
        assert_eq!(*noted.lock().unwrap(), ["listener"]);
    }

    #[tokio::test]
    async fn an_error_of_a_task_that_stops_is_told() {
        let process = Process::new().unwrap();
        let stage = process.workers().clone();
        process.workers().spawn("signer", async move {
            stage.requested().await;
            Err(io::Error::other("journal not written"))
        });
        process.stopper().stop();
        let error = process.run(&Health::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "signer failed");
    }

    #[tokio::test]
    async fn a_panic_of_a_task_stops_the_process() {
        let process = Process::new().unwrap();
        process.workers().spawn::<Infallible>("signer", async { panic!("impossible {}", 7) });
        let error = process.run(&Health::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "signer panicked: impossible 7");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_finish_is_named_and_the_others_still_stop() {
        let process = Process::new().unwrap();
        let noted = Noted::default();
        process.listeners().spawn::<Infallible>("listener", pending());
        note(process.workers(), "worker", &noted);
        process.stopper().stop();
        let began = tokio::time::Instant::now();
        let error = process.run(&Health::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "did not finish in time: listener");
        assert!(began.elapsed() < Duration::from_secs(8));
        assert_eq!(*noted.lock().unwrap(), ["worker"]);
    }
}
