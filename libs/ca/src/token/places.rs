//! Places for what is used by one at a time, such as the sessions of a key: whoever needs one gets whichever is free first.

use std::{
    collections::VecDeque,
    mem,
    ops::{Deref, DerefMut},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// The places that nobody uses; the one that was used longest ago is next.
#[derive(Debug)]
pub(super) struct Places<T> {
    free: Mutex<VecDeque<T>>,
    given_back: Condvar,
}

/// A place in use, until this is dropped.
pub(super) struct Taken<'a, T: Default> {
    places: &'a Places<T>,
    place: T,
}

impl<T: Default> Places<T> {
    /// Makes so many places.
    pub(super) fn new(count: usize) -> Self {
        let free = (0..count).map(|_| T::default()).collect();
        Self { free: Mutex::new(free), given_back: Condvar::new() }
    }

    /// Takes a place, or waits for any: what was asked in one of them may never be answered.
    pub(super) fn take(&self) -> Taken<'_, T> {
        let waited = self.given_back.wait_while(self.free(), |free| free.is_empty());
        let mut free = waited.unwrap_or_else(PoisonError::into_inner);
        Taken { places: self, place: free.pop_front().unwrap_or_default() }
    }

    fn free(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default> Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.place
    }
}

impl<T: Default> DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.place
    }
}

impl<T: Default> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        self.places.free().push_back(mem::take(&mut self.place));
        self.places.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, mpsc},
        thread,
        time::Duration,
    };

    use super::*;

    #[test]
    fn what_was_left_in_a_place_is_there_when_it_is_taken_again() {
        let places = Places::<usize>::new(2);
        *places.take() = 1;
        *places.take() = 2;
        assert_eq!([*places.take(), *places.take()], [1, 2]);
    }

    #[test]
    fn one_that_is_never_given_back_keeps_nobody_waiting_who_came_while_all_were_in_use() {
        let places = Arc::new(Places::<usize>::new(4));
        let _never_given_back = places.take();
        let others = [places.take(), places.take(), places.take()];
        let (done, had_one) = mpsc::channel();
        for _ in 0..8 {
            let (places, done) = (Arc::clone(&places), done.clone());
            thread::spawn(move || done.send(*places.take()).unwrap());
        }
        assert!(had_one.recv_timeout(Duration::from_millis(100)).is_err());
        drop(others);
        for _ in 0..8 {
            had_one.recv_timeout(Duration::from_secs(10)).unwrap();
        }
    }
}
