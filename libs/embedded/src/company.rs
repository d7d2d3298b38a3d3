//! The writing thread's wait for company: a moment in which more requests may join those it has, to share one fsync.

use std::{
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::{Handle, RuntimeMetrics};

/// The wait for those who come back is at most this part of the time a commit takes, and never longer than this.
const PART_OF_COMMIT: u32 = 2;
const LONGEST_PATIENCE: Duration = Duration::from_millis(1);
/// How often it is looked whether anybody may still come.
const LOOK_EVERY: Duration = Duration::from_micros(100);
/// With so many requests, answered last or waiting now, others are on their way: a moment's wait saves an fsync.
const ENOUGH: usize = 3;

/// What tells whether company is on its way.
pub(crate) struct Company {
    /// Whose tasks make requests; where that is not known, company may always come.
    runtime: Option<RuntimeMetrics>,
    answered: usize,
    commit_took: Duration,
}

impl Company {
    /// Company comes from the tasks of the runtime this is called in.
    pub(crate) fn of_this_runtime() -> Self {
        let runtime = Handle::try_current().ok().map(|runtime| runtime.metrics());
        Self { runtime, answered: 0, commit_took: Duration::ZERO }
    }

    /// Waits while more may join so many requests. Once every worker of the runtime rests, all it has to do waits for
    /// others: for this commit, or for the network.
    pub(crate) fn wait(&self, requests: usize) {
        let (patience, begun) = (self.patience(requests), Instant::now());
        while let Some(rest) = patience.checked_sub(begun.elapsed())
            && self.is_on_its_way()
        {
            thread::sleep(rest.min(LOOK_EVERY));
        }
    }

    /// Notes a commit: whoever was answered may soon come back.
    pub(crate) fn note_commit(&mut self, answered: usize, took: Duration) {
        (self.answered, self.commit_took) = (answered, took);
    }

    fn patience(&self, requests: usize) -> Duration {
        match requests + self.answered {
            0..ENOUGH => Duration::ZERO,
            _ => (self.commit_took / PART_OF_COMMIT).min(LONGEST_PATIENCE),
        }
    }

    /// A worker counts each time it goes to rest and each time it wakes: an even count is that of one at work.
    fn is_on_its_way(&self) -> bool {
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

    fn after_a_slow_commit(runtime: &Runtime, answered: usize) -> Company {
        let mut company = runtime.block_on(async { Company::of_this_runtime() });
        company.note_commit(answered, Duration::from_secs(1));
        company
    }

    #[test]
    fn company_is_waited_for_while_a_worker_is_at_work() {
        let runtime = runtime();
        let company = after_a_slow_commit(&runtime, ENOUGH);
        let (begun, begins) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        let work = runtime.spawn(async move {
            begun.send(()).unwrap();
            ends.recv().unwrap();
        });
        begins.recv().unwrap();
        let asked = Instant::now();
        company.wait(1);
        assert!(asked.elapsed() >= LONGEST_PATIENCE);
        end.send(()).unwrap();
        runtime.block_on(work).unwrap();
    }

    #[test]
    fn no_company_comes_while_all_workers_rest() {
        let runtime = runtime();
        let company = after_a_slow_commit(&runtime, ENOUGH);
        while company.is_on_its_way() {
            thread::yield_now();
        }
        assert!(!company.patience(1).is_zero());
    }

    #[test]
    fn a_lone_request_has_no_patience() {
        assert!(after_a_slow_commit(&runtime(), 1).patience(1).is_zero());
    }
}
