//! Which counters are good: what every implementation of nonces decides in the same way.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use domain::Timestamp;

/// How long a nonce is good where nothing is configured. Clients hold one for the time between two requests.
const DEFAULT_LIFETIME_MINUTES: u32 = 10;
/// How long a nonce may be good.
const MAX_LIFETIME_MINUTES: u32 = 60;
/// How far the clocks of two nodes may be apart.
const MAX_CLOCK_SKEW_MINUTES: u32 = 1;

/// How many nonces a node issues in a minute: 140,000 a second, in a bitmap of at most 1 MiB.
pub const MAX_PER_MINUTE: u32 = 1 << 23;

/// How long the memory of the spent nonces of one minute must be kept after each redemption; longer than any node
/// accepts a nonce of that minute, whatever lifetime is configured there.
pub const SPENT_LIFETIME: Duration =
    Duration::from_mins((MAX_LIFETIME_MINUTES + 3 * MAX_CLOCK_SKEW_MINUTES + 1) as u64);

/// How long a nonce is good: whole minutes, because a nonce knows the minute of its making.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonceLifetime {
    minutes: u32,
}

/// The duration is none that nonces can be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nonces are good for whole minutes, from 1 to {MAX_LIFETIME_MINUTES}")]
pub struct InvalidLifetime;

impl Default for NonceLifetime {
    fn default() -> Self {
        Self { minutes: DEFAULT_LIFETIME_MINUTES }
    }
}

impl TryFrom<Duration> for NonceLifetime {
    type Error = InvalidLifetime;

    fn try_from(duration: Duration) -> Result<Self, InvalidLifetime> {
        let minutes = u32::try_from(duration.as_secs() / 60).map_err(|_| InvalidLifetime)?;
        let whole = duration == Duration::from_mins(minutes.into());
        let allowed = whole && (1..=MAX_LIFETIME_MINUTES).contains(&minutes);
        if allowed { Ok(Self { minutes }) } else { Err(InvalidLifetime) }
    }
}

/// What a nonce counts. Epoch, node, minute and counter name one bit in the memory of spent nonces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonceParts {
    /// The life of one memory of spent nonces: what was issued before it was lost is not accepted after.
    pub epoch: u64,
    /// Which process issued it.
    pub node: u32,
    /// The minute since 1970 in which it was issued.
    pub minute: u32,
    /// Which of the node's nonces in that minute it is.
    pub counter: u32,
}

/// The nonce is of another epoch, too old, from the future, or beyond the bound of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the nonce is not of this epoch and these minutes")]
pub struct OutsideWindow;

impl NonceParts {
    /// Checks that the nonce may be redeemed in this epoch and minute, if it was not before.
    ///
    /// # Errors
    /// When it may not.
    pub fn check(
        &self,
        epoch: u64,
        minute: u32,
        lifetime: NonceLifetime,
    ) -> Result<(), OutsideWindow> {
        let newest = minute.saturating_add(MAX_CLOCK_SKEW_MINUTES);
        let oldest = minute.saturating_sub(lifetime.minutes);
        let good = self.epoch == epoch
            && (oldest..=newest).contains(&self.minute)
            && self.counter < MAX_PER_MINUTE;
        if good { Ok(()) } else { Err(OutsideWindow) }
    }
}

/// The minute since 1970 of a time.
pub fn minute_of(now: Timestamp) -> u32 {
    u32::try_from(now.unix_seconds() / 60).unwrap_or(0)
}

/// Counts the nonces that one process issues, without a lock.
#[derive(Debug, Default)]
pub struct NonceCounter {
    /// The minute in the upper half, the next counter in the lower.
    next: AtomicU64,
}

impl NonceCounter {
    /// Takes the next minute and counter, or `None` when the minute's counters are used up.
    ///
    /// A clock that steps back a little goes on in the later minute; one that steps back further starts again, and a
    /// counter taken twice costs one of both clients a retry.
    pub fn take(&self, now_minute: u32) -> Option<(u32, u32)> {
        let choose = |next: u64| {
            let (minute, counter) = (upper_half(next), lower_half(next));
            let ahead = minute.saturating_sub(now_minute);
            let same = minute >= now_minute && ahead <= MAX_CLOCK_SKEW_MINUTES;
            if same { (minute, counter) } else { (now_minute, 0) }
        };
        let taken = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
            let (minute, counter) = choose(next);
            (counter < MAX_PER_MINUTE).then(|| u64::from(minute) << 32 | u64::from(counter + 1))
        });
        taken.ok().map(choose)
    }
}

fn upper_half(value: u64) -> u32 {
    lower_half(value >> 32)
}

fn lower_half(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(epoch: u64, minute: u32, counter: u32) -> NonceParts {
        NonceParts { epoch, node: 1, minute, counter }
    }

    const TEN_MINUTES: NonceLifetime = NonceLifetime { minutes: DEFAULT_LIFETIME_MINUTES };

    #[test]
    fn a_nonce_is_good_for_ten_minutes_of_its_epoch() {
        for minute in [999, 1000, 1010] {
            assert_eq!(parts(7, 1000, 0).check(7, minute, TEN_MINUTES), Ok(()), "{minute}");
        }
        for minute in [0, 998, 1011, u32::MAX] {
            let checked = parts(7, 1000, 0).check(7, minute, TEN_MINUTES);
            assert_eq!(checked, Err(OutsideWindow), "{minute}");
        }
        assert_eq!(parts(7, 1000, 0).check(8, 1000, TEN_MINUTES), Err(OutsideWindow));
    }

    #[test]
    fn a_nonce_is_good_for_as_long_as_is_configured() {
        let two = NonceLifetime::try_from(Duration::from_mins(2)).unwrap();
        assert_eq!(parts(7, 1000, 0).check(7, 1002, two), Ok(()));
        assert_eq!(parts(7, 1000, 0).check(7, 1003, two), Err(OutsideWindow));
        for seconds in [0, 59, 61, 61 * 60] {
            let lifetime = NonceLifetime::try_from(Duration::from_secs(seconds));
            assert_eq!(lifetime, Err(InvalidLifetime), "{seconds}");
        }
    }

    #[test]
    fn a_counter_beyond_the_bitmap_is_refused() {
        assert_eq!(parts(7, 1000, MAX_PER_MINUTE - 1).check(7, 1000, TEN_MINUTES), Ok(()));
        assert_eq!(parts(7, 1000, MAX_PER_MINUTE).check(7, 1000, TEN_MINUTES), Err(OutsideWindow));
    }

    #[test]
    fn counters_start_again_each_minute() {
        let counter = NonceCounter::default();
        assert_eq!(counter.take(1000), Some((1000, 0)));
        assert_eq!(counter.take(1000), Some((1000, 1)));
        assert_eq!(counter.take(1001), Some((1001, 0)));
        assert_eq!(counter.take(1000), Some((1001, 1)), "a small step back goes on");
        assert_eq!(counter.take(900), Some((900, 0)), "a large one starts again");
    }

    #[test]
    fn a_minute_has_only_so_many_counters() {
        let counter = NonceCounter::default();
        counter.next.store(1000 << 32 | u64::from(MAX_PER_MINUTE - 1), Ordering::Relaxed);
        assert_eq!(counter.take(1000), Some((1000, MAX_PER_MINUTE - 1)));
        assert_eq!(counter.take(1000), None);
        assert_eq!(counter.take(1001), Some((1001, 0)));
    }

    #[test]
    fn parallel_takers_never_share_a_counter() {
        let counter = NonceCounter::default();
        let mut taken: Vec<_> = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..1000).map(|_| counter.take(5)).collect::<Vec<_>>()))
                .collect();
            takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect()
        });
        taken.sort();
        taken.dedup();
        assert_eq!(taken.len(), 8000);
    }

    #[test]
    fn spent_nonces_are_remembered_longer_than_they_are_good() {
        let minutes = u64::from(MAX_LIFETIME_MINUTES + 2 * MAX_CLOCK_SKEW_MINUTES + 1);
        assert!(SPENT_LIFETIME > Duration::from_mins(minutes));
    }
}
