//! What validators count.

use domain::{
    ChallengeType,
    order::{State, Status},
};
use metrics::{counter, histogram};
use runtime::metrics::names;
use validation::Outcome;

use crate::desk::now;

/// Shows what is counted before the first of it: what begins at 1 was never seen to rise.
pub(crate) fn begin() {
    for challenge in ChallengeType::ALL {
        count(challenge.as_str(), "valid", "", 0);
    }
}

/// Counts one look at a challenge or at CAA.
pub(crate) fn look(kind: &'static str, outcome: &Outcome) {
    let (outcome, problem) = match outcome {
        Ok(_) => ("valid", ""),
        Err(rejected) => ("invalid", rejected.failure.kind.as_str()),
    };
    count(kind, outcome, problem, 1);
}

fn count(kind: &'static str, outcome: &'static str, problem: &'static str, looks: u64) {
    counter!(names::VALIDATIONS, "type" => kind, "outcome" => outcome, "problem" => problem)
        .increment(looks);
}

/// Measures how long an order took to become ready, if the outcome just recorded made it so.
pub(crate) fn recorded(order: &State) {
    if order.status(now()) == Status::Ready {
        let waited = order.placed_at.until(now());
        histogram!(names::ORDER_READY_SECONDS, "profile" => order.profile.to_string())
            .record(waited.as_secs_f64());
    }
}
