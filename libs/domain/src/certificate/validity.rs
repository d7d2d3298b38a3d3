//! How long a certificate is valid: both ends count (RFC 5280 §4.1.2.5).

use std::time::Duration;

use crate::Timestamp;

/// The precision of a validity, and by how much the clocks of those who accept orders and of those who sign may differ.
const SECOND: Duration = Duration::from_secs(1);

/// The last second of a validity that begins then.
pub fn last_second(first: Timestamp, validity: Duration) -> Timestamp {
    first.plus(validity).minus(SECOND)
}

/// The first second of a validity that ends then.
pub fn first_second(last: Timestamp, validity: Duration) -> Timestamp {
    last.minus(validity).plus(SECOND)
}

/// The latest start of a certificate whose start nobody asked for, when the order is placed or the certificate made.
pub fn latest_start(now: Timestamp) -> Timestamp {
    now.plus(SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validity_of_a_minute_has_sixty_seconds() {
        let (first, minute) = (Timestamp::from_unix_seconds(600), Duration::from_secs(60));
        let last = last_second(first, minute);
        assert_eq!(last, Timestamp::from_unix_seconds(659));
        assert_eq!(first_second(last, minute), first);
    }
}
