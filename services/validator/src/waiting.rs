//! Counts the challenges that failed and wait for another look: each keeps its message in the feed, whose room all share.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use domain::AccountId;
use tokio::time::Instant;

/// How many may wait at one node; a feed has room for more messages than that.
const MAX_WAITING: usize = 512;
/// When so many wait, only accounts of which none waits may add one: a few that fail all the time leave each other account its
/// second look.
const MAX_WAITING_FREELY: usize = MAX_WAITING / 2;
/// How many of one account may wait: whoever fails all the time leaves room for others.
const MAX_WAITING_OF_ACCOUNT: usize = 32;

/// The challenges that wait for another look.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// The accounts of the challenges, by when each wait ends.
    due: BTreeMap<(Instant, u64), AccountId>,
    by_account: HashMap<AccountId, usize>,
    /// How many were added so far, which tells apart those that are due at the same time.
    added: u64,
}

impl Waiting {
    /// Whether one more challenge of the account may wait.
    pub(crate) fn has_room(&self, account: &AccountId, now: Instant) -> bool {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.forget_ended(now);
        let own = inner.by_account.get(account).copied().unwrap_or(0);
        let most = if own == 0 { MAX_WAITING } else { MAX_WAITING_FREELY };
        own < MAX_WAITING_OF_ACCOUNT && inner.due.len() < most
    }

    /// Notes that a challenge of the account waits until then.
    pub(crate) fn add(&self, account: &AccountId, until: Instant) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.added += 1;
        let due = (until, inner.added);
        inner.due.insert(due, account.clone());
        *inner.by_account.entry(account.clone()).or_default() += 1;
    }
}

impl Inner {
    fn forget_ended(&mut self, now: Instant) {
        while let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= now) {
            let account = first.remove();
            if let Some(waiting) = self.by_account.get_mut(&account) {
                *waiting -= 1;
                if *waiting == 0 {
                    self.by_account.remove(&account);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const WAIT: Duration = Duration::from_secs(2);

    fn account(n: usize) -> AccountId {
        AccountId::from_hash(&[u8::try_from(n).unwrap(); 32])
    }

    #[test]
    fn an_account_has_a_share_of_the_room_until_its_waits_end() {
        let (waiting, now) = (Waiting::default(), Instant::now());
        for _ in 0..MAX_WAITING_OF_ACCOUNT {
            assert!(waiting.has_room(&account(1), now));
            waiting.add(&account(1), now + WAIT);
        }
        assert!(!waiting.has_room(&account(1), now) && waiting.has_room(&account(2), now));
        assert!(waiting.has_room(&account(1), now + WAIT));
        assert!(waiting.0.lock().unwrap().by_account.is_empty());
    }

    #[test]
    fn accounts_that_fail_all_the_time_leave_room_for_another() {
        let (waiting, now) = (Waiting::default(), Instant::now());
        for n in (0..200).cycle().take(10 * MAX_WAITING) {
            if waiting.has_room(&account(n), now) {
                waiting.add(&account(n), now + WAIT);
            }
        }
        assert!(waiting.has_room(&account(251), now));
        for n in (0..16).flat_map(|n| [n; MAX_WAITING_OF_ACCOUNT]) {
            if waiting.has_room(&account(n), now + WAIT) {
                waiting.add(&account(n), now + 2 * WAIT);
            }
        }
        assert!(waiting.has_room(&account(251), now + WAIT));
    }

    #[test]
    fn the_room_is_bounded_for_all_together() {
        let (waiting, now) = (Waiting::default(), Instant::now());
        for n in 0..MAX_WAITING {
            waiting.add(&account(n % 250), now + WAIT);
        }
        assert!(!waiting.has_room(&account(251), now));
        assert!(waiting.has_room(&account(251), now + WAIT));
    }
}
