//! What time it is.

use domain::Timestamp;

/// The time by the system's clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::from(time::OffsetDateTime::now_utc())
}
