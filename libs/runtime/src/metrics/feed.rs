//! What every role shows of the log that it follows.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::names;

/// Counts a delivery to the workers of a role: its number among those of its message, from 1, and how old the message is.
pub fn delivered(role: &'static str, attempt: u64, lag: Duration) {
    counter!(names::FEED_MESSAGES, "role" => role).increment(1);
    if attempt > 1 {
        counter!(names::FEED_REDELIVERIES, "role" => role).increment(1);
    }
    histogram!(names::FEED_LAG_SECONDS, "role" => role).record(lag.as_secs_f64());
}

/// Shows where a stream of the log ends.
#[expect(clippy::cast_precision_loss, reason = "no log reaches 2^53 messages")]
pub fn log_end(stream: &impl ToString, last: u64) {
    gauge!(names::LOG_LAST_SEQUENCE, "stream" => stream.to_string()).set(last as f64);
}
