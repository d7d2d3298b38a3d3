//! How long work takes of late, which tells when there is room again for one whose share waits.

use std::time::Duration;

/// The shortest time: who is back too early is given back once more, and who is late leaves slots idle.
const LEAST: Duration = Duration::from_secs(2);
/// The longest time, for a pace that may be better by then.
const MOST: Duration = Duration::from_secs(30);
/// How many pieces of work the average is made of, about.
const REMEMBERED: u32 = 16;

/// The time that a piece of work takes.
#[derive(Debug, Default)]
pub(crate) struct Pace(Duration);

impl Pace {
    /// Notes how long a piece took.
    pub(crate) fn note(&mut self, took: Duration) {
        self.0 = (self.0 * (REMEMBERED - 1) + took) / REMEMBERED;
    }

    /// How long it takes until so much that waits has had its turn, with so many at once.
    ///
    /// Where applicants hang, an account may have thousands of challenges in the feed beyond its share: each that comes back
    /// before there is room costs the log and this node a delivery.
    pub(crate) fn time_for(&self, waiting: usize, at_once: usize) -> Duration {
        let rounds = u32::try_from(waiting.div_ceil(at_once)).unwrap_or(u32::MAX);
        self.0.saturating_mul(rounds).clamp(LEAST, MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace_of(seconds: u64) -> Pace {
        let mut pace = Pace::default();
        (0..200).for_each(|_| pace.note(Duration::from_secs(seconds)));
        pace
    }

    #[test]
    fn who_is_over_the_share_waits_as_long_as_the_share_takes() {
        let slow = pace_of(8);
        assert_eq!(slow.time_for(128, 64).as_secs_f64().round(), 16.0);
        assert_eq!(slow.time_for(129, 64).as_secs_f64().round(), 24.0);
        assert_eq!(slow.time_for(1000, 64), MOST);
        assert_eq!(slow.time_for(usize::MAX, 1), MOST);
    }

    #[test]
    fn who_is_served_quickly_is_back_soon() {
        assert_eq!(Pace::default().time_for(1000, 1), LEAST);
        let mut pace = pace_of(20);
        (0..200).for_each(|_| pace.note(Duration::from_millis(10)));
        assert_eq!(pace.time_for(128, 64), LEAST);
    }
}
