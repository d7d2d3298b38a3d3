//! How many pre-authorizations an account makes in an hour, where the operator limits it. Each node counts by itself, which is
//! enough to bound how fast they grow in number: they are kept for ever.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use domain::{AccountId, Timestamp};

use crate::{problem::Refusal, settings::Profile};

const HOUR: Duration = Duration::from_hours(1);
/// How many accounts are counted at most. Where there are more, the number of accounts is the greater concern.
const MAX_ACCOUNTS: usize = 100_000;

/// What each account made in an hour that begins when the first of them makes one.
#[derive(Default)]
pub(crate) struct Rate(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    ends_at: Option<Timestamp>,
    made: HashMap<AccountId, u32>,
}

impl Rate {
    /// Counts one more of an account.
    ///
    /// # Errors
    /// When it made as many as the profile allows.
    pub(super) fn count(
        &self,
        profile: &Profile,
        account: &AccountId,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Some(most) = profile.pre_authorizations_per_hour else { return Ok(()) };
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counted.take(account, most, now) {
            None => Ok(()),
            Some(wait) => Err(Refusal::PreAuthorizationRate { wait }),
        }
    }
}

impl Counted {
    /// How long to wait if the account made the most already.
    fn take(&mut self, account: &AccountId, most: u32, now: Timestamp) -> Option<Duration> {
        let ends_at = match self.ends_at {
            Some(ends_at) if now < ends_at && ends_at <= now.plus(HOUR) => ends_at,
            // No hour has begun, or it is over, or it began while the clock was ahead.
            Some(_) | None => {
                self.made.clear();
                *self.ends_at.insert(now.plus(HOUR))
            }
        };
        if let Some(made) = self.made.get_mut(account) {
            if *made >= most {
                return Some(now.until(ends_at));
            }
            *made += 1;
        } else if self.made.len() < MAX_ACCOUNTS {
            self.made.insert(account.clone(), 1);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_has_its_number_in_each_hour() {
        let at = |seconds: i64| Timestamp::from_unix_seconds(1_790_000_000 + seconds);
        let [one, other] = [1, 2].map(|n| AccountId::from_hash(&[n; 32]));
        let mut counted = Counted::default();
        assert_eq!(counted.take(&one, 2, at(0)), None);
        assert_eq!(counted.take(&one, 2, at(10)), None);
        assert_eq!(counted.take(&one, 2, at(20)), Some(Duration::from_secs(3580)));
        assert_eq!(counted.take(&other, 2, at(30)), None);
        assert_eq!(counted.take(&one, 2, at(3599)), Some(Duration::from_secs(1)));
        assert_eq!(counted.take(&one, 2, at(3600)), None);
    }

    #[test]
    fn nobody_waits_for_the_end_of_an_hour_that_a_wrong_clock_began() {
        let at = |seconds: i64| Timestamp::from_unix_seconds(1_790_000_000 + seconds);
        let one = AccountId::from_hash(&[1; 32]);
        let mut counted = Counted::default();
        assert_eq!(counted.take(&one, 1, at(1_000_000)), None);
        assert_eq!(counted.take(&one, 1, at(0)), None);
        assert_eq!(counted.take(&one, 1, at(60)), Some(Duration::from_secs(3540)));
    }
}
