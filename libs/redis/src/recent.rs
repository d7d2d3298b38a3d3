//! Orders that this process has decided a moment ago. Where it has several roles, their workers and held replies need not ask
//! Redis for them again, nor the log because they come before the view is written.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{OrderId, order::State};
use eventstore::Sequence;
use readmodel::View;
use tokio::time::Instant;

/// How long an order is kept: whoever is told of it comes at once, and a log that was put in the place of another must not be
/// mistaken for it for long.
const AGE: Duration = Duration::from_secs(5);
/// How many are kept at most, of a few KiB each.
const MOST: usize = 1024;

/// Orders in the order in which they were written.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    views: HashMap<OrderId, View<State>>,
    times: VecDeque<(Instant, OrderId, Sequence)>,
}

impl Recent {
    /// Keeps an order. One of several names is changed by several processes at once: who decided on what this one knows would be
    /// refused by the log more often than a read is saved.
    pub(crate) fn keep(&self, order: &View<State>) {
        if order.state.authorizations.len() > 1 {
            return;
        }
        let (id, now) = (&order.state.id, Instant::now());
        let mut written = self.written();
        written.forget_old(now);
        let is_newer = written.views.get(id).is_none_or(|known| known.sequence < order.sequence);
        if is_newer {
            written.times.push_back((now, id.clone(), order.sequence));
            written.views.insert(id.clone(), order.clone());
        }
    }

    /// Forgets an order.
    pub(crate) fn forget(&self, id: &OrderId) {
        self.written().views.remove(id);
    }

    /// An order that has this message folded into it, and perhaps later ones.
    pub(crate) fn find(&self, id: &OrderId, sequence: Sequence) -> Option<View<State>> {
        let mut written = self.written();
        written.forget_old(Instant::now());
        written.views.get(id).filter(|order| order.sequence >= sequence).cloned()
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Written {
    /// Forgets what is too old, and the oldest beyond what may be kept beside one more.
    fn forget_old(&mut self, now: Instant) {
        while let Some((at, id, sequence)) = self.times.front() {
            if self.times.len() < MOST && now - *at < AGE {
                return;
            }
            if self.views.get(id).is_some_and(|order| order.sequence == *sequence) {
                self.views.remove(id);
            }
            self.times.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use readmodel::contract::order;
    use tokio::time::advance;

    use super::*;

    fn later(known: &View<State>, sequence: u64) -> View<State> {
        View { state: Arc::clone(&known.state), sequence: Sequence(sequence) }
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_is_found_for_a_moment_by_whoever_needs_no_newer_one() {
        let (recent, written) = (Recent::default(), order(5));
        let id = &written.state.id;
        recent.keep(&written);
        assert_eq!(recent.find(id, Sequence(5)), Some(written.clone()));
        assert_eq!(recent.find(id, Sequence(6)), None);
        advance(AGE / 2).await;
        recent.keep(&later(&written, 7));
        recent.keep(&later(&written, 6));
        advance(AGE / 2).await;
        assert_eq!(recent.find(id, Sequence(5)), Some(later(&written, 7)));
        advance(AGE / 2).await;
        assert_eq!(recent.find(id, Sequence(5)), None);
    }

    #[test]
    fn so_many_are_kept_and_no_more() {
        let (recent, orders) = (Recent::default(), [(); MOST + 1].map(|()| order(1)));
        orders.iter().for_each(|order| recent.keep(order));
        let found = |order: &View<State>| recent.find(&order.state.id, Sequence(1)).is_some();
        assert!(found(&orders[MOST]));
        assert_eq!(orders.iter().filter(|order| found(order)).count(), MOST - 1);
    }

    #[test]
    fn one_that_was_forgotten_is_kept_again() {
        let (recent, written) = (Recent::default(), order(5));
        let find = || recent.find(&written.state.id, Sequence(5));
        recent.keep(&written);
        recent.forget(&written.state.id);
        assert_eq!(find(), None);
        recent.keep(&written);
        assert_eq!(find(), Some(written.clone()));
    }

    #[test]
    fn one_that_others_change_at_the_same_time_is_not_kept() {
        let recent = Recent::default();
        let mut of_two_names = order(1);
        let authorizations = &mut Arc::make_mut(&mut of_two_names.state).authorizations;
        authorizations.push(authorizations[0].clone());
        recent.keep(&of_two_names);
        assert_eq!(recent.find(&of_two_names.state.id, Sequence(1)), None);
    }
}
