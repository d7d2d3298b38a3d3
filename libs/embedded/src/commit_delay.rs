//! Group commit: how long the writing thread waits before a commit, so that more requests share its fsync.

use std::{
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::{Handle, RuntimeMetrics};

/// The wait is at most this part of the time that the last commit took, and never longer than [`MAX_WAIT`].
const PART_OF_COMMIT: u32 = 2;
const MAX_WAIT: Duration = Duration::from_millis(1);
/// How often the wait looks whether another request may still come.
const POLL_INTERVAL: Duration = Duration::from_micros(100);
/// With so many requests, waiting now or answered by the last commit, others are on their way, and a wait saves an fsync.
const MIN_REQUESTS: usize = 3;

/// What the length of the wait depends on.
pub(crate) struct CommitDelay {
    /// The runtime whose tasks make requests; without one, any may come at any time.
    runtime: Option<RuntimeMetrics>,
    /// How many requests the last commit answered: whoever made them may soon make another.
    last_answered: usize,
    last_took: Duration,
}

impl CommitDelay {
    /// Expects requests from the tasks of the runtime that this is called in.
    pub(crate) fn of_this_runtime() -> Self {
        let runtime = Handle::try_current().ok().map(|runtime| runtime.metrics());
        Self { runtime, last_answered: 0, last_took: Duration::ZERO }
    }

    /// Waits while more requests may join those that are waiting.
    pub(crate) fn wait(&self, waiting: usize) {
        let (longest, begun) = (self.longest(waiting), Instant::now());
        while let Some(rest) = longest.checked_sub(begun.elapsed())
            && self.may_more_come()
        {
            thread::sleep(rest.min(POLL_INTERVAL));
        }
    }

    /// Notes a commit, by which the next wait is measured.
    pub(crate) fn note_commit(&mut self, answered: usize, took: Duration) {
        (self.last_answered, self.last_took) = (answered, took);
    }

    fn longest(&self, waiting: usize) -> Duration {
        match waiting + self.last_answered {
            0..MIN_REQUESTS => Duration::ZERO,
            _ => (self.last_took / PART_OF_COMMIT).min(MAX_WAIT),
        }
    }

    /// Whether a worker of the runtime is running. Once all are parked, every task waits: for this commit, or for the network.
    ///
    /// A worker counts each time that it parks or unparks, so its count is even while it runs.
    fn may_more_come(&self) -> bool {
        self.runtime.as_ref().is_none_or(|runtime| {
            (0..runtime.num_workers())
                .any(|worker| runtime.worker_park_unpark_count(worker).is_multiple_of(2))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_multi_thread().worker_threads(2).build().unwrap()
    }

    fn after_a_slow_commit(runtime: &Runtime, answered: usize) -> CommitDelay {
        let mut delay = runtime.block_on(async { CommitDelay::of_this_runtime() });
        delay.note_commit(answered, Duration::from_secs(1));
        delay
    }

    #[test]
    fn a_commit_waits_while_a_worker_runs() {
        let runtime = runtime();
        let delay = after_a_slow_commit(&runtime, MIN_REQUESTS);
        let (begun, begins) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let work = runtime.spawn(async move {
            begun.send(()).unwrap();
            ends.recv().unwrap();
        });
        begins.recv().unwrap();
        let asked = Instant::now();
        delay.wait(1);
        assert!(asked.elapsed() >= MAX_WAIT);
        end.send(()).unwrap();
        runtime.block_on(work).unwrap();
    }

    #[test]
    fn no_request_is_waited_for_while_all_workers_are_parked() {
        let runtime = runtime();
        let delay = after_a_slow_commit(&runtime, MIN_REQUESTS);
        while delay.may_more_come() {
            thread::yield_now();
        }
        assert!(!delay.longest(1).is_zero());
    }

    #[test]
    fn a_lone_request_is_committed_at_once() {
        assert!(after_a_slow_commit(&runtime(), 1).longest(1).is_zero());
    }
}
