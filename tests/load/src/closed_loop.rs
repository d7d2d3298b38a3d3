//! Workers that each start the next issuance when the last one is done.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    applicant::{Applicant, Client, Counters, Issued, NoReply, responder::Responder},
    options::Waits,
    samples::Samples,
    server::Server,
};

/// Every so many certificates of a worker one is checked; checking all would cost more than the rest of the client.
const CHECK_EVERY: u64 = 25;
/// A run with more failures than this measures nothing and is stopped.
const MAX_FAILURES: u64 = 20;
/// What a server says of a failure is cut here.
const MAX_FAILURE_CHARS: usize = 1000;

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// After so many certificates, counted over all workers.
    Certificates(u64),
    /// No issuance is started later than this; those under way are finished and counted, time and all.
    Duration(Duration),
}

/// What the workers need beside the server.
pub(crate) struct Surroundings {
    /// Answers the challenges.
    pub(crate) responder: Responder,
    /// How workers poll.
    pub(crate) waits: Waits,
    /// Numbers the names, so that none is ordered twice.
    pub(crate) names: Arc<AtomicU64>,
}

/// What a run did.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// From the start until the last worker was done.
    pub(crate) elapsed: Duration,
    /// Certificates received.
    pub(crate) certificates: u64,
    /// Certificates that were parsed and compared with what was asked for.
    pub(crate) checked: u64,
    /// How long each step took.
    pub(crate) samples: Samples,
    /// What else happened.
    pub(crate) counters: Counters,
    /// Why issuances failed.
    pub(crate) failures: Vec<String>,
    /// Whether the server stopped answering, which ended the run.
    pub(crate) hung: bool,
}

/// Connected workers, each with an account of its own.
pub(crate) struct Workers {
    applicants: Vec<Applicant>,
    names: Arc<AtomicU64>,
}

impl Workers {
    /// Connects to the server and creates the accounts.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) async fn connect(
        count: usize,
        server: &Server,
        surroundings: &Surroundings,
    ) -> anyhow::Result<Self> {
        let mut applicants = Vec::with_capacity(count);
        let fence = server.fence();
        for _ in 0..count {
            let origin = server.origin().clone();
            let client = Client::register(origin, server.directory_path()).await?;
            let responder = surroundings.responder.clone();
            applicants.push(Applicant::new(client, responder, surroundings.waits, fence.clone())?);
        }
        Ok(Self { applicants, names: Arc::clone(&surroundings.names) })
    }

    /// Issues until the limit is reached.
    ///
    /// # Errors
    /// Only when a worker panicked; failed issuances are in the outcome.
    pub(crate) async fn run(&mut self, limit: Limit) -> anyhow::Result<Outcome> {
        let tickets = Arc::new(Tickets::new(limit));
        let start = Instant::now();
        let mut running = JoinSet::new();
        for (worker, applicant) in self.applicants.drain(..).enumerate() {
            let names = Arc::clone(&self.names);
            running.spawn(work(applicant, worker, Arc::clone(&tickets), names));
        }
        let done = running.join_all().await;
        let elapsed = start.elapsed();

        let mut total = Outcome { elapsed, ..Outcome::default() };
        for (mut applicant, work) in done {
            let (samples, counters) = applicant.take_samples();
            total.samples.absorb(samples);
            total.counters.absorb(counters);
            total.certificates += work.certificates;
            total.failures.extend(work.failures);
            total.hung |= work.hung;
            for issued in &work.to_check {
                total.checked += 1;
                if let Err(error) = applicant.check(issued) {
                    total.failures.push(one_line(&error));
                }
            }
            self.applicants.push(applicant);
        }
        Ok(total)
    }
}

/// What one worker did.
#[derive(Default)]
struct Work {
    certificates: u64,
    to_check: Vec<Issued>,
    failures: Vec<String>,
    hung: bool,
}

async fn work(
    mut applicant: Applicant,
    worker: usize,
    tickets: Arc<Tickets>,
    names: Arc<AtomicU64>,
) -> (Applicant, Work) {
    let mut work = Work::default();
    applicant.forget_nonce();
    while tickets.take() {
        let number = names.fetch_add(1, Ordering::Relaxed);
        match applicant.issue(format!("w{worker}-{number}.load.test")).await {
            Ok(issued) => {
                if work.certificates.is_multiple_of(CHECK_EVERY) {
                    work.to_check.push(issued);
                }
                work.certificates += 1;
            }
            Err(error) => {
                work.hung |= error.is::<NoReply>();
                let weight = if work.hung { MAX_FAILURES } else { 1 };
                tickets.failures.fetch_add(weight, Ordering::Relaxed);
                work.failures.push(one_line(&error));
            }
        }
    }
    (applicant, work)
}

/// A failure as text that fits into a list.
fn one_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let words: Vec<_> = text.split_ascii_whitespace().collect();
    words.join(" ").chars().take(MAX_FAILURE_CHARS).collect()
}

/// The issuances that may still be started.
struct Tickets {
    left: AtomicU64,
    deadline: Option<Instant>,
    failures: AtomicU64,
}

impl Tickets {
    fn new(limit: Limit) -> Self {
        let (left, deadline) = match limit {
            Limit::Certificates(certificates) => (certificates, None),
            Limit::Duration(duration) => (u64::MAX, Some(Instant::now() + duration)),
        };
        Self { left: AtomicU64::new(left), deadline, failures: AtomicU64::new(0) }
    }

    fn take(&self) -> bool {
        let in_time = self.deadline.is_none_or(|deadline| Instant::now() < deadline);
        let well = self.failures.load(Ordering::Relaxed) < MAX_FAILURES;
        let one_less = |left: u64| left.checked_sub(1);
        in_time
            && well
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_issuances_start_than_were_asked_for() {
        let tickets = Tickets::new(Limit::Certificates(2));
        assert_eq!([tickets.take(), tickets.take(), tickets.take()], [true, true, false]);
        assert!(!Tickets::new(Limit::Duration(Duration::ZERO)).take());
    }

    #[test]
    fn a_run_that_only_fails_is_stopped() {
        let tickets = Tickets::new(Limit::Certificates(1_000));
        tickets.failures.store(MAX_FAILURES, Ordering::Relaxed);
        assert!(!tickets.take());
    }
}
