//! What validators count.

use domain::{
    Evidence, FailureKind,
    order::{State, Status},
};
use metrics::{counter, histogram};
use runtime::metrics::names;
use validation::Rejected;

use crate::desk::now;

/// Counts one look at a challenge or at CAA.
pub(crate) fn look(kind: &'static str, outcome: &Result<Evidence, Box<Rejected>>) {
    let (outcome, problem) = match outcome {
        Ok(_) => ("valid", ""),
        Err(rejected) => ("invalid", problem(rejected.failure.kind)),
    };
    counter!(names::VALIDATIONS, "type" => kind, "outcome" => outcome, "problem" => problem)
        .increment(1);
}

/// Measures how long an order took to become ready, if the outcome just recorded made it so.
pub(crate) fn recorded(order: &State) {
    if order.status(now()) == Status::Ready {
        let waited = order.placed_at.until(now());
        histogram!(names::ORDER_READY_SECONDS, "profile" => order.profile.to_string())
            .record(waited.as_secs_f64());
    }
}

/// The error type of RFC 8555 §6.7 that a client is shown.
fn problem(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Caa => "caa",
        FailureKind::Connection => "connection",
        FailureKind::Dns => "dns",
        FailureKind::IncorrectResponse => "incorrectResponse",
        FailureKind::RejectedIdentifier => "rejectedIdentifier",
        FailureKind::ServerInternal => "serverInternal",
        FailureKind::Tls => "tls",
        FailureKind::Unauthorized => "unauthorized",
    }
}
