//! How long work takes of late, which tells when a delivery that found its account's share of the queue full is to come again.

use std::{collections::HashMap, time::Duration};

use domain::AccountId;
use tokio::time::Instant;

/// The shortest delay: what comes again too early is only given back once more.
const MIN_DELAY: Duration = Duration::from_secs(2);
/// The longest delay: work may be done faster by then, and slots would be idle.
const MAX_DELAY: Duration = Duration::from_secs(30);
/// Over about how many pieces of work the average is taken.
const AVERAGED_OVER: u32 = 16;
/// How many deliveries come again for each turn that there is: slots are not to wait for them.
const RETURNS_PER_TURN: u32 = 2;

/// How long a piece of work takes, and what comes again when.
#[derive(Debug)]
pub(crate) struct Pace {
    concurrency: usize,
    average: Duration,
    /// For each account, when the last of the deliveries that were given back comes again.
    last_return: HashMap<AccountId, Instant>,
}

impl Pace {
    /// Makes a pace of which nothing is known yet, for so many pieces of work at once.
    pub(crate) fn new(concurrency: usize) -> Self {
        Self { concurrency, average: Duration::ZERO, last_return: HashMap::new() }
    }

    /// Notes how long a piece of work took.
    pub(crate) fn note(&mut self, took: Duration) {
        self.average = (self.average * (AVERAGED_OVER - 1) + took) / AVERAGED_OVER;
    }

    /// Forgets the accounts of which nothing is to come again.
    pub(crate) fn forget_ended(&mut self, now: Instant) {
        self.last_return.retain(|_, last| *last > now);
    }

    /// After what delay a delivery comes again whose account has so much waiting: when that has had its turn, and the deliveries
    /// of the account that were given back before have come again.
    ///
    /// An account may have thousands of challenges in the feed beyond its share: each that comes back before there is room
    /// costs the log and this node a delivery, and where all come back at once, those of others wait behind them.
    pub(crate) fn delay(&mut self, account: &AccountId, waiting: usize, now: Instant) -> Duration {
        let share = self.time_for(waiting).clamp(MIN_DELAY, MAX_DELAY);
        let accounts = count(self.last_return.len().max(1));
        let turn = self.time_for(1) * accounts / count(self.concurrency);
        let last = self.last_return.get(account);
        let after_last = last.map_or(now, |last| *last + turn / RETURNS_PER_TURN);
        let at = after_last.max(now + share).min(now + MAX_DELAY);
        self.last_return.insert(account.clone(), at);
        at - now
    }

    /// How long so many pieces of work take, one after the other in each slot.
    fn time_for(&self, pieces: usize) -> Duration {
        self.average.saturating_mul(count(pieces.div_ceil(self.concurrency)))
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(n: u8) -> AccountId {
        AccountId::from_hash(&[n; 32])
    }

    fn pace_of(took: Duration) -> Pace {
        let mut pace = Pace::new(64);
        (0..200).for_each(|_| pace.note(took));
        pace
    }

    fn first_delay(took: u64, waiting: usize) -> Duration {
        pace_of(Duration::from_secs(took)).delay(&account(1), waiting, Instant::now())
    }

    #[test]
    fn who_is_over_the_share_waits_as_long_as_the_share_takes() {
        assert_eq!(first_delay(8, 128).as_secs_f64().round(), 16.0);
        assert_eq!(first_delay(8, 129).as_secs_f64().round(), 24.0);
        assert_eq!(first_delay(8, 1000), MAX_DELAY);
        assert_eq!(first_delay(8, usize::MAX), MAX_DELAY);
    }

    #[test]
    fn who_is_served_quickly_is_back_soon() {
        assert_eq!(first_delay(0, 1000), MIN_DELAY);
        let mut pace = pace_of(Duration::from_secs(20));
        (0..200).for_each(|_| pace.note(Duration::from_millis(10)));
        assert_eq!(pace.delay(&account(1), 128, Instant::now()), MIN_DELAY);
    }

    #[test]
    fn what_is_given_back_comes_no_faster_than_twice_the_pace_of_work() {
        let (mut pace, now) = (pace_of(Duration::from_secs(1)), Instant::now());
        let times = (0..8000).map(|_| pace.delay(&account(1), 128, now)).collect::<Vec<_>>();
        let until = |seconds| times.iter().filter(|it| it.as_secs() < seconds).count();
        assert!((1000..=1030).contains(&until(10)), "{}", until(10));
        assert!((3500..=3600).contains(&until(30)), "{}", until(30));
        assert_eq!(times.last(), Some(&MAX_DELAY));
    }

    #[test]
    fn accounts_share_the_pace_of_work_while_they_have_something_given_back() {
        let (mut pace, now) = (pace_of(Duration::from_secs(1)), Instant::now());
        let mut hundred = |owner| {
            (0..100).map(|_| pace.delay(&account(owner), 64, now)).last().unwrap().as_millis()
        };
        let (alone, beside) = (hundred(1), hundred(2));
        assert!(
            (2700..2800).contains(&alone) && (3500..3600).contains(&beside),
            "{alone} {beside}"
        );
        pace.forget_ended(now + Duration::from_secs(3));
        assert_eq!(pace.last_return.len(), 1);
        pace.forget_ended(now + Duration::from_secs(4));
        assert!(pace.last_return.is_empty());
    }
}
