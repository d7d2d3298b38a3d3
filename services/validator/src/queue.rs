//! Fair turns: an account may use every idle slot, and waits for nobody's backlog but its own.

use std::collections::{HashMap, VecDeque};

use domain::AccountId;

/// Work that waits, by account.
pub(crate) struct FairQueue<T> {
    waiting: HashMap<AccountId, VecDeque<T>>,
    /// The accounts with waiting work, the one whose turn is longest ago first.
    turns: VecDeque<AccountId>,
    running: HashMap<AccountId, usize>,
    length: usize,
    capacity: usize,
}

impl<T> FairQueue<T> {
    /// Makes a queue in which so many pieces of work may wait.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            waiting: HashMap::new(),
            turns: VecDeque::new(),
            running: HashMap::new(),
            length: 0,
            capacity,
        }
    }

    /// Whether another piece of work may wait.
    pub(crate) fn has_room(&self) -> bool {
        self.length < self.capacity
    }

    /// Lets work wait, or gives it back when as much of the account waits as there is room left. So an account alone gets half
    /// of the queue, two get a third each, and there is always room for another.
    pub(crate) fn push(&mut self, account: AccountId, work: T) -> Result<(), T> {
        let room = self.capacity.saturating_sub(self.length);
        if self.waiting_of(&account) >= room {
            return Err(work);
        }
        let own = self.waiting.entry(account.clone()).or_default();
        if own.is_empty() {
            self.turns.push_back(account);
        }
        own.push_back(work);
        self.length += 1;
        Ok(())
    }

    /// Takes the next work: of the account with the least running, among equals of the one whose turn is longest ago.
    pub(crate) fn pop(&mut self) -> Option<(AccountId, T)> {
        let load = |account: &AccountId| self.running.get(account).copied().unwrap_or(0);
        let (next, _) = self.turns.iter().enumerate().min_by_key(|(_, account)| load(account))?;
        let account = self.turns.remove(next)?;
        let own = self.waiting.get_mut(&account)?;
        let work = own.pop_front()?;
        if own.is_empty() {
            self.waiting.remove(&account);
        } else {
            self.turns.push_back(account.clone());
        }
        self.length -= 1;
        *self.running.entry(account.clone()).or_default() += 1;
        Some((account, work))
    }

    /// Notes that a piece of work of the account ended.
    pub(crate) fn ended(&mut self, account: &AccountId) {
        if let Some(running) = self.running.get_mut(account) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(account);
            }
        }
    }

    /// How much of an account waits.
    pub(crate) fn waiting_of(&self, account: &AccountId) -> usize {
        self.waiting.get(account).map_or(0, VecDeque::len)
    }

    /// Everything that waits.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &T> {
        self.waiting.values().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(n: u8) -> AccountId {
        AccountId::from_hash(&[n; 32])
    }

    fn queue(work: &[(u8, u32)]) -> FairQueue<u32> {
        let mut queue = FairQueue::new(100);
        for (owner, work) in work {
            queue.push(account(*owner), *work).unwrap();
        }
        queue
    }

    fn drain(mut queue: FairQueue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop().map(|(_, work)| work)).collect()
    }

    #[test]
    fn one_account_alone_gets_every_slot_in_order() {
        assert_eq!(drain(queue(&[(1, 10), (1, 11), (1, 12)])), [10, 11, 12]);
    }

    #[test]
    fn accounts_take_turns_whatever_their_backlog() {
        let order = drain(queue(&[(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (3, 31)]));
        assert_eq!(order, [10, 20, 30, 11, 31, 12]);
    }

    #[test]
    fn a_newcomer_is_next_when_others_are_running() {
        let mut queue = queue(&[(1, 10), (1, 11), (1, 12)]);
        queue.pop();
        queue.pop();
        queue.push(account(2), 20).unwrap();
        assert_eq!(queue.pop(), Some((account(2), 20)));
    }

    #[test]
    fn work_that_ended_no_longer_counts() {
        let mut queue = queue(&[(1, 10), (1, 11)]);
        queue.pop();
        queue.ended(&account(1));
        queue.push(account(2), 20).unwrap();
        assert_eq!(queue.pop(), Some((account(1), 11)));
        assert!(queue.running.get(&account(1)).is_some_and(|running| *running == 1));
    }

    #[test]
    fn one_account_cannot_fill_the_queue() {
        let mut queue = FairQueue::new(4);
        assert_eq!(queue.push(account(1), 1), Ok(()));
        assert_eq!(queue.push(account(1), 2), Ok(()));
        assert_eq!(queue.push(account(1), 3), Err(3));
        assert!(queue.has_room());
        assert_eq!(queue.push(account(2), 4), Ok(()));
        assert_eq!(queue.push(account(3), 5), Ok(()));
        assert!(!queue.has_room());
        assert_eq!(queue.waiting().count(), 4);
    }

    #[test]
    fn several_accounts_leave_room_for_another() {
        let mut queue = FairQueue::new(100);
        for work in 0..100 {
            for owner in 1..=3 {
                let _ = queue.push(account(owner), work);
            }
        }
        assert_eq!(queue.waiting().count(), 75);
        assert_eq!(queue.push(account(4), 0), Ok(()));
    }

    #[test]
    fn an_empty_queue_remembers_no_account() {
        let mut queue = queue(&[(1, 10), (2, 20)]);
        while let Some((account, _)) = queue.pop() {
            queue.ended(&account);
        }
        assert!(queue.waiting.is_empty() && queue.turns.is_empty() && queue.running.is_empty());
    }
}
