//! Held replies: a request whose outcome is under way waits for it instead of being polled.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{OrderId, order::Order};
use eventstore::Wake;
use readmodel::Aggregates;
use runtime::metrics::names;
use tokio::{
    sync::{broadcast, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{authenticate::OrderView, problem::Refusal};

/// The requests of this node that wait for news of an order.
pub(crate) struct Holds {
    duration: Duration,
    max_held: usize,
    waiting: Mutex<Waiting>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Waiting {
    held: usize,
    orders: HashMap<OrderId, Bell>,
}

/// Rings for each piece of news; a receiver hears all that rang since it was made.
struct Bell {
    bell: watch::Sender<()>,
    waiters: usize,
}

/// A place among the requests that wait for one order. Taken before the order is read, so that no news is missed.
pub(crate) struct Place<'a> {
    holds: &'a Holds,
    order: OrderId,
    news: watch::Receiver<()>,
    deadline: Instant,
}

impl Holds {
    /// Holds replies until the token is cancelled; then those that wait are given at once.
    pub(crate) fn new(duration: Duration, max_held: usize, stop: CancellationToken) -> Self {
        Self { duration, max_held, waiting: Mutex::default(), stop }
    }

    /// Takes a place; `None` when replies are not held or too many are: the reply is immediate.
    pub(crate) fn take_place(&self, order: &OrderId) -> Option<Place<'_>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.duration.is_zero() || waiting.held >= self.max_held || self.stop.is_cancelled() {
            return None;
        }
        waiting.held += 1;
        let bell = waiting
            .orders
            .entry(order.clone())
            .or_insert_with(|| Bell { bell: watch::Sender::new(()), waiters: 0 });
        bell.waiters += 1;
        let news = bell.bell.subscribe();
        Some(Place {
            holds: self,
            order: order.clone(),
            news,
            deadline: Instant::now() + self.duration,
        })
    }

    fn ring(&self, order: &OrderId) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = waiting.orders.get(order) {
            bell.bell.send_replace(());
        }
    }

    fn ring_all(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.orders.values().for_each(|bell| bell.bell.send_replace(()));
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.holds.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.held -= 1;
        if let Some(bell) = waiting.orders.get_mut(&self.order) {
            bell.waiters -= 1;
            if bell.waiters == 0 {
                waiting.orders.remove(&self.order);
            }
        }
    }
}

impl Place<'_> {
    /// Waits while work on the order is under way, at most for the configured moment, and returns its newest view.
    ///
    /// A wake may be lost, so the order is read once more at the end.
    async fn hold(
        mut self,
        aggregates: &Aggregates,
        mut view: OrderView,
        under_way: impl Fn(&OrderView) -> bool,
    ) -> Result<OrderView, Refusal> {
        let _held = Held::count();
        while under_way(&view) {
            let over = tokio::select! {
                // The sender lives as long as this place.
                _ = self.news.changed() => false,
                () = sleep_until(self.deadline) => true,
                () = self.holds.stop.cancelled() => true,
            };
            view = newest(aggregates, view).await?;
            if over {
                break;
            }
        }
        Ok(view)
    }
}

/// Waits at the place while work on the order is under way; without a place, the order is as it was read.
pub(crate) async fn hold(
    place: Option<Place<'_>>,
    aggregates: &Aggregates,
    order: OrderView,
    under_way: impl Fn(&OrderView) -> bool,
) -> Result<OrderView, Refusal> {
    match place {
        Some(place) => place.hold(aggregates, order, under_way).await,
        None => Ok(order),
    }
}

/// Counts a reply as held while it lives.
struct Held;

impl Held {
    fn count() -> Self {
        metrics::gauge!(names::REPLIES_HELD).increment(1.0);
        Self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        metrics::gauge!(names::REPLIES_HELD).decrement(1.0);
    }
}

/// Never steps back: a cache that lost its memory between two reads shows nothing older than what was seen.
async fn newest(aggregates: &Aggregates, known: OrderView) -> Result<OrderView, Refusal> {
    match aggregates.load::<Order>(&known.state.id).await? {
        Some(view) if view.sequence > known.sequence => Ok(view),
        Some(_) | None => Ok(known),
    }
}

/// Passes wakes on to the requests that wait; ends with the sender.
pub(crate) async fn listen(holds: Arc<Holds>, mut wakes: broadcast::Receiver<Wake>) {
    loop {
        match wakes.recv().await {
            Ok(wake) => {
                if let Some(order) = wake.subject.order_id() {
                    holds.ring(&order);
                }
            }
            Err(broadcast::error::RecvError::Lagged(_)) => holds.ring_all(),
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let holds = Holds::new(Duration::from_secs(1), 2, CancellationToken::new());
        let order = OrderId::new(0, &[1; 16]);
        let first = holds.take_place(&order);
        let second = holds.take_place(&order);
        assert!(first.is_some() && second.is_some());
        assert!(holds.take_place(&order).is_none());
        drop(first);
        assert!(holds.take_place(&order).is_some());
        drop(second);
        assert!(holds.waiting.lock().unwrap().orders.is_empty());
    }

    #[test]
    fn nothing_is_held_when_holding_is_off() {
        let holds = Holds::new(Duration::ZERO, 2, CancellationToken::new());
        assert!(holds.take_place(&OrderId::new(0, &[1; 16])).is_none());
    }
}
