//! How long work takes of late, which tells when there is room again for one whose share waits.

use std::{collections::HashMap, time::Duration};

use domain::AccountId;
use tokio::time::Instant;

/// The shortest time: who is back too early is given back once more, and who is late leaves slots idle.
const LEAST: Duration = Duration::from_secs(2);
/// The longest time, for a pace that may be better by then.
const MOST: Duration = Duration::from_secs(30);
/// How many pieces of work the average is made of, about.
const REMEMBERED: u32 = 16;
/// How many come back for each that gets a turn: slots are not to wait for what comes back.
const FOR_EACH_TURN: u32 = 2;

/// The time that a piece of work takes, and what comes back when.
#[derive(Debug)]
pub(crate) struct Pace {
    at_once: usize,
    took: Duration,
    /// When the last of what was given back of each account comes.
    back: HashMap<AccountId, Instant>,
}

impl Pace {
    /// A pace of which nothing is known yet, of so much work at once.
    pub(crate) fn new(at_once: usize) -> Self {
        Self { at_once, took: Duration::ZERO, back: HashMap::new() }
    }

    /// Notes how long a piece took.
    pub(crate) fn note(&mut self, took: Duration) {
        self.took = (self.took * (REMEMBERED - 1) + took) / REMEMBERED;
    }

    /// Forgets the accounts of which nothing is to come back.
    pub(crate) fn forget_ended(&mut self, now: Instant) {
        self.back.retain(|_, last| *last > now);
    }

    /// How long it takes until there is a turn for one more of an account that has so much waiting: when that has had its
    /// turn, and what was given back before.
    ///
    /// An account may have thousands of challenges in the feed beyond its share: each that comes back before there is room
    /// costs the log and this node a delivery, and where all come back at once, those of others wait behind them.
    pub(crate) fn time_for(
        &mut self,
        account: &AccountId,
        waiting: usize,
        now: Instant,
    ) -> Duration {
        let share = self.turns(waiting).clamp(LEAST, MOST);
        let last = self.back.get(account).copied();
        let each = self.turns(1) * count(self.back.len().max(1)) / count(self.at_once);
        let after_last = last.map_or(now, |last| last + each / FOR_EACH_TURN);
        let at = after_last.max(now + share).min(now + MOST);
        self.back.insert(account.clone(), at);
        at - now
    }

    /// The time in which so much has its turn.
    fn turns(&self, work: usize) -> Duration {
        self.took.saturating_mul(count(work.div_ceil(self.at_once)))
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

    fn first_time(took: u64, waiting: usize) -> Duration {
        pace_of(Duration::from_secs(took)).time_for(&account(1), waiting, Instant::now())
    }

    #[test]
    fn who_is_over_the_share_waits_as_long_as_the_share_takes() {
        assert_eq!(first_time(8, 128).as_secs_f64().round(), 16.0);
        assert_eq!(first_time(8, 129).as_secs_f64().round(), 24.0);
        assert_eq!(first_time(8, 1000), MOST);
        assert_eq!(first_time(8, usize::MAX), MOST);
    }

    #[test]
    fn who_is_served_quickly_is_back_soon() {
        assert_eq!(first_time(0, 1000), LEAST);
        let mut pace = pace_of(Duration::from_secs(20));
        (0..200).for_each(|_| pace.note(Duration::from_millis(10)));
        assert_eq!(pace.time_for(&account(1), 128, Instant::now()), LEAST);
    }

    #[test]
    fn what_is_given_back_comes_no_faster_than_twice_the_pace_of_work() {
        let (mut pace, now) = (pace_of(Duration::from_secs(1)), Instant::now());
        let times = (0..8000).map(|_| pace.time_for(&account(1), 128, now)).collect::<Vec<_>>();
        let until = |seconds| times.iter().filter(|it| it.as_secs() < seconds).count();
        assert!((1000..=1030).contains(&until(10)), "{}", until(10));
        assert!((3500..=3600).contains(&until(30)), "{}", until(30));
        assert_eq!(times.last(), Some(&MOST));
    }

    #[test]
    fn accounts_share_the_pace_of_work_while_they_have_something_given_back() {
        let (mut pace, now) = (pace_of(Duration::from_secs(1)), Instant::now());
        let mut hundred = |owner| {
            (0..100).map(|_| pace.time_for(&account(owner), 64, now)).last().unwrap().as_millis()
        };
        let (alone, beside) = (hundred(1), hundred(2));
        assert!(
            (2700..2800).contains(&alone) && (3500..3600).contains(&beside),
            "{alone} {beside}"
        );
        pace.forget_ended(now + Duration::from_secs(3));
        assert_eq!(pace.back.len(), 1);
        pace.forget_ended(now + Duration::from_secs(4));
        assert!(pace.back.is_empty());
    }
}
