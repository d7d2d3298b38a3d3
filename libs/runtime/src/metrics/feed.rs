//! What every role shows of the log that it follows.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::names;

/// Counts a delivery to the workers of a role: its number among those of its message, from 1, and how old the message is.
pub fn delivered(role: &'static str, attempt: u64, lag: Duration) {
    counter!(names::FEED_MESSAGES, "role" => role).increment(1);
    if attempt > 1 {
        // It mostly comes again because it was to wait: nobody was behind.
        counter!(names::FEED_REDELIVERIES, "role" => role).increment(1);
    } else {
        histogram!(names::FEED_LAG_SECONDS, "role" => role).record(lag.as_secs_f64());
    }
}

/// Shows where a stream of the log ends.
#[expect(clippy::cast_precision_loss, reason = "no log reaches 2^53 messages")]
pub fn log_end(stream: &impl ToString, last: u64) {
    gauge!(names::LOG_LAST_SEQUENCE, "stream" => stream.to_string()).set(last as f64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    #[test]
    fn what_comes_again_as_planned_is_no_lag() {
        let metrics = Metrics::install().unwrap();
        delivered("patient", 1, Duration::from_millis(20));
        delivered("patient", 2, Duration::from_secs(8));
        delivered("patient", 3, Duration::from_secs(18));
        let text = metrics.render();
        for line in [
            "certmill_feed_messages_total{role=\"patient\"} 3",
            "certmill_feed_redeliveries_total{role=\"patient\"} 2",
            "certmill_feed_lag_seconds_count{role=\"patient\"} 1",
            "certmill_feed_lag_seconds_bucket{role=\"patient\",le=\"0.025\"} 1",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
        }
    }
}
